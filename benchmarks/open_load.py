"""An open load: requests at times that are fixed beforehand, whatever becomes of those before.

`python -m benchmarks.open_load` reads one job as a line of JSON on stdin and prints one line of
JSON. A request is sent at its time on a connection that is idle, or on a new one; its latency is
counted from the time at which it should have been sent, so that a server that stalls is charged for
all that had to wait meanwhile. Every body is taken out of its framing and its SHA-256 compared.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import select
import socket
import ssl
import sys
import time
from dataclasses import asdict, dataclass, field

_READ_BYTES = 256 * 1024
_END_OF_HEAD = b"\r\n\r\n"
_END_OF_EVENT = b"\n\n"
_GIVE_UP_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to do to one port."""

    port: int
    path: str
    headers: dict[str, str]
    body: str
    count: int
    per_second: float
    ready_connections: int = 0
    """Opened before the first request."""
    sha256: str = ""
    """Of the body that must come; empty compares with that of the first."""
    events_before: int = 0
    """Of a stream, that come at once before those whose pace is looked at."""
    events: int = 0
    """Of those; 0 looks at no pace."""
    interval_seconds: float = 0.0
    """Between two of them."""
    authority: str = ""
    """File of certificates to trust; empty speaks no TLS."""
    fresh: bool = False
    """A connection for each request, closed after it."""
    resumed: bool = False
    """Sessions of TLS are resumed on new connections."""


@dataclass(slots=True, kw_only=True)
class Result:
    """What came of it; seconds."""

    done: int = 0
    different: int = 0
    """Bodies with another digest."""
    sha256: str = ""
    first_bytes: list[float] = field(default_factory=list)
    """From the intended time to the first byte of the body."""
    whole: list[float] = field(default_factory=list)
    """From the intended time to the last byte of the body."""
    jitter: list[float] = field(default_factory=list)
    """How far from the interval the time between two events was: 1000 quantiles, and the most."""
    events: int = 0
    latest: float = 0.0
    """By how much the load itself was late at most."""
    seconds: float = 0.0
    bytes: int = 0
    sessions_resumed: int = 0
    problem: str = ""


class _Body:
    """Takes a body out of its framing."""

    def __init__(self, head: bytes) -> None:
        lower = head.lower()
        at = lower.find(b"\r\ncontent-length:")
        self._chunked = at < 0
        self._left = 0 if self._chunked else int(lower[at + 17 :].partition(b"\r\n")[0])
        self.whole = not self._chunked and self._left == 0
        self._lines = b""
        """What came of the line that says how long the next chunk is."""

    def feed(self, data: bytes) -> bytes:
        """Return what of the body is in `data`."""
        if not self._chunked:
            self._left -= len(data)
            self.whole = self._left <= 0
            return data
        found = []
        while data:
            if self._left:
                part, data = data[: self._left], data[self._left :]
                self._left -= len(part)
                found.append(part)
                continue
            # The end of the former chunk, if any, then the size of the next.
            line, ended, data = (self._lines + data).lstrip(b"\r\n").partition(b"\r\n")
            if not ended:
                self._lines = line
                break
            self._lines = b""
            self._left = int(line, 16)
            if self._left == 0:
                self.whole = True  # trailers, which nobody sends, would be read as the next answer
                break
        return b"".join(found)


class _Exchange:
    """One connection; at most one request at a time."""

    def __init__(self, load: Load) -> None:
        self._load = load
        job = load.job
        plain = socket.create_connection(("127.0.0.1", job.port))  # the kernel accepts at once
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket: socket.socket = plain
        if load.context is not None:
            session = load.session if job.resumed else None
            plain.setblocking(False)
            self.socket = load.context.wrap_socket(
                plain,
                server_hostname="127.0.0.1",
                session=session,
                do_handshake_on_connect=False,
            )
        self.socket.setblocking(False)
        self._secret = load.context is None
        """Whether there is no handshake to come."""
        self._unsent = memoryview(b"")

    def begin(self, intended: float) -> None:
        """Send a request that should have been sent at `intended`."""
        self._intended = intended
        self._unsent = memoryview(self._load.request)
        self._head = b""
        self._body: _Body | None = None
        self._digest = hashlib.sha256()
        self._begun = False
        self._tail = b""
        self._times: list[float] = []
        self.flush()

    def flush(self) -> bool:
        """Send more; return whether there is no more."""
        while self._unsent:
            try:
                self.shake_hands()
                sent = self.socket.send(self._unsent)
            except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
                return False
            self._unsent = self._unsent[sent:]
        return True

    def shake_hands(self) -> None:
        """Go on with the handshake of TLS, if there is one to come; raises as sending does."""
        if self._secret:
            return
        assert isinstance(self.socket, ssl.SSLSocket)
        self.socket.do_handshake()
        self._secret = True
        self._load.result.sessions_resumed += bool(self.socket.session_reused)

    @property
    def wanted(self) -> int:
        """What is waited for: something to read; and room, if some of the request waits for it."""
        return select.EPOLLIN | (select.EPOLLOUT if self._unsent and self._secret else 0)

    def readable(self) -> bool:
        """Read all that is there; return whether the answer is now complete."""
        if self._unsent and not self.flush() and not self._secret:
            return False
        while True:
            try:
                data = self.socket.recv(_READ_BYTES)
            except (BlockingIOError, ssl.SSLWantReadError):
                return False
            if not data:
                raise ConnectionError("the connection ended in the middle of an answer")
            if self._take(data, time.perf_counter()):
                return True

    def _take(self, data: bytes, now: float) -> bool:
        result = self._load.result
        if self._body is None:
            head, found, rest = (self._head + data).partition(_END_OF_HEAD)
            if not found:
                self._head += data
                return False
            if not head.startswith(b"HTTP/1.1 200"):
                raise ConnectionError((head + rest).decode("latin-1"))
            self._body = _Body(head)
            data = rest
        body = self._body.feed(data)
        if body:
            if not self._begun:
                self._begun = True
                result.first_bytes.append(now - self._intended)
            self._digest.update(body)
            result.bytes += len(body)
            if self._load.job.events:
                self._times += [now] * (self._tail + body).count(_END_OF_EVENT)
                self._tail = b"\n" if body.endswith(b"\n") and not body.endswith(b"\n\n") else b""
        if not self._body.whole:
            return False
        result.whole.append(now - self._intended)
        self._load.judge(self._digest.hexdigest(), self._times)
        return True


class Load:
    """Sends each request at its time."""

    def __init__(self, job: Job) -> None:
        self.job = job
        body = job.body.encode()
        lines = [f"POST {job.path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in job.headers.items()]
        if job.fresh:
            lines.append("Connection: close")
        self.request = "\r\n".join((*lines, "", "")).encode() + body
        self.result = Result(sha256=job.sha256)
        self.context: ssl.SSLContext | None = None
        self.session: ssl.SSLSession | None = None
        if job.authority:
            self.context = ssl.create_default_context(cafile=job.authority)
        self._jitter: list[float] = []
        self._epoll = select.epoll()
        self._busy: dict[int, _Exchange] = {}
        self._idle: list[_Exchange] = []

    def run(self) -> None:
        """Send all, and wait for the last answer."""
        job, result = self.job, self.result
        self._idle = [_Exchange(self) for _ in range(job.ready_connections)]
        for each in self._idle:
            each.socket.settimeout(_GIVE_UP_SECONDS)
            each.shake_hands()
            each.socket.setblocking(False)
        began = time.perf_counter()
        intended = [began + number / job.per_second for number in range(job.count)]
        sent = 0
        last = began
        while sent < job.count or self._busy:
            now = time.perf_counter()
            if sent < job.count and now >= intended[sent]:
                result.latest = max(result.latest, now - intended[sent])
                self._begin(intended[sent])
                sent += 1
                continue
            wait = intended[sent] - now if sent < job.count else 0.1
            events = self._epoll.poll(min(wait, 0.1))
            if events:
                last = time.perf_counter()
            elif now - last > _GIVE_UP_SECONDS:
                raise ConnectionError("nothing came any more")
            for number, event in events:
                self._happened(number, event)
        result.seconds = time.perf_counter() - began
        result.jitter = _quantiles(self._jitter)

    def judge(self, sha256: str, times: list[float]) -> None:
        """Take in that an answer is whole."""
        result, job = self.result, self.job
        result.done += 1
        result.sha256 = result.sha256 or sha256
        result.different += sha256 != result.sha256
        if job.events:
            paced = times[job.events_before : job.events_before + job.events]
            result.events += len(paced)
            self._jitter += [
                abs(after - before - job.interval_seconds)
                for before, after in itertools.pairwise(paced)
            ]

    def _begin(self, intended: float) -> None:
        exchange = self._idle.pop() if self._idle and not self.job.fresh else _Exchange(self)
        exchange.begin(intended)
        number = exchange.socket.fileno()
        self._busy[number] = exchange
        self._epoll.register(number, exchange.wanted)

    def _happened(self, number: int, event: int) -> None:
        exchange = self._busy[number]
        if event & select.EPOLLOUT:
            exchange.flush()
        if not event & ~select.EPOLLOUT or not exchange.readable():
            self._epoll.modify(number, exchange.wanted)
            return
        self._epoll.unregister(number)
        del self._busy[number]
        if self.job.fresh:
            if isinstance(exchange.socket, ssl.SSLSocket):
                self.session = exchange.socket.session  # the tickets have come by now
            exchange.socket.close()
        else:
            self._idle.append(exchange)


def _quantiles(values: list[float]) -> list[float]:
    """Return 1000 quantiles and the largest value; of few values all."""
    ordered = sorted(values)
    if len(ordered) <= 1000:
        return ordered
    return [ordered[len(ordered) * n // 1000] for n in range(1000)] + ordered[-1:]


def main() -> None:
    """Do one job."""
    load = Load(Job(**json.loads(sys.stdin.readline())))
    try:
        load.run()
    except (OSError, ValueError) as problem:
        load.result.problem = f"{type(problem).__name__}: {problem}"[:1000]
    sys.stdout.write(json.dumps(asdict(load.result)) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
