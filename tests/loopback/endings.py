"""How exchanges end in any API when somebody leaves, the journal refuses, or we say stop."""

from __future__ import annotations

import hashlib

from twisted.internet.task import deferLater

from bridge.domain.errors import Overloaded, Unauthenticated
from bridge.domain.records import InterceptionEnded, LegRecorded
from bridge.upstream.relay import RelayLimits
from tests.loopback.speaking import SpeakingTestCase
from tests.support.fakes import LAST_CHUNK, Hold, Reset, Send, Wait, answer, chunk, stream_head
from tests.support.gateway import KEY, MIB, TOKEN


class CompletedCases(SpeakingTestCase):
    actor_headers = ("X-AI-Bridge-Actor-ID", "X-AI-Bridge-Actor-Metadata-Username")

    async def test_a_stream_is_relayed_and_recorded(self) -> None:
        await self.start([Send(stream_head() + chunk(self.speech.whole) + LAST_CHUNK)])

        response = await self.ask(
            self.speech.ask_stream,
            target=self.path(self.speech.target) + b"?beta=true",
            headers=[(b"user-agent", b"claude-cli/2.1.7 (external, cli)")],
        )
        started, ended = self.journal.started, self.journal.ended

        seen = self.speech.seen(self.speech.whole)
        self.assertEqual((response.body, response.end), (seen, "clean"))
        self.assertEqual(started.prompt, "Hello")
        self.assertEqual((started.username, started.api_key_id), ("ada", "Abcdefghijkl"))
        self.assertEqual((started.client, started.streaming), ("Claude Code", True))
        self.assertEqual(
            (started.provider, started.provider_name), (self.speech.family, self.speech.provider)
        )
        self.assertEqual(started.traffic, "intercepted")
        self.assertEqual(started.bytes_in, len(self.speech.ask_stream))
        self.assertEqual((ended.status, ended.http_status), ("completed", 200))
        self.assertEqual(ended.bytes_out, len(seen))
        self.assertEqual(ended.response_id, self.speech.response_id)
        self.assertEqual(ended.stop_reason, self.speech.stop_reason)
        self.assertFalse(ended.partially_observed)
        self.assertEqual(ended.response_sha256, _sha256(self.speech.whole))
        self.assertEqual(ended.client_sha256, None if seen == self.speech.whole else _sha256(seen))
        self.assertEqual(len(self.journal.of(LegRecorded)), 1)
        usage = self.journal.usage
        self.assertEqual((usage.input_tokens, usage.output_tokens), (7, 5))
        self.assertEqual(usage.usage_source, "provider_final")

    async def test_what_goes_upstream_is_what_came_with_our_key_for_the_token(self) -> None:
        await self.start([Send(answer(self.speech.document))])

        await self.ask(
            target=self.path(self.speech.target) + b"?beta=true",
            headers=[
                (b"Anthropic-Version", b"2023-06-01"),
                (b"anthropic-beta", b"new-thing-2027-01-01"),
                (b"OpenAI-Beta", b"responses=experimental"),
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

        self.assertEqual(received.line, b"POST %b?beta=true HTTP/1.1" % self.speech.upstream_target)
        self.assertEqual(received.body, self.speech.ask)
        self.assertEqual(received.header(self.speech.key_header), self.presented(KEY))
        self.assertEqual(received.header(b"anthropic-version"), b"2023-06-01")
        self.assertEqual(received.header(b"anthropic-beta"), b"new-thing-2027-01-01")
        self.assertEqual(received.header(b"openai-beta"), b"responses=experimental")
        self.assertEqual(received.header(b"x-stainless-lang"), b"python")
        self.assertEqual(
            received.header(b"x-ai-bridge-actor-id"), b"018f3c1e-0000-7000-8000-0000000000ad"
        )
        self.assertEqual(received.header(b"x-ai-bridge-actor-metadata-username"), b"ada")
        keys = {b"authorization", b"x-api-key"} - {self.speech.key_header}
        for name in (b"x-hop", b"x-forwarded-for", b"cookie", b"x-guess", *keys):
            self.assertIsNone(received.header(name), name)
        self.assertNotIn(TOKEN.encode(), received.head)

    async def test_an_own_key_goes_upstream_as_it_came(self) -> None:
        await self.start([Send(answer(self.speech.document))])

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

    async def test_an_answer_to_head_has_no_body_and_no_made_up_length(self) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 17\r\n\r\n"
        await self.start([Send(head)])
        client = await self.connect()

        response = await self.ask(
            b"", method=b"HEAD", target=self.path(self.speech.models), client=client
        )

        self.assertEqual((response.status, response.body), (200, b""))
        self.assertIn(response.header(b"content-length"), (None, b"17"))
        self.assertEqual(self.journal.ended.status, "completed")


class ClientLeavesCases(SpeakingTestCase):
    async def test_during_a_stream_upstream_is_closed_at_once(self) -> None:
        await self.start([Send(stream_head() + chunk(self.speech.start)), Hold()])
        client = await self.connect()
        client.send(self.request(self.speech.ask_stream))
        await client.begun(self.speech.start)

        await client.reset()
        await self.upstream.left()
        await self.settled()

        self.assertEqual(self.journal.ended.status, "client_abort")
        self.assertEqual(self.journal.ended.bytes_out, len(self.speech.start))
        if self.speech.started_tokens is not None:
            self.assertEqual(self.journal.usage.usage_source, "provider_partial")

    async def test_before_the_answer_upstream_is_closed_at_once(self) -> None:
        await self.start([Hold()])
        client = await self.connect()
        client.send(self.request(self.speech.ask_stream))
        await self.upstream.requested()

        await client.close()
        await self.upstream.left()
        await self.settled()

        self.assertEqual(self.journal.ended.status, "client_abort")
        self.assertIsNone(self.journal.ended.http_status)
        self.assertEqual(self.memory.used_bytes, 0)

    async def test_after_the_last_event_it_was_completed(self) -> None:
        await self.start([Send(stream_head() + chunk(self.speech.whole)), Hold()])
        client = await self.connect()
        client.send(self.request(self.speech.ask_stream))
        await client.begun(self.speech.seen(self.speech.whole))

        await client.reset()
        await self.upstream.left()
        await self.settled()

        self.assertEqual(self.journal.ended.status, "completed")

    async def test_while_the_end_is_being_made_durable_there_is_one_end(self) -> None:
        await self.start([Send(stream_head() + chunk(self.speech.whole) + LAST_CHUNK)])
        client = await self.connect()
        self.journal.slow = True
        client.send(self.request(self.speech.ask_stream))
        await self.upstream.requested()
        await client.until(lambda: True)

        await client.reset()
        self.journal.release()
        await self.settled()

        self.assertEqual(len(self.journal.of(InterceptionEnded)), 1)


class JournalCases(SpeakingTestCase):
    async def test_the_last_event_waits_until_its_record_is_durable(self) -> None:
        await self.start(
            [
                Send(stream_head() + chunk(self.speech.start + self.speech.text)),
                Hold(),
                Send(chunk(self.speech.end) + LAST_CHUNK),
            ]
        )
        self.journal.slow = True
        client = await self.connect()
        client.send(self.request(self.speech.ask_stream))
        response = await client.begun(self.speech.start + self.speech.text)
        self.upstream.release()
        await self.upstream.until(lambda: True)
        while not self.journal.waiting:
            await self._turn()

        self.assertEqual(response.body, self.speech.start + self.speech.text)
        self.assertEqual(self.journal.ended.status, "completed")

        self.journal.release()
        await client.until(lambda: response.end != "open")
        self.assertEqual(
            (response.body, response.end), (self.speech.seen(self.speech.whole), "clean")
        )

    async def test_a_document_waits_likewise(self) -> None:
        await self.start([Send(answer(self.speech.document))])
        self.journal.slow = True
        client = await self.connect()
        client.send(self.request())
        while not self.journal.waiting:
            await self._turn()

        self.assertEqual(b"".join(seen.body for seen in client.reader.responses), b"")

        self.journal.release()
        response = await client.response()
        self.assertEqual((response.body, response.end), (self.speech.document, "clean"))

    async def test_an_end_that_cannot_be_written_is_withheld(self) -> None:
        await self.start(
            [
                Send(stream_head() + chunk(self.speech.start)),
                Hold(),
                Send(chunk(self.speech.text + self.speech.end) + LAST_CHUNK),
            ]
        )
        client = await self.connect()
        client.send(self.request(self.speech.ask_stream))
        await client.begun(self.speech.start)

        self.journal.broken = True
        self.upstream.release()
        client._taken = 0
        response = await client.response()

        self.assertNotEqual(response.end, "clean")
        self.assertNotIn(self.speech.end_marker, response.body)
        self.assertEqual(self.journal.of(InterceptionEnded), [])

    async def _turn(self) -> None:
        await deferLater(self.reactor, 0)


class AbortCases(SpeakingTestCase):
    async def test_a_revocation_ends_a_stream_with_an_error_event(self) -> None:
        await self.start(
            [Send(stream_head() + chunk(self.speech.start + self.speech.text)), Hold()]
        )
        client = await self.connect()
        client.send(self.request(self.speech.ask_stream))
        response = await client.begun(self.speech.start + self.speech.text)

        count = self.interceptor.abort(
            Unauthenticated("The token is no longer good."), which=lambda actor: True
        )
        await client.ended()

        self.assertEqual(count, 1)
        self.assertEqual(response.end, "truncated")
        begun = self.speech.start + self.speech.text
        message = self.assert_error_event(response.body[len(begun) :], "unauthenticated")
        self.assertIn("no longer good", message)
        self.assertEqual(self.journal.ended.status, "gateway_abort")
        await self.upstream.left()

    async def test_a_revocation_within_an_event_adds_nothing_to_it(self) -> None:
        """Half an event that is kept back is given up; of our own there is nothing behind half."""
        begun = self.speech.start + self.speech.text[:40]
        await self.start([Send(stream_head() + chunk(begun)), Hold()])
        client = await self.connect()
        client.send(self.request(self.speech.ask_stream))
        response = await client.begun(self.speech.start)

        self.interceptor.abort(Unauthenticated("No longer good."), which=lambda actor: True)
        await client.ended()

        self.assertEqual(response.end, "truncated")
        self.assertIn(response.body, (begun, self.speech.start))
        self.assertEqual(self.journal.ended.status, "gateway_abort")
        self.assertEqual(self.journal.ended.bytes_out, len(response.body))

    async def test_a_stop_before_the_answer_is_a_503(self) -> None:
        await self.start([Hold()])
        client = await self.connect()
        client.send(self.request())
        await self.upstream.requested()

        self.interceptor.abort(Overloaded("The bridge is restarting."), which=lambda _: True)
        response = await client.response()

        self.assert_error(response, 503, "overloaded")
        self.assertEqual(self.journal.ended.status, "gateway_abort")


class QuietCases(SpeakingTestCase):
    relay_limits = RelayLimits(upstream_idle=1.0, client_stall=0.5, exchange=60.0, ping=0.1)

    async def test_a_quiet_stream_gets_pings_at_a_boundary(self) -> None:
        await self.start(
            [
                Send(stream_head() + chunk(self.speech.start)),
                Hold(),
                Send(chunk(self.speech.text + self.speech.end) + LAST_CHUNK),
            ]
        )
        client = await self.connect()
        client.send(self.request(self.speech.ask_stream))
        response = await client.begun(self.speech.start)
        await client.until(lambda: response.body.count(self.speech.ping) >= 2)

        self.upstream.release()
        await client.until(lambda: response.end != "open")

        self.assertEqual(response.end, "clean")
        self.assertEqual(
            response.body.replace(self.speech.ping, b""), self.speech.seen(self.speech.whole)
        )
        self.assertEqual(self.journal.ended.response_sha256, _sha256(self.speech.whole))
        self.assertEqual(self.journal.ended.client_sha256, _sha256(response.body))
        self.assertEqual(self.journal.ended.bytes_out, len(response.body))

    async def test_a_quiet_stream_that_breaks_gets_its_error_behind_the_pings(self) -> None:
        await self.start([Send(stream_head() + chunk(self.speech.start)), Hold(), Reset()])
        client = await self.connect()
        client.send(self.request(self.speech.ask_stream))
        response = await client.begun(self.speech.start)
        await client.until(lambda: self.speech.ping in response.body)

        self.upstream.release()
        await client.ended()

        rest = response.body[len(self.speech.start) :].replace(self.speech.ping, b"")
        self.assert_error_event(rest, "upstream_broke")
        self.assertEqual(response.end, "truncated")
        self.assertEqual(self.journal.ended.client_sha256, _sha256(response.body))

    async def test_a_ping_waits_for_the_end_of_an_event(self) -> None:
        """Also where half an event is kept back, and the client has seen nothing of it."""
        await self.start(
            [
                Send(stream_head() + chunk(self.speech.start + self.speech.text[:40])),
                Wait(0.3),
                Send(chunk(self.speech.text[40:])),
                Hold(),
                Send(chunk(self.speech.end) + LAST_CHUNK),
            ]
        )
        client = await self.connect()
        client.send(self.request(self.speech.ask_stream))
        begun = self.speech.start + self.speech.text + self.speech.ping
        response = await client.begun(self.speech.ping)
        self.assertEqual(response.body[: len(begun)], begun)

        self.upstream.release()
        await client.until(lambda: response.end != "open")
        self.assertEqual(
            response.body.replace(self.speech.ping, b""), self.speech.seen(self.speech.whole)
        )

    async def test_no_ping_within_an_event(self) -> None:
        await self.start(
            [Send(stream_head() + chunk(self.speech.start + self.speech.text[:40])), Hold()]
        )

        response = await self.ask_stream()

        self.assertEqual(response.body, self.speech.start + self.speech.text[:40])
        self.assertEqual(self.journal.ended.status, "upstream_error")

    async def test_a_client_that_does_not_read_is_let_go(self) -> None:
        flood = chunk(self.speech.text * (MIB // len(self.speech.text)))
        await self.start([Send(stream_head() + chunk(self.speech.start)), *[Send(flood)] * 30])
        client = await self.connect()
        client.stop_reading()
        client.send(self.request(self.speech.ask_stream))

        await self.upstream.left()
        await self.settled()

        self.assertEqual(self.journal.ended.status, "client_abort")

    async def test_a_client_that_reads_late_gets_every_byte(self) -> None:
        flood = self.speech.text * (MIB // len(self.speech.text))
        whole = self.speech.start + flood * 12 + self.speech.end
        sent = [Send(chunk(self.speech.start)), *[Send(chunk(flood))] * 12]
        await self.start([Send(stream_head()), *sent, Send(chunk(self.speech.end) + LAST_CHUNK)])
        client = await self.connect()
        client.stop_reading()
        client.send(self.request(self.speech.ask_stream))
        await self.upstream.requested()
        self.reactor.callLater(0.3, client.go_on_reading)

        response = await client.response()

        self.assertEqual(response.end, "clean")
        self.assertTrue(response.body.replace(self.speech.ping, b"") == self.speech.seen(whole))
        self.assertEqual(self.journal.ended.status, "completed")


def _sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
