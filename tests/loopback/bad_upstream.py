"""An upstream with bad manners, in any API: the client gets the truth, and the record says it."""

from __future__ import annotations

import gzip
import json

from bridge.upstream.relay import RelayLimits
from tests.loopback.speaking import SpeakingTestCase
from tests.support.fakes import (
    CONNECT,
    HEAD,
    LAST_CHUNK,
    Close,
    Hold,
    Reset,
    Send,
    Trickle,
    answer,
    chunk,
    stream_head,
    unused_port,
)


class BeforeTheAnswerCases(SpeakingTestCase):
    async def test_an_upstream_that_refuses_connections_is_a_502(self) -> None:
        self.start_gateway(f"http://127.0.0.1:{unused_port()}")

        response = await self.ask()

        self.assert_error(response, 502, "upstream_unreachable")
        self.assertEqual(self.journal.ended.status, "upstream_error")
        self.assertEqual(self.journal.ended.http_status, 502)

    async def test_a_reset_before_the_head_is_a_502(self) -> None:
        await self.start([Reset()])

        response = await self.ask_stream()

        self.assert_error(response, 502, "upstream_unreachable")
        self.assertEqual(self.journal.ended.status, "upstream_error")

    async def test_a_reset_at_connect_is_a_502(self) -> None:
        await self.start([Reset()], begin=CONNECT)

        response = await self.ask()

        self.assert_error(response, 502, "upstream_unreachable")

    async def test_what_is_not_http_is_a_502(self) -> None:
        await self.start([Send(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), Close()])

        response = await self.ask()

        self.assert_error(response, 502, "upstream_unreachable")
        self.assertNotIn(b"SSH", response.body)

    async def test_a_stale_connection_is_tried_once_more_on_a_new_one(self) -> None:
        def script(received):
            if received.connection == 0 and len(self.upstream.requests) == 2:
                return [Reset()]
            return [Send(answer(self.speech.document))]

        await self.start(script)

        first = await self.ask()
        second = await self.ask()

        self.assertEqual((first.status, second.status), (200, 200))
        self.assertEqual([r.connection for r in self.upstream.requests], [0, 0, 1])
        self.assertEqual(len(self.journal.of(type(self.journal.records[0]))), 2)


class NeverAnswersCases(SpeakingTestCase):
    first_byte_seconds = 0.2

    async def test_an_upstream_that_never_answers_is_a_504(self) -> None:
        await self.start([Hold()])

        response = await self.ask_stream()

        message = self.assert_error(response, 504, "upstream_timeout")
        self.assertIn("first_byte", message)
        self.assertEqual(self.journal.ended.status, "upstream_error")
        self.assertEqual(self.journal.ended.error_type, "timeout")

    async def test_half_a_head_is_no_answer(self) -> None:
        await self.start([Send(b"HTTP/1.1 200 OK\r\nContent-Type: text/ev"), Hold()])

        response = await self.ask()

        self.assert_error(response, 504, "upstream_timeout")


class WithinTheAnswerCases(SpeakingTestCase):
    relay_limits = RelayLimits(upstream_idle=0.3, client_stall=30.0, exchange=60.0, ping=0.0)

    def assert_partly_counted(self) -> None:
        """Check that what was told of the tokens before the end is kept, as partial."""
        if self.speech.started_tokens is not None:
            self.assertEqual(self.journal.usage.usage_source, "provider_partial")
            self.assertEqual(self.journal.usage.input_tokens, self.speech.started_tokens)

    async def ended_early(self) -> None:
        """Let HTTP call whole what the API does not."""
        begun = self.speech.start + self.speech.text
        await self.start([Send(stream_head() + chunk(begun) + LAST_CHUNK)])

        response = await self.ask_stream()

        self.assertEqual(response.end, "truncated")
        self.assertTrue(response.body.startswith(begun))
        self.assert_error_event(response.body[len(begun) :], "upstream_broke")
        self.assertEqual(self.journal.ended.status, "upstream_error")
        self.assert_partly_counted()

    async def test_a_reset_within_a_stream_ends_it_with_an_error_event_and_uncleanly(self) -> None:
        begun = self.speech.start + self.speech.text
        await self.start([Send(stream_head() + chunk(begun)), Reset()])

        response = await self.ask_stream()

        self.assertEqual(response.end, "truncated")
        self.assertTrue(response.body.startswith(begun))
        self.assert_error_event(response.body[len(begun) :], "upstream_broke")
        self.assertEqual(self.journal.ended.status, "upstream_error")
        self.assertEqual(self.journal.ended.http_status, 200)
        self.assertNotEqual(self.journal.ended.client_sha256, None)
        self.assertEqual(self.journal.ended.bytes_out, len(response.body))
        self.assert_partly_counted()

    async def test_a_reset_behind_the_head_of_a_stream_is_told_in_it(self) -> None:
        await self.start([Send(stream_head()), Reset()])

        response = await self.ask_stream()

        self.assertEqual((response.status, response.end), (200, "truncated"))
        self.assert_error_event(response.body, "upstream_broke")
        self.assertEqual(self.journal.ended.status, "upstream_error")
        self.assertIsNone(self.journal.ended.response_sha256)

    async def test_a_reset_behind_the_head_of_a_document_adds_nothing(self) -> None:
        await self.start([Send(answer(self.speech.document).partition(b"{")[0]), Reset()])

        response = await self.ask()

        self.assertEqual((response.status, response.body), (200, b""))
        self.assertNotEqual(response.end, "clean")
        self.assertEqual(self.journal.ended.status, "upstream_error")

    async def test_a_reset_within_an_event_adds_nothing_to_it(self) -> None:
        begun = self.speech.start + self.speech.text[:30]
        await self.start([Send(stream_head() + chunk(begun)), Reset()])

        response = await self.ask_stream()

        self.assertNotEqual(response.end, "clean")
        self.assertEqual(response.body, begun)
        self.assertEqual(self.journal.ended.status, "upstream_error")
        self.assertIsNone(self.journal.ended.client_sha256)

    async def test_a_stream_whose_length_was_reached_too_early_is_an_error(self) -> None:
        begun = self.speech.start + self.speech.text
        await self.start([Send(answer(begun, content_type=b"text/event-stream"))])

        response = await self.ask_stream()

        self.assertEqual(response.end, "truncated")
        self.assert_error_event(response.body[len(begun) :], "upstream_broke")
        self.assertEqual(self.journal.ended.status, "upstream_error")

    async def test_silence_within_a_stream_is_told_and_recorded(self) -> None:
        await self.start([Send(stream_head() + chunk(self.speech.start)), Hold()])

        response = await self.ask_stream()

        self.assertEqual(response.end, "truncated")
        rest = response.body[len(self.speech.start) :]
        self.assertIn("fell silent", self.assert_error_event(rest, "upstream_timeout"))
        self.assertEqual(self.journal.ended.status, "upstream_error")
        self.assertEqual(self.journal.ended.error_type, "timeout")
        await self.upstream.left()

    async def test_silence_within_an_event_adds_nothing_to_it(self) -> None:
        begun = self.speech.start + self.speech.text[:30]
        await self.start([Send(stream_head() + chunk(begun)), Hold()])

        response = await self.ask_stream()

        self.assertEqual((response.body, response.end), (begun, "truncated"))
        self.assertEqual(self.journal.ended.error_type, "timeout")
        self.assertIsNone(self.journal.ended.client_sha256)

    async def test_a_document_cut_short_is_cut_short_for_the_client(self) -> None:
        document = self.speech.document
        await self.start([Send(answer(document)[:-10]), Close()])

        response = await self.ask()

        self.assertEqual(response.status, 200)
        self.assertEqual(response.end, "truncated")
        self.assertEqual(response.body, document[:-10])
        self.assertEqual(self.journal.ended.status, "upstream_error")

    async def test_a_trickle_arrives_byte_by_byte_and_whole(self) -> None:
        whole = self.speech.whole
        await self.start([Send(stream_head()), Trickle(chunk(whole), 0.0), Send(LAST_CHUNK)])

        response = await self.ask_stream()

        self.assertEqual(response.body, self.speech.seen(whole))
        self.assertEqual(response.end, "clean")
        self.assertEqual(self.journal.ended.status, "completed")
        self.assertEqual(self.journal.usage.output_tokens, 5)


class OddAnswersCases(SpeakingTestCase):
    async def test_invalid_sse_passes_and_the_record_says_so(self) -> None:
        odd = b"this is not: an event\x00stream\n" * 20 + b"\n\n"
        body = odd + self.speech.whole
        await self.start([Send(stream_head() + chunk(body) + LAST_CHUNK)])

        response = await self.ask_stream()

        self.assertEqual(response.body, self.speech.seen(body))
        self.assertEqual(self.journal.ended.status, "completed")

    async def test_an_event_with_broken_json_passes_and_marks_the_record(self) -> None:
        body = self.speech.start + self.speech.broken + self.speech.end
        await self.start([Send(stream_head() + chunk(body) + LAST_CHUNK)])

        response = await self.ask_stream()

        self.assertEqual(response.body, self.speech.seen(body))
        self.assertEqual(response.end, "clean")
        self.assertTrue(self.journal.ended.partially_observed)

    async def test_an_event_nested_too_deeply_passes(self) -> None:
        deep = b"[" * 10_000 + b"]" * 10_000
        odd = b'data: {"usage":{},"choices":' + deep + b',"type":' + deep + b"}\n\n"
        body = self.speech.start + odd + self.speech.end
        await self.start([Send(stream_head() + chunk(body) + LAST_CHUNK)])

        response = await self.ask_stream()

        self.assertEqual((response.body, response.end), (self.speech.seen(body), "clean"))
        self.assertEqual(self.journal.ended.status, "completed")
        self.assertEqual(self.journal.usage.output_tokens, 5)

    async def test_invalid_json_with_200_passes_and_marks_the_record(self) -> None:
        cut = self.speech.cut_document
        await self.start([Send(answer(cut))])

        response = await self.ask()

        self.assertEqual((response.status, response.body), (200, cut))
        self.assertTrue(self.journal.ended.partially_observed)

    async def test_gzip_that_nobody_asked_for_passes_as_it_is(self) -> None:
        packed = gzip.compress(self.speech.document)
        await self.start([Send(answer(packed, headers=[(b"Content-Encoding", b"gzip")]))])

        response = await self.ask(headers=[(b"accept-encoding", b"gzip, br")])

        self.assertEqual(response.body, packed)
        self.assertEqual(response.header(b"content-encoding"), b"gzip")
        self.assertEqual(self.upstream.requests[0].header(b"accept-encoding"), b"identity")
        self.assertTrue(self.journal.ended.partially_observed)

    async def test_a_packed_stream_that_nobody_asked_for_passes_as_it_is(self) -> None:
        packed = gzip.compress(self.speech.whole)
        head = stream_head([(b"Content-Encoding", b"gzip")])
        await self.start([Send(head + chunk(packed) + LAST_CHUNK)])

        response = await self.ask_stream()

        self.assertEqual((response.body, response.end), (packed, "clean"))
        self.assertTrue(self.journal.ended.partially_observed)

    async def test_an_event_of_ten_mebibytes_passes_unread(self) -> None:
        large = b"event: content_block_delta\ndata: " + b"x" * (10 * 1024 * 1024) + b"\n\n"
        body = self.speech.start + large + self.speech.end
        await self.start([Send(stream_head() + chunk(body) + LAST_CHUNK)])

        response = await self.ask_stream()

        self.assertEqual(len(response.body), len(self.speech.seen(body)))
        self.assertEqual(response.body, self.speech.seen(body))
        self.assertEqual(self.journal.ended.status, "completed")
        self.assertTrue(self.journal.ended.partially_observed)

    async def test_a_redirect_is_handed_on_not_followed(self) -> None:
        elsewhere = [(b"Location", b"http://127.0.0.1:1/elsewhere")]
        await self.start([Send(answer(b"", status=307, headers=elsewhere))])

        response = await self.ask()

        self.assertEqual(response.status, 307)
        self.assertEqual(response.header(b"location"), b"http://127.0.0.1:1/elsewhere")
        self.assertEqual(len(self.upstream.requests), 1)

    async def test_headers_that_would_act_on_our_origin_stay_away(self) -> None:
        nasty = [
            (b"Set-Cookie", b"__cf_bm=1"),
            (b"Strict-Transport-Security", b"max-age=1"),
            (b"Alt-Svc", b'h3=":443"'),
            (b"Access-Control-Allow-Origin", b"*"),
            (b"Clear-Site-Data", b'"*"'),
            (b"Request-Id", b"req_1"),
            (b"X-Request-Id", b"req_2"),
            (b"Openai-Processing-Ms", b"12"),
            (b"Anthropic-Ratelimit-Requests-Remaining", b"99"),
            (b"X-Ratelimit-Remaining-Tokens", b"98"),
        ]
        await self.start([Send(answer(self.speech.document, headers=nasty))])

        response = await self.ask()
        names = {name.lower() for name, _ in response.headers}

        self.assertEqual(response.header(b"request-id"), b"req_1")
        self.assertEqual(response.header(b"x-request-id"), b"req_2")
        self.assertEqual(response.header(b"openai-processing-ms"), b"12")
        self.assertEqual(response.header(b"anthropic-ratelimit-requests-remaining"), b"99")
        self.assertEqual(response.header(b"x-ratelimit-remaining-tokens"), b"98")
        self.assertEqual(response.header(b"x-content-type-options"), b"nosniff")
        self.assertFalse(
            names
            & {
                b"set-cookie",
                b"strict-transport-security",
                b"alt-svc",
                b"access-control-allow-origin",
                b"clear-site-data",
                b"server",
            }
        )

        await self.ask()
        self.assertIsNone(self.upstream.requests[1].header(b"cookie"))

    async def test_an_overloaded_upstream_is_relayed_with_its_retry_after(self) -> None:
        error = self.speech.failed_document
        await self.start([Send(answer(error, status=529, headers=[(b"Retry-After", b"17")]))])

        response = await self.ask_stream()

        self.assertEqual((response.status, response.body), (529, error))
        self.assertEqual(response.header(b"retry-after"), b"17")
        self.assertEqual(self.journal.ended.status, "upstream_error")
        self.assertEqual(self.journal.ended.http_status, 529)
        self.assertEqual(self.journal.ended.error_type, "overloaded")

    async def test_too_many_requests_are_relayed_with_what_the_provider_says(self) -> None:
        told = [
            (b"Retry-After-Ms", b"1200"),
            (b"Retry-After", b"2"),
            (b"X-Ratelimit-Reset-Requests", b"1.2s"),
        ]
        error = json.dumps({"error": {"message": "Slow down", "type": "tokens"}}).encode()
        await self.start([Send(answer(error, status=429, headers=told))])

        response = await self.ask()

        self.assertEqual((response.status, response.body), (429, error))
        for name, value in told:
            self.assertEqual(response.header(name), value)
        self.assertEqual(self.journal.ended.status, "upstream_error")
        self.assertEqual(self.journal.ended.error_type, "rate_limited")

    async def test_an_answer_before_the_body_was_sent_is_relayed(self) -> None:
        await self.start([Send(answer(self.speech.document))], begin=HEAD)

        response = await self.ask()

        self.assertEqual((response.status, response.body), (200, self.speech.document))

    async def test_an_error_event_within_a_stream_is_relayed_and_recorded(self) -> None:
        body = self.speech.start + self.speech.failure
        await self.start([Send(stream_head() + chunk(body) + LAST_CHUNK)])

        response = await self.ask_stream()

        self.assertEqual(response.body, body)
        self.assertEqual(response.end, "clean")
        self.assertEqual(self.journal.ended.status, "upstream_error")
        self.assertEqual(self.journal.ended.http_status, 200)
        self.assertEqual(self.journal.ended.error_type, self.speech.failure_type)
