"""What waits for what on one connection: heads for bodies, and limits only for what is missing."""

from __future__ import annotations

from bridge.web.channel import SiteLimits
from tests.loopback.speech import MESSAGES
from tests.support.fakes import Hold, Send, answer
from tests.support.gateway import ASK, GatewayTestCase, request


class HeadTests(GatewayTestCase):
    async def test_the_head_of_a_document_comes_although_its_body_dawdles(self) -> None:
        head, end, body = answer(MESSAGES.document).partition(b"\r\n\r\n")
        await self.start([Send(head + end), Hold(), Send(body)])
        client = await self.connect()
        client.send(request(ASK))

        response = await client.begun()
        self.assertEqual((response.status, response.body), (200, b""))

        self.upstream.release()
        response = await client.response()
        self.assertEqual((response.body, response.end), (MESSAGES.document, "clean"))

    async def test_a_document_without_a_byte_has_a_head(self) -> None:
        await self.start([Send(answer(b""))])

        response = await self.ask()

        self.assertEqual((response.status, response.body, response.end), (200, b"", "clean"))


class SecondRequestTests(GatewayTestCase):
    site_limits = SiteLimits(
        request_header_seconds=0.2,
        request_body_idle_seconds=0.2,
        header_bytes=64 * 1024,
        connections=3,
        connections_per_address=3,
    )

    async def test_half_a_line_is_hung_up_on(self) -> None:
        await self.start([Send(answer(MESSAGES.document))])
        client = await self.connect()
        await self.ask(client=client)

        client.send(b"POST /anthropic/v1/mess")

        self.assertEqual(await client.ended(), "closed")

    async def test_half_a_header_is_hung_up_on(self) -> None:
        await self.start([Send(answer(MESSAGES.document))])
        client = await self.connect()
        await self.ask(client=client)

        client.send(b"POST /anthropic/v1/messages HTTP/1.1\r\nHost: x\r\n")

        self.assertEqual(await client.ended(), "closed")

    async def test_half_a_body_is_hung_up_on(self) -> None:
        await self.start([Send(answer(MESSAGES.document))])
        client = await self.connect()
        await self.ask(client=client)

        client.send(request(ASK)[:-10])

        await client.ended()
        self.assertEqual(len(self.upstream.requests), 1)
        self.assertEqual(self.memory.used_bytes, 0)

    async def test_an_answer_may_take_longer_than_a_request(self) -> None:
        await self.start([Hold(), Send(answer(MESSAGES.document))])
        client = await self.connect()
        client.send(request(ASK))
        await self.upstream.requested()
        self.reactor.callLater(0.5, self.upstream.release)

        response = await client.response()

        self.assertEqual((response.body, response.end), (MESSAGES.document, "clean"))
