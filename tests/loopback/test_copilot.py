"""What can change things at Copilot is asked for with a token of one's own, or not at all."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from bridge.domain.identity import Secret
from bridge.providers.copilot import Copilot
from bridge.providers.interface import Provider
from tests.support.fakes import Send, answer
from tests.support.gateway import TOKEN, GatewayTestCase

ORGANISATIONS = "gho_the-organisations-own-token"
BEARER = ((b"Authorization", b"Bearer " + TOKEN.encode()),)
OWN = b"Bearer gho_their-own-token"
OWN_TOKEN = ((b"X-AI-Bridge-Token", TOKEN.encode()), (b"Authorization", OWN))

Headers = Sequence[tuple[bytes, bytes]]


class CopilotCase(GatewayTestCase):
    """A gateway in front of Copilot, for which the organisation has a token, too."""

    keys = (ORGANISATIONS,)

    def provider(self, base_url: str, keys: Sequence[Secret]) -> Provider:
        return Copilot(name="copilot", base_url=base_url, keys=keys)

    async def asked(
        self, path: bytes, method: bytes = b"POST", *, headers: Headers = BEARER
    ) -> Any:
        await self.start([Send(answer(b"{}"))])
        body = b"" if method in (b"GET", b"DELETE") else b'{"state":"enabled"}'
        target = b"/copilot" + path
        return await self.ask(body, target=target, method=method, headers=headers, token=None)


class OrganisationsTokenTests(CopilotCase):
    """Nobody acts in the organisation's name here."""

    async def refused(self, path: bytes, method: bytes = b"POST") -> None:
        response = await self.asked(path, method)

        self.assertEqual(response.status, 401)
        message = json.loads(response.body)["error"]["message"]
        self.assertIn("a credential of your own", message)
        self.assertEqual(self.upstream.requests, [])
        self.assertEqual(self.admission.in_flight, 0)

    async def test_accepting_a_models_policy(self) -> None:
        await self.refused(b"/models/gpt-5/policy")

    async def test_changing_a_model(self) -> None:
        await self.refused(b"/models/gpt-5", b"PATCH")

    async def test_setting_an_agent_to_work(self) -> None:
        await self.refused(b"/agents/swe/jobs/acme/site")

    async def test_looking_at_an_agents_work(self) -> None:
        await self.refused(b"/agents/sessions", b"GET")

    async def test_stopping_an_agent(self) -> None:
        await self.refused(b"/agents/sessions/1", b"DELETE")

    async def test_calling_a_tool(self) -> None:
        await self.refused(b"/mcp/readonly")

    async def test_listening_to_tools(self) -> None:
        await self.refused(b"/mcp/x", b"GET")

    async def test_replacing_something_of_a_tool(self) -> None:
        await self.refused(b"/mcp/x/y", b"PUT")

    async def listed(self, path: bytes) -> None:
        response = await self.asked(path, b"GET")

        self.assertEqual(response.status, 200)
        (sent,) = self.upstream.requests
        self.assertEqual(sent.target, path)
        self.assertEqual(sent.header(b"authorization"), b"Bearer " + ORGANISATIONS.encode())

    async def test_listing_models(self) -> None:
        await self.listed(b"/models")

    async def test_looking_at_a_model(self) -> None:
        await self.listed(b"/models/gpt-5")


class OwnTokenTests(CopilotCase):
    """With a token of one's own, everything goes in one's own name."""

    async def passed(self, path: bytes, method: bytes = b"POST") -> None:
        response = await self.asked(path, method, headers=OWN_TOKEN)

        self.assertEqual(response.status, 200)
        (sent,) = self.upstream.requests
        self.assertEqual((sent.target, sent.header(b"authorization")), (path, OWN))
        self.assertNotIn(TOKEN.encode(), sent.head)
        self.assertEqual(self.journal.started.credential_kind, "byok")

    async def test_accepting_a_models_policy(self) -> None:
        await self.passed(b"/models/gpt-5/policy")

    async def test_setting_an_agent_to_work(self) -> None:
        await self.passed(b"/agents/swe/jobs/acme/site")

    async def test_calling_a_tool(self) -> None:
        await self.passed(b"/mcp/readonly")

    async def test_listing_models(self) -> None:
        await self.passed(b"/models", b"GET")
