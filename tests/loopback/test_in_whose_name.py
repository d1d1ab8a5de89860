"""What leaves for a provider says nothing that the user, or the company, did not mean to say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from tests.support.fakes import Received, Send, answer
from tests.support.gateway import ADA, TOKEN
from tests.support.openai_gateway import (
    CHAT,
    CHAT_TARGET,
    ORGANISATIONS,
    OWN_KEY,
    OpenAiCase,
)


class HygieneTests(OpenAiCase):
    async def sent_with(self, *headers: tuple[bytes, bytes]) -> Received:
        """Return what upstream gets of a request with `headers`."""
        await self.start([Send(answer(b"{}"))])
        self.assertEqual((await self.send(headers=headers)).status, 200)
        return self.sent()

    async def test_our_key_takes_the_place_of_the_token(self) -> None:
        sent = await self.sent_with()

        self.assertEqual(sent.header(b"authorization"), b"Bearer " + ORGANISATIONS.encode())
        self.assertEqual(sent.target, b"/v1/chat/completions")
        self.assertNotIn(TOKEN.encode(), sent.head)

    async def test_a_key_in_the_header_of_another_api_stays_here(self) -> None:
        """It is no credential of this provider's, and pays for nothing."""
        sent = await self.sent_with((b"X-Api-Key", b"sk-ant-a-key-of-another-vendor"))

        self.assertNotIn(b"sk-ant-", sent.head)
        self.assertEqual(self.journal.started.credential_kind, "centralized")

    async def test_the_token_in_any_header_never_leaves(self) -> None:
        names = (
            b"X-Api-Key", b"Api-Key", b"X-AI-Bridge-Token", b"Coder-Session-Token",
            b"X-Coder-AI-Governance-Token", b"X-Auth-Token", b"X-Goog-Api-Key", b"OpenAI-Project",
            b"User-Agent", b"X-Title", b"Referer", b"X-Stainless-Lang", b"session_id", b"X-Custom",
        )  # fmt: skip
        await self.start([Send(answer(b"{}"))])

        for name in names:
            for value in (TOKEN.encode(), b"Bearer " + TOKEN.encode(), b"x=" + TOKEN.encode()):
                reply = await self.send(headers=[(name, value)])

                told = self.upstream.requests[-1].head if self.upstream.requests else b""
                self.assertNotIn(TOKEN.encode(), told, (name, value, reply.status))
        self.assertGreater(len(self.upstream.requests), len(names))

    async def test_the_token_in_the_query_is_refused(self) -> None:
        await self.start([Send(answer(b"{}"))])

        for query in (b"?key=", b"?a=b&api-key=", b"?x=%20"):
            reply = await self.send(target=CHAT_TARGET + query + TOKEN.encode())

            self.assertEqual(reply.status, 400)
            self.assertEqual(json.loads(reply.body)["error"]["type"], "invalid_request_error")
        self.assertEqual(self.upstream.requests, [])

    async def test_the_token_in_the_url_is_refused_however_it_is_written(self) -> None:
        await self.start([Send(answer(b"{}"))])
        spelt = "".join(f"%{ord(each):02X}" for each in TOKEN).encode()

        for target in (b"/openai/v1/models/" + spelt, CHAT_TARGET + b"?key=" + spelt):
            reply = await self.send(target=target)

            self.assertEqual(reply.status, 400, target)
        self.assertEqual(self.upstream.requests, [])

    async def test_a_query_passes(self) -> None:
        await self.start([Send(answer(b"{}"))])

        await self.send(target=CHAT_TARGET + b"?api-version=2026-10-21&x=%2F")

        self.assertEqual(self.sent().target, b"/v1/chat/completions?api-version=2026-10-21&x=%2F")

    async def test_what_proxies_and_tracers_add_stays_here(self) -> None:
        named = (
            b"Cookie", b"Forwarded", b"X-Forwarded-For", b"X-Forwarded-Host", b"Via", b"X-Real-IP",
            b"X-Auth-Request-Email", b"X-Amzn-Oidc-Data", b"X-Goog-Iap-Jwt-Assertion",
            b"X-Goog-Authenticated-User-Email", b"X-Ms-Client-Principal",
            b"Cf-Access-Jwt-Assertion", b"Cf-Ray", b"Remote-User", b"X-Remote-User",
            b"X-Authentik-Username",
            b"X-Pomerium-Jwt-Assertion", b"X-Envoy-External-Address", b"Traceparent", b"Tracestate",
            b"Baggage", b"B3", b"X-B3-TraceId", b"X-Datadog-Trace-Id", b"Uber-Trace-Id",
            b"X-Amzn-Trace-Id", b"X-AI-Bridge-Actor-ID", b"X-AI-Bridge-Actor-Metadata-Username",
            b"X-Aibridge-Anything", b"Proxy-Authorization", b"Te", b"Keep-Alive",
        )  # fmt: skip
        sent = await self.sent_with(*((name, b"inside-secret") for name in named))

        self.assertNotIn(b"inside-secret", sent.head)

    async def test_what_is_named_in_connection_stays_here(self) -> None:
        sent = await self.sent_with((b"Connection", b"keep-alive, X-Hop"), (b"X-Hop", b"1"))

        self.assertIsNone(sent.header(b"x-hop"))

    async def test_what_clients_mean_for_the_provider_passes(self) -> None:
        meant = (
            (b"OpenAI-Beta", b"assistants=v2"), (b"session_id", b"s-1"), (b"thread-id", b"t-1"),
            (b"X-Client-Request-Id", b"c-1"), (b"originator", b"codex_exec"),
            (b"X-Codex-Turn-Metadata", b'{"a":1}'), (b"X-Stainless-Lang", b"python"),
            (b"HTTP-Referer", b"https://kilocode.ai"), (b"X-Title", b"Kilo Code"),
            (b"User-Agent", b"OpenAI/Python 3.54.0"), (b"Idempotency-Key", b"i-1"),
            (b"X-Request-Id", b"r-1"),
        )  # fmt: skip
        sent = await self.sent_with(*meant)

        for name, value in meant:
            self.assertEqual(sent.header(name), value)


class DeniedTests(OpenAiCase):
    upstream_options: ClassVar[Mapping[str, Any]] = {"staying": frozenset({b"x-department"})}

    async def test_a_header_that_the_operator_denies_stays_here(self) -> None:
        await self.start([Send(answer(b"{}"))])

        await self.send(headers=[(b"X-Department", b"secret-project"), (b"X-Team", b"a")])

        self.assertIsNone(self.sent().header(b"x-department"))
        self.assertEqual(self.sent().header(b"x-team"), b"a")


SCOPE = ((b"OpenAI-Organization", b"org-theirs"), (b"OpenAI-Project", b"proj_theirs"))


class ScopeTests(OpenAiCase):
    account: ClassVar[Mapping[str, str]] = {"organization": "org-ours"}

    async def test_with_our_key_the_account_is_ours_to_name(self) -> None:
        await self.start([Send(answer(b"{}"))])

        await self.send(headers=SCOPE)

        self.assertEqual(self.sent().header(b"openai-organization"), b"org-ours")
        self.assertIsNone(self.sent().header(b"openai-project"))

    async def test_with_their_own_key_it_is_theirs(self) -> None:
        await self.start([Send(answer(b"{}"))])

        await self.ask(CHAT, target=CHAT_TARGET, headers=[*OWN_KEY, *SCOPE], token=None)

        self.assertEqual(self.sent().header(b"authorization"), b"Bearer sk-their-own-1")
        self.assertEqual(self.sent().header(b"openai-organization"), b"org-theirs")
        self.assertEqual(self.sent().header(b"openai-project"), b"proj_theirs")
        self.assertEqual(self.journal.started.credential_kind, "byok")


class ScopePassesTests(OpenAiCase):
    upstream_options: ClassVar[Mapping[str, Any]] = {"scope_headers_pass": True}

    async def test_where_it_is_allowed_they_name_it_beside_our_key(self) -> None:
        await self.start([Send(answer(b"{}"))])

        await self.send(headers=SCOPE)

        self.assertEqual(self.sent().header(b"openai-project"), b"proj_theirs")


class ActorTests(OpenAiCase):
    actor_headers = ("X-AI-Bridge-Actor-ID", "X-User")

    async def test_who_asks_is_told_by_us_and_not_by_the_client(self) -> None:
        await self.start([Send(answer(b"{}"))])
        forged = [(b"X-AI-Bridge-Actor-ID", b"eve"), (b"x-user", b"eve"), (b"X_User", b"eve")]

        await self.send(headers=forged)

        self.assertEqual(self.sent().header(b"x-ai-bridge-actor-id"), str(ADA).encode())
        self.assertEqual(self.sent().header(b"x-user"), b"ada")
