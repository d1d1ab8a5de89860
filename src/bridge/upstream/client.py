"""Requests to one provider: sent once, or twice when an old connection turns out to be dead."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar
from typing import Protocol as Interface

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

from bridge.deadlines import Deadlines
from bridge.domain.errors import (
    UpstreamNotConnected,
    UpstreamTimedOut,
    UpstreamUnreachable,
)
from bridge.domain.units import format_duration
from bridge.upstream.connections import Connection, Connections
from bridge.upstream.heads import Answer, Sent, request_head
from bridge.upstream.origin import Origin
from bridge.upstream.proxy import Proxy
from bridge.wire.headers import Header

T = TypeVar("T")

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
    begun: bool = False
    """Whether bytes of the body are there already."""
    deliver: Callable[[IProtocol], None]
    """Starts the body; call it once."""


class WaitFor(Interface):
    """Waits for a Deferred on somebody's behalf, who may cancel it."""

    def __call__(self, work: Deferred[T], /) -> Awaitable[T]:
        """Return what `work` brings."""


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
        self._connect_seconds = connect_seconds
        self._first_byte_seconds = first_byte_seconds
        self._first_bytes = Deadlines(reactor, first_byte_seconds)
        self._origin = Origin(
            origin,
            reactor=reactor,
            tls=tls if tls is not None else BrowserLikePolicyForHTTPS(),
            connect_seconds=connect_seconds,
            proxy=proxy,
        )
        self._connections = Connections(
            endpoint=self._origin.endpoint,
            clock=reactor,
            keepalive_seconds=keepalive_seconds,
            answered=self._origin.answered,
        )

    async def send(self, outgoing: Outgoing, wait_for: WaitFor | None = None) -> Response:
        """Send `outgoing` and return the head of the answer.

        Args:
            outgoing: what is asked.
            wait_for: waits for what there is to wait for, one thing after the other.

        Raises:
            UpstreamUnreachable: no connection, it broke before the answer began, or what came is
                no answer.
            UpstreamTimedOut: a limit fired; the message says which.
        """
        wait_for = wait_for or _wait_for
        try:
            return await self._once(outgoing, wait_for)
        except _Stale:
            # Servers close idle connections when they like; this one did as we picked it.
            path = outgoing.target.partition(b"?")[0]  # a key may stand in the query
            _log.debug("idle upstream connection was dead", path=path.decode("latin-1"))
        try:
            return await self._once(outgoing, wait_for)
        except _Stale as e:
            raise _unreachable() from e

    async def close(self) -> None:
        """Close the connections that nobody uses, and keep none from now on."""
        self._first_bytes.close()
        await self._connections.close()

    async def _once(self, outgoing: Outgoing, wait_for: WaitFor) -> Response:
        connection = self._connections.idle()
        reused = connection is not None
        limit = _Limit()
        wait = 0
        try:
            if connection is None:
                wait = self._first_bytes.begin(limit.fire)
                connection = await wait_for(limit.on(_cancelled_at_once(self._connections.new())))
            asked = limit.on(self._ask(connection, outgoing))
            wait = wait or self._first_bytes.begin(limit.fire)
            answer = await wait_for(asked)
        except CancelledError:
            if limit.fired:
                raise self._no_first_byte() from None
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
        finally:
            self._first_bytes.end(wait)
        if isinstance(answer, Answer):
            return Response(
                status=answer.code,
                phrase=answer.phrase,
                headers=answer.fields,
                length=answer.length,
                begun=answer.begun,
                deliver=answer.deliver,
            )
        if answer.code not in _STATUSES:
            answer.deliverBody(Unwanted())
            raise UpstreamUnreachable(
                "The provider's answer is not HTTP: there is no such status as its."
            )
        return _response_from(answer, outgoing.method)

    def _ask(self, connection: Connection, outgoing: Outgoing) -> Deferred[Any]:
        body, method = outgoing.body, outgoing.method
        persistent = self._connections.persistent
        head = request_head(
            method=method,
            target=outgoing.target,
            host=self._origin.host,
            headers=outgoing.headers,
            length=len(body) if body or method in _WITH_BODY else None,
            persistent=persistent,
        )
        return connection.ask(Sent(method, persistent), head, body)

    def _no_first_byte(self) -> UpstreamTimedOut:
        return UpstreamTimedOut(
            "The provider did not begin to answer within "
            f"{format_duration(self._first_byte_seconds)} (limits.first_byte)."
        )


class _Limit:
    """Cancels what is being waited for when it fires."""

    __slots__ = ("_work", "fired")

    def __init__(self) -> None:
        self.fired = False
        self._work: Deferred[Any] | None = None

    def on(self, work: Deferred[T]) -> Deferred[T]:
        """Return `work`, which is waited for from now on."""
        self._work = work
        return work

    def fire(self) -> None:
        """Cancel it."""
        self.fired = True
        if self._work is not None:
            self._work.cancel()


async def _wait_for(work: Deferred[T]) -> T:
    return await work


_STATUSES = range(200, 600)
"""Of answers. What comes with 1xx is passed over by Twisted: one of these has to follow in time."""
_WITH_BODY = frozenset({b"POST", b"PUT", b"PATCH"})


class _Stale(Exception):  # noqa: N818 - not an error yet
    """A connection that had been used before died before any byte of an answer."""


def _unreachable() -> UpstreamUnreachable:
    return UpstreamUnreachable("The provider cannot be reached, or broke off before it answered.")


def _before_any_byte(error: BaseException) -> bool:
    return isinstance(error, ResponseNeverReceived | RequestTransmissionFailed | RequestNotSent)


def _cancelled_at_once(sending: Deferred[T]) -> Deferred[T]:
    """Return a Deferred with `sending`'s result that fails with CancelledError when cancelled.

    Twisted has other words for it: an unknown host name, a failed connection.
    """
    cancelled = False

    def cancel(_: Deferred[T]) -> None:
        nonlocal cancelled
        cancelled = True
        sending.cancel()

    def settle(result: Any) -> None:
        if not cancelled:
            outer.callback(result)

    outer: Deferred[T] = Deferred(cancel)
    sending.addBoth(settle)
    return outer


def _response_from(response: Any, method: bytes) -> Response:
    headers: list[Header] = [
        (name.lower(), value)
        for name, values in response.headers.getAllRawHeaders()
        for value in values
    ]
    # Twisted reads no body after a HEAD and keeps no length either: better none than a wrong one.
    unknown = method == b"HEAD" or response.length == UNKNOWN_LENGTH
    return Response(
        status=response.code,
        phrase=response.phrase,
        headers=headers,
        length=None if unknown else response.length,
        deliver=response.deliverBody,
    )
