"""How exchanges end when somebody leaves, the journal refuses, or the bridge itself says stop."""

from __future__ import annotations

from bridge.domain.errors import Unauthenticated
from bridge.domain.records import InterceptionStarted, TokenUsageRecorded
from tests.loopback import endings
from tests.loopback.speaking import SpeakingTestCase
from tests.loopback.speech import MESSAGES
from tests.support.fakes import LAST_CHUNK, Hold, Send, answer, chunk, stream_head


class CompletedTests(endings.CompletedCases):
    speech = MESSAGES

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
        body = self.speech.ask[:-1] + b',"system":"' + b"x" * 90_000 + b'"}'
        clients = [await self.connect() for _ in range(34)]

        for client in clients:
            client.send(self.request(body, target=b"/anthropic/v1/messages/count_tokens"))
        statuses = [(await client.response()).status for client in clients]

        self.assertEqual(statuses, [200] * 34)
        self.assertEqual({len(r.body) for r in self.upstream.requests}, {len(body)})
        self.assertEqual(self.memory.used_bytes, 0)


class ClientLeavesTests(endings.ClientLeavesCases):
    speech = MESSAGES


class JournalTests(endings.JournalCases):
    speech = MESSAGES

    async def test_a_full_journal_refuses_new_requests(self) -> None:
        await self.start([Send(answer(self.speech.document))])
        self.journal.full = True

        response = await self.ask()

        self.assertEqual(response.status, 503)
        self.assertIsNotNone(response.header(b"retry-after"))
        self.assertEqual(self.upstream.requests, [])
        self.assertEqual(self.admission.in_flight, 0)

    async def test_a_full_journal_still_takes_the_end_of_what_runs(self) -> None:
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

        self.journal.full = True
        self.upstream.release()
        client._taken = 0
        response = await client.response()

        self.assertEqual((response.body, response.end), (self.speech.whole, "clean"))
        self.assertEqual(self.journal.ended.status, "completed")
        # The counts have gone with the end.
        self.assertEqual(self.journal.of(TokenUsageRecorded)[-1].usage_source, "provider_final")
        self.assertFalse(self.journal.ended.partially_observed)


class AbortTests(endings.AbortCases):
    speech = MESSAGES

    async def test_others_streams_go_on(self) -> None:
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

        count = self.interceptor.abort(
            Unauthenticated("no"), which=lambda actor: actor.token_id == "Otherotherot"
        )
        self.upstream.release()
        client._taken = 0
        response = await client.response()

        self.assertEqual((count, response.end), (0, "clean"))

    async def test_once_it_is_closed_nothing_new_is_admitted(self) -> None:
        await self.start([Send(answer(self.speech.document))])
        self.admission.closed = True

        response = await self.ask()

        self.assertEqual(response.status, 503)
        self.assertEqual(self.journal.of(InterceptionStarted), [])


class LimitTests(SpeakingTestCase):
    speech = MESSAGES
    max_concurrency = 1
    rate_limit = 2

    async def test_more_than_max_concurrency_is_a_503(self) -> None:
        await self.start([Hold()])
        first = await self.connect()
        first.send(self.request())
        await self.upstream.requested()

        response = await self.ask()

        self.assertEqual(response.status, 503)
        self.assertIsNotNone(response.header(b"retry-after"))

    async def test_more_than_the_rate_is_a_429(self) -> None:
        await self.start([Send(answer(self.speech.document))])

        statuses = [(await self.ask()).status for _ in range(3)]
        last = await self.ask()

        self.assertEqual(statuses[:2], [200, 200])
        self.assertIn(429, [*statuses[2:], last.status])
        self.assertEqual(self.admission.in_flight, 0)


class PlaceTests(SpeakingTestCase):
    """Who is refused takes no place from the others."""

    speech = MESSAGES
    max_concurrency = 1

    async def test_a_request_that_cannot_be_written_down_gives_its_place_back(self) -> None:
        await self.start([Send(answer(self.speech.document))])
        self.journal.most_at_once = 0  # there seemed to be room when it was admitted
        refused = await self.ask()
        self.journal.most_at_once = 1000

        response = await self.ask()

        self.assertEqual((refused.status, response.status), (503, 200))
        self.assertEqual((self.admission.in_flight, self.memory.used_bytes), (0, 0))
        self.assertEqual(len(self.upstream.requests), 1)


class QuietTests(endings.QuietCases):
    speech = MESSAGES
