"""A stream whose client has left is read on where that is configured: counts are exact then."""

from __future__ import annotations

from bridge.upstream.draining import DrainLimits
from tests.loopback import draining
from tests.loopback.speech import CHAT, MESSAGES, RESPONSES
from tests.support.fakes import Hold, Send, chunk
from tests.support.gateway import MIB


class MessagesTests(draining.DrainingCases):
    speech = MESSAGES


class ChatTests(draining.DrainingCases):
    speech = CHAT


class ResponsesTests(draining.DrainingCases):
    speech = RESPONSES


class LimitTests(draining.DrainingCases):
    speech = MESSAGES

    async def test_no_longer_than_the_limit(self) -> None:
        self.drain = DrainLimits(seconds=0.1, bytes=MIB)

        await self.leave_a_stream(Hold())
        await self.settled()
        await self.upstream.left()

        self.assertEqual(self.journal.ended.status, "client_abort")
        self.assertLess(self.journal.ended.duration_ms, 1_000)

    async def test_no_more_than_the_limit(self) -> None:
        self.drain = DrainLimits(seconds=10.0, bytes=1_000)
        event = b": " + b"x" * 2_000 + b"\n\n"

        await self.leave_a_stream(Send(chunk(event)), Hold())
        self.upstream.release()
        await self.settled()
        await self.upstream.left()

        self.assertEqual(self.journal.usage.usage_source, "provider_partial")
