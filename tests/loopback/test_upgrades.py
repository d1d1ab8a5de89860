"""Who asks for a WebSocket, as Codex does at first, hears at once that HTTP is spoken here."""

from __future__ import annotations

import json
from collections.abc import Sequence

from bridge.domain.identity import Secret
from bridge.domain.records import InterceptionStarted
from bridge.providers.demo import Demo
from bridge.providers.interface import Provider
from bridge.web.gateway import PREFIXES
from tests.loopback.speaking import Headers, SpeakingTestCase
from tests.loopback.speech import COPILOT_RESPONSES, RESPONSES
from tests.support.fakes import Send, answer
from tests.support.gateway import TOKEN
from tests.support.rawclient import RawResponse

UPGRADE = (b"Connection", b"Upgrade"), (b"Upgrade", b"websocket")
KEY = (b"Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZQ==")
VERSION = (b"Sec-WebSocket-Version", b"13")
WHOLE = (*UPGRADE, KEY, VERSION, (b"OpenAI-Beta", b"responses_websockets=2026-02-06"))


class UpgradeCases(SpeakingTestCase):
    async def upgrade(
        self, path: bytes, headers: Headers = WHOLE, *, token: str | None = TOKEN
    ) -> RawResponse:
        response: RawResponse = await self.ask(
            b"", method=b"GET", target=path, headers=headers, token=token, client=self.client
        )
        return response

    async def begin(self) -> None:
        await self.start([Send(answer(self.speech.document))])
        self.client = await self.connect()

    def assert_refused(self, response: RawResponse) -> None:
        """Check the refusal, and that nobody upstream has heard of it."""
        self.assertEqual(response.status, 426)
        error = json.loads(response.body)["error"]
        self.assertEqual(set(error), {"message", "type", "param", "code"})
        self.assertIn("POST", error["message"])
        self.assertIsNotNone(response.header(b"x-aibridge-request-id"))
        self.assertEqual(self.upstream.requests, [])
        self.assertEqual(self.journal.records, [])

    async def assert_next_works(self) -> None:
        """Check that the connection, on which nothing was upgraded, serves what comes next."""
        response = await self.ask(client=self.client)
        self.assertEqual((response.status, response.body), (200, self.speech.document))


class OpenAiUpgradeTests(UpgradeCases):
    speech = RESPONSES

    async def test_on_every_route_of_the_responses_api_it_is_refused_at_once(self) -> None:
        await self.begin()

        for prefix in (b"", *PREFIXES):
            for path in (b"/v1/responses", b"/responses", b"/responses?model=gpt-5"):
                self.assert_refused(await self.upgrade(prefix + self.path(path)))
        await self.assert_next_works()

    async def test_without_a_token_it_is_refused_likewise(self) -> None:
        await self.begin()

        self.assert_refused(await self.upgrade(self.path(b"/v1/responses"), token=None))
        await self.assert_next_works()

    async def test_with_a_wrong_token_it_is_refused_likewise(self) -> None:
        await self.begin()

        self.assert_refused(await self.upgrade(self.path(b"/v1/responses"), token="sk-other"))
        await self.assert_next_works()

    async def test_a_wrong_version_is_refused_likewise(self) -> None:
        await self.begin()
        old = (b"Sec-WebSocket-Version", b"8")

        self.assert_refused(await self.upgrade(self.path(b"/v1/responses"), (*UPGRADE, KEY, old)))
        await self.assert_next_works()

    async def test_a_missing_key_is_refused_likewise(self) -> None:
        await self.begin()

        self.assert_refused(await self.upgrade(self.path(b"/v1/responses"), (*UPGRADE, VERSION)))
        await self.assert_next_works()

    async def test_the_protocols_name_counts_in_any_case_and_beside_others(self) -> None:
        await self.begin()

        for name in (b"WebSocket", b"WEBSOCKET", b"h2c, websocket"):
            headers = ((b"Connection", b"keep-alive, Upgrade"), (b"Upgrade", name), KEY, VERSION)
            self.assert_refused(await self.upgrade(self.path(b"/v1/responses"), headers))
        await self.assert_next_works()

    async def test_a_post_that_offers_an_upgrade_is_served(self) -> None:
        await self.begin()

        response = await self.ask(headers=WHOLE, client=self.client)

        self.assertEqual((response.status, response.body), (200, RESPONSES.document))
        received = self.upstream.requests[0]
        self.assertEqual(received.body, RESPONSES.ask)
        self.assertIsNone(received.header(b"upgrade"))
        self.assertEqual(self.journal.ended.status, "completed")

    async def test_another_protocol_is_no_websocket(self) -> None:
        await self.begin()
        headers = ((b"Connection", b"Upgrade"), (b"Upgrade", b"h2c"))

        response = await self.upgrade(self.path(b"/v1/responses"), headers)

        self.assert_error(response, 404, "not_found")
        await self.assert_next_works()

    async def test_on_other_paths_it_is_an_ordinary_request(self) -> None:
        await self.begin()

        for path in (b"/v1/realtime", b"/v1/chat/completions", b"/v1/responses/"):
            response = await self.upgrade(self.path(path))
            self.assert_error(response, 404, "not_found")
        response = await self.upgrade(self.path(b"/v1/models"), token=None)
        self.assert_error(response, 401, "unauthenticated")
        response = await self.upgrade(self.path(b"/v1/responses/resp_1"))
        self.assert_error(response, 404, "not_found")
        self.assertEqual(self.upstream.requests, [])

        response = await self.upgrade(self.path(b"/v1/models"))
        self.assertEqual(response.status, 200)
        self.assertIsNone(self.upstream.requests[0].header(b"upgrade"))
        self.assertIsNone(self.upstream.requests[0].header(b"sec-websocket-accept"))

    async def test_an_unsafe_path_is_no_path(self) -> None:
        await self.begin()

        for path in (b"/v1/responses/..", b"/v1/responses%00", b"/v1/./responses"):
            response = await self.upgrade(self.path(path))
            self.assert_error(response, 404, "not_found")
        self.assertEqual(self.journal.of(InterceptionStarted), [])


class CopilotUpgradeTests(UpgradeCases):
    speech = COPILOT_RESPONSES

    async def test_it_is_refused_at_once(self) -> None:
        await self.begin()

        self.assert_refused(await self.upgrade(self.path(b"/responses")))
        self.assert_refused(await self.upgrade(self.path(b"/responses"), token=None))
        await self.assert_next_works()


class DemoUpgradeTests(UpgradeCases):
    speech = RESPONSES

    def provider(self, base_url: str, keys: Sequence[Secret]) -> Provider:
        return Demo(name=self.speech.provider, base_url=base_url, keys=keys)

    async def test_it_is_refused_at_once(self) -> None:
        await self.begin()

        for path in (b"/v1/responses", b"/responses"):
            self.assert_refused(await self.upgrade(self.path(path), token=None))
        await self.assert_next_works()
