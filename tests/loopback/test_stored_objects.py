"""What a provider keeps under the organisation's key is for whoever made it."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any, ClassVar
from uuid import UUID

from twisted.internet.defer import Deferred, succeed

from bridge.domain.records import StoredObjectRecorded
from bridge.policy.stored_objects import StoredAccess
from tests.support.fakes import Send, answer
from tests.support.gateway import ADA, request
from tests.support.openai_gateway import ASK, OWN_KEY, RESPONSES_TARGET, OpenAiCase, response

BOB = UUID("018f3c1e-0000-7000-8000-0000000000b0")


class StoredObjectTests(OpenAiCase):
    async def kept(self, identifier: str = "resp_1", body: bytes = ASK) -> None:
        """Let a response be made."""
        await self.start(lambda _: [Send(answer(response(identifier)))])
        self.assertEqual((await self.send(body, target=RESPONSES_TARGET)).status, 200)
        self.upstream.requests.clear()

    async def fetch(self, path: bytes, method: bytes = b"GET", body: bytes = b"") -> Any:
        return await self.send(body, target=b"/openai/v1" + path, method=method)

    async def test_what_one_made_is_fetched(self) -> None:
        await self.kept()

        for path, method in (
            (b"/responses/resp_1", b"GET"),
            (b"/responses/resp_1/input_items?limit=5", b"GET"),
            (b"/responses/resp_1/cancel", b"POST"),
            (b"/responses/resp_1", b"DELETE"),
        ):
            reply = await self.fetch(path, method)

            self.assertEqual(reply.status, 200, path)
            self.assertEqual(self.sent().target, b"/v1" + path)
        (kept,) = self.journal.of(StoredObjectRecorded)
        self.assertEqual(
            (kept.object_id, kept.initiator_id, kept.provider_name), ("resp_1", ADA, "openai")
        )

    async def test_what_only_the_store_remembers_is_fetched(self) -> None:
        await self.start([Send(answer(response("resp_old")))])
        self.stored_elsewhere.add((ADA, "openai", "resp_old"))

        self.assertEqual((await self.fetch(b"/responses/resp_old")).status, 200)

    async def test_anothers_and_nobodys_are_not_found_and_not_asked_for(self) -> None:
        await self.kept()

        for path, method in (
            (b"/responses/resp_2", b"GET"),
            (b"/responses/resp_2/input_items", b"GET"),
            (b"/responses/resp_2/cancel", b"POST"),
            (b"/responses/resp_2", b"DELETE"),
            (b"/responses/resp%5F1", b"GET"),
            (b"/conversations/conv_2", b"GET"),
            (b"/conversations/conv_2/items", b"POST"),
        ):
            reply = await self.fetch(path, method)

            self.assertEqual(reply.status, 404, path)
            self.assertIn("error", json.loads(reply.body))
        self.assertEqual(self.upstream.requests, [])

    async def test_nobody_builds_on_anothers(self) -> None:
        await self.kept()
        bodies = (
            b'{"model":"m","input":"x","previous_response_id":"resp_2"}',
            b'{"model":"m","input":"x","conversation":"conv_2"}',
            b'{"model":"m","input":"x","conversation":{"id":"conv_2"}}',
        )

        for path in (b"/responses", b"/responses/compact", b"/responses/input_tokens"):
            for body in bodies:
                reply = await self.fetch(path, b"POST", body)

                self.assertEqual(reply.status, 404, (path, body))
        self.assertEqual(self.upstream.requests, [])

    async def test_one_builds_on_ones_own(self) -> None:
        await self.kept()

        body = b'{"model":"m","input":"x","previous_response_id":"resp_1"}'
        reply = await self.fetch(b"/responses", b"POST", body)

        self.assertEqual((reply.status, self.sent().body), (200, body))

    async def test_a_conversation_is_its_makers(self) -> None:
        await self.start([Send(answer(b'{"id":"conv_1","object":"conversation"}'))])
        await self.fetch(b"/conversations", b"POST", b"{}")

        reply = await self.fetch(b"/conversations/conv_1/items", b"POST", b'{"items":[]}')

        self.assertEqual(reply.status, 200)
        (kept,) = self.journal.of(StoredObjectRecorded)
        self.assertEqual(kept.object_id, "conv_1")

    async def test_what_is_not_kept_is_not_noted(self) -> None:
        await self.kept(body=b'{"model":"m","input":"x","store":false}')

        self.assertEqual(self.journal.of(StoredObjectRecorded), [])

    async def test_with_a_key_of_their_own_it_is_their_account(self) -> None:
        await self.start([Send(answer(response("resp_9")))])
        reply = await self.ask(
            b"", target=b"/openai/v1/responses/resp_9", method=b"GET", headers=OWN_KEY, token=None
        )

        self.assertEqual(reply.status, 200)

    async def test_what_a_key_of_ones_own_made_is_not_ours_to_open(self) -> None:
        """It is kept in another account, where the same id may be anybody's."""
        await self.start(lambda _: [Send(answer(response("resp_9")))])
        own = await self.ask(ASK, target=RESPONSES_TARGET, headers=OWN_KEY, token=None)
        self.assertEqual(own.status, 200)

        self.assertEqual((await self.fetch(b"/responses/resp_9")).status, 404)
        self.assertEqual(self.journal.of(StoredObjectRecorded), [])

    async def test_a_key_of_ones_own_does_not_open_what_is_known_as_anothers(self) -> None:
        """An upstream that looks at no key at all would show it."""
        await self.start([Send(answer(response("resp_bobs")))])
        self.stored_elsewhere.add((BOB, "openai", "resp_bobs"))

        reply = await self.ask(
            b"",
            target=b"/openai/v1/responses/resp_bobs",
            method=b"GET",
            headers=OWN_KEY,
            token=None,
        )

        self.assertEqual(reply.status, 404)
        self.assertEqual(self.upstream.requests, [])

    async def test_what_another_made_first_is_not_taken_over(self) -> None:
        """Some upstreams let clients choose the id; the second maker gets no claim."""
        await self.start(lambda _: [Send(answer(response("resp_bobs")))])
        self.stored.note(BOB, "openai", "resp_bobs")
        self.assertEqual((await self.send(ASK, target=RESPONSES_TARGET)).status, 200)

        self.assertEqual((await self.fetch(b"/responses/resp_bobs")).status, 404)

    async def test_what_cannot_be_an_id_is_not_found(self) -> None:
        await self.start([Send(answer(response("resp_1")))])

        for odd in (r"\u0000", r"\ud800", "x" * 600):
            body = b'{"model":"m","input":"x","previous_response_id":"%b"}' % odd.encode()

            self.assertEqual((await self.fetch(b"/responses", b"POST", body)).status, 404, odd)


class AskingTheStoreTests(OpenAiCase):
    """Going back to an object is the one thing that waits for the database."""

    max_concurrency = 1
    answered: Deferred[Mapping[str, UUID]]

    async def _makers(self, provider: str, object_ids: Collection[str]) -> Mapping[str, UUID]:
        self.asked = True
        return await self.answered

    async def test_a_refusal_takes_no_place(self) -> None:
        await self.start([Send(answer(response("resp_1")))])
        self.answered = succeed({})
        body = b'{"model":"m","input":"x","previous_response_id":"resp_1"}'

        for _ in range(2):
            self.assertEqual((await self.send(body, target=RESPONSES_TARGET)).status, 404)

    async def test_a_client_that_leaves_meanwhile_takes_no_place(self) -> None:
        await self.start([Send(answer(response("resp_1")))])
        self.asked = False
        self.answered = Deferred()
        body = b'{"model":"m","input":"x","previous_response_id":"resp_1"}'
        client = await self.connect()
        client.send(request(body, target=RESPONSES_TARGET))
        while not self.asked:
            await self.a_turn()
        self.assertEqual((await self.send(ASK, target=RESPONSES_TARGET)).status, 503)

        await client.reset()
        while self.site.connections > 1:
            await self.a_turn()

        self.assertEqual((await self.send(ASK, target=RESPONSES_TARGET)).status, 200)


class StoredOffTests(OpenAiCase):
    upstream_options: ClassVar[Mapping[str, Any]] = {"stored_access": StoredAccess.OFF}

    async def test_not_even_ones_own(self) -> None:
        await self.start(lambda _: [Send(answer(response("resp_1")))])
        await self.send(ASK, target=RESPONSES_TARGET)

        reply = await self.send(b"", target=b"/openai/v1/responses/resp_1", method=b"GET")

        self.assertEqual(reply.status, 404)


class StoredAllTests(OpenAiCase):
    upstream_options: ClassVar[Mapping[str, Any]] = {"stored_access": StoredAccess.ALL}

    async def test_everybodys(self) -> None:
        await self.start([Send(answer(response("resp_1")))])

        reply = await self.send(b"", target=b"/openai/v1/responses/resp_1", method=b"GET")

        self.assertEqual(reply.status, 200)
