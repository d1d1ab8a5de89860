"""A request on a kept connection: what is said when it is sent twice, and how long it waits."""

from __future__ import annotations

from typing import Any

from structlog.testing import capture_logs
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from bridge.domain.errors import UpstreamTimedOut
from bridge.upstream.client import Outgoing, Response, Unwanted, UpstreamClient
from tests.support.fakes import FakeUpstream, Hold, Received, Reset, Send, Step, answer


class Discarding(Unwanted):
    """Takes a body to its end, so that the connection is used again."""

    def __init__(self) -> None:
        self.done: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        pass

    def connectionLost(self, reason: object = None) -> None:
        self.done.callback(None)


class KeptConnectionTests(TestCase):
    """Real TCP, because a pool's idle connection has to die, or to fall silent."""

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

    async def test_a_kept_connection_that_falls_silent_is_given_up(self) -> None:
        def script(_: Received) -> list[Step]:
            return [Send(answer(b"{}"))] if len(upstream.requests) == 1 else [Hold()]

        upstream = FakeUpstream(reactor, script)
        await upstream.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(upstream.stop()))
        client = self.client_of(upstream, first_byte_seconds=0.2)
        await self.ask(client)

        asking = Deferred.fromCoroutine(self.ask(client))
        error = await self.assertFailure(asking, UpstreamTimedOut)

        self.assertIn("limits.first_byte", error.message)
        self.assertEqual((len(upstream.requests), upstream.connections), (2, 1))
        await upstream.left()

    def client_of(
        self, upstream: FakeUpstream, *, first_byte_seconds: float = 5.0
    ) -> UpstreamClient:
        client = UpstreamClient(
            origin=upstream.url,
            reactor=reactor,
            connect_seconds=5.0,
            first_byte_seconds=first_byte_seconds,
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
