"""An upstream with bad manners: the client gets the truth, and the record says it."""

from __future__ import annotations

from tests.loopback import bad_upstream
from tests.loopback.speech import MESSAGES


class BeforeTheAnswerTests(bad_upstream.BeforeTheAnswerCases):
    speech = MESSAGES


class NeverAnswersTests(bad_upstream.NeverAnswersCases):
    speech = MESSAGES


class WithinTheAnswerTests(bad_upstream.WithinTheAnswerCases):
    speech = MESSAGES

    async def test_a_clean_end_without_message_stop_is_an_error(self) -> None:
        await self.ended_early()


class OddAnswersTests(bad_upstream.OddAnswersCases):
    speech = MESSAGES
