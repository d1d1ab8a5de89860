"""Which tap an answer gets: how it is read; the expected one is made while that is awaited."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bridge.dialects.interface import Dialect
from bridge.domain.observations import Observation
from bridge.intercept.exchange import Exchange, ReadingLimits
from bridge.intercept.tap import LogOfOne, Tap
from bridge.upstream.client import Response
from bridge.wire.headers import first, media_type

_EXPECTED_STATUS = 200
_UNSAID = frozenset({b"", b"text/plain", b"application/octet-stream"})
"""Content types that do not say what an answer is."""


class Taps:
    """Makes the tap of one exchange."""

    def __init__(
        self,
        exchange: Exchange,
        limits: ReadingLimits,
        on_observations: Callable[[Sequence[Observation]], None],
    ) -> None:
        """Have what is seen in the answer of `exchange` told to `on_observations`."""
        self._exchange = exchange
        self._limits = limits
        self._on_observations = on_observations
        self._ready: Tap | None = None
        self.streaming = False
        """Whether the answer is a stream of events."""
        self.unreadable = False
        """Whether it is encoded, so that nobody looks at it."""

    def get_ready(self) -> None:
        """Make what reads the expected answer: its first bytes need not wait for that then."""
        dialect = self._exchange.dialect
        if dialect is not None and self._ready is None:
            self._ready = self._made(dialect, _EXPECTED_STATUS, streaming=self._exchange.streaming)

    def tap_for(self, response: Response, *, framed: bool) -> Tap | None:
        """Return what looks at `response`, which may be `framed` in the provider's own way."""
        exchange, dialect = self._exchange, self._exchange.dialect
        if dialect is None:
            return None
        if first(response.headers, b"content-encoding") not in (None, b"", b"identity"):
            self.unreadable = True  # we asked for identity; what came passes as it is
            return None
        kind = media_type(first(response.headers, b"content-type"))
        expected = response.status == _EXPECTED_STATUS
        streaming = self.streaming = (
            framed
            or kind == b"text/event-stream"
            # Some say nothing of the kind about the stream that was asked for.
            or (exchange.streaming and expected and kind in _UNSAID)
        )
        if self._ready is not None and expected and streaming == exchange.streaming:
            return self._ready
        return self._made(dialect, response.status, streaming=streaming)

    def _made(self, dialect: Dialect, status: int, *, streaming: bool) -> Tap:
        return Tap(
            reader=dialect.reader(),
            streaming=streaming,
            status=status,
            max_event_bytes=self._limits.max_event,
            max_document_bytes=self._limits.max_document,
            on_observations=self._on_observations,
            log=LogOfOne(self._exchange.request_id),
        )
