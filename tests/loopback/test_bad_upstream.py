"""An upstream with bad manners: the client gets the truth, and the record says it."""

from __future__ import annotations

import gzip

from bridge.upstream.relay import RelayLimits
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
from tests.support.gateway import ASK_STREAM, GatewayTestCase

START = (
    b'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_1","type":"message",'
    b'"role":"assistant","model":"claude-sonnet-5","content":[],"stop_reason":null,'
    b'"usage":{"input_tokens":7,"output_tokens":1}}}\n\n'
)
TEXT = (
    b'event: content_block_start\ndata: {"type":"content_block_start","index":0,'
    b'"content_block":{"type":"text","text":""}}\n\n'
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
    b'"delta":{"type":"text_delta","text":"Hi"}}\n\n'
    b'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\n'
)
END = (
    b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn"},'
    b'"usage":{"output_tokens":5}}\n\nevent: message_stop\ndata: {"type":"message_stop"}\n\n'
)
DOCUMENT = (
    b'{"id":"msg_2","type":"message","role":"assistant","model":"claude-sonnet-5",'
    b'"content":[{"type":"text","text":"Hi"}],"stop_reason":"end_turn",'
    b'"usage":{"input_tokens":3,"output_tokens":2}}'
)


class BeforeTheAnswerTests(GatewayTestCase):
    async def test_an_upstream_that_refuses_connections_is_a_502(self) -> None:
        self.start_gateway(f"http://127.0.0.1:{unused_port()}")

        response = await self.ask()

        self.assertEqual(response.status, 502)
        self.assertIn(b'"type":"error"', response.body.replace(b" ", b""))
        self.assertIn(b'"api_error"', response.body)
        self.assertEqual(self.journal.ended.status, "upstream_error")
        self.assertEqual(self.journal.ended.http_status, 502)

    async def test_a_reset_before_the_head_is_a_502(self) -> None:
        await self.start([Reset()])

        response = await self.ask()

        self.assertEqual(response.status, 502)
        self.assertEqual(self.journal.ended.status, "upstream_error")

    async def test_a_reset_at_connect_is_a_502(self) -> None:
        await self.start([Reset()], begin=CONNECT)

        response = await self.ask()

        self.assertEqual(response.status, 502)

    async def test_what_is_not_http_is_a_502(self) -> None:
        await self.start([Send(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), Close()])

        response = await self.ask()

        self.assertEqual(response.status, 502)
        self.assertNotIn(b"SSH", response.body)

    async def test_a_stale_connection_is_tried_once_more_on_a_new_one(self) -> None:
        def script(received):
            if received.connection == 0 and len(self.upstream.requests) == 2:
                return [Reset()]
            return [Send(answer(DOCUMENT))]

        await self.start(script)

        first = await self.ask()
        second = await self.ask()

        self.assertEqual((first.status, second.status), (200, 200))
        self.assertEqual([r.connection for r in self.upstream.requests], [0, 0, 1])
        self.assertEqual(len(self.journal.of(type(self.journal.records[0]))), 2)


class NeverAnswersTests(GatewayTestCase):
    first_byte_seconds = 0.2

    async def test_an_upstream_that_never_answers_is_a_504(self) -> None:
        await self.start([Hold()])

        response = await self.ask()

        self.assertEqual(response.status, 504)
        self.assertIn(b"first_byte", response.body)
        self.assertEqual(self.journal.ended.status, "upstream_error")
        self.assertEqual(self.journal.ended.error_type, "timeout")

    async def test_half_a_head_is_no_answer(self) -> None:
        await self.start([Send(b"HTTP/1.1 200 OK\r\nContent-Type: text/ev"), Hold()])

        response = await self.ask()

        self.assertEqual(response.status, 504)


class WithinTheAnswerTests(GatewayTestCase):
    relay_limits = RelayLimits(upstream_idle=0.3, client_stall=30.0, exchange=60.0, ping=0.0)

    async def test_a_reset_within_a_stream_ends_it_with_an_error_event_and_uncleanly(self) -> None:
        await self.start([Send(stream_head() + chunk(START + TEXT)), Reset()])

        response = await self.ask(ASK_STREAM)

        self.assertEqual(response.end, "truncated")
        self.assertTrue(response.body.startswith(START + TEXT))
        self.assertIn(b"event: error\n", response.body[len(START + TEXT) :])
        self.assertEqual(self.journal.ended.status, "upstream_error")
        self.assertEqual(self.journal.usage.usage_source, "provider_partial")
        self.assertEqual(self.journal.usage.input_tokens, 7)

    async def test_a_reset_within_an_event_adds_nothing_to_it(self) -> None:
        await self.start([Send(stream_head() + chunk(START + TEXT[:30])), Reset()])

        response = await self.ask(ASK_STREAM)

        self.assertNotEqual(response.end, "clean")
        self.assertEqual(response.body, START + TEXT[:30])
        self.assertEqual(self.journal.ended.status, "upstream_error")

    async def test_a_clean_end_without_message_stop_is_an_error(self) -> None:
        await self.start([Send(stream_head() + chunk(START + TEXT) + LAST_CHUNK)])

        response = await self.ask(ASK_STREAM)

        self.assertEqual(response.end, "truncated")
        self.assertIn(b"event: error\n", response.body)
        self.assertEqual(self.journal.ended.status, "upstream_error")

    async def test_silence_within_a_stream_is_told_and_recorded(self) -> None:
        await self.start([Send(stream_head() + chunk(START)), Hold()])

        response = await self.ask(ASK_STREAM)

        self.assertEqual(response.end, "truncated")
        self.assertIn(b"fell silent", response.body)
        self.assertEqual(self.journal.ended.status, "upstream_error")
        self.assertEqual(self.journal.ended.error_type, "timeout")
        await self.upstream.left()

    async def test_a_document_cut_short_is_cut_short_for_the_client(self) -> None:
        await self.start([Send(answer(DOCUMENT)[:-10]), Close()])

        response = await self.ask()

        self.assertEqual(response.status, 200)
        self.assertEqual(response.end, "truncated")
        self.assertEqual(response.body, DOCUMENT[:-10])
        self.assertEqual(self.journal.ended.status, "upstream_error")

    async def test_a_trickle_arrives_byte_by_byte_and_whole(self) -> None:
        await self.start(
            [Send(stream_head()), Trickle(chunk(START + TEXT + END), 0.0), Send(LAST_CHUNK)]
        )

        response = await self.ask(ASK_STREAM)

        self.assertEqual(response.body, START + TEXT + END)
        self.assertEqual(response.end, "clean")
        self.assertEqual(self.journal.ended.status, "completed")
        self.assertEqual(self.journal.usage.output_tokens, 5)


class OddAnswersTests(GatewayTestCase):
    async def test_invalid_sse_passes_and_the_record_says_so(self) -> None:
        body = b"this is not: an event\x00stream\n" * 20 + b"\n\n" + START + TEXT + END
        await self.start([Send(stream_head() + chunk(body) + LAST_CHUNK)])

        response = await self.ask(ASK_STREAM)

        self.assertEqual(response.body, body)
        self.assertEqual(self.journal.ended.status, "completed")

    async def test_an_event_with_broken_json_passes_and_marks_the_record(self) -> None:
        broken = b'event: content_block_start\ndata: {"type":"content_block_start","index":\n\n'
        await self.start([Send(stream_head() + chunk(START + broken + END) + LAST_CHUNK)])

        response = await self.ask(ASK_STREAM)

        self.assertEqual(response.body, START + broken + END)
        self.assertEqual(response.end, "clean")
        self.assertTrue(self.journal.ended.partially_observed)

    async def test_invalid_json_with_200_passes_and_marks_the_record(self) -> None:
        await self.start([Send(answer(b'{"id":"msg_2","usage":{'))])

        response = await self.ask()

        self.assertEqual((response.status, response.body), (200, b'{"id":"msg_2","usage":{'))
        self.assertTrue(self.journal.ended.partially_observed)

    async def test_gzip_that_nobody_asked_for_passes_as_it_is(self) -> None:
        packed = gzip.compress(DOCUMENT)
        await self.start([Send(answer(packed, headers=[(b"Content-Encoding", b"gzip")]))])

        response = await self.ask(headers=[(b"accept-encoding", b"gzip, br")])

        self.assertEqual(response.body, packed)
        self.assertEqual(response.header(b"content-encoding"), b"gzip")
        self.assertEqual(self.upstream.requests[0].header(b"accept-encoding"), b"identity")
        self.assertTrue(self.journal.ended.partially_observed)

    async def test_an_event_of_ten_mebibytes_passes_unread(self) -> None:
        large = b"event: content_block_delta\ndata: " + b"x" * (10 * 1024 * 1024) + b"\n\n"
        await self.start([Send(stream_head() + chunk(START + large + END) + LAST_CHUNK)])

        response = await self.ask(ASK_STREAM)

        self.assertEqual(len(response.body), len(START + large + END))
        self.assertEqual(response.body, START + large + END)
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
            (b"Anthropic-Ratelimit-Requests-Remaining", b"99"),
        ]
        await self.start([Send(answer(DOCUMENT, headers=nasty))])

        response = await self.ask()
        names = {name.lower() for name, _ in response.headers}

        self.assertEqual(response.header(b"request-id"), b"req_1")
        self.assertEqual(response.header(b"anthropic-ratelimit-requests-remaining"), b"99")
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
        error = b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'
        await self.start([Send(answer(error, status=529, headers=[(b"Retry-After", b"17")]))])

        response = await self.ask()

        self.assertEqual((response.status, response.body), (529, error))
        self.assertEqual(response.header(b"retry-after"), b"17")
        self.assertEqual(self.journal.ended.status, "upstream_error")
        self.assertEqual(self.journal.ended.http_status, 529)
        self.assertEqual(self.journal.ended.error_type, "overloaded")

    async def test_an_answer_before_the_body_was_sent_is_relayed(self) -> None:
        await self.start([Send(answer(DOCUMENT))], begin=HEAD)

        response = await self.ask()

        self.assertEqual((response.status, response.body), (200, DOCUMENT))

    async def test_an_error_event_within_a_stream_is_relayed_and_recorded(self) -> None:
        error = (
            b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error",'
            b'"message":"Overloaded"}}\n\n'
        )
        await self.start([Send(stream_head() + chunk(START + error) + LAST_CHUNK)])

        response = await self.ask(ASK_STREAM)

        self.assertEqual(response.body, START + error)
        self.assertEqual(response.end, "clean")
        self.assertEqual(self.journal.ended.status, "upstream_error")
        self.assertEqual(self.journal.ended.error_type, "overloaded")
