"""A gateway in front of an OpenAI-compatible upstream."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from bridge.domain.identity import Secret
from bridge.providers.interface import Provider
from bridge.providers.openai import OpenAi
from tests.support.fakes import Received
from tests.support.gateway import TOKEN, GatewayTestCase

ORGANISATIONS = "sk-proj-the-organisations-own-key"
CHAT = b'{"model":"gpt-5","messages":[{"role":"user","content":"Hello"}]}'
ASK = b'{"model":"gpt-5","input":"Hello"}'
CHAT_TARGET = b"/openai/v1/chat/completions"
RESPONSES_TARGET = b"/openai/v1/responses"
BEARER = b"Bearer " + TOKEN.encode()
OWN_KEY = ((b"X-AI-Bridge-Token", TOKEN.encode()), (b"Authorization", b"Bearer sk-their-own-1"))

Headers = Sequence[tuple[bytes, bytes]]


def response(identifier: str, **more: object) -> bytes:
    """Return a document of the Responses API."""
    return json.dumps(
        {"id": identifier, "object": "response", "status": "completed", "output": [], **more}
    ).encode()


class OpenAiCase(GatewayTestCase):
    """A gateway in front of an OpenAI-compatible upstream."""

    keys = (ORGANISATIONS,)
    account: ClassVar[Mapping[str, str]] = {}

    def provider(self, base_url: str, keys: Sequence[Secret]) -> Provider:
        return OpenAi(name="openai", base_url=base_url + "/v1", keys=keys, **self.account)

    async def send(
        self,
        body: bytes = CHAT,
        *,
        target: bytes = CHAT_TARGET,
        headers: Headers = (),
        method: bytes = b"POST",
    ) -> Any:
        """Ask with the token as a bearer token."""
        every = [(b"Authorization", BEARER), *headers]
        return await self.ask(body, target=target, method=method, headers=every, token=None)

    def sent(self) -> Received:
        """Return the request that upstream got last."""
        return self.upstream.requests[-1]
