"""A TCP load balancer in this process' reactor: who refuses a connection is passed over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.error import ConnectError
from twisted.internet.protocol import Protocol, ServerFactory, connectionDone
from twisted.python.failure import Failure

_CONNECT_SECONDS = 5


class Balancer:
    """Gives each connection to the next of some loopback ports; bytes pass as they are."""

    def __init__(self, ports: Sequence[int]) -> None:
        """Balance between `ports`, from `start` on."""
        self.ports = list(ports)
        self.served = dict.fromkeys(ports, 0)
        """How many connections each has got."""
        self.refused = 0
        """How many connections were taken by another than the one whose turn it was."""
        self._turn = 0
        self._listening: Any = None

    @property
    def port(self) -> int:
        """Where clients connect."""
        return int(self._listening.getHost().port)

    def start(self) -> None:
        """Listen."""
        factory: Any = ServerFactory()
        factory.noisy = False
        factory.protocol = lambda: _Front(self)
        self._listening = reactor.listenTCP(0, factory, backlog=500, interface="127.0.0.1")

    async def stop(self) -> None:
        """Listen no more."""
        await self._listening.stopListening()

    def turn(self) -> list[int]:
        """Return the ports in the order in which they are tried now."""
        self._turn += 1
        first = self._turn % len(self.ports)
        return [*self.ports[first:], *self.ports[:first]]


class _Front(Protocol):
    """A client's connection."""

    transport: Any

    def __init__(self, balancer: Balancer) -> None:
        self._balancer = balancer
        self._back: _Back | None = None
        self._connecting: Deferred[Any] | None = None

    def connectionMade(self) -> None:
        self.transport.setTcpNoDelay(True)
        self.transport.pauseProducing()
        self._connecting = Deferred.fromCoroutine(self._connect())
        self._connecting.addErrback(lambda failure: failure.trap(CancelledError))

    def dataReceived(self, data: bytes) -> None:
        assert self._back is not None
        self._back.transport.write(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._back is not None:
            self._back.transport.loseConnection()
        elif self._connecting is not None:
            self._connecting.cancel()

    async def _connect(self) -> None:
        for port in self._balancer.turn():
            endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port, timeout=_CONNECT_SECONDS)
            try:
                self._back = await connectProtocol(endpoint, _Back(self.transport))
            except ConnectError:
                self._balancer.refused += 1
                continue
            self._balancer.served[port] += 1
            self.transport.registerProducer(self._back.transport, streaming=True)
            self._back.transport.registerProducer(self.transport, streaming=True)
            self.transport.resumeProducing()
            return
        self.transport.abortConnection()


class _Back(Protocol):
    """The connection behind it."""

    transport: Any

    def __init__(self, front: Any) -> None:
        self._front = front

    def connectionMade(self) -> None:
        self.transport.setTcpNoDelay(True)

    def dataReceived(self, data: bytes) -> None:
        self._front.write(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._front.unregisterProducer()
        self._front.loseConnection()
