"""What others say: entries of Twisted's logging, the standard library's, and its warnings."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Protocol

from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent
from twisted.python.failure import Failure
from zope.interface import implementer

LEVELS: Mapping[str, int] = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
"""Names as configured and as written, with the standard library's numbers."""

_TWISTED_LEVELS: Mapping[object, str] = {
    LogLevel.debug: "debug",
    LogLevel.info: "info",
    LogLevel.warn: "warning",
    LogLevel.error: "error",
    LogLevel.critical: "critical",
}
_CHATTER = ("Starting factory ", "Stopping factory ")
"""What every new connection to a provider says at level info, and nobody wants to know."""


class Write(Protocol):
    """Writes one entry; never raises."""

    def __call__(
        self,
        level: str,
        event: object,
        *,
        logger: str = "",
        fields: Mapping[str, object] | None = None,
        error: BaseException | None = None,
        seconds: float | None = None,
    ) -> None:
        """Write the entry to every sink."""


@implementer(ILogObserver)
class TwistedObserver:
    """Brings the events of `twisted.logger` and of the older `twisted.python.log`."""

    def __init__(self, write: Write) -> None:
        """Bring them to `write`."""
        self._write = write

    def __call__(self, event: LogEvent) -> None:
        """Write one event."""
        failure = event.get("log_failure") or event.get("failure")
        error = failure.value if isinstance(failure, Failure) else None
        # Legacy `log.err` puts the whole traceback into the text, which has it once more.
        legacy = error is not None and "why" in event
        message = str(event["why"] or "unhandled error") if legacy else formatEvent(event)
        if not message and error is not None:
            message = f"{type(error).__name__}: {error}"
        level = _TWISTED_LEVELS.get(event.get("log_level"), "info")
        self._write(
            "debug" if message.startswith(_CHATTER) and error is None else level,
            message,
            logger=str(event.get("log_namespace") or event.get("log_system") or "twisted"),
            error=error,
            seconds=event.get("log_time"),
        )


class StandardLibraryHandler(logging.Handler):
    """Brings what libraries say through `logging` and, captured, `warnings`."""

    def __init__(self, write: Write) -> None:
        """Bring it to `write`."""
        super().__init__()
        self._write = write

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001  # a library's wrong format string is not ours to die of
            message = str(record.msg)
        level = max((n, name) for name, n in LEVELS.items() if n <= max(10, record.levelno))[1]
        self._write(
            level,
            message,
            logger=record.name,
            error=record.exc_info[1] if record.exc_info else None,
            seconds=record.created,
        )
