"""Every target of the fuzzing runs, a little and always the same; `make fuzz` goes on."""

from __future__ import annotations

from tests.fuzz.running import once
from tests.fuzz.targets import TARGETS, clear
from tests.support.cases import BridgeTestCase

EXECUTIONS = 40


class FuzzTests(BridgeTestCase):
    def check(self, name: str) -> None:
        self.addCleanup(clear)
        (target,) = (each for each in TARGETS if each.name == name)

        # Twice, as a long run does it.
        once(target, executions=1, number=2)
        self.assertGreaterEqual(once(target, executions=EXECUTIONS, number=1), EXECUTIONS)

    def test_server_sent_events(self) -> None:
        self.check("sse")

    def test_server_sent_events_piece_after_piece(self) -> None:
        self.check("sse_pieces")

    def test_event_streams_of_aws(self) -> None:
        self.check("aws")

    def test_event_streams_of_aws_that_are_whole(self) -> None:
        self.check("aws_whole")

    def test_answers_of_messages(self) -> None:
        self.check("messages")

    def test_answers_of_chat_completions(self) -> None:
        self.check("chat")

    def test_answers_of_responses(self) -> None:
        self.check("responses")

    def test_the_journal(self) -> None:
        self.check("journal")

    def test_the_configuration(self) -> None:
        self.check("config")

    def test_searches(self) -> None:
        self.check("query")
