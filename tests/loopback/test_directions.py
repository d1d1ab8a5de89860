"""Who asks in the wrong way is told the right one. On real TCP, where whole answers are made."""

from __future__ import annotations

import json
from typing import Any

from tests.support.fakes import Send, answer
from tests.support.gateway import MANAGE_TOKEN, TOKEN
from tests.support.openai_gateway import CHAT, CHAT_TARGET, ORGANISATIONS, OpenAiCase

KEY = b"sk-their-own-key"


class DirectionTests(OpenAiCase):
    async def setUp(self) -> None:
        await self.start([Send(answer(b"{}"))])

    async def refused(self, status: int, **asked: Any) -> str:
        """Return the sentence with which a request is refused; nothing goes upstream."""
        reply = await self.ask(**asked)
        self.assertEqual(reply.status, status, reply.body)
        self.assertEqual(self.upstream.requests, [])
        body = json.loads(reply.body)
        return str(body["error"]["message"] if "error" in body else body["message"])

    async def test_a_path_without_a_providers_name(self) -> None:
        for target in (b"/v1/models", b"/opnai/v1/chat/completions", b"/"):
            message = await self.refused(404, method=b"GET", body=b"", target=target)

            self.assertIn("Paths begin with a provider's name, such as /openai/v1.", message)

    async def test_a_path_that_the_provider_does_not_have(self) -> None:
        message = await self.refused(404, target=b"/openai/v1/complete")

        self.assertIn("base URL has to end in /openai/v1.", message)

    async def test_a_token_for_management(self) -> None:
        message = await self.refused(403, target=CHAT_TARGET, token=MANAGE_TOKEN)

        self.assertIn("`aibridge token create --user NAME --scope inference`", message)

    async def test_a_key_of_ones_own_in_the_wrong_header(self) -> None:
        headers = [(b"X-AI-Bridge-Token", TOKEN.encode()), (b"X-Api-Key", KEY)]

        message = await self.refused(400, target=CHAT_TARGET, token=None, headers=headers)

        self.assertIn("send it as Authorization: Bearer", message)

    async def test_a_token_as_azures_sdk_sends_it_is_taken_and_stays_here(self) -> None:
        reply = await self.ask(
            CHAT, target=CHAT_TARGET, token=None, headers=[(b"Api-Key", TOKEN.encode())]
        )

        self.assertEqual(reply.status, 200)
        self.assertEqual(self.sent().header(b"authorization"), b"Bearer " + ORGANISATIONS.encode())
        self.assertNotIn(TOKEN.encode(), self.sent().head)
        self.assertEqual(self.journal.started.credential_kind, "centralized")
