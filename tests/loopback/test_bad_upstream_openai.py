"""An upstream of OpenAI's APIs with bad manners: the client gets the truth, the record says it."""

from __future__ import annotations

import hashlib

from bridge.domain.records import TokenUsageRecorded
from tests.loopback import bad_upstream
from tests.loopback.speaking import SpeakingTestCase
from tests.loopback.speech import CHAT, DONE, FINISH_CHUNK, RESPONSES, USAGE_CHUNK
from tests.support.fakes import LAST_CHUNK, Hold, Reset, Send, Step, chunk, stream_head

BEGUN = CHAT.start + CHAT.text


class ChatBeforeTheAnswerTests(bad_upstream.BeforeTheAnswerCases):
    speech = CHAT


class ChatNeverAnswersTests(bad_upstream.NeverAnswersCases):
    speech = CHAT


class ChatWithinTheAnswerTests(bad_upstream.WithinTheAnswerCases):
    speech = CHAT

    async def test_a_clean_end_before_any_finish_is_an_error(self) -> None:
        await self.ended_early()


class ChatOddAnswersTests(bad_upstream.OddAnswersCases):
    speech = CHAT


class ChatEndTests(SpeakingTestCase):
    """The API's own end is `[DONE]`, which not every vendor sends."""

    speech = CHAT

    async def streamed(self, body: bytes, *after: Step) -> bytes:
        await self.start([Send(stream_head() + chunk(body)), *after])
        self.response = await self.ask_stream()
        return bytes(self.response.body)

    async def test_without_done_an_answer_that_finished_is_whole(self) -> None:
        body = await self.streamed(BEGUN + FINISH_CHUNK + USAGE_CHUNK, Send(LAST_CHUNK))

        self.assertEqual((body, self.response.end), (BEGUN + FINISH_CHUNK, "clean"))
        self.assertEqual(self.journal.ended.status, "completed")
        self.assertEqual(self.journal.usage.usage_source, "provider_final")
        self.assertIsNotNone(self.journal.ended.client_sha256)

    async def test_counts_told_over_and_over_are_all_kept_back(self) -> None:
        body = await self.streamed(
            BEGUN + USAGE_CHUNK * 3_000 + FINISH_CHUNK + USAGE_CHUNK + DONE, Send(LAST_CHUNK)
        )

        self.assertEqual((body, self.response.end), (BEGUN + FINISH_CHUNK + DONE, "clean"))
        self.assertEqual(self.journal.ended.client_sha256, hashlib.sha256(body).hexdigest())

    async def test_done_alone_is_an_end(self) -> None:
        body = await self.streamed(BEGUN + DONE, Send(LAST_CHUNK))

        self.assertEqual((body, self.response.end), (BEGUN + DONE, "clean"))
        self.assertEqual(self.journal.ended.status, "completed")
        self.assertEqual(self.journal.of(TokenUsageRecorded), [])

    async def test_a_reset_behind_the_last_counts_is_told(self) -> None:
        body = await self.streamed(BEGUN + FINISH_CHUNK + USAGE_CHUNK, Reset())

        self.assertTrue(body.startswith(BEGUN + FINISH_CHUNK))
        self.assert_error_event(body[len(BEGUN + FINISH_CHUNK) :], "upstream_broke")
        self.assertEqual(self.response.end, "truncated")
        self.assertEqual(self.journal.ended.status, "upstream_error")
        self.assertEqual(self.journal.usage.output_tokens, 5)

    async def test_a_reset_behind_done_is_nobodys_business(self) -> None:
        body = await self.streamed(CHAT.whole, Reset())

        self.assertEqual(body, CHAT.seen(CHAT.whole))
        self.assertEqual(self.journal.ended.status, "completed")

    async def test_running_totals_are_kept_when_a_stream_is_cut(self) -> None:
        """Some vendors tell the counts so far in every chunk; those have choices, and pass."""
        counts = b'"usage":{"prompt_tokens":30,"completion_tokens":2,"total_tokens":32}'
        counted = BEGUN.replace(b'"usage":null', counts)

        body = await self.streamed(counted, Reset())

        self.assertTrue(body.startswith(counted))
        self.assertEqual(self.journal.usage.usage_source, "provider_partial")
        self.assertEqual(self.journal.usage.input_tokens, 30)

    async def test_an_error_without_a_blank_line_is_an_error_all_the_same(self) -> None:
        body = await self.streamed(BEGUN + CHAT.failure[:-2], Send(LAST_CHUNK))

        self.assertEqual(body, BEGUN + CHAT.failure[:-2])
        self.assertEqual(self.journal.ended.status, "upstream_error")
        self.assertEqual(self.journal.ended.error_type, "server_error")

    async def test_an_error_before_anything_else_is_recorded(self) -> None:
        body = await self.streamed(CHAT.failure + DONE, Send(LAST_CHUNK))

        self.assertEqual((body, self.response.end), (CHAT.failure + DONE, "clean"))
        self.assertEqual(self.journal.ended.status, "upstream_error")


class ResponsesBeforeTheAnswerTests(bad_upstream.BeforeTheAnswerCases):
    speech = RESPONSES


class ResponsesNeverAnswersTests(bad_upstream.NeverAnswersCases):
    speech = RESPONSES


class ResponsesWithinTheAnswerTests(bad_upstream.WithinTheAnswerCases):
    speech = RESPONSES

    async def test_a_clean_end_without_response_completed_is_an_error(self) -> None:
        await self.ended_early()


class ResponsesOddAnswersTests(bad_upstream.OddAnswersCases):
    speech = RESPONSES

    async def test_counts_behind_an_error_event_are_kept(self) -> None:
        """An error ends the answer for its client; `response.failed` may follow later."""
        failed = (
            b'event: response.failed\ndata: {"type":"response.failed","response":{"id":"resp_1",'
            b'"status":"failed","error":{"code":"server_error","message":"x"},'
            b'"usage":{"input_tokens":30,"output_tokens":4,"total_tokens":34}}}\n\n'
        )
        begun = RESPONSES.start + RESPONSES.failure
        await self.start(
            [Send(stream_head() + chunk(begun)), Hold(), Send(chunk(failed) + LAST_CHUNK)]
        )
        client = await self.connect()
        client.send(self.request(RESPONSES.ask_stream))
        await client.begun(begun)
        self.assertEqual(self.journal.ended.status, "upstream_error")

        self.upstream.release()
        response = await client.response()

        self.assertEqual((response.body, response.end), (begun + failed, "clean"))
        self.assertEqual(self.journal.usage.output_tokens, 4)
