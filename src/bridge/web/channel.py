"""The channel: a client connection within limits, whose requests are decided upon at their heads.

twisted.web asks nobody before it reads, and reads a head line by line. What replaces that touches
its private parts, and only here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure
from twisted.web import http
from twisted.web.http import _ChunkedTransferDecoder, _IdentityTransferDecoder
from twisted.web.http_headers import Headers

from bridge.domain.errors import BridgeError
from bridge.sending import Sender
from bridge.web.arrivals import HEAD_TOO_LARGE, RequestHead, too_large
from bridge.web.incoming import BridgeRequest, phrase_of
from bridge.wire.headers import Header
from bridge.wire.heads import ReadHead, usual_request

KEEPALIVE_SECONDS = 75.0
"""How long a client's connection may be quiet between requests; load balancers expect over 60."""
DISCARD_SECONDS = 2.0
DISCARD_BYTES = 1024 * 1024
"""How long, and how much, is read on after a refusal, so that the client can read the answer."""
_DISCARDED_WHOLE = 64 * 1024
# A refused body up to this size is read to its end, so that the connection can be used again.
HEAD_WAITS_SECONDS = 0.1
"""How long the head of a document waits for the body, so that one write carries both."""
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


class BridgeChannel(http.HTTPChannel):
    """One client connection."""

    requestFactory = BridgeRequest
    transport: Any
    requests: list[Any]
    timeOut: Any
    _command: bytes
    _path: bytes
    _version: bytes
    _transferDecoder: Any  # noqa: N815 - Twisted's name
    callLater: Any
    send: Callable[[bytes], None]
    """Sends bytes as they are, after what was written before."""

    def __init__(self, site: Any, limits: SiteLimits, reactor: IReactorTime) -> None:
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
        self.waiting_head = b""
        """Of an answer; goes out with what follows it."""
        self._fields: Sequence[Header] | None = None
        """Headers of the request that is being read, when they were read at once."""
        self._kept_alive = 0
        self._next: Any = None
        """The next request, made when the one before was answered: nobody waits for it then."""
        self._peer: Any = None
        self._own_address: Any = None

    def connectionMade(self) -> None:
        """Begin to wait for the first request's headers."""
        self.send = Sender(self.transport).send
        self._address = host_of(self.transport.getPeer())
        super().connectionMade()
        self._expect_headers()

    def dataReceived(self, data: bytes) -> None:
        """Take what came in, and limit the wait for what is missing; mostly that is nothing."""
        if self._awaits_head():
            head = usual_request(data)
            if head is not None and head.end <= self.totalHeadersSize and not _expects(head):
                data = self._take(head, data[head.end :])
                if self.transport.disconnecting:
                    return
        if data:
            super().dataReceived(data)
        if self._lost:
            return
        if self.line_mode:
            if self._header_timer is None and (self._buffer or self._receivedHeaderSize):
                self._expect_headers()
        elif self._body_awaited and not self._body_limited:
            self._body_limited = True
            self.setTimeout(self._limits.request_body_idle_seconds)

    def _awaits_head(self) -> bool:
        """Return whether what comes now is the beginning of a request."""
        return bool(
            self.line_mode
            and not self._buffer
            and not self._busyReceiving
            and self._HTTPChannel__first_line == 1
            and self.persistent
            and self._discarded is None
        )

    def _take(self, head: ReadHead, rest: bytes) -> bytes:
        """Take a whole head, as `lineReceived` would line by line, and a body that came with it.

        Returns:
            What is left of `rest`, which came after the head.
        """
        whole = head.length == len(rest) > 0
        self._busyReceiving = True  # what comes meanwhile is read afterwards
        try:
            request, self._next = self._next or self.requestFactory(self), None
            self.requests.append(request)
            self._HTTPChannel__first_line = 0
            self._command, self._path = head.start
            self._version = b"HTTP/1.1"
            take, finished = request.handleContentChunk, self._finishRequestBody
            if head.length is None:
                self.length = None
                self._transferDecoder = _ChunkedTransferDecoder(take, finished)
            elif head.length >= 0:
                self.length = head.length
                if not whole:
                    self._transferDecoder = _IdentityTransferDecoder(head.length, take, finished)
            self._fields = head.fields
            self.allHeadersReceived()
            if whole and self._discarded is None:
                take(rest)
                rest = b""
                self.allContentReceived()
            elif self.length == 0:
                self.allContentReceived()
            else:
                self.setRawMode()
            return rest
        finally:
            self._busyReceiving = False

    def writeHeaders(self, version: bytes, code: bytes, reason: bytes, headers: Headers) -> None:
        """Keep the head until what follows it is there, so that one packet carries both."""
        lines = [b"%b %b %b\r\n" % (version, code, reason)]
        lines += [
            b"%b: %b\r\n" % (name, value)
            for name, values in headers.getAllRawHeaders()
            for value in values
        ]
        self.waiting_head = b"%b\r\n" % b"".join(lines)

    def keep_head(self, head: bytes) -> None:
        """Keep a head that is written already."""
        self.waiting_head = head

    def write(self, data: bytes) -> None:
        """Send what a request writes."""
        head, self.waiting_head = self.waiting_head, b""
        self.send(head + data if head else data)

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        """Send what a request writes."""
        self.write(b"".join(iovec))

    def send_head(self) -> None:
        """Send the head if it still waits."""
        if self.waiting_head:
            self.write(b"")

    def checkPersistence(self, request: Any, version: bytes) -> bool:
        """Say whether another request may follow on this connection; while draining none may."""
        said = request.head.by_name().get(b"connection", ())
        closes = bool(said) and b"close" in said[0].lower().split(b" ")
        if version == b"HTTP/1.1" and not closes and not self.site.draining:
            return True
        request.responseHeaders.setRawHeaders(b"connection", [b"close"])
        return False

    def allHeadersReceived(self) -> None:
        """Ask the gate before a byte of the body is kept, and before `100 Continue`."""
        self._stop_header_timer()
        request: BridgeRequest = self.requests[-1]
        fields, self._fields = self._fields, None
        at_once = fields is not None
        if fields is None:
            fields = [
                (name.lower(), value)
                for name, values in request.requestHeaders.getAllRawHeaders()
                for value in values
            ]
        head = request.head = RequestHead(
            method=self._command,
            target=self._path,
            headers=fields,
            length=self.length,
            peer=self._address,
        )
        try:
            arrival = self.site.gate.arrive(head)
            if head.length is not None and head.length > arrival.max_body_bytes:
                raise too_large(arrival)
            if head.length:
                self.site.memory.check(head.length)
            request.arrival = arrival
        except BridgeError as e:
            if not _may_be_read_on(head):
                self.persistent = 0
                self.refuse_now(request, e)
                return
            request.refusal = self.site.gate.refusal(head, e)
        if at_once:
            request.headers_when_asked()
            request.parseCookies()
            self.persistent = self.checkPersistence(request, self._version)
            request.gotLength(self.length)
        else:
            super().allHeadersReceived()
        self._body_awaited, self._body_limited = self.length != 0, False

    def lineReceived(self, line: bytes) -> None:
        """Take a line, or throw it away after a refusal."""
        if self._discarded is not None:
            return
        if self._receivedHeaderSize + len(line) > self.totalHeadersSize:
            self.lineLengthExceeded(line)
            return
        super().lineReceived(line)

    def lineLengthExceeded(self, line: bytes) -> None:  # noqa: ARG002, N802 - it has not even ended
        """Answer that the head is too large, whomever it was for, and hang up soon after."""
        if self._discarded is None:
            self._stop_header_timer()
            self.persistent = 0
            self.transport.write(HEAD_TOO_LARGE)
            self._discard_rest()
        self.setRawMode()

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
        if self._next is None and not self._lost:
            self._next = self.requestFactory(self)

    def getPeer(self) -> Any:
        """Return the client's address, looked up once."""
        if self._peer is None:
            self._peer = super().getPeer()
        return self._peer

    def getHost(self) -> Any:
        """Return our own address on this connection, looked up once."""
        if self._own_address is None:
            self._own_address = super().getHost()
        return self._own_address

    def setTimeout(self, period: float | None) -> float | None:
        """Limit how long nothing may come; None for no limit. Return the former limit."""
        former = self.timeOut
        if self._kept_alive:
            self.site.idle.end(self._kept_alive)
            self._kept_alive = 0
        if period == KEEPALIVE_SECONDS:
            super().setTimeout(None)
            self._kept_alive = self.site.idle.begin(self._idle_for_too_long)
            self.timeOut = period
        else:
            super().setTimeout(period)
        return former  # type: ignore[no-any-return]

    def resetTimeout(self) -> None:
        """Something has come."""
        if self._kept_alive:
            self.site.idle.end(self._kept_alive)
            self._kept_alive = self.site.idle.begin(self._idle_for_too_long)
        else:
            super().resetTimeout()

    def refuse_now(self, request: BridgeRequest, error: BridgeError) -> None:
        """Answer at once, although the body is still to come, and hang up soon after."""
        assert request.head is not None  # noqa: S101 - set before anything can refuse
        refusal = request.refusal = self.site.gate.refusal(request.head, error)
        headers = [*refusal.headers, (b"connection", b"close")]
        headers.append((b"content-length", b"%d" % len(refusal.body)))
        lines = [b"HTTP/1.1 %d %s" % (refusal.status, phrase_of(refusal.status))]
        lines += [b"%s: %s" % header for header in headers]
        body = b"" if request.head.method == b"HEAD" else refusal.body
        self.transport.write(b"\r\n".join([*lines, b"", body]))
        self._discard_rest()

    def _discard_rest(self) -> None:
        """Throw away what still comes, for a while, so that the answer is not lost over it."""
        self._discarded, self._body_awaited = 0, False
        self.setTimeout(None)
        self._discard_timer = self._reactor.callLater(DISCARD_SECONDS, self._hang_up)

    def connectionLost(self, reason: Failure = _GONE) -> None:
        """Forget the timers."""
        self._lost = True
        self._next = None
        self._stop_header_timer()
        if self._discard_timer is not None and self._discard_timer.active():
            self._discard_timer.cancel()
        self.site.disconnected(self._address)
        super().connectionLost(reason)

    def forceAbortClient(self) -> None:
        """Abort; what is still written meanwhile, an answer's end for example, goes nowhere."""
        self.send = _nowhere
        super().forceAbortClient()

    def abort_later(self) -> None:
        """Close when what was written has gone; abort if the client does not take it."""
        if self._abortingCall is None:
            self._abortingCall = self.callLater(_LINGER_SECONDS, self.forceAbortClient)
        self.loseConnection()

    def _idle_for_too_long(self) -> None:
        self._kept_alive = 0
        self.timeoutConnection()

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


def _nowhere(_: bytes) -> None:
    """Send nothing."""


def _expects(head: ReadHead) -> bool:
    """Return whether the client waits to be told to go on."""
    return b"expect" in [name for name, _ in head.fields]


def _may_be_read_on(head: RequestHead) -> bool:
    """Return whether a refused request's body is read to its end, so the connection can go on."""
    if any(name == b"expect" for name, _ in head.headers):
        return False
    return head.length is not None and head.length <= _DISCARDED_WHOLE


def host_of(address: Any) -> str:
    """Return the host of a peer's address; "local" for what has none."""
    return str(getattr(address, "host", None) or "local")
