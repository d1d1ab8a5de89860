"""The test suite: `python -m twisted.trial tests`; see docs/testing.rst."""

import structlog
from hypothesis import HealthCheck, settings


def drop_logs() -> None:
    """Let what is logged go through all processors and then vanish, unless a test captures it."""
    structlog.reset_defaults()
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())


drop_logs()
# A busy machine is no fault of what is tested; tests of time set limits of their own.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")
