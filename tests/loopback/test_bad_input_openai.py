"""Bad input to OpenAI's APIs: a defined status in their shape, and what comes next works."""

from __future__ import annotations

import gzip

import zstandard

from bridge.domain.records import InterceptionEnded
from tests.loopback import bad_input
from tests.loopback.speaking import Headers
from tests.loopback.speech import CHAT, COPILOT_CHAT, COPILOT_RESPONSES, RESPONSES
from tests.support.fakes import Send, answer
from tests.support.gateway import TOKEN
from tests.support.rawclient import raw_request


class ChatBodyTests(bad_input.BodyCases):
    speech = CHAT

    async def test_a_packed_request_for_a_stream_goes_as_it_came(self) -> None:
        packed = zstandard.ZstdCompressor().compress(CHAT.ask_stream)
        await self.passed(packed, [(b"content-encoding", b"zstd")])

    async def test_a_request_that_cannot_be_read_is_not_edited(self) -> None:
        await self.passed(bad_input.nested(CHAT.ask_stream))

    async def test_options_of_an_odd_type_are_not_edited(self) -> None:
        await self.passed(CHAT.ask_stream[:-1] + b',"stream_options":"all of them"}')


class ChatLengthTests(bad_input.LengthCases):
    speech = CHAT


class ChatHeaderTests(bad_input.HeaderCases):
    speech = CHAT


class ChatSwitchedOffTests(bad_input.SwitchedOffCases):
    speech = CHAT


class ChatNoOwnKeysTests(bad_input.NoOwnKeysCases):
    speech = CHAT


class ResponsesBodyTests(bad_input.BodyCases):
    speech = RESPONSES

    async def test_what_cannot_be_read_cannot_reach_others_objects(self) -> None:
        """A body too odd to be read is refused once it may name what somebody else has stored."""
        client = await self.start_answering()
        body = bad_input.nested(RESPONSES.ask)[:-1] + b',"previous_response_id":"resp_other"}'

        response = await self.ask(body, client=client)

        self.assert_error(response, 404, "not_found")
        self.assertEqual(self.upstream.requests, [])
        await self.assert_next_works(client)


class ResponsesLengthTests(bad_input.LengthCases):
    speech = RESPONSES


class ResponsesHeaderTests(bad_input.HeaderCases):
    speech = RESPONSES


class ResponsesSwitchedOffTests(bad_input.SwitchedOffCases):
    speech = RESPONSES


class ResponsesNoOwnKeysTests(bad_input.NoOwnKeysCases):
    speech = RESPONSES


class PassthroughBodyTests(bad_input.BadInputCases):
    """A passthrough that builds on stored objects is read, and forwarded as it came."""

    speech = RESPONSES

    async def counted(self, body: bytes, headers: Headers = ()) -> None:
        await self.start([Send(answer(b'{"input_tokens":3}'))])
        target = self.path(b"/v1/responses/input_tokens")

        response = await self.ask(body, target=target, headers=headers)

        self.assertEqual((response.status, response.body), (200, b'{"input_tokens":3}'))
        self.assertEqual(self.upstream.requests[0].body, body)
        self.assertEqual(self.journal.ended.status, "completed")

    async def test_as_it_came(self) -> None:
        await self.counted(RESPONSES.ask)

    async def test_packed(self) -> None:
        await self.counted(gzip.compress(RESPONSES.ask), [(b"content-encoding", b"gzip")])

    async def test_what_is_not_json_is_refused(self) -> None:
        client = await self.start_answering()

        for target in (b"/v1/responses/input_tokens", b"/responses/compact"):
            response = await self.ask(b"model=gpt-5", target=self.path(target), client=client)
            self.assert_error(response, 400, "bad_request")

        self.assertEqual(self.upstream.requests, [])

    async def test_a_body_where_none_is_read_passes_whatever_it_is(self) -> None:
        client = await self.start_answering()

        response = await self.ask(b"not json", target=self.path(b"/v1/embeddings"), client=client)

        self.assertEqual(response.status, 200)
        self.assertEqual(self.upstream.requests[0].body, b"not json")
        self.assertFalse(self.journal.of(InterceptionEnded)[0].partially_observed)


class CopilotTests(bad_input.BadInputCases):
    """Whoever has no GitHub token of their own is told so in the shape of the API they asked."""

    speech = COPILOT_CHAT
    keys = ()

    async def test_without_an_own_token(self) -> None:
        client = await self.start_answering()

        for speech in (COPILOT_CHAT, COPILOT_RESPONSES):
            response = await self.ask(speech.ask, target=self.path(speech.target), client=client)
            message = self.assert_error(response, 401, "unauthenticated")
            self.assertIn("GitHub Copilot token", message)

        self.assertEqual(self.upstream.requests, [])

    async def test_with_it_the_bridges_stays_here(self) -> None:
        client = await self.start_answering()
        own = [
            (b"X-AI-Bridge-Token", TOKEN.encode()),
            (b"Authorization", b"Bearer gho_the-users-own"),
        ]
        client.send(raw_request(b"POST", b"/copilot/responses", COPILOT_RESPONSES.ask, own))

        response = await client.response()

        self.assertEqual(response.status, 200)
        received = self.upstream.requests[0]
        self.assertEqual(received.header(b"authorization"), b"Bearer gho_the-users-own")
        self.assertNotIn(TOKEN.encode(), received.head)
        self.assertEqual(self.journal.started.credential_kind, "byok")
