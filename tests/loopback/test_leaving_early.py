"""A client that leaves while its request is on its way to the provider is nobody's fault."""

from __future__ import annotations

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from bridge.upstream.client import Outgoing, Response, UpstreamClient


class LeavingEarlyTests(TestCase):
    """Needs the real reactor: how a connection is being made is what matters."""

    timeout = 20

    def setUp(self) -> None:
        port = reactor.listenTCP(0, Factory.forProtocol(Protocol), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        self.client = UpstreamClient(
            origin=f"http://127.0.0.1:{port.getHost().port}",
            reactor=reactor,
            connect_seconds=5.0,
            first_byte_seconds=5.0,
            keepalive_seconds=0.0,
        )
        self.addCleanup(lambda: Deferred.fromCoroutine(self.client.close()))

    def send(self) -> Deferred[Response]:
        outgoing = Outgoing(method=b"GET", target=b"/v1/models", headers=(), body=b"")
        return Deferred.fromCoroutine(self.client.send(outgoing))

    async def assert_cancelled(self, sending: Deferred[Response]) -> None:
        sending.cancel()

        with self.assertRaises(CancelledError):
            await sending

    async def test_before_the_host_is_looked_up(self) -> None:
        await self.assert_cancelled(self.send())

    async def test_while_the_connection_is_being_made(self) -> None:
        sending = self.send()
        await deferLater(reactor, 0.0)

        await self.assert_cancelled(sending)
