"""The test suite: `python -m twisted.trial tests`."""

import structlog


def drop_logs() -> None:
    """Let what is logged go through all processors and then vanish, unless a test captures it."""
    structlog.reset_defaults()
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())


drop_logs()
