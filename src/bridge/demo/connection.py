"""The demo's HTTP/1.1 server: one bare Protocol for a client's connection.

Not twisted.web, because the demo is also the upstream of the benchmark and must never be what
limits it. It reads what HTTP clients send to an API: a length, no chunks; requests one at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from bridge.demo.exchange import Answer, Asked, Document, Stream

_MAX_HEADER_BYTES = 64 * 1024
_MAX_BODY_BYTES = 64 * 1024**2
_REASONS = {200: b"OK", 529: b"Site is overloaded"}
_JSON = b"content-type: application/json\r\n"
_EVENTS = b"content-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\n"

_Head = tuple[bytes, bytes, dict[bytes, bytes], int]
"""Method, path, headers, length of the body."""


class DemoConnection(Protocol):
    """Reads requests, asks `answer` for the answer, and writes it at its pace."""

    transport: Any

    def __init__(self, answer: Callable[[Asked], Answer], clock: IReactorTime) -> None:
        """Answer with `answer`, which must not raise."""
        self._answer = answer
        self._clock = clock
        self._received = bytearray()
        self._awaited = 0
        """Bytes that must be there before it is worth looking: 0 until a header is complete."""
        self._head: _Head | None = None
        self._busy = False
        self._delayed: IDelayedCall | None = None
        self._paced: _Paced | None = None

    def connectionMade(self) -> None:
        """Send small events at once."""
        self.transport.setTcpNoDelay(True)

    def dataReceived(self, data: bytes) -> None:
        """Take bytes of requests."""
        self._received += data
        if not self._busy and len(self._received) >= self._awaited:
            self._read()

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: ARG002  # Twisted's signature
        """Stop what was under way."""
        if self._delayed is not None and self._delayed.active():
            self._delayed.cancel()
        if self._paced is not None:
            self._paced.stopProducing()

    def _read(self) -> None:
        while not self._busy:
            head = self._head = self._head or self._read_head()
            if head is None:
                return
            method, path, headers, length = head
            if len(self._received) < length:
                self._awaited = length
                return
            body = bytes(self._received[:length])
            del self._received[:length]
            self._head, self._awaited = None, 0
            self._begin(Asked(method=method, path=path, headers=headers, body=body))

    def _read_head(self) -> _Head | None:
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            if len(self._received) > _MAX_HEADER_BYTES:
                self._refuse(431)
            return None
        first, *lines = bytes(self._received[:end]).split(b"\r\n")
        del self._received[: end + 4]
        headers = {}
        for line in lines:
            name, _, value = line.partition(b":")
            headers[name.lower()] = value.strip()
        words = first.split(b" ")
        length = headers.get(b"content-length", b"0")
        if len(words) != 3 or not length.isdigit():
            self._refuse(400)
        elif b"transfer-encoding" in headers:
            self._refuse(411)
        elif int(length) > _MAX_BODY_BYTES:
            self._refuse(413)
        else:
            return words[0], words[1].partition(b"?")[0], headers, int(length)
        return None

    def _refuse(self, status: int) -> None:
        self._busy = True
        self.transport.write(b"HTTP/1.1 %d Refused\r\ncontent-length: 0\r\n\r\n" % status)
        self.transport.loseConnection()

    def _begin(self, asked: Asked) -> None:
        answer = self._answer(asked)
        if answer.delay_seconds:
            self._busy = True
            self._delayed = self._clock.callLater(
                answer.delay_seconds, self._resume_with, asked, answer
            )
        else:
            self._write(asked, answer)

    def _resume_with(self, asked: Asked, answer: Answer) -> None:
        self._busy = False
        self._write(asked, answer)
        if not self._busy:
            self._read()

    def _write(self, asked: Asked, answer: Answer) -> None:
        if isinstance(answer, Document):
            status = answer.status
            head = b"HTTP/1.1 %d %b\r\n%b%bcontent-length: %d\r\n\r\n" % (
                status,
                _REASONS.get(status, b"Error"),
                _JSON,
                answer.head,
                len(answer.body),
            )
            self.transport.write(head if asked.method == b"HEAD" else head + answer.body)
            return
        self._busy = True
        self.transport.write(
            b"HTTP/1.1 200 OK\r\n%b%btransfer-encoding: chunked\r\n\r\n" % (_EVENTS, answer.head)
        )
        self._paced = _Paced(self.transport, answer, self._clock, self._streamed)
        self._paced.start()

    def _streamed(self) -> None:
        self._paced, self._busy = None, False
        self._read()


@implementer(IPushProducer)
class _Paced:
    """Writes a stream's events, each in a reactor turn of its own, no faster than they are read."""

    def __init__(
        self, transport: Any, stream: Stream, clock: IReactorTime, done: Callable[[], None]
    ) -> None:
        self._transport = transport
        self._events: Iterator[bytes] = iter(stream.events)
        self._interval = stream.interval_seconds
        self._clock = clock
        self._done = done
        self._call: IDelayedCall | None = None
        self._due = clock.seconds()

    def start(self) -> None:
        """Send the first event now."""
        self._transport.registerProducer(self, True)
        self._send()

    def pauseProducing(self) -> None:
        """Wait: the client does not read."""
        if self._call is not None and self._call.active():
            self._call.cancel()
        self._call = None

    def resumeProducing(self) -> None:
        """Go on at the old pace; what was missed is not caught up."""
        if self._call is None:
            self._due = self._clock.seconds()
            self._call = self._clock.callLater(0, self._send)

    def stopProducing(self) -> None:
        """Stop for good: the client has gone."""
        self.pauseProducing()
        self._events = iter(())

    def _send(self) -> None:
        event = next(self._events, None)
        if event is None:
            self._call = None
            self._transport.unregisterProducer()
            self._transport.write(b"0\r\n\r\n")
            self._done()
            return
        # Due times are absolute, so that a late event does not delay all that follow.
        self._due += self._interval
        wait = max(0.0, self._due - self._clock.seconds())
        self._call = self._clock.callLater(wait, self._send)
        self._transport.write(b"%x\r\n%b\r\n" % (len(event), event))


class DemoFactory(Factory):
    """Makes a DemoConnection for every client."""

    noisy = False

    def __init__(self, *, answer: Callable[[Asked], Answer], clock: IReactorTime) -> None:
        """Answer with `answer`."""
        self._answer = answer
        self._clock = clock

    def buildProtocol(self, addr: object) -> DemoConnection:  # noqa: ARG002  # Twisted's signature
        """Serve one more client."""
        return DemoConnection(self._answer, self._clock)
