"""The network between an UpstreamClient and an upstream, on real TCP: proxies, and a case for both.

The proxy tunnels, whatever host is named, to one port of this machine. Proxies with bad manners are
a `FakeUpstream` with a script: CONNECT is a request without a body.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from OpenSSL import crypto
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from bridge.domain.errors import BridgeError
from bridge.upstream.client import Outgoing, Response, UpstreamClient
from bridge.upstream.proxy import Proxy
from bridge.upstream.trust import policy_trusting
from bridge.wire.headers import Header
from tests.support.certificates import Issued, SecureListening
from tests.support.fakes import FakeUpstream, Script

OPENED = b"HTTP/1.1 200 Connection established\r\n\r\n"
_END = b"\r\n\r\n"


class FakeProxy:
    """Opens a tunnel for every CONNECT, and keeps what it was asked and what went through."""

    def __init__(self, reactor: Any, *, to_port: int, opened: bytes = OPENED) -> None:
        """Listen later, in start().

        Args:
            reactor: the real one.
            to_port: where every tunnel ends, on loopback.
            opened: what it answers when the tunnel is there.
        """
        self.reactor = reactor
        self.to_port = to_port
        self.opened = opened
        self.port = 0
        self.asked: list[bytes] = []
        """The head of each CONNECT, without the blank line."""
        self.sent = bytearray()
        """What clients sent into their tunnels."""
        self.closed = 0
        """Tunnels that have ended."""
        self._open: list[_Client] = []
        self._waiting: list[tuple[Callable[[], bool], Deferred[None]]] = []
        self._listening: Any = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> int:
        """Listen on an ephemeral loopback port and return it."""
        factory = Factory.forProtocol(_Client)
        factory.noisy = False
        factory.proxy = self  # type: ignore[attr-defined]
        self._listening = self.reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.port = self._listening.getHost().port
        return self.port

    async def stop(self) -> None:
        """Stop listening, drop every tunnel, and wait until they are gone."""
        await self._listening.stopListening()
        for client in tuple(self._open):
            client.transport.abortConnection()
        await self.until(lambda: not self._open)

    async def until(self, met: Callable[[], bool]) -> None:
        """Wait until `met()`, looked at whenever a tunnel was asked for, used or ended."""
        if not met():
            waiting: Deferred[None] = Deferred()
            self._waiting.append((met, waiting))
            await waiting

    def wake(self) -> None:
        """Look at what is waited for."""
        met = [entry for entry in self._waiting if entry[0]()]
        self._waiting = [entry for entry in self._waiting if entry not in met]
        for _, waiting in met:
            waiting.callback(None)

    def came(self, client: _Client) -> None:
        self._open.append(client)

    def went(self, client: _Client) -> None:
        self._open.remove(client)
        self.closed += 1
        self.wake()


class _Client(Protocol):
    transport: Any
    factory: Any

    def connectionMade(self) -> None:
        self.transport.setTcpNoDelay(True)
        self._proxy: FakeProxy = self.factory.proxy
        self._proxy.came(self)
        self._head = b""
        self._far: Any = None
        self._opening: Deferred[Any] | None = None

    def dataReceived(self, data: bytes) -> None:
        if self._far is not None:
            self._proxy.sent += data
            self._far.transport.write(data)
            self._proxy.wake()
            return
        self._head += data
        head, blank, rest = self._head.partition(_END)
        if blank:
            assert not rest, "bytes before the tunnel was open"
            self._proxy.asked.append(head)
            self._proxy.wake()
            self._open()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._opening is not None:
            self._opening.cancel()
        if self._far is not None:
            self._far.transport.loseConnection()
        self._proxy.went(self)

    def _open(self) -> None:
        endpoint = TCP4ClientEndpoint(self._proxy.reactor, "127.0.0.1", self._proxy.to_port)
        self._opening = connectProtocol(endpoint, _Far(self.transport))
        self._opening.addCallbacks(self._opened, self._refused)

    def _opened(self, far: _Far) -> None:
        self._opening = None
        self._far = far
        self.transport.write(self._proxy.opened)

    def _refused(self, _: Failure) -> None:
        self._opening = None
        self.transport.abortConnection()


class _Far(Protocol):
    """The tunnel's other end."""

    transport: Any

    def __init__(self, near: Any) -> None:
        self._near = near

    def connectionMade(self) -> None:
        self.transport.setTcpNoDelay(True)

    def dataReceived(self, data: bytes) -> None:
        self._near.write(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._near.loseConnection()


class Reading(Protocol):
    """Keeps an answer's body, piece by piece."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.whole: Deferred[bytes] = Deferred()
        """Fires with the body when it has ended, however."""
        self._waiting: list[tuple[bytes, Deferred[None]]] = []

    def dataReceived(self, data: bytes) -> None:
        self.pieces.append(data)
        body = b"".join(self.pieces)
        met = [entry for entry in self._waiting if entry[0] in body]
        self._waiting = [entry for entry in self._waiting if entry not in met]
        for _, waiting in met:
            waiting.callback(None)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.whole.callback(b"".join(self.pieces))

    async def until(self, marker: bytes) -> None:
        """Wait until the body holds `marker`."""
        if marker not in b"".join(self.pieces):
            waiting: Deferred[None] = Deferred()
            self._waiting.append((marker, waiting))
            await waiting


class NetworkCase(TestCase):
    """Needs the real reactor: how connections are made, kept and dropped is what matters."""

    timeout = 20
    connect_seconds = 5.0
    first_byte_seconds = 10.0
    keepalive_seconds = 30.0

    async def serve(self, script: Script, issued: Issued | None = None, **options: Any) -> None:
        """Start `self.upstream`; it speaks TLS if there is a certificate to show."""
        self.listening = SecureListening(reactor, issued) if issued is not None else None
        self.upstream = FakeUpstream(self.listening or reactor, script, **options)
        await self.upstream.start()
        self._stopped_at_the_end(self.upstream)

    async def start_proxy(self, **options: Any) -> FakeProxy:
        """Return a proxy that tunnels to `self.upstream`."""
        proxy = FakeProxy(reactor, to_port=self.upstream.port, **options)
        await proxy.start()
        self._stopped_at_the_end(proxy)
        return proxy

    async def start_bad_proxy(self, script: Script, **options: Any) -> FakeUpstream:
        """Return what listens where a proxy should, and does as `script` says."""
        proxy = FakeUpstream(reactor, script, **options)
        await proxy.start()
        self._stopped_at_the_end(proxy)
        return proxy

    def new_client(
        self,
        origin: str,
        *,
        trusting: Sequence[Issued] = (),
        proxy: str = "",
        bypass: Sequence[str] = (),
    ) -> UpstreamClient:
        """Return a client of `origin` that ends with the test.

        Args:
            origin: scheme, host and port.
            trusting: whose certificates are trusted besides the system's.
            proxy: the URL of one, if any.
            bypass: what is reached without it.
        """
        certificates = [crypto.X509.from_cryptography(each.certificate) for each in trusting]
        client = UpstreamClient(
            origin=origin,
            reactor=reactor,
            connect_seconds=self.connect_seconds,
            first_byte_seconds=self.first_byte_seconds,
            keepalive_seconds=self.keepalive_seconds,
            tls=policy_trusting(certificates),
            proxy=Proxy(url=proxy, bypass=bypass) if proxy else None,
        )
        self.addCleanup(lambda: Deferred.fromCoroutine(client.close()))
        return client

    async def ask(self, client: UpstreamClient, **options: Any) -> bytes:
        """Send one request; return the body of the answer, which must be a 200."""
        response = await client.send(outgoing(**options))
        self.assertEqual(response.status, 200)
        return await read(response).whole

    async def refused(self, client: UpstreamClient, error: type[BridgeError]) -> tuple[str, str]:
        """Send one request that must fail; return what the client is told, and what the log."""
        try:
            await client.send(outgoing())
        except error as e:
            return e.message, repr(e.__cause__)
        raise AssertionError("it did not fail")

    def _stopped_at_the_end(self, server: FakeProxy | FakeUpstream) -> None:
        self.addCleanup(lambda: Deferred.fromCoroutine(server.stop()))


def outgoing(content: bytes = b"", headers: Sequence[Header] = ()) -> Outgoing:
    """Return a POST of `content`."""
    return Outgoing(method=b"POST", target=b"/v1/x", headers=headers, body=content)


def read(response: Response) -> Reading:
    """Begin to read the body of `response`."""
    reading = Reading()
    response.deliver(reading)
    return reading
