"""A nasty upstream on real TCP: does step by step what a script says, and keeps what it was sent.

upstream = FakeUpstream(reactor, [Send(answer, cuts=(10, 20)), Reset()])
await upstream.start()
…
upstream.requests[0].body
await upstream.stop()
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

CONNECT = "connect"
HEAD = "head"
BODY = "body"


@dataclass(frozen=True, slots=True)
class Send:
    """Write `data`; with `cuts` in pieces, each in a turn of its own after the one before left."""

    data: bytes
    cuts: Sequence[int] = ()
    pause_seconds: float = 0.0
    """Between pieces."""


@dataclass(frozen=True, slots=True)
class Trickle:
    """Write `data` byte by byte."""

    data: bytes
    pause_seconds: float


@dataclass(frozen=True, slots=True)
class Wait:
    """Do nothing for a while."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Hold:
    """Do nothing until `FakeUpstream.release()`."""


@dataclass(frozen=True, slots=True)
class Reset:
    """Close with RST; what was written in the turns before is on its way."""


@dataclass(frozen=True, slots=True)
class Close:
    """Close with FIN."""


Step = Send | Trickle | Wait | Hold | Reset | Close


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A request exactly as it came."""

    head: bytes
    """Request line and header lines, without the blank line."""
    body: bytes
    """Without framing; b"" when the script began before the body was there."""
    connection: int
    """Which connection brought it, counted from 0."""

    @property
    def line(self) -> bytes:
        return self.head.partition(b"\r\n")[0]

    @property
    def target(self) -> bytes:
        return self.line.split(b" ")[1]

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        pairs = [line.partition(b":") for line in self.head.split(b"\r\n")[1:]]
        return [(name, value.strip()) for name, _, value in pairs]

    def header(self, name: bytes) -> bytes | None:
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        assert len(values) <= 1, (name, values)
        return values[0] if values else None


Script = Sequence[Step] | Callable[[Received], Sequence[Step]]


class FakeUpstream:
    """A server whose every request gets `script`, or what `script(request)` returns."""

    def __init__(self, reactor: Any, script: Script, *, begin: str = BODY) -> None:
        """Listen later, in start().

        Args:
            reactor: the real one.
            script: steps, or a function from the request to steps.
            begin: when a script begins: at the CONNECT, at the end of the HEAD or of the BODY.
        """
        self.reactor = reactor
        self.script = script
        self.begin = begin
        self.port = 0
        self.requests: list[Received] = []
        self.connections = 0
        self.lost: list[Failure] = []
        """Why connections ended, in the order in which they did."""
        self._open: list[_Connection] = []
        self._waiting: list[tuple[Callable[[], bool], Deferred[None]]] = []
        self._listening: Any = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def open_connections(self) -> int:
        return len(self._open)

    async def start(self) -> int:
        """Listen on an ephemeral loopback port and return it."""
        factory = Factory.forProtocol(_Connection)
        factory.noisy = False
        factory.upstream = self  # type: ignore[attr-defined]
        self._listening = self.reactor.listenTCP(self.port, factory, interface="127.0.0.1")
        self.port = self._listening.getHost().port
        return self.port

    async def stop(self) -> None:
        """Stop listening, drop every connection, and wait until they are gone."""
        await self._listening.stopListening()
        for connection in tuple(self._open):
            connection.transport.abortConnection()
        await self.until(lambda: not self._open)

    async def until(self, met: Callable[[], bool]) -> None:
        """Wait until `met()`, looked at whenever a request or a connection came or went."""
        if not met():
            waiting: Deferred[None] = Deferred()
            self._waiting.append((met, waiting))
            await waiting

    async def requested(self, count: int = 1) -> Received:
        """Wait until `count` requests have come; return the last of these."""
        await self.until(lambda: len(self.requests) >= count)
        return self.requests[count - 1]

    async def left(self, count: int = 1) -> None:
        """Wait until `count` connections have ended."""
        await self.until(lambda: len(self.lost) >= count)

    def release(self) -> None:
        """Let every Hold that waits go on, and the next one of each answer that is under way.

        Whoever has seen what is sent before a Hold may be here before the answer has come to it.
        """
        for connection in tuple(self._open):
            connection.release()

    def wake(self) -> None:
        """Look at what is waited for."""
        met = [entry for entry in self._waiting if entry[0]()]
        self._waiting = [entry for entry in self._waiting if entry not in met]
        for _, waiting in met:
            waiting.callback(None)

    def opened(self, connection: _Connection) -> int:
        self._open.append(connection)
        self.connections += 1
        return self.connections - 1

    def ended(self, connection: _Connection, reason: Failure) -> None:
        self._open.remove(connection)
        self.lost.append(reason)
        self.wake()


class _Connection(Protocol):
    transport: Any
    factory: Any

    def connectionMade(self) -> None:
        self.transport.setTcpNoDelay(True)
        self._upstream: FakeUpstream = self.factory.upstream
        self._number = self._upstream.opened(self)
        self._received = b""
        self._head: bytes | None = None
        self._steps: Iterator[Step] = iter(())
        self._running = False
        self._held = self._released = False
        self._call: Any = None
        if self._upstream.begin == CONNECT:
            self._run(Received(head=b"", body=b"", connection=self._number))

    def dataReceived(self, data: bytes) -> None:
        self._received += data
        if not self._running:
            self._read()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._call is not None and self._call.active():
            self._call.cancel()
        self._upstream.ended(self, reason)

    def release(self) -> None:
        if self._held:
            self._held = False
            self._next()
        else:
            self._released = self._running

    def _read(self) -> None:
        if self._head is None:
            head, blank, rest = self._received.partition(b"\r\n\r\n")
            if not blank:
                return
            self._head, self._received = head, rest
            if self._upstream.begin == HEAD:
                self._run(Received(head=head, body=b"", connection=self._number))
                return
        body = self._body(self._head)
        if body is not None:
            head, self._head = self._head, None
            self._run(Received(head=head, body=body, connection=self._number))

    def _body(self, head: bytes) -> bytes | None:
        """Take a whole body, chunked or with a length; None while it is not there."""
        lines = head.lower().split(b"\r\n")
        if b"transfer-encoding: chunked" in lines:
            whole, end, rest = (b"\r\n" + self._received).partition(b"\r\n0\r\n\r\n")
            if not end:
                return None
            self._received = rest
            return _unchunked(whole.removeprefix(b"\r\n"))
        lengths = [int(line[15:]) for line in lines if line.startswith(b"content-length:")]
        length = lengths[0] if lengths else 0
        if len(self._received) < length:
            return None
        body, self._received = self._received[:length], self._received[length:]
        return body

    def _run(self, received: Received) -> None:
        self._running, self._released = True, False
        self._upstream.requests.append(received)
        script = self._upstream.script
        self._steps = _pieces(script(received) if callable(script) else script)
        self._upstream.wake()
        self._next()

    def _next(self) -> None:
        self._call = None
        step = next(self._steps, None)
        match step:
            case None:
                self._running = False
                self._read()
            case Send(data=data, pause_seconds=pause):
                self.transport.write(data)
                self._later(pause)
            case Wait(seconds=seconds):
                self._later(seconds)
            case Hold() if self._released:
                self._released = False
                self._later(0)
            case Hold():
                self._held = True
            case Reset():
                self.transport.abortConnection()
            case Close():
                self.transport.loseConnection()
            case Trickle():
                raise AssertionError("_pieces has replaced it")

    def _later(self, seconds: float) -> None:
        self._call = self._upstream.reactor.callLater(seconds, self._turn)

    def _turn(self) -> None:
        # A second turn: what was written leaves in between, and a reader in this reactor sees it.
        self._call = self._upstream.reactor.callLater(0, self._next)


def _pieces(steps: Sequence[Step]) -> Iterator[Step]:
    for step in steps:
        match step:
            case Send(data=data, cuts=cuts, pause_seconds=pause):
                edges = (0, *cuts, len(data))
                for start, end in pairwise(edges):
                    yield Send(data[start:end], pause_seconds=pause)
            case Trickle(data=data, pause_seconds=pause):
                for start in range(len(data)):
                    yield Send(data[start : start + 1], pause_seconds=pause)
            case _:
                yield step


def _unchunked(data: bytes) -> bytes:
    body = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        length = int(size.partition(b";")[0], 16)
        body, data = body + data[:length], data[length + 2 :]
    return body


def answer(
    body: bytes,
    *,
    status: int = 200,
    content_type: bytes = b"application/json",
    headers: Sequence[tuple[bytes, bytes]] = (),
) -> bytes:
    """Return a whole answer with a length."""
    lines = [b"HTTP/1.1 %d Some Reason" % status, b"Content-Type: " + content_type]
    lines += [b"%b: %b" % pair for pair in headers]
    lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join((*lines, b"", body))


def stream_head(headers: Sequence[tuple[bytes, bytes]] = ()) -> bytes:
    """Return the head of a chunked event stream."""
    lines = [b"HTTP/1.1 200 OK", b"Content-Type: text/event-stream; charset=utf-8"]
    lines += [b"%b: %b" % pair for pair in headers]
    lines.append(b"Transfer-Encoding: chunked")
    return b"\r\n".join((*lines, b"", b""))


def chunk(data: bytes) -> bytes:
    """Return one chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


LAST_CHUNK = b"0\r\n\r\n"


def unused_port() -> int:
    """Return a loopback port on which nobody listens just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        assert isinstance(port, int)
        return port
