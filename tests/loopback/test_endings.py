"""How exchanges end when somebody leaves, the journal refuses, or the bridge itself says stop."""

from __future__ import annotations

from twisted.internet.task import deferLater

from bridge.domain.errors import Overloaded, Unauthenticated
from bridge.domain.records import InterceptionEnded, InterceptionStarted, LegRecorded
from bridge.upstream.relay import RelayLimits
from tests.loopback.test_bad_upstream import DOCUMENT, END, START, TEXT
from tests.support.fakes import LAST_CHUNK, Hold, Send, answer, chunk, stream_head
from tests.support.gateway import ASK, ASK_STREAM, TOKEN, GatewayTestCase, request

WHOLE = START + TEXT + END


class CompletedTests(GatewayTestCase):
    actor_headers = ("X-AI-Bridge-Actor-ID", "X-AI-Bridge-Actor-Metadata-Username")

    async def test_a_stream_is_relayed_and_recorded(self) -> None:
        await self.start([Send(stream_head() + chunk(WHOLE) + LAST_CHUNK)])

        response = await self.ask(
            ASK_STREAM,
            target=b"/anthropic/v1/messages?beta=true",
            headers=[(b"user-agent", b"claude-cli/2.1.7 (external, cli)")],
        )
        started, ended = self.journal.started, self.journal.ended

        self.assertEqual((response.body, response.end), (WHOLE, "clean"))
        self.assertEqual(started.prompt, "Hello")
        self.assertEqual((started.username, started.api_key_id), ("ada", "Abcdefghijkl"))
        self.assertEqual((started.client, started.streaming), ("Claude Code", True))
        self.assertEqual((started.provider, started.provider_name), ("anthropic", "anthropic"))
        self.assertEqual(started.bytes_in, len(ASK_STREAM))
        self.assertEqual((ended.status, ended.http_status), ("completed", 200))
        self.assertEqual(ended.bytes_out, len(WHOLE))
        self.assertEqual(ended.response_id, "msg_1")
        self.assertEqual(ended.stop_reason, "end_turn")
        self.assertFalse(ended.partially_observed)
        self.assertIsNone(ended.client_sha256)
        self.assertEqual(len(self.journal.of(LegRecorded)), 1)
        usage = self.journal.usage
        self.assertEqual((usage.input_tokens, usage.output_tokens), (7, 5))
        self.assertEqual(usage.usage_source, "provider_final")

    async def test_what_goes_upstream_is_what_came_with_our_key_for_the_token(self) -> None:
        await self.start([Send(answer(DOCUMENT))])

        await self.ask(
            target=b"/anthropic/v1/messages?beta=true",
            headers=[
                (b"Anthropic-Version", b"2023-06-01"),
                (b"anthropic-beta", b"new-thing-2027-01-01"),
                (b"X-Stainless-Lang", b"python"),
                (b"Connection", b"keep-alive, X-Hop"),
                (b"X-Hop", b"1"),
                (b"X-Forwarded-For", b"10.0.0.1"),
                (b"Cookie", b"session=1"),
                (b"X-AI-Bridge-Actor-ID", b"somebody-else"),
                (b"X-Guess", TOKEN.encode()),
            ],
        )
        received = self.upstream.requests[0]

        self.assertEqual(received.line, b"POST /v1/messages?beta=true HTTP/1.1")
        self.assertEqual(received.body, ASK)
        self.assertEqual(received.header(b"x-api-key"), b"sk-ant-the-organisations-own-key")
        self.assertEqual(received.header(b"anthropic-version"), b"2023-06-01")
        self.assertEqual(received.header(b"anthropic-beta"), b"new-thing-2027-01-01")
        self.assertEqual(received.header(b"x-stainless-lang"), b"python")
        self.assertEqual(
            received.header(b"x-ai-bridge-actor-id"), b"018f3c1e-0000-7000-8000-0000000000ad"
        )
        self.assertEqual(received.header(b"x-ai-bridge-actor-metadata-username"), b"ada")
        for name in (b"x-hop", b"x-forwarded-for", b"cookie", b"x-guess", b"authorization"):
            self.assertIsNone(received.header(name), name)
        self.assertNotIn(TOKEN.encode(), received.head)

    async def test_an_own_key_goes_upstream_as_it_came(self) -> None:
        await self.start([Send(answer(DOCUMENT))])

        await self.ask(
            token=None,
            headers=[
                (b"X-AI-Bridge-Token", TOKEN.encode()),
                (b"Authorization", b"Bearer sk-ant-oat01-the-users-own-subscription"),
            ],
        )
        received = self.upstream.requests[0]

        self.assertEqual(
            received.header(b"authorization"), b"Bearer sk-ant-oat01-the-users-own-subscription"
        )
        self.assertIsNone(received.header(b"x-api-key"))
        self.assertIsNone(received.header(b"x-ai-bridge-token"))
        self.assertEqual(self.journal.started.credential_kind, "byok")
        self.assertEqual(self.journal.started.credential_hint, "sk-a...tion")

    async def test_a_passthrough_is_recorded_as_metadata(self) -> None:
        await self.start([Send(answer(b'{"input_tokens":12}'))])
        self.journal.slow = True  # which a passthrough does not wait for

        response = await self.ask(target=b"/anthropic/v1/messages/count_tokens")

        self.assertEqual(response.body, b'{"input_tokens":12}')
        self.assertEqual(self.journal.started.traffic, "passthrough")
        self.assertIsNone(self.journal.started.prompt)
        self.assertEqual(self.journal.ended.status, "completed")

    async def test_a_burst_of_count_tokens_is_served_side_by_side(self) -> None:
        await self.start([Send(answer(b'{"input_tokens":12}'))])
        body = ASK[:-1] + b',"system":"' + b"x" * 90_000 + b'"}'
        clients = [await self.connect() for _ in range(34)]

        for client in clients:
            client.send(request(body, target=b"/anthropic/v1/messages/count_tokens"))
        statuses = [(await client.response()).status for client in clients]

        self.assertEqual(statuses, [200] * 34)
        self.assertEqual({len(r.body) for r in self.upstream.requests}, {len(body)})
        self.assertEqual(self.memory.used_bytes, 0)

    async def test_an_answer_to_head_has_no_body_and_no_made_up_length(self) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 17\r\n\r\n"
        await self.start([Send(head)])
        client = await self.connect()

        response = await self.ask(
            b"", method=b"HEAD", target=b"/anthropic/v1/models", client=client
        )

        self.assertEqual((response.status, response.body), (200, b""))
        self.assertIn(response.header(b"content-length"), (None, b"17"))
        self.assertEqual(self.journal.ended.status, "completed")


class ClientLeavesTests(GatewayTestCase):
    async def test_during_a_stream_upstream_is_closed_at_once(self) -> None:
        await self.start([Send(stream_head() + chunk(START)), Hold()])
        client = await self.connect()
        client.send(request(ASK_STREAM))
        await client.begun(START)

        await client.reset()
        await self.upstream.left()
        await self.settled()

        self.assertEqual(self.journal.ended.status, "client_abort")
        self.assertEqual(self.journal.ended.bytes_out, len(START))
        self.assertEqual(self.journal.usage.usage_source, "provider_partial")

    async def test_before_the_answer_upstream_is_closed_at_once(self) -> None:
        await self.start([Hold()])
        client = await self.connect()
        client.send(request(ASK_STREAM))
        await self.upstream.requested()

        await client.close()
        await self.upstream.left()
        await self.settled()

        self.assertEqual(self.journal.ended.status, "client_abort")
        self.assertIsNone(self.journal.ended.http_status)
        self.assertEqual(self.memory.used_bytes, 0)

    async def test_after_the_last_event_it_was_completed(self) -> None:
        await self.start([Send(stream_head() + chunk(WHOLE)), Hold()])
        client = await self.connect()
        client.send(request(ASK_STREAM))
        await client.begun(WHOLE)

        await client.reset()
        await self.upstream.left()
        await self.settled()

        self.assertEqual(self.journal.ended.status, "completed")

    async def test_while_the_end_is_being_made_durable_there_is_one_end(self) -> None:
        await self.start([Send(stream_head() + chunk(WHOLE) + LAST_CHUNK)])
        client = await self.connect()
        self.journal.slow = True
        client.send(request(ASK_STREAM))
        await self.upstream.requested()
        await client.until(lambda: True)

        await client.reset()
        self.journal.release()
        await self.settled()

        self.assertEqual(len(self.journal.of(InterceptionEnded)), 1)


class JournalTests(GatewayTestCase):
    async def test_the_last_event_waits_until_its_record_is_durable(self) -> None:
        await self.start(
            [Send(stream_head() + chunk(START + TEXT)), Hold(), Send(chunk(END) + LAST_CHUNK)]
        )
        self.journal.slow = True
        client = await self.connect()
        client.send(request(ASK_STREAM))
        response = await client.begun(START + TEXT)
        self.upstream.release()
        await self.upstream.until(lambda: True)
        while not self.journal.waiting:
            await self._turn()

        self.assertEqual(response.body, START + TEXT)
        self.assertEqual(self.journal.ended.status, "completed")

        self.journal.release()
        await client.until(lambda: response.end != "open")
        self.assertEqual((response.body, response.end), (WHOLE, "clean"))

    async def test_a_document_waits_likewise(self) -> None:
        await self.start([Send(answer(DOCUMENT))])
        self.journal.slow = True
        client = await self.connect()
        client.send(request(ASK))
        while not self.journal.waiting:
            await self._turn()

        self.assertNotIn(b"msg_2", b"".join(seen.body for seen in client.reader.responses))

        self.journal.release()
        response = await client.response()
        self.assertEqual((response.body, response.end), (DOCUMENT, "clean"))

    async def test_a_full_journal_refuses_new_requests(self) -> None:
        await self.start([Send(answer(DOCUMENT))])
        self.journal.full = True

        response = await self.ask()

        self.assertEqual(response.status, 503)
        self.assertIsNotNone(response.header(b"retry-after"))
        self.assertEqual(self.upstream.requests, [])
        self.assertEqual(self.admission.in_flight, 0)

    async def test_a_full_journal_still_takes_the_end_of_what_runs(self) -> None:
        await self.start(
            [Send(stream_head() + chunk(START)), Hold(), Send(chunk(TEXT + END) + LAST_CHUNK)]
        )
        client = await self.connect()
        client.send(request(ASK_STREAM))
        await client.begun(START)

        self.journal.full = True
        self.upstream.release()
        client._taken = 0
        response = await client.response()

        self.assertEqual((response.body, response.end), (WHOLE, "clean"))
        self.assertEqual(self.journal.ended.status, "completed")
        self.assertTrue(self.journal.ended.partially_observed)

    async def test_an_end_that_cannot_be_written_is_withheld(self) -> None:
        await self.start(
            [Send(stream_head() + chunk(START)), Hold(), Send(chunk(TEXT + END) + LAST_CHUNK)]
        )
        client = await self.connect()
        client.send(request(ASK_STREAM))
        await client.begun(START)

        self.journal.broken = True
        self.upstream.release()
        client._taken = 0
        response = await client.response()

        self.assertNotEqual(response.end, "clean")
        self.assertNotIn(b"message_stop", response.body)
        self.assertEqual(self.journal.of(InterceptionEnded), [])

    async def _turn(self) -> None:
        await deferLater(self.reactor, 0)


class AbortTests(GatewayTestCase):
    async def test_a_revocation_ends_a_stream_with_an_error_event(self) -> None:
        await self.start([Send(stream_head() + chunk(START + TEXT)), Hold()])
        client = await self.connect()
        client.send(request(ASK_STREAM))
        response = await client.begun(START + TEXT)

        count = self.interceptor.abort(
            Unauthenticated("The token is no longer good."), which=lambda actor: True
        )
        await client.ended()

        self.assertEqual(count, 1)
        self.assertEqual(response.end, "truncated")
        self.assertIn(b"no longer good", response.body)
        self.assertEqual(self.journal.ended.status, "gateway_abort")
        await self.upstream.left()

    async def test_others_streams_go_on(self) -> None:
        await self.start(
            [Send(stream_head() + chunk(START)), Hold(), Send(chunk(TEXT + END) + LAST_CHUNK)]
        )
        client = await self.connect()
        client.send(request(ASK_STREAM))
        await client.begun(START)

        count = self.interceptor.abort(
            Unauthenticated("no"), which=lambda actor: actor.token_id == "Otherotherot"
        )
        self.upstream.release()
        client._taken = 0
        response = await client.response()

        self.assertEqual((count, response.end), (0, "clean"))

    async def test_a_stop_before_the_answer_is_a_503(self) -> None:
        await self.start([Hold()])
        client = await self.connect()
        client.send(request(ASK))
        await self.upstream.requested()

        self.interceptor.abort(Overloaded("The bridge is restarting."), which=lambda _: True)
        response = await client.response()

        self.assertEqual(response.status, 503)
        self.assertEqual(self.journal.ended.status, "gateway_abort")

    async def test_draining_admits_nothing_new(self) -> None:
        await self.start([Send(answer(DOCUMENT))])
        self.admission.draining = True

        response = await self.ask()

        self.assertEqual(response.status, 503)
        self.assertEqual(self.journal.of(InterceptionStarted), [])


class LimitTests(GatewayTestCase):
    max_concurrency = 1
    rate_limit = 2

    async def test_more_than_max_concurrency_is_a_503(self) -> None:
        await self.start([Hold()])
        first = await self.connect()
        first.send(request(ASK))
        await self.upstream.requested()

        response = await self.ask()

        self.assertEqual(response.status, 503)
        self.assertIsNotNone(response.header(b"retry-after"))

    async def test_more_than_the_rate_is_a_429(self) -> None:
        await self.start([Send(answer(DOCUMENT))])

        statuses = [(await self.ask()).status for _ in range(3)]
        last = await self.ask()

        self.assertEqual(statuses[:2], [200, 200])
        self.assertIn(429, [*statuses[2:], last.status])
        self.assertEqual(self.admission.in_flight, 0)


class QuietTests(GatewayTestCase):
    relay_limits = RelayLimits(upstream_idle=2.0, client_stall=0.5, exchange=60.0, ping=0.1)

    async def test_a_quiet_stream_gets_pings_at_a_boundary(self) -> None:
        await self.start(
            [Send(stream_head() + chunk(START)), Hold(), Send(chunk(TEXT + END) + LAST_CHUNK)]
        )
        client = await self.connect()
        client.send(request(ASK_STREAM))
        ping = b'event: ping\ndata: {"type": "ping"}\n\n'
        response = await client.begun(START)
        await client.until(lambda: response.body.count(b"event: ping") >= 2)

        self.upstream.release()
        await client.until(lambda: response.end != "open")

        self.assertEqual(response.end, "clean")
        self.assertEqual(response.body.replace(ping, b""), WHOLE)
        self.assertIsNotNone(self.journal.ended.client_sha256)
        self.assertNotEqual(self.journal.ended.client_sha256, self.journal.ended.response_sha256)

    async def test_no_ping_within_an_event(self) -> None:
        await self.start([Send(stream_head() + chunk(START + TEXT[:40])), Hold()])

        response = await self.ask(ASK_STREAM)

        self.assertEqual(response.body, START + TEXT[:40])
        self.assertEqual(self.journal.ended.status, "upstream_error")

    async def test_a_client_that_does_not_read_is_let_go(self) -> None:
        flood = chunk(b": keep-alive comment, long enough to fill buffers\n\n" * 20_000)
        await self.start([Send(stream_head() + chunk(START)), *[Send(flood)] * 30])
        client = await self.connect()
        client.stop_reading()
        client.send(request(ASK_STREAM))

        await self.upstream.left()
        await self.settled()

        self.assertEqual(self.journal.ended.status, "client_abort")
