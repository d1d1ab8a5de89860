"""Bad input: a defined status in the caller's shape, and the connection goes on working."""

from __future__ import annotations

from twisted.internet.defer import Deferred, DeferredList

from bridge.web.channel import SiteLimits
from tests.loopback import bad_input
from tests.loopback.speech import MESSAGES
from tests.support.fakes import Send, answer
from tests.support.gateway import MIB


class BodyTests(bad_input.BodyCases):
    speech = MESSAGES


class LengthTests(bad_input.LengthCases):
    speech = MESSAGES


class HeaderTests(bad_input.HeaderCases):
    speech = MESSAGES


class SwitchedOffTests(bad_input.SwitchedOffCases):
    speech = MESSAGES


class NoOwnKeysTests(bad_input.NoOwnKeysCases):
    speech = MESSAGES


class StrangersTests(bad_input.BadInputCases):
    speech = MESSAGES
    body_memory_bytes = 8 * MIB

    async def test_strangers_with_large_bodies_take_no_memory(self) -> None:
        await self.start([Send(answer(self.speech.document))])
        clients = [await self.connect() for _ in range(100)]
        head = self.headed(b"Content-Length: 2000000", token=None)

        for client in clients:
            client.send(head + b"x" * 200_000)
        responses = [await client.response() for client in clients]

        self.assertEqual({response.status for response in responses}, {401})
        self.assertEqual(self.memory.used_bytes, 0)
        # Alike refusals of one address are one row, the rest is counted.
        self.assertEqual(len(self.journal.refusals), 1)

    async def test_known_users_share_the_memory_for_bodies(self) -> None:
        await self.start([Send(answer(self.speech.document))])
        head = self.headed(b"Content-Length: 2000000")
        clients = [await self.connect() for _ in range(6)]

        for client in clients:
            client.send(head + b"x" * 1_900_000)
        # Which of them finds no room is up to the order in which their pieces come in.
        response, _ = await DeferredList(
            [Deferred.fromCoroutine(client.response()) for client in clients],
            fireOnOneCallback=True,
            consumeErrors=True,
        )

        self.assert_error(response, 503, "overloaded")
        self.assertIsNotNone(response.header(b"retry-after"))
        self.assertLessEqual(self.memory.used_bytes, self.body_memory_bytes)


class SlowClientTests(bad_input.BadInputCases):
    speech = MESSAGES
    site_limits = SiteLimits(
        request_header_seconds=0.2,
        request_body_idle_seconds=0.2,
        header_bytes=64 * 1024,
        connections=3,
        connections_per_address=2,
    )

    async def test_half_a_header_is_hung_up_on(self) -> None:
        client = await self.start_answering()
        client.send(self.headed().removesuffix(b"\r\n"))

        self.assertEqual(await client.ended(), "closed")

    async def test_half_a_body_is_hung_up_on_and_forgotten(self) -> None:
        client = await self.start_answering()
        client.send(self.headed(b"Content-Length: 500000") + b"x" * 9)

        await client.ended()

        self.assertEqual(self.memory.used_bytes, 0)
        self.assertEqual(self.upstream.requests, [])

    async def test_connections_of_one_address_are_limited(self) -> None:
        await self.start_answering()
        await self.connect()

        third = await self.connect()

        self.assertIn(await third.ended(), ("closed", "reset"))
