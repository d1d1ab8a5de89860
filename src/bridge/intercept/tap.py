"""The tap: looks at an answer's bytes as they go past, and never gets in their way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import structlog

from bridge.dialects.interface import Reader, Reading
from bridge.domain.observations import Observation, TokenUsage
from bridge.wire.sse import Event, SseDecoder, skip_everything

_log = structlog.get_logger("bridge.interception")


class Log(Protocol):
    """What the tap needs of a bound logger."""

    def warning(self, event: str, /, **fields: Any) -> Any:
        """Write one line."""


class LogOfOne:
    """Names an interception in its lines; most interceptions have none, so nothing is bound."""

    __slots__ = ("_id",)

    def __init__(self, identifier: str) -> None:
        """Log under `identifier`."""
        self._id = identifier

    def warning(self, event: str, /, **fields: Any) -> None:
        """Write one line."""
        _log.warning(event, interception_id=self._id, **fields)


class TooLargeError(ValueError):
    """An event, or a whole document, is over what is kept for reading."""


class Tap:
    """Observes one answer; nothing in it raises out of `data` and `finish`.

    A fault in reading is logged once and ends the observing (event boundaries are still followed
    where they can be). A fault in recording is logged once too, but the reading goes on, because
    the end of the stream must still be recognised; so it does after an event that is too large, of
    which the reader gets the beginning: an end that cannot be read in full ends the answer too.
    """

    def __init__(
        self,
        *,
        reader: Reader,
        streaming: bool,
        status: int,
        max_event_bytes: int,
        max_document_bytes: int,
        on_observations: Callable[[Sequence[Observation]], None],
        log: Log | None = None,
    ) -> None:
        """Get ready for the first byte.

        Args:
            reader: of the dialect, unused so far.
            streaming: whether the answer's content type is text/event-stream.
            status: the answer's HTTP status.
            max_event_bytes: of a larger event only the beginning is read.
            max_document_bytes: a larger document is not read; nobody learns its id, so under the
                organisation's key not even its maker can fetch it later.
            on_observations: called in the turn in which something was seen; may raise.
            log: bound to the interception.
        """
        self._reader = reader
        self._status = status
        self._max_document_bytes = max_document_bytes
        self._on_observations = on_observations
        self._log = log if log is not None else structlog.get_logger()
        self._decoder = (
            SseDecoder(max_event_bytes=max_event_bytes, skips=reader.skips) if streaming else None
        )
        self._document = bytearray()
        self._framed = streaming
        self._observing = True
        self._told = False
        self._faulty = False
        self._usage_told: TokenUsage | None = None
        self._reading: Reading | None = None
        self._cut = False
        """Whether a stream ended inside an event."""
        self.unreadable = False
        """Whether a document was no JSON."""

    @property
    def at_boundary(self) -> bool:
        """Whether a whole event of ours may be written now; never in a document."""
        return (
            self._framed
            and not self._cut
            and self._decoder is not None
            and self._decoder.at_boundary
        )

    @property
    def partially_observed(self) -> bool:
        """Whether something went past that we could not read or keep."""
        reading = self._reading if self._reading is not None else self._safe_reading()
        return self._faulty or reading.partially_observed

    @property
    def following(self) -> bool:
        """Whether an answer's end was sure to be recognised.

        Its reading has not been given up, and no event was left out, which may have been the end:
        that of the Responses API repeats the whole answer.
        """
        return self._observing and not (self._decoder is not None and self._decoder.left_out)

    def data(self, chunk: bytes) -> bool:
        """Look at the next bytes before they are written; return whether they end the answer."""
        decoder = self._decoder
        if decoder is None:
            self._keep(chunk)
            return False
        if not self._framed:
            return False
        try:
            events = decoder.feed(chunk)
        except Exception as e:  # noqa: BLE001 - the stream outlives any fault in observing
            self._framed = False
            self._stop(e)
            return False
        if decoder.left_out:
            self._leave_out()
        return self._take(events) if events else False

    def finish(self) -> Reading:
        """Say that the answer has ended, whole or cut; return what it said. Idempotent."""
        if self._reading is None:
            self._cut = self._decoder is not None and not self._decoder.at_boundary
            if self._observing:
                self._take_rest()
            self._reading = self._safe_reading()
            usage = self._reading.usage
            if usage is not None and usage != self._usage_told:
                self._tell([usage])
        return self._reading

    def _take(self, events: Sequence[Event]) -> bool:
        """Read `events`; return whether the terminal one is among them."""
        reader = self._reader
        found: list[Observation] = []
        terminal = False
        try:
            before = reader.terminal
            for name, data in events:
                found.extend(reader.event(name, data))
            terminal = reader.terminal and not before
        except Exception as e:  # noqa: BLE001 - the stream outlives any fault in observing
            self._stop(e)
        if found:
            self._tell(found)
        return terminal

    def _take_rest(self) -> None:
        if self._decoder is not None:
            if self._framed:
                self._take_last(self._decoder.finish())
            return
        try:
            found = self._reader.document(bytes(self._document), self._status)
        except Exception as e:  # noqa: BLE001 - the answer outlives any fault in observing
            self.unreadable = True
            self._stop(e)
            return
        finally:
            self._document.clear()
        if found:
            self._tell(found)

    def _take_last(self, events: Sequence[Event]) -> None:
        found: list[Observation] = []
        try:
            for name, data in events:
                found.extend(self._reader.rest(name, data))
        except Exception as e:  # noqa: BLE001 - the answer outlives any fault in observing
            self._stop(e)
        if found:
            self._tell(found)

    def _leave_out(self) -> None:
        self._faulty = True
        self._say("event not read in full", TooLargeError())

    def _keep(self, chunk: bytes) -> None:
        if not self._observing:
            return
        self._document += chunk
        if len(self._document) > self._max_document_bytes:
            self._document.clear()
            self._stop(TooLargeError())

    def _tell(self, found: Sequence[Observation]) -> None:
        """Hand `found` on; of several token counts only the last, which replaces the others."""
        usages = [each for each in found if isinstance(each, TokenUsage)]
        if usages:
            self._usage_told = usages[-1]
            found = [*(each for each in found if not isinstance(each, TokenUsage)), usages[-1]]
        try:
            self._on_observations(found)
        except Exception as e:  # noqa: BLE001 - losing a detail must not lose the stream
            self._faulty = True
            self._say("recording of details failed", e)

    def _stop(self, error: Exception) -> None:
        self._observing = False
        self._faulty = True
        if self._decoder is not None:
            self._decoder.skips = skip_everything
        self._say("observing stopped", error)

    def _say(self, event: str, error: Exception) -> None:
        if not self._told:
            self._told = True
            # The traceback names our lines; the error's text could hold some of the answer.
            self._log.warning(event, error=type(error).__name__, at=_place(error))

    def _safe_reading(self) -> Reading:
        try:
            return self._reader.reading()
        except Exception as e:  # noqa: BLE001 - as above
            self._faulty = True
            self._say("observing stopped", e)
            return Reading()


def _place(error: Exception) -> str:
    """Return `module:line` of where `error` was raised."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}" if trace else ""
