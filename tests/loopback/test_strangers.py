"""What somebody without a token, or with a key in the wrong place, cannot do."""

from __future__ import annotations

from bridge.domain.records import InterceptionStarted
from bridge.web.addresses import ClientAddresses
from bridge.web.arrivals import RequestHead
from tests.loopback.speech import MESSAGES
from tests.support.fakes import Send, answer
from tests.support.gateway import ASK, MIB, TOKEN, GatewayTestCase, request


class MemoryTests(GatewayTestCase):
    body_memory_bytes = 2 * MIB

    async def test_a_probe_with_a_body_keeps_nothing(self) -> None:
        await self.start([Send(answer(MESSAGES.document))])
        for target in (b"/anthropic/", b"/anthropic/api/hello"):
            response = await self.ask(b"x" * MIB, method=b"HEAD", target=target, token=None)
            self.assertEqual(response.status, 413)

        self.assertEqual(self.memory.used_bytes, 0)
        self.assertEqual((await self.ask()).status, 200)

    async def test_a_health_check_with_a_body_gives_its_memory_back(self) -> None:
        await self.start([Send(answer(MESSAGES.document))])
        client = await self.connect()
        for _ in range(20):
            response = await self.ask(
                b"x" * 200_000, method=b"GET", target=b"/healthz", token=None, client=client
            )
            self.assertEqual(response.status, 200)

        self.assertEqual(self.memory.used_bytes, 0)
        self.assertEqual((await self.ask()).status, 200)


class RecordTests(GatewayTestCase):
    async def test_a_token_where_none_belongs_is_not_recorded(self) -> None:
        await self.start([Send(answer(MESSAGES.document))])

        await self.ask(
            ASK.replace(b"claude-sonnet-5", TOKEN.encode()),
            headers=[(b"user-agent", b"curl " + TOKEN.encode())],
        )

        (started,) = self.journal.of(InterceptionStarted)
        self.assertNotIn(TOKEN, repr(started))
        self.assertTrue(started.user_agent.startswith("curl aib_"))


class AddressTests(GatewayTestCase):
    def address(self, *lines: bytes) -> str:
        head = RequestHead(
            method=b"GET",
            target=b"/",
            headers=[(b"x-forwarded-for", line) for line in lines],
            length=0,
            peer="192.0.2.1",
        )
        return ClientAddresses(behind_proxy=True).of(head)

    def test_what_the_client_wrote_before_the_proxy_does_not_count(self) -> None:
        self.assertEqual(self.address(b"6.6.6.6, 198.51.100.7"), "198.51.100.7")
        self.assertEqual(self.address(b"6.6.6.6", b"198.51.100.7"), "198.51.100.7")

    def test_without_a_word_of_the_proxy_it_is_the_connection(self) -> None:
        self.assertEqual(self.address(), "192.0.2.1")


class DrainTests(GatewayTestCase):
    async def test_the_next_answer_ends_the_connection(self) -> None:
        await self.start([Send(answer(MESSAGES.document))])
        client = await self.connect()
        self.assertEqual((await self.ask(client=client)).header(b"connection"), None)

        self.site.draining = self.admission.draining = True
        client.send(request(ASK))
        response = await client.response()

        self.assertEqual((response.status, response.header(b"connection")), (200, b"close"))
        self.assertEqual(await client.ended(), "closed")
