"""Logging as a whole: two streams, and everything that anybody in the process says goes to both."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from typing import Any

import structlog
from twisted.logger import globalLogPublisher
from twisted.python.failure import Failure

from bridge.domain.clock import Clock
from bridge.telemetry.foreign import LEVELS, StandardLibraryHandler, TwistedObserver
from bridge.telemetry.lines import Entry, lines_from
from bridge.telemetry.streams import LogTargetError, Stream


class LogStreams:
    """The two sinks of the process; made by `configure`, owned and closed by who called it."""

    def __init__(self, *, human: Stream, as_json: Stream, level: str, clock: Clock) -> None:
        """Keep the sinks; nothing is routed here yet."""
        self._human = human
        self._json = as_json
        self._clock = clock
        self._handler = StandardLibraryHandler(self.write)
        self.observer = TwistedObserver(self.write)
        """The `twisted.logger` observer, for who starts Twisted's logging itself."""
        self.threshold = LEVELS[level]
        """Entries below this number are not written; changed by `set_level`."""
        self.faults = 0
        """Log calls that failed inside logging itself."""
        self.records = RecordLines(self)
        """For records as log lines, which no level leaves out."""

    @property
    def lost(self) -> int:
        """Lines that could not be written since the start."""
        return self._human.lost + self._json.lost

    def set_level(self, level: str) -> None:
        """Write entries from `level` (`debug info warning error`) upwards, at once."""
        self.threshold = LEVELS[level]

    def write(
        self,
        level: str,
        event: object,
        *,
        logger: str = "",
        fields: Mapping[str, object] | None = None,
        error: BaseException | None = None,
        seconds: float | None = None,
        always: bool = False,
    ) -> None:
        """Write one entry to both sinks; never raises.

        Args:
            level: a key of `LEVELS`.
            event: the message.
            logger: who says it.
            fields: what it says about what.
            error: the exception whose traceback belongs to it.
            seconds: when, since the epoch; None for now.
            always: whatever level is asked for.
        """
        if LEVELS.get(level, 50) < self.threshold and not always:
            return
        try:
            entry = Entry(
                seconds=self._clock.seconds() if seconds is None else seconds,
                level=level,
                event=str(event),
                logger=logger,
                fields=fields or {},
                error=error,
            )
            lines = lines_from(entry, human=self._human.open, as_json=self._json.open)
            self._human.write(lines.human)
            self._json.write(lines.json)
        except Exception:  # noqa: BLE001  # logging must not break what it speaks of
            self.faults += 1

    def route_everything(self, *, twisted: bool) -> None:
        """Take in the standard library's logging and warnings, and Twisted's events if asked."""
        root = logging.getLogger()
        root.addHandler(self._handler)
        root.setLevel(logging.INFO)
        logging.captureWarnings(capture=True)
        if twisted:
            globalLogPublisher.addObserver(self.observer)

    def reopen(self) -> None:
        """Open log files anew (SIGHUP, after they were moved); one that fails stays as it is."""
        for stream in (self._human, self._json):
            try:
                stream.reopen()
            except LogTargetError as e:
                self.write("error", "log file not reopened", fields={"reason": str(e)})

    def close(self) -> None:
        """Let go of everything; later log calls say nothing."""
        globalLogPublisher.removeObserver(self.observer)
        logging.captureWarnings(capture=False)
        logging.getLogger().removeHandler(self._handler)
        self._human.close()
        self._json.close()


class RecordLines:
    """Writes records at level info, whatever level is asked for: who wants them wants all."""

    def __init__(self, streams: LogStreams) -> None:
        """Write to `streams`."""
        self._streams = streams

    def info(self, event: str, **fields: object) -> None:
        """Write `event` with its `fields`."""
        self._streams.write("info", event, fields=fields, always=True)


class BoundLogger(structlog.BoundLoggerBase):
    """What `structlog.get_logger()` gives after `configure`: cheap when off, and never raises.

    `event` is the message; `fields` its data; `exc_info` is an exception, or true for the one being
    handled.
    """

    _logger: _Named

    def debug(self, event: str, *args: object, **fields: Any) -> None:
        """Say what helps to follow one request."""
        if self._logger.streams.threshold <= 10:
            self._say("debug", event, args, fields)

    def info(self, event: str, *args: object, **fields: Any) -> None:
        """Say that something happened as it should."""
        if self._logger.streams.threshold <= 20:
            self._say("info", event, args, fields)

    def warning(self, event: str, *args: object, **fields: Any) -> None:
        """Say that we coped with something."""
        self._say("warning", event, args, fields)

    def error(self, event: str, *args: object, **fields: Any) -> None:
        """Say that somebody must look."""
        self._say("error", event, args, fields)

    def critical(self, event: str, *args: object, **fields: Any) -> None:
        """Say that we cannot go on."""
        self._say("critical", event, args, fields)

    def exception(self, event: str, *args: object, **fields: Any) -> None:
        """Say that somebody must look, with the traceback of the exception being handled."""
        fields.setdefault("exc_info", True)
        self._say("error", event, args, fields)

    msg = info
    warn = warning
    fatal = critical

    def _say(
        self, level: str, event: object, args: tuple[object, ...], fields: dict[str, Any]
    ) -> None:
        named = self._logger
        if LEVELS[level] < named.streams.threshold:
            return
        try:
            if args:
                event = str(event) % args
            _, said = self._process_event(level, str(event), fields)
            told = dict(said)
            error = _exception_in(told.pop("exc_info", None))
            named.streams.write(
                level, told.pop("event", event), logger=named.name, fields=told, error=error
            )
        except structlog.DropEvent:
            pass
        except Exception:  # noqa: BLE001  # a log call never raises into its caller
            named.streams.faults += 1


def configure(
    *,
    log_human: str,
    log_json: str,
    level: str,
    clock: Clock,
    twisted: bool = True,
    cache: bool = True,
) -> LogStreams:
    """Open both sinks and route all logging of the process to them.

    Args:
        log_human: where readable lines go: a path, /dev/stderr, /dev/stdout, or "" for nowhere.
        log_json: where JSON goes, one object a line; likewise.
        level: the least severe entries to write: `debug info warning error`.
        clock: gives the time.
        twisted: also observe Twisted's events; false when `LogStreams.observer` is given to twistd.
        cache: loggers remember this set-up at their first use (tests say false).

    Raises:
        LogTargetError: a file cannot be opened.
    """
    human = Stream(log_human)
    try:
        as_json = Stream(log_json)
    except LogTargetError:
        human.close()
        raise
    streams = LogStreams(human=human, as_json=as_json, level=level, clock=clock)
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars],
        wrapper_class=BoundLogger,
        context_class=dict,
        logger_factory=lambda *names: _Named(streams, str(names[0]) if names else ""),
        cache_logger_on_first_use=cache,
    )
    streams.route_everything(twisted=twisted)
    return streams


class _Named:
    """The streams, under one logger's name."""

    def __init__(self, streams: LogStreams, name: str) -> None:
        self.streams = streams
        self.name = name


def _exception_in(exc_info: object) -> BaseException | None:
    """Return the exception that `exc_info` (exception, Failure, tuple or true) stands for."""
    match exc_info:
        case BaseException():
            return exc_info
        case Failure():
            return exc_info.value
        case (_, BaseException() as error, _):
            return error
        case None | False:
            return None
    # The one being handled by whoever called us; outside an except block there is none.
    return sys.exc_info()[1]
