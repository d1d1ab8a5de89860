"""The load: a client in a process of its own that must never be what limits the result.

`python -m benchmarks.load` reads one job as a line of JSON on stdin and prints one line of JSON.
Plain sockets and epoll, request bytes made beforehand, answers only looked at as far as needed.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

_READ_BYTES = 256 * 1024
_END_OF_HEAD = b"\r\n\r\n"
_LAST_CHUNK = b"0\r\n\r\n"
_GIVE_UP_SECONDS = 120.0
_OPENING_AT_ONCE = 8
"""Streams being opened at a time in `hold`: people do not all begin in the same millisecond."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to do to one port."""

    kind: str
    """requests | streams | first_bytes | hold"""
    port: int
    path: str
    headers: dict[str, str]
    body: str
    connections: int = 1
    seconds: float = 0.0
    """requests: for how long."""
    count: int = 0
    """first_bytes: how many."""
    gap_seconds: float = 0.0
    """first_bytes: pause between two."""


@dataclass(slots=True, kw_only=True)
class Result:
    """What came of it."""

    done: int = 0
    """Answers that came completely with status 200."""
    failed: int = 0
    seconds: float = 0.0
    first_bytes: list[float] = field(default_factory=list)
    """Seconds from the request's last byte to the first byte of a body, one for each answer."""
    problem: str = ""
    """The head of the first answer that was not 200, or how a connection ended."""


class Exchange:
    """One connection that sends the same request again and again."""

    def __init__(self, job: Job, request: bytes, result: Result) -> None:
        self._request = request
        self._result = result
        self.socket = socket.create_connection(("127.0.0.1", job.port), timeout=10.0)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self._unsent = memoryview(b"")
        self._head = b""
        self._left = 0
        """Bytes of body to come; -1 when chunked."""
        self._tail = b""
        self._sent_at = 0.0
        self.body_begun = False
        self.busy = False

    def begin(self) -> None:
        """Send the request."""
        self._unsent = memoryview(self._request)
        self._head, self._tail, self.body_begun, self.busy = b"", b"", False, True

    def flush(self) -> bool:
        """Send more; return whether there is no more."""
        while self._unsent:
            try:
                sent = self.socket.send(self._unsent)
            except BlockingIOError:
                return False
            self._unsent = self._unsent[sent:]
        self._sent_at = time.perf_counter()
        return True

    def readable(self) -> bool:
        """Read what is there; return whether the answer is now complete."""
        try:
            data = self.socket.recv(_READ_BYTES)
        except BlockingIOError:
            return False
        except ConnectionResetError:
            data = b""
        if not data:
            raise ConnectionError("the connection ended in the middle of an answer")
        if not self.body_begun:
            head, found, body = (self._head + data).partition(_END_OF_HEAD)
            if not found or (not body and not _empty(head)):
                self._head += data
                return False
            self._begin_body(head)
            data = body
        if self._left >= 0:
            self._left -= len(data)
            return self._left <= 0
        self._tail = (self._tail + data)[-5:]
        return self._tail == _LAST_CHUNK

    def _begin_body(self, head: bytes) -> None:
        self.body_begun = True
        self._result.first_bytes.append(time.perf_counter() - self._sent_at)
        lower = head.lower()
        if not head.startswith(b"HTTP/1.1 200"):
            self._result.failed += 1
            self._result.problem = self._result.problem or head.decode("latin-1")
        at = lower.find(b"\r\ncontent-length:")
        if at < 0:
            self._left = -1
        else:
            self._left = int(lower[at + 17 :].partition(b"\r\n")[0])


def _empty(head: bytes) -> bool:
    return b"\r\ncontent-length: 0" in head.lower()


class Loop:
    """Runs exchanges until told that it is enough."""

    def __init__(self, job: Job) -> None:
        body = job.body.encode()
        lines = [f"POST {job.path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in job.headers.items()]
        self.request = "\r\n".join((*lines, "", "")).encode() + body
        self.job = job
        self.result = Result()
        self._epoll = select.epoll()
        self._exchanges: dict[int, Exchange] = {}

    def open(self) -> Exchange:
        """Connect one more."""
        exchange = Exchange(self.job, self.request, self.result)
        number = exchange.socket.fileno()
        self._exchanges[number] = exchange
        self._epoll.register(number, select.EPOLLIN)
        return exchange

    def begin(self, exchange: Exchange) -> None:
        """Send a request; what does not fit now goes when there is room."""
        exchange.begin()
        self._want_room(exchange, not exchange.flush())

    def run(self, completed: Callable[[Exchange], bool], until: Callable[[], bool]) -> None:
        """Go on until `until()`; `completed` says whether the exchange is to begin again."""
        last = time.perf_counter()
        while not until():
            events = self._epoll.poll(0.1)
            now = time.perf_counter()
            if events:
                last = now
            elif now - last > _GIVE_UP_SECONDS:
                self.result.problem = self.result.problem or "nothing came any more"
                return
            for number, event in events:
                exchange = self._exchanges[number]
                if event & select.EPOLLOUT:
                    self._want_room(exchange, not exchange.flush())
                if event & ~select.EPOLLOUT:
                    self._read(exchange, completed)

    def close(self) -> None:
        """Close every connection."""
        for exchange in self._exchanges.values():
            exchange.socket.close()
        self._epoll.close()

    def _read(self, exchange: Exchange, completed: Callable[[Exchange], bool]) -> None:
        try:
            whole = exchange.readable()
        except ConnectionError as e:
            self.result.failed += 1
            self.result.problem = self.result.problem or str(e)
            self._epoll.unregister(exchange.socket.fileno())
            exchange.busy = False
            return
        if whole:
            self.result.done += 1
            exchange.busy = False
            if completed(exchange):
                self.begin(exchange)

    def _want_room(self, exchange: Exchange, wanted: bool) -> None:
        mask = select.EPOLLIN | (select.EPOLLOUT if wanted else 0)
        self._epoll.modify(exchange.socket.fileno(), mask)


def requests(loop: Loop) -> None:
    """Keep every connection busy for the job's seconds."""
    began = time.perf_counter()
    end = began + loop.job.seconds
    exchanges = [loop.open() for _ in range(loop.job.connections)]
    for exchange in exchanges:
        loop.begin(exchange)
    loop.run(
        lambda _: time.perf_counter() < end,
        lambda: time.perf_counter() >= end and not any(e.busy for e in exchanges),
    )
    loop.result.seconds = time.perf_counter() - began
    loop.result.first_bytes = []


def streams(loop: Loop) -> None:
    """Begin one stream on every connection, and wait for the last to end."""
    began = time.perf_counter()
    exchanges = [loop.open() for _ in range(loop.job.connections)]
    for exchange in exchanges:
        loop.begin(exchange)
    loop.run(lambda _: False, lambda: not any(e.busy for e in exchanges))
    loop.result.seconds = time.perf_counter() - began


def first_bytes(loop: Loop) -> None:
    """Send one request after another on one connection."""
    began = time.perf_counter()
    exchange = loop.open()
    for _ in range(loop.job.count):
        select.select((), (), (), loop.job.gap_seconds)
        loop.begin(exchange)
        loop.run(lambda _: False, lambda: not exchange.busy)
        if loop.result.problem:
            break
    loop.result.seconds = time.perf_counter() - began


def hold(loop: Loop) -> None:
    """Open streams, a few at a time; say so, and close them when stdin ends."""
    opening: list[Exchange] = []
    opened = 0

    def room_or_end() -> bool:
        nonlocal opening, opened
        still = [exchange for exchange in opening if not exchange.body_begun]
        opened += len(opening) - len(still)
        opening = still
        while len(opening) < _OPENING_AT_ONCE and opened + len(opening) < loop.job.connections:
            exchange = loop.open()
            opening.append(exchange)
            loop.begin(exchange)
        return opened >= loop.job.connections or bool(loop.result.problem)

    loop.run(lambda _: False, room_or_end)
    loop.result.done = opened
    _print(asdict(loop.result))
    # Somebody has to read, or the answers pile up where they are measured.
    loop.run(lambda _: False, lambda: bool(select.select((sys.stdin,), (), (), 0)[0]))


def _print(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Do one job."""
    job = Job(**json.loads(sys.stdin.readline()))
    loop = Loop(job)
    {"requests": requests, "streams": streams, "first_bytes": first_bytes, "hold": hold}[job.kind](
        loop
    )
    if job.kind != "hold":
        _print(asdict(loop.result))
    loop.close()


if __name__ == "__main__":
    main()
