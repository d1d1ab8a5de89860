"""A port that is closed: who has connected is served, who comes later is not."""

from __future__ import annotations

import socket

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from bridge.listening import close_port

GREETING = b"welcome"
WAITING = 7
SECONDS = 20.0


class Greeter(Protocol):
    def connectionMade(self) -> None:
        self.transport.write(GREETING)
        self.transport.loseConnection()


class ClosePortTests(TestCase):
    async def test_who_has_connected_is_served(self) -> None:
        port = reactor.listenTCP(0, Factory.forProtocol(Greeter), interface="127.0.0.1")  # type: ignore[attr-defined]
        address = ("127.0.0.1", port.getHost().port)
        # The kernel makes these connections; the reactor has no turn in which to take them.
        waiting = [socket.create_connection(address, SECONDS) for _ in range(WAITING)]
        for each in waiting:
            self.addCleanup(each.close)

        await close_port(port, reactor)

        for each in waiting:
            self.assertEqual(await deferToThread(each.recv, 100), GREETING)
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection(address, SECONDS)

    async def test_who_connects_while_it_is_closed_is_refused_and_not_dropped(self) -> None:
        port = reactor.listenTCP(0, Factory.forProtocol(Greeter), interface="127.0.0.1")  # type: ignore[attr-defined]
        address = ("127.0.0.1", port.getHost().port)

        closing = Deferred.fromCoroutine(close_port(port, reactor))
        with socket.socket() as late:
            late.settimeout(SECONDS)
            connecting = deferToThread(late.connect, address)
            await closing

            await self.assertFailure(connecting, ConnectionRefusedError)

    async def test_a_unix_socket_is_closed_alike(self) -> None:
        path = self.mktemp()
        port = reactor.listenUNIX(path, Factory.forProtocol(Greeter))  # type: ignore[attr-defined]
        client = socket.socket(socket.AF_UNIX)
        self.addCleanup(client.close)
        client.settimeout(SECONDS)
        client.connect(path)

        await close_port(port, reactor)

        self.assertEqual(await deferToThread(client.recv, 100), GREETING)
