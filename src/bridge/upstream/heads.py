"""Heads towards a provider: a request's written at once, an answer's read at once where it can be.

Private parts touched: those of `HTTPClientParser`, which Twisted calls its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocol
from twisted.python.failure import Failure
from twisted.web._newclient import HTTPClientParser
from twisted.web.client import ResponseDone
from twisted.web.http import _IdentityTransferDecoder
from twisted.web.http_headers import Headers

from bridge.wire.chunks import Chunks
from bridge.wire.headers import Header
from bridge.wire.heads import usual_answer, written

_WRITTEN_HERE = frozenset({b"accept-encoding", b"connection", b"content-length", b"host"})
_METHOD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TARGET = re.compile(rb"[\x21-\x7e]+")
_WITHOUT_BODY = frozenset({204, 304})
_DONE = Failure(ResponseDone("Response body fully received"))


class Sent(msgspec.Struct, frozen=True):
    """What has to be known of a request while its answer is awaited."""

    method: bytes
    persistent: bool
    """Whether the connection may be used again."""


class Answer(msgspec.Struct, frozen=True):
    """The head of an answer, and its body to come."""

    code: int
    phrase: bytes
    fields: Sequence[Header]
    """As they came but for the connection's own, names lower-case."""
    length: int | None
    """None when the body comes in chunks."""
    begun: bool
    """Whether bytes of the body came with the head."""
    deliver: Callable[[IProtocol], None]
    """Starts the body; call it once."""


def request_head(
    *,
    method: bytes,
    target: bytes,
    host: bytes,
    headers: Sequence[Header],
    length: int | None,
    persistent: bool,
) -> bytes:
    """Return a request's head, to its empty line.

    Args:
        method: of the request.
        target: path and query, which go out byte for byte.
        host: the value of Host.
        headers: the others; what is about the connection or the body's length is left out.
        length: of the body; None for no body.
        persistent: whether the connection is to be kept.

    Raises:
        ValueError: method or target would break the line.
    """
    if _METHOD.fullmatch(method) is None or _TARGET.fullmatch(target) is None:
        msg = "a method or a target that cannot be written in a request line"
        raise ValueError(msg)
    fields = [each for each in headers if each[0] not in _WRITTEN_HERE]
    if not persistent:
        fields.append((b"connection", b"close"))
    if length is not None:
        fields.append((b"content-length", b"%d" % length))
    fields.append((b"accept-encoding", b"identity"))
    fields.append((b"host", host))
    return written(b"%b %b HTTP/1.1" % (method, target), fields)


class AnswerParser(HTTPClientParser):
    """Reads one answer; `answered` fires with an Answer, or Twisted's own Response."""

    connHeaders: Headers  # noqa: N815 - Twisted's name

    def __init__(
        self, sent: Sent, finished: Callable[[bytes], None], cancel: Callable[[Any], None]
    ) -> None:
        """Read the answer to `sent`.

        Args:
            sent: the request.
            finished: called with what came after the answer.
            cancel: called when the answer is not awaited any more.
        """
        super().__init__(sent, finished)
        self.answered: Deferred[Any] = Deferred(cancel)
        self._responseDeferred = self.answered
        self._decode: Callable[[bytes], None] | None = None
        self._closes = False

    @property
    def closes(self) -> bool:
        """Whether the server says that it will close the connection."""
        return self._closes or b"close" in self.connHeaders.getRawHeaders(b"connection", ())

    def dataReceived(self, data: bytes) -> None:
        """Take what has come."""
        if self._decode is not None:
            self._decode(data)
        elif self._everReceivedData or not self._takes_head(data):
            super().dataReceived(data)

    def connectionLost(self, reason: Failure | None = None) -> None:
        """Say how the answer ended."""
        self._decode = None
        super().connectionLost(reason)

    def forget(self) -> None:
        """Tell nobody of an answer any more."""
        self._responseDeferred = Deferred()
        self._responseDeferred.addErrback(lambda _: None)

    def _takes_head(self, data: bytes) -> bool:
        """Read a whole and usual head with what follows; otherwise leave everything as it was."""
        head = usual_answer(data)
        if head is None or not (head.length is None or head.length > 0):
            return False
        status = int(head.start[0])
        if status in _WITHOUT_BODY or self.request.method == b"HEAD":
            return False
        body = IncomingBody(self.transport)
        decoder: Any
        if head.length is None:
            decoder = Chunks(body.data, self._finished)
        else:
            decoder = _IdentityTransferDecoder(head.length, body.data, self._finished)
        of_connection = self.CONNECTION_CONTROL_HEADERS
        fields = [each for each in head.fields if each[0] not in of_connection]
        self._everReceivedData = True
        self._closes = b"close" in head.values(b"connection")
        self.response = body
        self.switchToBodyMode(decoder)
        self._decode = decoder.dataReceived
        answered = self.answered
        del self._responseDeferred
        rest = data[head.end :]
        try:
            if rest:
                self._decode(rest)
        finally:
            # What came with the head is there when the body is asked for, even before a fault.
            answered.callback(
                Answer(status, head.start[1], fields, head.length, body.begun, body.deliver)
            )
            body.rest_until_wanted()
        return True


class IncomingBody:
    """A body on its way; what comes before anybody wants it is kept, and no more is read."""

    __slots__ = ("_ended", "_kept", "_protocol", "_resting", "_transport")

    def __init__(self, transport: Any) -> None:
        """Come from `transport`."""
        self._transport = transport
        self._protocol: Any = None
        self._kept: list[bytes] = []
        self._ended: Failure | None = None
        self._resting = False

    @property
    def begun(self) -> bool:
        """Whether some of it has come."""
        return bool(self._kept)

    def deliver(self, protocol: IProtocol) -> None:
        """Give what has come and what comes to `protocol`."""
        assert self._protocol is None  # noqa: S101 - a body is delivered once
        protocol.makeConnection(self._transport)
        self._protocol = protocol
        if self._resting and self._ended is None:
            self._transport.resumeProducing()  # first: what comes now may make `protocol` pause it
        kept, self._kept = self._kept, []
        for data in kept:
            protocol.dataReceived(data)
        if self._ended is not None:
            protocol.connectionLost(self._ended)

    def data(self, data: bytes) -> None:
        """Take the next bytes."""
        if self._protocol is None:
            self._kept.append(data)
        else:
            self._protocol.dataReceived(data)

    def rest_until_wanted(self) -> None:
        """Read no more as long as nobody wants it."""
        if self._protocol is None and self._ended is None:
            self._resting = True
            self._transport.pauseProducing()

    def _bodyDataFinished(self, reason: Failure = _DONE) -> None:  # noqa: N802 - Twisted's name
        """Be told by Twisted's parser that no more comes."""
        self._ended = reason
        if self._protocol is not None:
            self._protocol.connectionLost(reason)
