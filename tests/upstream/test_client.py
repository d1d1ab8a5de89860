"""What is said of a request that had to be sent twice."""

from __future__ import annotations

from typing import Any

from structlog.testing import capture_logs
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from bridge.upstream.client import Outgoing, Response, Unwanted, UpstreamClient
from tests.support.fakes import FakeUpstream, Received, Reset, Send, Step, answer


class Discarding(Unwanted):
    """Takes a body to its end, so that the connection is used again."""

    def __init__(self) -> None:
        self.done: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        pass

    def connectionLost(self, reason: object = None) -> None:
        self.done.callback(None)


class DeadConnectionTests(TestCase):
    """Real TCP, because a pool's idle connection has to die."""

    timeout = 10

    async def test_log_names_the_path_and_no_query_where_a_key_may_be(self) -> None:
        def script(received: Received) -> list[Step]:
            if received.connection == 0 and len(upstream.requests) == 2:
                return [Reset()]
            return [Send(answer(b"{}"))]

        upstream = FakeUpstream(reactor, script)
        await upstream.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(upstream.stop()))
        client = self.client_of(upstream)
        await self.ask(client)

        with capture_logs() as entries:
            response = await self.ask(client)

        self.assertEqual((response.status, upstream.connections), (200, 2))
        (entry,) = entries
        self.assertEqual(entry["path"], "/v1/models")
        self.assertNotIn("t0psecret", repr(entries))

    def client_of(self, upstream: FakeUpstream) -> UpstreamClient:
        client = UpstreamClient(
            origin=upstream.url,
            reactor=reactor,
            connect_seconds=5.0,
            first_byte_seconds=5.0,
            keepalive_seconds=30.0,
        )
        self.addCleanup(lambda: Deferred.fromCoroutine(client.close()))
        return client

    async def ask(self, client: UpstreamClient) -> Response:
        target = b"/v1/models?key=t0psecret"
        response = await client.send(Outgoing(method=b"GET", target=target, headers=(), body=b""))
        body: Any = Discarding()
        response.deliver(body)
        await body.done
        return response
