"""Framing: answers that come in another shape than their API's, on their way to reader and client.

A stream in a provider's own framing becomes server-sent events for the reader, and for the client
where it speaks the API. An error in a provider's own words is kept until it is whole, because even
its status may change.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionAborted
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import RESPONSES

from bridge.dialects.interface import Passage
from bridge.providers.interface import Frames
from bridge.upstream.client import Response
from bridge.wire.headers import Header, response_headers

_MOST_OF_AN_ERROR_BYTES = 256 * 1024

_OF_OTHER_BYTES = frozenset({b"content-type", b"content-encoding", b"etag", b"digest"})
"""Headers that are about the bytes that came."""

Look = Callable[[bytes], bool]


def never_last(_: bytes) -> bool:
    """Look at nothing: what is not read has no end that could be seen."""
    return False


class Reframed:
    """A stream: `look` is asked first of each chunk, then `feed`, which makes it a Passage."""

    __slots__ = ("_events", "_frames", "_look")

    def __init__(self, frames: Frames, look: Look) -> None:
        """Let `look` see the events of `frames`."""
        self._frames = frames
        self._look = look
        self._events = b""

    def look(self, chunk: bytes) -> bool:
        """Look at the events that upstream's next bytes complete; return whether they end it."""
        self._events = self._frames.feed(chunk)
        return self._look(self._events) if self._events else False

    def feed(self, chunk: bytes) -> bytes:  # noqa: ARG002 - `look` has had it
        """Return the events of the chunk that was looked at last."""
        events, self._events = self._events, b""
        return events

    def finish(self) -> bytes:
        """Return nothing: of a stream that ends inside a message its missing end is told."""
        return b""


class Reworded:
    """An error, as a Passage: nothing of what comes passes, and at its end other words do."""

    __slots__ = ("_body", "_look")

    def __init__(self, body: bytes, look: Look) -> None:
        """Say `body` instead, which `look` sees."""
        self._body = body
        self._look = look

    def look(self, chunk: bytes) -> bool:  # noqa: ARG002 - nobody is to read it
        """Return False: there is nothing to see yet."""
        return False

    def feed(self, chunk: bytes) -> bytes:  # noqa: ARG002 - it stays here
        """Return nothing."""
        return b""

    def finish(self) -> bytes:
        """Return the words of ours."""
        self._look(self._body)
        return self._body


class View(msgspec.Struct, frozen=True, kw_only=True):
    """What the client gets to see of an answer."""

    status: int
    phrase: bytes
    headers: Sequence[Header]
    length: int | None
    look: Look
    """Sees upstream's bytes first."""
    passage: Passage | None
    """What they go through; None for as they came."""

    @classmethod
    def as_it_comes(
        cls,
        response: Response,
        look: Look,
        *,
        passage: Passage | None,
        streaming: bool,
    ) -> View:
        """Return that of an answer in the API's own shape."""
        return cls(
            status=response.status,
            phrase=response.phrase,
            headers=response_headers(response.headers),
            # A stream may get events of ours, and lose some; what HTTP calls whole may not be.
            length=None if streaming else response.length,
            look=look,
            passage=passage,
        )

    @classmethod
    def reframed(cls, response: Response, frames: Frames, look: Look) -> View:
        """Return that of a stream in a provider's own framing, whose events `look` sees."""
        stream = Reframed(frames, look)
        headers = response_headers(response.headers)
        if frames.for_client:
            headers = _with_content_type(headers, b"text/event-stream")
        return cls(
            status=response.status,
            phrase=response.phrase,
            headers=headers,
            length=None,
            look=stream.look,
            passage=stream if frames.for_client else None,
        )

    @classmethod
    def reworded(cls, response: Response, status: int, body: bytes, look: Look) -> View:
        """Return that of an error in other words, with another status perhaps."""
        error = Reworded(body, look)
        return cls(
            status=status,
            phrase=RESPONSES.get(status, b""),
            headers=_with_content_type(response_headers(response.headers), b"application/json"),
            length=len(body),
            look=error.look,
            passage=error,
        )


def _with_content_type(headers: Sequence[Header], content_type: bytes) -> list[Header]:
    others = (each for each in headers if each[0] not in _OF_OTHER_BYTES)
    return [(b"content-type", content_type), *others]


def telling_of_good(look: Look, began: Callable[[], None]) -> Look:
    """Return `look` that calls `began` when what it sees is not the end: an error would be."""

    def looked(chunk: bytes) -> bool:
        last = look(chunk)
        if not last:
            began()
        return last

    return looked


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A body that was kept, and how it ended."""

    body: bytes
    reason: Failure

    def deliver(self, protocol: TwistedProtocol) -> None:
        """Play it to `protocol`, as if it came now."""
        protocol.connectionMade()
        if self.body:
            protocol.dataReceived(self.body)
        protocol.connectionLost(self.reason)


def keep(response: Response, *, seconds: float, clock: IReactorTime) -> Deferred[Kept]:
    """Fire with the body of `response`; it counts as broken off when it is too long, or late.

    Cancel it to let go of upstream.
    """
    keeping = _Keeping(seconds=seconds, clock=clock)
    response.deliver(keeping)
    return keeping.done


class _Keeping(TwistedProtocol):
    def __init__(self, *, seconds: float, clock: IReactorTime) -> None:
        self.done: Deferred[Kept] = Deferred(lambda _: self._stop())
        self._body = bytearray()
        self._late = clock.callLater(seconds, self._stop)
        self._stopped = False

    def dataReceived(self, data: bytes) -> None:
        """Keep it, as far as there is room."""
        self._body += data
        if len(self._body) > _MOST_OF_AN_ERROR_BYTES:
            self._stop()

    def connectionLost(self, reason: Failure = Failure(ResponseDone())) -> None:  # noqa: B008
        """Tell what has come."""
        if self._late.active():
            self._late.cancel()
        if self._stopped:
            reason = Failure(ConnectionAborted())  # whatever upstream's end looked like
        if not self.done.called:
            self.done.callback(Kept(body=bytes(self._body), reason=reason))

    def _stop(self) -> None:
        self._stopped = True
        if self.transport is not None:
            self.transport.loseConnection()
