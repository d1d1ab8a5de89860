"""How exchanges in OpenAI's APIs end when somebody leaves, the journal refuses, or we say stop."""

from __future__ import annotations

from twisted.internet.task import deferLater

from bridge.dialects.chat_completions.passage import UsagePassage
from bridge.domain.records import TokenUsageRecorded
from bridge.upstream.relay import RelayLimits
from tests.loopback import endings
from tests.loopback.speaking import SpeakingTestCase
from tests.loopback.speech import CHAT, FINISH_CHUNK, RESPONSES, USAGE_CHUNK
from tests.support.fakes import LAST_CHUNK, Hold, Send, answer, chunk, stream_head
from tests.support.gateway import ADA

BEGUN = CHAT.start + CHAT.text


class ChatCompletedTests(endings.CompletedCases):
    speech = CHAT


class OwnFaultTests(SpeakingTestCase):
    speech = CHAT

    async def test_a_fault_of_ours_at_the_first_bytes_closes_upstream_and_is_written_down(
        self,
    ) -> None:
        def broken(_: UsagePassage, chunk: bytes) -> bytes:
            raise ValueError(chunk)

        self.patch(UsagePassage, "feed", broken)
        await self.start([Send(stream_head() + chunk(BEGUN)), Hold()])
        client = await self.connect()

        client.send(self.request(CHAT.ask_stream))
        await self.upstream.left()
        await client.ended()
        await self.settled()

        self.assertEqual(self.journal.ended.status, "gateway_abort")


class ChatClientLeavesTests(endings.ClientLeavesCases):
    speech = CHAT

    async def test_what_was_counted_so_far_is_kept(self) -> None:
        counts = b'"usage":{"prompt_tokens":30,"completion_tokens":2,"total_tokens":32}'
        counted = BEGUN.replace(b'"usage":null', counts)
        await self.start([Send(stream_head() + chunk(counted)), Hold()])
        client = await self.connect()
        client.send(self.request(CHAT.ask_stream))
        await client.begun(counted)

        await client.reset()
        await self.upstream.left()
        await self.settled()

        self.assertEqual(self.journal.ended.status, "client_abort")
        self.assertEqual(self.journal.usage.usage_source, "provider_partial")
        self.assertEqual(self.journal.usage.output_tokens, 2)

    async def test_what_was_kept_back_was_not_handed_out(self) -> None:
        await self.start([Send(stream_head() + chunk(BEGUN + FINISH_CHUNK[:50])), Hold()])
        client = await self.connect()
        client.send(self.request(CHAT.ask_stream))
        await client.begun(BEGUN)

        await client.reset()
        await self.upstream.left()
        await self.settled()

        self.assertEqual(self.journal.ended.status, "client_abort")
        self.assertEqual(self.journal.ended.bytes_out, len(BEGUN))
        self.assertEqual(self.journal.of(TokenUsageRecorded), [])

    async def test_counts_that_only_we_asked_for_are_kept_though_the_client_left(self) -> None:
        told = BEGUN + FINISH_CHUNK + USAGE_CHUNK
        await self.start([Send(stream_head() + chunk(told)), Hold()])
        client = await self.connect()
        client.send(self.request(CHAT.ask_stream))
        await client.begun(BEGUN + FINISH_CHUNK)

        await client.reset()
        await self.upstream.left()
        await self.settled()

        self.assertEqual(self.journal.ended.status, "client_abort")
        self.assertEqual(self.journal.usage.output_tokens, 5)


class ChatJournalTests(endings.JournalCases):
    speech = CHAT

    async def test_a_finish_without_done_waits_for_its_record_too(self) -> None:
        """Where `[DONE]` never comes, it is the end of the answer that waits."""
        told = BEGUN + FINISH_CHUNK + USAGE_CHUNK
        await self.start([Send(stream_head() + chunk(told)), Hold(), Send(LAST_CHUNK)])
        self.journal.slow = True
        client = await self.connect()
        client.send(self.request(CHAT.ask_stream))
        response = await client.begun(BEGUN + FINISH_CHUNK)
        self.upstream.release()
        while not self.journal.waiting:
            await deferLater(self.reactor, 0)
        self.assertEqual(response.end, "open")
        self.assertEqual(self.journal.ended.status, "completed")

        self.journal.release()
        await client.until(lambda: response.end != "open")
        self.assertEqual((response.body, response.end), (BEGUN + FINISH_CHUNK, "clean"))


class ChatAbortTests(endings.AbortCases):
    speech = CHAT


class ChatQuietTests(endings.QuietCases):
    speech = CHAT

    async def test_no_ping_while_counts_may_be_told(self) -> None:
        """What is kept back and never comes whole reaches the client as it came."""
        cut = USAGE_CHUNK[:60]
        await self.start([Send(stream_head() + chunk(BEGUN + cut)), Hold()])

        response = await self.ask_stream()

        self.assertEqual((response.body, response.end), (BEGUN + cut, "truncated"))
        self.assertIsNone(self.journal.ended.client_sha256)

    async def test_counts_that_are_kept_back_are_followed_by_pings(self) -> None:
        told = BEGUN + FINISH_CHUNK + USAGE_CHUNK
        await self.start(
            [Send(stream_head() + chunk(told)), Hold(), Send(chunk(b"data: [DONE]\n\n")), Hold()]
        )
        client = await self.connect()
        client.send(self.request(CHAT.ask_stream))
        seen = BEGUN + FINISH_CHUNK + CHAT.ping
        response = await client.begun(seen)

        self.upstream.release()
        await client.until(lambda: b"[DONE]" in response.body)

        self.assertEqual(
            response.body.replace(CHAT.ping, b""), BEGUN + FINISH_CHUNK + b"data: [DONE]\n\n"
        )
        self.assertEqual(self.journal.ended.status, "completed")


class ResponsesCompletedTests(endings.CompletedCases):
    speech = RESPONSES


class ResponsesClientLeavesTests(endings.ClientLeavesCases):
    speech = RESPONSES


class ResponsesJournalTests(endings.JournalCases):
    speech = RESPONSES


class ResponsesAbortTests(endings.AbortCases):
    speech = RESPONSES


class ResponsesQuietTests(endings.QuietCases):
    speech = RESPONSES


class PassthroughTests(SpeakingTestCase):
    speech = RESPONSES

    async def test_embeddings_are_recorded_as_metadata(self) -> None:
        await self.start([Send(answer(b'{"data":[]}'))])
        self.journal.slow = True  # which a passthrough does not wait for

        response = await self.ask(b'{"input":"secret words"}', target=self.path(b"/v1/embeddings"))

        self.assertEqual(response.body, b'{"data":[]}')
        self.assertEqual(self.journal.started.traffic, "passthrough")
        self.assertIsNone(self.journal.started.prompt)
        self.assertEqual(self.journal.ended.status, "completed")

    async def test_the_stream_of_a_stored_response_is_not_touched(self) -> None:
        """Who resumes a stream gets it as it is: no ping, no error event, no record of content."""
        self.relay_limits = RelayLimits(
            upstream_idle=0.5, client_stall=30.0, exchange=60.0, ping=0.1
        )
        begun = RESPONSES.start + RESPONSES.text
        await self.start([Send(stream_head() + chunk(begun)), Hold()])
        self.stored_elsewhere.add((ADA, "openai", "resp_1"))

        response = await self.ask(
            b"", method=b"GET", target=self.path(b"/v1/responses/resp_1?stream=true")
        )

        self.assertEqual((response.body, response.end), (begun, "truncated"))
        self.assertEqual(self.journal.ended.status, "upstream_error")
        self.assertEqual(self.journal.of(TokenUsageRecorded), [])
