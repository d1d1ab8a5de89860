"""A raw HTTP/1.1 client: sends exact bytes, and says exactly what came back and how it ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

OPEN = "open"
CLEAN = "clean"
TRUNCATED = "truncated"
"""The connection was closed in the middle of the answer."""
RESET = "reset"
"""The connection was reset, or broke, in the middle of the answer."""


@dataclass(slots=True, kw_only=True)
class RawResponse:
    """One answer, as far as it has come."""

    head: bytes = b""
    """Status line and header lines as received, without the blank line."""
    status: int = 0
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    """Names as they came, in order."""
    body: bytes = b""
    """Without the chunks' framing."""
    chunks: list[bytes] = field(default_factory=list)
    """The chunks of a chunked body, as the sender cut it."""
    informational: list[int] = field(default_factory=list)
    """1xx statuses that came before."""
    end: str = OPEN
    """How the answer ended: OPEN, CLEAN, TRUNCATED or RESET."""

    def header(self, name: bytes) -> bytes | None:
        """Return the value of the only header called `name`, in any case; None when absent."""
        values = self.all_of(name)
        assert len(values) <= 1, (name, values)
        return values[0] if values else None

    def all_of(self, name: bytes) -> list[bytes]:
        """Return the values of every header called `name`, in any case."""
        return [value for key, value in self.headers if key.lower() == name.lower()]


class ResponseReader:
    """Reads answers from bytes in any cut; no I/O."""

    def __init__(self) -> None:
        self.responses: list[RawResponse] = []
        """Complete answers, and the one under way once its head is there."""
        self.left = b""
        """Bytes that are not, or not yet, part of an answer."""
        self._current: RawResponse | None = None
        self._length: int | None = None
        """Bytes of body still to come; None when the end of the connection says."""
        self._chunked = False
        self._head_only: list[bool] = []
        self._informational: list[int] = []

    def expect_no_body(self, yes: bool) -> None:
        """Say, once for each request in order, whether its answer is for a HEAD."""
        self._head_only.append(yes)

    def feed(self, data: bytes) -> None:
        """Take bytes."""
        self.left += data
        while self.left:
            before = self.left
            if self._current is None:
                self._read_head()
            elif self._chunked:
                self._read_chunk()
            else:
                self._read_plain()
            if self.left == before:
                return

    def closed(self, *, cleanly: bool) -> None:
        """Say that the connection is gone; `cleanly` means by FIN."""
        current = self._current
        if current is None:
            return
        if cleanly and self._length is None and not self._chunked:
            current.end = CLEAN
        else:
            current.end = TRUNCATED if cleanly else RESET
        self._current = None

    def _read_head(self) -> None:
        head, blank, rest = self.left.partition(b"\r\n\r\n")
        if not blank:
            return
        self.left = rest
        status_line, *lines = head.split(b"\r\n")
        status = int(status_line.split(b" ", 2)[1])
        if status < 200 and status != 101:
            self._informational.append(status)
            return
        pairs = [line.partition(b":") for line in lines]
        response = RawResponse(
            head=head,
            status=status,
            headers=[(name, value.strip()) for name, _, value in pairs],
            informational=self._informational,
        )
        self._informational = []
        self.responses.append(response)
        self._current = response
        self._chunked = response.header(b"transfer-encoding") == b"chunked"
        length = response.header(b"content-length")
        self._length = None if length is None else int(length)
        head_only = self._head_only.pop(0) if self._head_only else False
        if head_only or status in (204, 304) or (self._length == 0 and not self._chunked):
            self._finish()

    def _read_plain(self) -> None:
        assert self._current is not None
        taken = self.left if self._length is None else self.left[: self._length]
        self._current.body += taken
        self.left = self.left[len(taken) :]
        if self._length is not None:
            self._length -= len(taken)
            if self._length == 0:
                self._finish()

    def _read_chunk(self) -> None:
        assert self._current is not None
        line_end = self.left.find(b"\r\n")
        if line_end < 0:
            return
        size = int(self.left[:line_end].partition(b";")[0], 16)
        start, end = line_end + 2, line_end + 2 + size
        if len(self.left) < end + 2:
            return
        assert self.left[end : end + 2] == b"\r\n", "a chunk without its line end, or trailers"
        piece, self.left = self.left[start:end], self.left[end + 2 :]
        if size == 0:
            self._finish()
            return
        self._current.chunks.append(piece)
        self._current.body += piece

    def _finish(self) -> None:
        assert self._current is not None
        self._current.end = CLEAN
        self._current = None


class RawClient(Protocol):
    """A connection in the test's reactor: `client = await RawClient.to(reactor, port)`."""

    transport: Any

    def __init__(self) -> None:
        self.reader = ResponseReader()
        self.gone: str | None = None
        """How the connection ended: "closed" by FIN or "reset"; None while it is open."""
        self._waiting: list[tuple[Callable[[], bool], Deferred[None]]] = []
        self._taken = 0

    @classmethod
    async def to(cls, reactor: Any, port: int) -> RawClient:
        """Connect to a loopback port."""
        client: RawClient = await connectProtocol(
            TCP4ClientEndpoint(reactor, "127.0.0.1", port), cls()
        )
        return client

    def connectionMade(self) -> None:
        self.transport.setTcpNoDelay(True)

    def dataReceived(self, data: bytes) -> None:
        self.reader.feed(data)
        self._wake()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        clean = reason.check(ConnectionDone) is not None
        self.gone = "closed" if clean else "reset"
        self.reader.closed(cleanly=clean)
        self._wake()

    def send(self, data: bytes) -> None:
        """Send bytes of a request as they are."""
        self.transport.write(data)

    def stop_reading(self) -> None:
        """Leave what comes unread."""
        self.transport.pauseProducing()

    def go_on_reading(self) -> None:
        """Read again."""
        self.transport.resumeProducing()

    async def close(self) -> None:
        """Close with FIN, and wait until the connection is gone."""
        self.transport.loseConnection()
        await self.ended()

    async def reset(self) -> None:
        """Close with RST, and wait until the connection is gone."""
        self.transport.abortConnection()
        await self.ended()

    async def until(self, met: Callable[[], bool]) -> None:
        """Wait until `met()`, looked at whenever something came or the connection ended."""
        if not met():
            waiting: Deferred[None] = Deferred()
            self._waiting.append((met, waiting))
            await waiting

    async def response(self) -> RawResponse:
        """Return the next answer once it has ended, well or badly.

        Raises:
            AssertionError: the connection ended before an answer began.
        """
        wanted = self._taken
        self._taken += 1
        seen = self.reader.responses
        await self.until(lambda: self.gone is not None or _over(seen, wanted))
        assert len(seen) > wanted, f"no answer; {self.gone}; {self.reader.left!r}"
        return seen[wanted]

    async def begun(self, marker: bytes = b"") -> RawResponse:
        """Return the answer under way once its body holds `marker`; it goes on growing."""
        wanted = self._taken
        seen = self.reader.responses
        await self.until(
            lambda: self.gone is not None or (len(seen) > wanted and marker in seen[wanted].body)
        )
        assert len(seen) > wanted, f"no answer; {self.gone}; {self.reader.left!r}"
        assert marker in seen[wanted].body, seen[wanted]
        return seen[wanted]

    async def ended(self) -> str:
        """Wait for the end of the connection; return how it ended."""
        await self.until(lambda: self.gone is not None)
        assert self.gone is not None
        return self.gone

    def _wake(self) -> None:
        met = [entry for entry in self._waiting if entry[0]()]
        self._waiting = [entry for entry in self._waiting if entry not in met]
        for _, waiting in met:
            waiting.callback(None)


def _over(seen: list[RawResponse], wanted: int) -> bool:
    return len(seen) > wanted and seen[wanted].end != OPEN


def raw_request(
    method: bytes,
    target: bytes,
    body: bytes = b"",
    headers: list[tuple[bytes, bytes]] | None = None,
) -> bytes:
    """Return a plain HTTP/1.1 request; Host and, with a body, Content-Length are added."""
    lines = [b"%b %b HTTP/1.1" % (method, target), b"Host: 127.0.0.1"]
    lines += [b"%b: %b" % pair for pair in headers or ()]
    if body:
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join((*lines, b"", body))
