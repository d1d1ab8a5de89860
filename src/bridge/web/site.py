"""The site: connections within limits, and requests that are decided upon before their body comes.

twisted.web spills bodies over 100 kB to temporary files, has no limit for them, parses forms, and
asks nobody before it reads. What replaces that touches its private parts, and only here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from io import BytesIO
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure
from twisted.web import http
from twisted.web.http_headers import Headers
from twisted.web.resource import IResource
from twisted.web.server import Request, Site

from bridge.bodies import Body, BodyMemory
from bridge.domain.errors import BridgeError
from bridge.sending import Sender
from bridge.web.arrivals import Arrival, Gate, Refusal, RequestHead, too_large

KEEPALIVE_SECONDS = 75.0
"""How long a client's connection may be quiet between requests; load balancers expect over 60."""
DISCARD_SECONDS = 2.0
DISCARD_BYTES = 1024 * 1024
"""How long, and how much, is read on after a refusal, so that the client can read the answer."""
_DISCARDED_WHOLE = 64 * 1024
# A refused body up to this size is read to its end, so that the connection can be used again.
_LINGER_SECONDS = 15.0
_GONE = Failure(ConnectionDone())


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteLimits:
    """Limits of client connections: seconds, bytes, numbers."""

    request_header_seconds: float
    request_body_idle_seconds: float
    header_bytes: int
    connections: int
    connections_per_address: int
    """0 for none, as behind a proxy."""


class BridgeRequest(Request):
    """A request whose body is in memory, within a budget."""

    defaultContentType = None
    channel: Any

    def __init__(self, channel: Any, *args: Any, **keywords: Any) -> None:
        """Be made by the channel, when the first line is in."""
        super().__init__(channel, *args, parsePOSTFormSubmission=False, **keywords)
        self.head: RequestHead | None = None
        self.arrival: Arrival | None = None
        self.refusal: Refusal | None = None
        self.body = Body(channel.site.memory)

    @property
    def over(self) -> bool:
        """Whether nothing more can be sent: finished, or the client has gone."""
        return bool(self._disconnected or self.finished)

    def gotLength(self, length: int | None) -> None:  # noqa: ARG002 - as it is called
        """Make no temporary file; twisted.web needs something in `content`."""
        self.content = BytesIO()

    def parseCookies(self) -> None:
        """Leave cookies alone: no page of the data plane has any."""
        if self.arrival is not None and self.arrival.query_is_ours:
            super().parseCookies()

    def handleContentChunk(self, data: bytes) -> None:
        """Keep a piece of the body."""
        if self.refusal is not None or self.arrival is None:
            return
        try:
            if self.body.size + len(data) > self.arrival.max_body_bytes:
                raise too_large(self.arrival.max_body_bytes)
            self.body.add(data)
        except BridgeError as e:
            self.body.drop()
            self.channel.refuse_now(self, e)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """Take over when the whole request is in."""
        self.method, self.uri, self.clientproto = command, path, version
        self.path, _, query = path.partition(b"?")
        self.args = {}
        if query and self.arrival is not None and self.arrival.query_is_ours:
            self.args = http.parse_qs(query, keep_blank_values=True)
        self.body.complete()
        self.process()

    def process(self) -> None:
        """Answer, or let the resource do it."""
        if self.refusal is None:
            super().process()
            return
        self.site = self.channel.site
        self.setResponseCode(self.refusal.status, _phrase(self.refusal.status))
        for name, value in self.refusal.headers:
            self.setHeader(name, value)
        self.setHeader(b"content-length", b"%d" % len(self.refusal.body))
        self.write(self.refusal.body)
        self.finish()

    def write(self, data: bytes) -> None:
        """Send bytes of the body, with the head before the first of them."""
        if self.chunked and data and not self._disconnected:
            self.sentLength += len(data)
            self.channel.send(b"%x\r\n%b\r\n" % (len(data), data))
            return
        super().write(data)
        if not self._disconnected:
            self.channel.send_head()  # no byte came after it

    def finish(self) -> None:
        """End the answer, and let the body go: whoever answers need not have read it."""
        self.body.drop()
        super().finish()

    def connectionLost(self, reason: Failure) -> None:
        """Let the body go with the client."""
        self.body.drop()
        super().connectionLost(reason)


class BridgeChannel(http.HTTPChannel):
    """One client connection."""

    requestFactory = BridgeRequest
    transport: Any
    requests: list[Any]
    timeOut: Any
    callLater: Any
    send: Callable[[bytes], None]
    """Sends bytes as they are, after what was written before."""

    def __init__(self, site: BridgeSite, limits: SiteLimits, reactor: IReactorTime) -> None:
        """Serve `site`."""
        super().__init__()
        self.site = site
        self.factory = site
        self.timeOut = KEEPALIVE_SECONDS
        self.callLater = reactor.callLater  # TimeoutMixin would take the global reactor
        self.totalHeadersSize = self.MAX_LENGTH = limits.header_bytes
        self._limits = limits
        self._reactor = reactor
        self._header_timer: IDelayedCall | None = None
        self._discard_timer: IDelayedCall | None = None
        self._discarded: int | None = None
        self._address = ""
        self._body_awaited = False
        self._body_limited = False
        self._lost = False
        self._head = b""

    def connectionMade(self) -> None:
        """Begin to wait for the first request's headers."""
        self.send = Sender(self.transport).send
        self._address = _host(self.transport.getPeer())
        super().connectionMade()
        self._expect_headers()

    def dataReceived(self, data: bytes) -> None:
        """Take what came in, and limit the wait for what is missing; mostly that is nothing."""
        super().dataReceived(data)
        if self._lost:
            return
        if self.line_mode:
            if self._header_timer is None and (self._buffer or self._receivedHeaderSize):
                self._expect_headers()
        elif self._body_awaited and not self._body_limited:
            self._body_limited = True
            self.setTimeout(self._limits.request_body_idle_seconds)

    def writeHeaders(self, version: bytes, code: bytes, reason: bytes, headers: Headers) -> None:
        """Keep the head until what follows it is there, so that one packet carries both."""
        lines = [b"%b %b %b\r\n" % (version, code, reason)]
        lines += [
            b"%b: %b\r\n" % (name, value)
            for name, values in headers.getAllRawHeaders()
            for value in values
        ]
        self._head = b"%b\r\n" % b"".join(lines)

    def write(self, data: bytes) -> None:
        """Send what a request writes."""
        head, self._head = self._head, b""
        self.send(head + data if head else data)

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        """Send what a request writes."""
        self.write(b"".join(iovec))

    def send_head(self) -> None:
        """Send the head if it still waits."""
        if self._head:
            self.write(b"")

    def checkPersistence(self, request: Any, version: bytes) -> bool:
        """Say whether another request may follow on this connection; while draining none may."""
        if super().checkPersistence(request, version) and not self.site.draining:
            return True
        request.responseHeaders.setRawHeaders(b"connection", [b"close"])
        return False

    def allHeadersReceived(self) -> None:
        """Ask the gate before a byte of the body is kept, and before `100 Continue`."""
        self._stop_header_timer()
        request: BridgeRequest = self.requests[-1]
        head = request.head = RequestHead(
            method=self._command,
            target=self._path,
            headers=[
                (name.lower(), value)
                for name, values in request.requestHeaders.getAllRawHeaders()
                for value in values
            ],
            length=self.length,
            peer=self._address,
        )
        try:
            arrival = self.site.gate.arrive(head)
            if head.length is not None and head.length > arrival.max_body_bytes:
                raise too_large(arrival.max_body_bytes)
            if head.length:
                self.site.memory.check(head.length)
            request.arrival = arrival
        except BridgeError as e:
            if not _may_be_read_on(head):
                self.persistent = 0
                self.refuse_now(request, e)
                return
            request.refusal = self.site.gate.refusal(head, e)
        super().allHeadersReceived()
        self._body_awaited, self._body_limited = self.length != 0, False

    def lineReceived(self, line: bytes) -> None:
        """Take a line, or throw it away after a refusal."""
        if self._discarded is None:
            super().lineReceived(line)

    def allContentReceived(self) -> None:
        """Go on, unless the request has been answered already."""
        self._body_awaited = False
        if self._discarded is None:
            super().allContentReceived()

    def rawDataReceived(self, data: bytes) -> None:
        """Take a piece of a body, or throw it away after a refusal."""
        if self._discarded is None:
            super().rawDataReceived(data)
            return
        self._discarded += len(data)
        if self._discarded > DISCARD_BYTES:
            self._hang_up()

    def requestDone(self, request: Any) -> None:
        """Wait for the next request."""
        self._savedTimeOut = KEEPALIVE_SECONDS
        super().requestDone(request)

    def refuse_now(self, request: BridgeRequest, error: BridgeError) -> None:
        """Answer at once, although the body is still to come, and hang up soon after."""
        assert request.head is not None  # noqa: S101 - set before anything can refuse
        refusal = request.refusal = self.site.gate.refusal(request.head, error)
        self._discarded, self._body_awaited = 0, False
        headers = [*refusal.headers, (b"connection", b"close")]
        headers.append((b"content-length", b"%d" % len(refusal.body)))
        lines = [b"HTTP/1.1 %d %s" % (refusal.status, _phrase(refusal.status))]
        lines += [b"%s: %s" % header for header in headers]
        body = b"" if request.head.method == b"HEAD" else refusal.body
        self.transport.write(b"\r\n".join([*lines, b"", body]))
        self.setTimeout(None)
        self._discard_timer = self._reactor.callLater(DISCARD_SECONDS, self._hang_up)

    def connectionLost(self, reason: Failure = _GONE) -> None:
        """Forget the timers."""
        self._lost = True
        self._stop_header_timer()
        if self._discard_timer is not None and self._discard_timer.active():
            self._discard_timer.cancel()
        self.site.disconnected(self._address)
        super().connectionLost(reason)

    def abort_later(self) -> None:
        """Close when what was written has gone; abort if the client does not take it."""
        if self._abortingCall is None:
            self._abortingCall = self.callLater(_LINGER_SECONDS, self.forceAbortClient)
        self.loseConnection()

    def _expect_headers(self) -> None:
        self._header_timer = self._reactor.callLater(
            self._limits.request_header_seconds, self._headers_too_slow
        )

    def _headers_too_slow(self) -> None:
        self._header_timer = None
        self.abort_later()

    def _stop_header_timer(self) -> None:
        if self._header_timer is not None and self._header_timer.active():
            self._header_timer.cancel()
        self._header_timer = None

    def _hang_up(self) -> None:
        if self._discard_timer is not None and self._discard_timer.active():
            self._discard_timer.cancel()
        self.abort_later()


class BridgeSite(Site):
    """Makes channels, within the limits of connections."""

    noisy = False

    def __init__(
        self,
        *,
        resource: IResource,
        gate: Gate,
        memory: BodyMemory,
        limits: SiteLimits,
        reactor: Any,
    ) -> None:
        """Serve `resource` to what `gate` lets in, with bodies in `memory`."""
        super().__init__(resource, reactor=reactor)
        self.gate = gate
        self.memory = memory
        self.connections = 0
        self.draining = False
        """Set when the process is about to stop: each connection ends with its next answer."""
        self._limits = limits
        self._by_address: Counter[str] = Counter()
        self._waiting_until_empty: list[Deferred[None]] = []
        self.displayTracebacks = False

    def buildProtocol(self, addr: Any) -> Any:
        """Take a connection, or close it at once when there are too many."""
        address = _host(addr)
        per_address = self._limits.connections_per_address
        if self.connections >= self._limits.connections:
            return None
        if per_address and self._by_address[address] >= per_address:
            return None
        self.connections += 1
        self._by_address[address] += 1
        return BridgeChannel(self, self._limits, self.reactor)

    def disconnected(self, address: str) -> None:
        """Count a connection out."""
        self.connections -= 1
        self._by_address[address] -= 1
        if self._by_address[address] <= 0:
            del self._by_address[address]
        if not self.connections:
            waiting, self._waiting_until_empty = self._waiting_until_empty, []
            for each in waiting:
                each.callback(None)

    def empty(self) -> Deferred[None]:
        """Return what fires when there is no connection."""
        if not self.connections:
            return succeed(None)
        done: Deferred[None] = Deferred(self._waiting_until_empty.remove)
        self._waiting_until_empty.append(done)
        return done

    def log(self, request: Any) -> None:
        """Write no access log: every request is an interception or an audit row."""


def _phrase(status: int) -> bytes:
    """Return a status's words; Twisted lacks some."""
    return HTTPStatus(status).phrase.encode("ascii")


def _may_be_read_on(head: RequestHead) -> bool:
    """Return whether a refused request's body is read to its end, so the connection can go on."""
    if any(name == b"expect" for name, _ in head.headers):
        return False
    return head.length is not None and head.length <= _DISCARDED_WHOLE


def _host(address: Any) -> str:
    return str(getattr(address, "host", None) or "local")
