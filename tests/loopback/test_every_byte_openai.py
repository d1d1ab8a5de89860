"""OpenAI's APIs: every fixture arrives as it was sent, but for what only we have asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from tests.dialects.chat_completions.test_passage import without_usage_chunks
from tests.fixtures import chat, responses
from tests.loopback import every_byte
from tests.loopback.speaking import SpeakingTestCase
from tests.loopback.speech import (
    CHAT,
    CHAT_WITH_USAGE,
    COPILOT_CHAT,
    COPILOT_RESPONSES,
    RESPONSES,
    USAGE_CHUNK,
)
from tests.support.fakes import LAST_CHUNK, Received, Send, answer, chunk, stream_head

_CHAT_ENDS = (b"[DONE]", b'"error"', b"event: error", b'"object":"error"')
_ASKING = b',"stream_options":{"include_usage":true}}'


class ChatTests(every_byte.EveryDocumentCases):
    """A client that did not ask for token counts gets none, and they are recorded all the same."""

    speech = CHAT
    streams = chat.STREAMS
    documents = chat.DOCUMENTS
    end_markers = _CHAT_ENDS

    def seen(self, body: bytes) -> bytes:
        return without_usage_chunks(body)

    def assert_asked(self, received: Received) -> None:
        self.assertEqual(received.body, CHAT.ask_stream[:-1] + _ASKING)
        self.assertEqual(received.header(b"content-length"), b"%d" % len(received.body))


class ChatWithUsageTests(every_byte.EveryByteCases):
    """A client that did ask gets everything, and its request goes as it came."""

    speech = CHAT_WITH_USAGE
    streams = chat.STREAMS
    end_markers = _CHAT_ENDS


class ResponsesTests(every_byte.EveryDocumentCases):
    speech = RESPONSES
    streams = responses.STREAMS
    documents = responses.DOCUMENTS
    end_markers = (
        b"response.completed",
        b"response.incomplete",
        b"response.failed",
        b"response.cancelled",
        b"event: error",
        b'"error":{',
        b'"error":"',
    )


class CopilotChatTests(ChatTests):
    speech = COPILOT_CHAT
    streams = chat.STREAMS[:25]
    byte_by_byte_up_to = 0


class CopilotResponsesTests(ResponsesTests):
    speech = COPILOT_RESPONSES
    streams = responses.STREAMS[:25]
    byte_by_byte_up_to = 0


class AskingForUsageTests(SpeakingTestCase):
    """What goes upstream when the client does not ask for token counts, and what comes back."""

    speech = CHAT

    async def asked(self, body: bytes) -> bytes:
        await self.start([Send(stream_head() + chunk(CHAT.whole) + LAST_CHUNK)])

        response = await self.ask(body)

        self.assertEqual((response.body, response.end), (CHAT.seen(CHAT.whole), "clean"))
        self.assertEqual(self.journal.started.bytes_in, len(body))
        self.assertEqual(self.journal.ended.bytes_out, len(response.body))
        self.assertEqual(self.journal.usage.usage_source, "provider_final")
        self.assertEqual(self.memory.used_bytes, 0)
        return self.upstream.requests[0].body

    async def test_it_is_asked_for_at_the_very_end(self) -> None:
        body = b' {\r\n "stream" : true,\t"messages":[], "n":1e0, "n":2 \n} '

        self.assertEqual(
            await self.asked(body),
            b' {\r\n "stream" : true,\t"messages":[], "n":1e0, "n":2 \n'
            b',"stream_options":{"include_usage":true}} ',
        )

    async def test_a_no_becomes_a_yes(self) -> None:
        body = b'{"stream_options": {"include_usage": false, "x":[1]}, "stream":true}'

        self.assertEqual(await self.asked(body), body.replace(b"false", b"true"))

    async def test_other_options_stay(self) -> None:
        body = b'{"stream":true,"stream_options":{"include_obfuscation":false},"messages":[]}'

        self.assertEqual(
            await self.asked(body), body.replace(b"false}", b'false,"include_usage":true}')
        )

    async def test_nothing_becomes_a_yes(self) -> None:
        body = b'{"stream":true,"stream_options":null}'

        self.assertEqual(await self.asked(body), body.replace(b"null", b'{"include_usage":true}'))

    async def test_a_body_that_says_it_is_not_encoded_is_like_one_that_does_not_say(self) -> None:
        await self.start([Send(stream_head() + chunk(CHAT.whole) + LAST_CHUNK)])

        response = await self.ask(CHAT.ask_stream, headers=[(b"content-encoding", b"identity")])

        self.assertEqual(self.upstream.requests[0].body, CHAT.ask_stream[:-1] + _ASKING)
        self.assertEqual(response.body, CHAT.seen(CHAT.whole))

    async def test_a_document_tells_its_counts_unasked(self) -> None:
        await self.start([Send(answer(CHAT.document))])

        response = await self.ask()

        self.assertEqual(self.upstream.requests[0].body, CHAT.ask)
        self.assertEqual(response.body, CHAT.document)
        self.assertIsNone(self.journal.ended.client_sha256)

    async def test_what_else_tells_counts_passes(self) -> None:
        """Some vendors put counts into chunks that have choices, and Azure sends empty ones."""
        body = CHAT.whole.replace(USAGE_CHUNK, b"").replace(
            b'"usage":null', b'"usage":{"prompt_tokens":7,"completion_tokens":5}'
        )
        empty = b'data: {"id":"","choices":[],"prompt_filter_results":[],"usage":null}\n\n'
        await self.start([Send(stream_head() + chunk(empty + body) + LAST_CHUNK)])

        response = await self.ask_stream()

        self.assertEqual((response.body, response.end), (empty + body, "clean"))
        self.assertIsNone(self.journal.ended.client_sha256)
        self.assertEqual(self.journal.usage.output_tokens, 5)

    async def test_a_document_in_place_of_a_stream_keeps_its_length(self) -> None:
        await self.start([Send(answer(CHAT.document))])

        response = await self.ask_stream()

        self.assertEqual((response.body, response.end), (CHAT.document, "clean"))
        self.assertEqual(response.header(b"content-length"), b"%d" % len(CHAT.document))


class NotAskingForUsageTests(SpeakingTestCase):
    """Where the provider takes no `stream_options`, requests and answers go as they came."""

    speech = CHAT
    upstream_options: ClassVar[Mapping[str, Any]] = {"asks_for_usage": False}

    async def passed(self, body: bytes) -> None:
        await self.start([Send(stream_head() + chunk(CHAT.whole) + LAST_CHUNK)])

        response = await self.ask(body)

        self.assertEqual(self.upstream.requests[0].body, body)
        self.assertEqual((response.body, response.end), (CHAT.whole, "clean"))
        self.assertIsNone(self.journal.ended.client_sha256)
        self.assertEqual(self.journal.usage.output_tokens, 5)

    async def test_nothing_is_asked_for(self) -> None:
        await self.passed(CHAT.ask_stream)

    async def test_a_no_stays_a_no(self) -> None:
        await self.passed(CHAT.ask_stream[:-1] + b',"stream_options":{"include_usage":false}}')


class LengthOfStreamTests(SpeakingTestCase):
    """A stream may become shorter, or get events of ours, so no length is promised for it."""

    speech = CHAT

    async def streamed(self, body: bytes, asked: bytes) -> bytes:
        await self.start([Send(answer(body, content_type=b"text/event-stream"))])

        response = await self.ask(asked)

        self.assertIsNone(response.header(b"content-length"))
        self.assertEqual(response.header(b"transfer-encoding"), b"chunked")
        self.assertEqual(response.end, "clean")
        self.assertEqual(self.journal.ended.status, "completed")
        self.assertEqual(self.journal.usage.output_tokens, 5)
        return bytes(response.body)

    async def test_to_a_client_that_did_not_ask(self) -> None:
        body = await self.streamed(CHAT.whole, CHAT.ask_stream)

        self.assertEqual(body, CHAT.seen(CHAT.whole))
        self.assertIsNotNone(self.journal.ended.client_sha256)

    async def test_to_a_client_that_asked(self) -> None:
        body = await self.streamed(CHAT.whole, CHAT_WITH_USAGE.ask_stream)

        self.assertEqual(body, CHAT.whole)
        self.assertIsNone(self.journal.ended.client_sha256)

    async def test_to_a_client_of_http_1_0_the_connections_end_is_the_answers(self) -> None:
        await self.start([Send(answer(CHAT.whole, content_type=b"text/event-stream"))])
        client = await self.connect()
        client.send(self.request(CHAT.ask_stream).replace(b"HTTP/1.1", b"HTTP/1.0", 1))

        response = await client.response()

        self.assertEqual((response.body, response.end), (CHAT.seen(CHAT.whole), "clean"))
        self.assertIsNone(response.header(b"content-length"))
        self.assertEqual(await client.ended(), "closed")
