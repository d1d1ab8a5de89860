"""What becomes of a stream that is read on after its client has left, in any API."""

from __future__ import annotations

from bridge.domain.errors import Overloaded
from bridge.domain.records import InterceptionEnded, TokenUsageRecorded
from bridge.upstream.draining import DrainLimits
from tests.loopback.speaking import SpeakingTestCase
from tests.support.fakes import LAST_CHUNK, Hold, Reset, Send, chunk, stream_head
from tests.support.gateway import MIB


class DrainingCases(SpeakingTestCase):
    drain = DrainLimits(seconds=10.0, bytes=MIB)
    max_concurrency = 1

    async def leave_a_stream(self, *rest: Send | Reset | Hold) -> None:
        """Begin a stream, and leave it before upstream sends `rest`."""
        begun = stream_head() + chunk(self.speech.start)
        await self.start([Send(begun), Hold(), *rest])
        client = await self.connect()
        client.send(self.request(self.speech.ask_stream))
        await client.begun(self.speech.start)
        await client.reset()
        while self.site.connections:
            await self.a_turn()

    def rest(self) -> Send:
        rest = self.speech.whole.removeprefix(self.speech.start)
        self.assertNotEqual(rest, self.speech.whole)
        return Send(chunk(rest) + LAST_CHUNK)

    async def test_the_counts_are_those_of_the_whole_answer(self) -> None:
        await self.leave_a_stream(self.rest())
        self.assertEqual(self.journal.of(InterceptionEnded), [])

        self.upstream.release()
        await self.settled()

        ended, usage = self.journal.ended, self.journal.usage
        self.assertEqual(ended.status, "client_abort")
        self.assertEqual(ended.bytes_out, len(self.speech.start))
        self.assertEqual((usage.input_tokens, usage.output_tokens), (7, 5))
        self.assertEqual(usage.usage_source, "drained")
        await self.a_turn()
        self.assertEqual(self.admission.in_flight, 0)

    async def test_it_takes_a_place_until_it_is_read(self) -> None:
        await self.leave_a_stream(self.rest())

        self.assertEqual((await self.ask()).status, 503)
        self.upstream.release()
        await self.settled()

    async def test_an_upstream_that_breaks_meanwhile_has_no_final_counts(self) -> None:
        await self.leave_a_stream(Reset())

        self.upstream.release()
        await self.settled()

        self.assertEqual(self.journal.ended.status, "client_abort")
        sources = {each.usage_source for each in self.journal.of(TokenUsageRecorded)}
        self.assertLessEqual(sources, {"provider_partial"})

    async def test_a_stop_ends_it(self) -> None:
        await self.leave_a_stream(self.rest())

        self.interceptor.abort(Overloaded("The bridge is restarting."), which=lambda _: True)
        await self.settled()
        await self.upstream.left()

        self.assertEqual(self.journal.ended.status, "client_abort")
