"""The test suite: `python -m twisted.trial tests`."""

import structlog

# What is logged goes through all processors and is then dropped, unless a test captures it.
structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
