"""Requests to one provider: sent once, or twice when an old connection turns out to be dead."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import structlog
from OpenSSL import SSL
from twisted.internet import error as network
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IProtocol
from twisted.internet.protocol import Protocol
from twisted.web._newclient import RequestNotSent
from twisted.web.client import (
    BrowserLikePolicyForHTTPS,
    RequestTransmissionFailed,
    ResponseFailed,
    ResponseNeverReceived,
)
from twisted.web.iweb import UNKNOWN_LENGTH, IPolicyForHTTPS

from bridge.bodies import BodyProducer
from bridge.deferreds import limited
from bridge.domain.errors import (
    BridgeError,
    UpstreamNotConnected,
    UpstreamTimedOut,
    UpstreamUnreachable,
)
from bridge.domain.units import format_duration
from bridge.upstream.agents import (
    HIDDEN_ENCODING,
    NO_COOKIES,
    ExactAgent,
    OriginUrl,
    Pool,
    SentHeaders,
    build_client,
)
from bridge.upstream.proxy import Proxy
from bridge.wire.headers import Header

_log = structlog.get_logger("bridge.upstream")

_CONNECTION_FAILED = (
    network.ConnectError,
    network.ConnectionLost,
    network.ConnectionDone,
    network.ConnectionAborted,
    SSL.Error,
    RequestNotSent,
    RequestTransmissionFailed,
    ResponseNeverReceived,
    ResponseFailed,
    OSError,
    ValueError,  # Twisted's parser: a status line or header that is not HTTP
)


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """A request as it goes upstream."""

    method: bytes
    target: bytes
    """Path and query, byte for byte."""
    headers: Sequence[Header]
    body: bytes


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """The head of an answer; its body is still to come."""

    status: int
    phrase: bytes
    headers: Sequence[Header]
    """As they came but for Content-Length and the connection's own, names lower-case."""
    length: int | None
    """Content-Length; None when there is none."""
    deliver: Callable[[IProtocol], None]
    """Starts the body; call it once."""


class Unwanted(Protocol):
    """Takes the body of an answer that nobody is to see, by closing its connection."""

    transport: Any

    def connectionMade(self) -> None:
        """Close."""
        self.transport.loseConnection()


class UpstreamClient:
    """Sends requests to one origin over its own pool of connections."""

    def __init__(
        self,
        *,
        origin: str,
        reactor: Any,
        connect_seconds: float,
        first_byte_seconds: float,
        keepalive_seconds: float,
        tls: IPolicyForHTTPS | None = None,
        proxy: Proxy | None = None,
    ) -> None:
        """Make a client; nothing is connected yet.

        Args:
            origin: `https://host[:port]`.
            reactor: for connections and time.
            connect_seconds: limit for all of a connection: look-up, proxy, TCP and TLS.
            first_byte_seconds: limit from the request to the answer's head.
            keepalive_seconds: how long an unused connection is kept.
            tls: whom to trust; the platform's certificate authorities when None.
            proxy: through which https is spoken, unless it says otherwise; None for none.
        """
        self._reactor = reactor
        self._connect_seconds = connect_seconds
        self._first_byte_seconds = first_byte_seconds
        self._pool = Pool(reactor, keepalive_seconds=keepalive_seconds)
        self._url = OriginUrl.from_text(f"{origin}/")
        self._agent = ExactAgent(
            reactor,
            origin=f"{origin}/".encode("ascii"),
            pool=self._pool,
            tls=tls if tls is not None else BrowserLikePolicyForHTTPS(),
            connect_seconds=connect_seconds,
            proxy=proxy,
        )

    async def send(self, outgoing: Outgoing) -> Response:
        """Send `outgoing` and return the head of the answer.

        Raises:
            UpstreamUnreachable: no connection, it broke before the answer began, or what came is
                no answer.
            UpstreamTimedOut: a limit fired; the message says which.
        """
        try:
            return await self._once(outgoing)
        except _Stale:
            # Servers close idle connections when they like; this one did as we picked it.
            path = outgoing.target.partition(b"?")[0]  # a key may stand in the query
            _log.debug("idle upstream connection was dead", path=path.decode("latin-1"))
        try:
            return await self._once(outgoing)
        except _Stale as e:
            raise _unreachable() from e

    async def close(self) -> None:
        """Close the connections that nobody uses."""
        await self._pool.closeCachedConnections()

    async def _once(self, outgoing: Outgoing) -> Response:
        self._pool.last_reused = False
        body = outgoing.body
        sending = build_client(self._agent, outgoing.target).request(
            outgoing.method.decode("ascii"),
            self._url,
            headers=SentHeaders.of(outgoing.headers),
            data=BodyProducer(body) if body or outgoing.method in _WITH_BODY else None,
            cookies=NO_COOKIES,
            allow_redirects=False,
            unbuffered=True,
            reactor=self._reactor,
        )
        reused = self._pool.last_reused
        try:
            response = await limited(
                _cancelled_at_once(sending),
                self._first_byte_seconds,
                self._reactor,
                self._no_first_byte,
            )
        except (BridgeError, CancelledError):
            raise
        except (network.TimeoutError, network.TCPTimedOutError) as e:
            raise UpstreamNotConnected(
                "No connection to the provider within "
                f"{format_duration(self._connect_seconds)} (limits.connect)."
            ) from e
        except _CONNECTION_FAILED as e:
            if reused and not isinstance(e, ValueError) and _before_any_byte(e):
                raise _Stale from e
            raise _unreachable() from e
        if response.code not in _STATUSES:
            response.deliverBody(Unwanted())
            raise UpstreamUnreachable(
                "The provider's answer is not HTTP: there is no such status as its."
            )
        return _response_from(response, outgoing.method)

    def _no_first_byte(self) -> BridgeError:
        return UpstreamTimedOut(
            "The provider did not begin to answer within "
            f"{format_duration(self._first_byte_seconds)} (limits.first_byte)."
        )


_STATUSES = range(200, 600)
"""Of answers. What comes with 1xx is passed over by Twisted: one of these has to follow in time."""
_WITH_BODY = frozenset({b"POST", b"PUT", b"PATCH"})


class _Stale(Exception):  # noqa: N818 - not an error yet
    """A connection that had been used before died before any byte of an answer."""


def _unreachable() -> UpstreamUnreachable:
    return UpstreamUnreachable("The provider cannot be reached, or broke off before it answered.")


def _before_any_byte(error: BaseException) -> bool:
    return isinstance(error, ResponseNeverReceived | RequestTransmissionFailed | RequestNotSent)


def _cancelled_at_once(sending: Deferred[Any]) -> Deferred[Any]:
    """Return a Deferred with `sending`'s result that fails with CancelledError when cancelled.

    Twisted has other words for it: an unknown host name, a failed connection, a broken answer.
    """
    cancelled = False

    def cancel(_: Deferred[Any]) -> None:
        nonlocal cancelled
        cancelled = True
        sending.cancel()

    def settle(result: Any) -> None:
        if not cancelled:
            outer.callback(result)

    outer: Deferred[Any] = Deferred(cancel)
    sending.addBoth(settle)
    return outer


def _response_from(response: Any, method: bytes) -> Response:
    headers: list[Header] = []
    for name, values in response.headers.getAllRawHeaders():
        lower = name.lower()
        if lower == b"content-encoding":
            continue  # treq's own, empty
        if lower == HIDDEN_ENCODING:
            lower = b"content-encoding"
        headers.extend((lower, value) for value in values)
    # Twisted reads no body after a HEAD and keeps no length either: better none than a wrong one.
    unknown = method == b"HEAD" or response.length == UNKNOWN_LENGTH
    return Response(
        status=response.code,
        phrase=response.phrase,
        headers=headers,
        length=None if unknown else response.length,
        deliver=response.deliverBody,
    )
