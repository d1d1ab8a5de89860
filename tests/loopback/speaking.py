"""A gateway, its upstream and its clients, which all speak one API."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, ClassVar

from bridge.domain.identity import Secret
from bridge.providers.anthropic import Anthropic
from bridge.providers.copilot import Copilot
from bridge.providers.interface import Provider
from bridge.providers.openai import OpenAi
from tests.loopback.speech import Speech
from tests.support.gateway import TOKEN, GatewayTestCase
from tests.support.rawclient import RawClient, RawResponse, raw_request

Headers = Sequence[tuple[bytes, bytes]]

_EVENT = re.compile(rb"(?:event: ([^\n]*)\n)?data: ([^\n]*)\n\n")


class SpeakingTestCase(GatewayTestCase):
    """Says everything in the words of `speech`."""

    speech: ClassVar[Speech]

    def provider(self, base_url: str, keys: Sequence[Secret]) -> Provider:
        name = self.speech.provider
        match name:
            case "openai":
                return OpenAi(name=name, base_url=base_url + "/v1", keys=keys)
            case "copilot":
                return Copilot(name=name, base_url=base_url, keys=keys)
            case _:
                return Anthropic(name=name, base_url=base_url, keys=keys)

    def path(self, rest: bytes) -> bytes:
        """Return the path of `rest` at the provider."""
        return b"/%b%b" % (self.speech.provider.encode(), rest)

    def request(
        self,
        body: bytes | None = None,
        *,
        method: bytes = b"POST",
        target: bytes | None = None,
        headers: Headers = (),
        token: str | None = TOKEN,
    ) -> bytes:
        """Return a request of the API, for a document unless `body` says otherwise."""
        body = self.speech.ask if body is None else body
        every = list(headers)
        if token is not None:
            every.append((self.speech.key_header, self.presented(token)))
        if body:
            every.append((b"content-type", b"application/json"))
        return raw_request(method, target or self.path(self.speech.target), body, every)

    def presented(self, token: str) -> bytes:
        """Return the value of the header in which the API's clients send `token` as their key."""
        bearer = self.speech.key_header == b"authorization"
        return (b"Bearer " if bearer else b"") + token.encode()

    def headed(self, *lines: bytes, token: str | None = TOKEN) -> bytes:
        """Return the head of a request with `lines` added; only they can speak of a body."""
        more = b"".join(b"\r\n" + line for line in lines)
        return self.request(b"", token=token).replace(b"\r\n\r\n", more + b"\r\n\r\n")

    async def ask(
        self,
        body: bytes | None = None,
        *,
        method: bytes = b"POST",
        target: bytes | None = None,
        headers: Headers = (),
        token: str | None = TOKEN,
        client: RawClient | None = None,
    ) -> Any:
        """Send one request and return its whole answer."""
        connection = client if client is not None else await self.connect()
        connection.reader.expect_no_body(method == b"HEAD")
        connection.send(
            self.request(body, method=method, target=target, headers=headers, token=token)
        )
        return await connection.response()

    async def ask_stream(self, **how: Any) -> Any:
        """Ask for a stream and return the whole answer."""
        return await self.ask(self.speech.ask_stream, **how)

    def assert_error(self, response: RawResponse, status: int, kind: str) -> str:
        """Check an error of ours that is the whole answer; return its sentence."""
        self.assertEqual(response.status, status, response.body)
        self.assertEqual(response.header(b"content-type"), b"application/json")
        self.assertEqual(response.header(b"x-content-type-options"), b"nosniff")
        told = json.loads(response.body)
        message = self.assert_members(told["error"], kind)
        identifier = response.header(b"x-aibridge-request-id")
        assert identifier is not None
        if self.speech.provider == "anthropic":
            beside = {"type": "error", "request_id": identifier.decode()}
        else:
            beside = {}
        self.assertEqual({**told, "error": None}, {**beside, "error": None})
        return message

    def assert_error_event(self, rest: bytes, kind: str) -> str:
        """Check that `rest` is one whole error event of ours; return its sentence."""
        match = _EVENT.fullmatch(rest)
        assert match is not None, rest
        self.assertEqual(match[1] or b"", self.speech.error_name)
        return self.assert_members(json.loads(match[2])["error"], kind)

    def assert_members(self, error: dict[str, object], kind: str) -> str:
        message = error.pop("message")
        assert isinstance(message, str), message
        self.assertEqual(error, self.speech.error(kind))
        self.assertTrue(message.endswith("."), message)
        return message
