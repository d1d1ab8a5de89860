"""Tests for bridge.recording.recorder: levels, numbering, one end, and what is marked."""

from __future__ import annotations

from uuid import UUID

import msgspec

from bridge.domain.clock import utc
from bridge.domain.errors import Unavailable
from bridge.domain.identity import CredentialKind
from bridge.domain.ids import uuid7
from bridge.domain.interception import Api, Ending, EndState, Interception, ToolResult, Traffic
from bridge.domain.observations import ModelThought, TokenUsage, ToolUsage, UsageSource
from bridge.domain.records import (
    InterceptionEnded,
    InterceptionStarted,
    ModelThoughtRecorded,
    TokenUsageRecorded,
    ToolUsageRecorded,
)
from bridge.recording.brought import Brought
from bridge.recording.recorder import Levels, Recorder, Recording
from tests.policy.test_admission import person
from tests.support.cases import BridgeTestCase
from tests.support.gateway import MemoryJournal

CALL = ToolUsage(response_id="msg_1", tool_call_id="toolu_1", tool="Bash", input='{"cmd":"ls"}')
THOUGHT = ModelThought(content="Let me think.", source="thinking")
USAGE = TokenUsage(
    response_id="msg_1",
    input_tokens=3,
    output_tokens=2,
    cache_read_input_tokens=0,
    cache_write_input_tokens=0,
    source=UsageSource.PROVIDER_FINAL,
    extra={"web_search_requests": 1},
    metadata={"service_tier": "standard"},
)


class RecorderTests(BridgeTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.journal = MemoryJournal()

    def begin(
        self,
        *,
        levels: Levels | None = None,
        prompt: str = "Hello",
        traffic: Traffic = Traffic.INTERCEPTED,
        recorder: Recorder | None = None,
        again: bool = False,
    ) -> Recording:
        recorder = recorder or self.recorder(levels or Levels())
        now = self.clock.seconds()
        return recorder.begin(
            Interception(
                id=uuid7(now),
                started_at=utc(now),
                traffic=traffic,
                actor=person(1, token="tokentokento"),
                provider="anthropic",
                provider_name="anthropic",
                api=Api.MESSAGES,
                method="POST",
                route="/v1/messages",
                model="claude-sonnet-5",
                streaming=True,
                client="Unknown",
                client_session_id=None,
                user_agent="",
                correlating_tool_call_id=None,
                credential_kind=CredentialKind.CENTRALIZED,
                credential_hint="sk-a...wxyz",
                prompt=prompt,
                bytes_in=10,
                tool_results=(
                    ToolResult(
                        call_id="toolu_0", size_bytes=5, is_error=True, content="oh no",
                        perhaps_repeated=again,
                    ),
                ),
            )
        )  # fmt: skip

    def recorder(self, levels: Levels) -> Recorder:
        return Recorder(journal=self.journal, levels=levels, clock=self.clock)

    def ending(self, state: EndState = EndState.COMPLETED) -> Ending:
        return Ending(
            at=utc(self.clock.seconds()),
            state=state,
            http_status=200,
            ttfb_ms=1,
            duration_ms=2,
            bytes_out=3,
            response_sha256=None,
            client_sha256=None,
        )

    def test_the_day_is_that_of_the_interception_not_of_the_record(self) -> None:
        recording = self.begin()
        self.clock.advance(86400)
        recording.observe(1, [USAGE])
        recording.end(self.ending(), None)

        self.assertEqual(len({record.day for record in self.journal.records}), 1)

    def test_calls_and_thoughts_are_numbered_over_all_legs(self) -> None:
        recording = self.begin()
        recording.observe(1, [CALL, THOUGHT, CALL])
        recording.observe(2, [CALL, THOUGHT])

        self.assertEqual([r.n for r in self.journal.of(ToolUsageRecorded)], [1, 2, 3])
        self.assertEqual([r.n for r in self.journal.of(ModelThoughtRecorded)], [1, 2])

    def test_extra_token_types_are_kept(self) -> None:
        self.begin().observe(1, [USAGE])

        self.assertEqual(
            self.journal.usage.metadata, {"web_search_requests": 1, "service_tier": "standard"}
        )

    def test_the_first_end_counts(self) -> None:
        recording = self.begin()

        recording.end(self.ending(EndState.CLIENT_ABORT), None)
        recording.end(self.ending(EndState.COMPLETED), None)

        self.assertEqual(self.journal.ended.status, "client_abort")

    def test_an_end_that_could_not_be_written_may_be_tried_again(self) -> None:
        recording = self.begin()
        self.journal.broken = True
        self.assertRaises(Unavailable, recording.end, self.ending(), None)
        self.journal.broken = False

        recording.end(self.ending(), None)

        self.assertEqual(len(self.journal.of(InterceptionEnded)), 1)

    def test_the_last_counts_are_written_with_the_end_before_it(self) -> None:
        recording = self.begin()
        self.journal.full = True  # only an end may still be written
        recording.end(self.ending(), None, [USAGE])

        kinds = [type(record) for record in self.journal.records[1:]]
        self.assertEqual(kinds, [TokenUsageRecorded, InterceptionEnded])
        self.assertFalse(self.journal.ended.partially_observed)

    def test_counts_that_found_no_room_in_mid_answer_are_written_with_the_end(self) -> None:
        """A call beside them is lost, and that is said; the newest counts of each leg are not."""
        recording = self.begin()
        self.journal.full = True
        partial = msgspec.structs.replace(USAGE, output_tokens=1)
        recording.observe(1, [partial])
        recording.observe(1, [USAGE])
        self.assertRaises(Unavailable, recording.observe, 2, [CALL, USAGE])
        recording.end(self.ending(), None)

        written = [(each.n, each.output_tokens) for each in self.journal.of(TokenUsageRecorded)]
        self.assertEqual(written, [(1, 2), (2, 2)])
        self.assertEqual(self.journal.of(ToolUsageRecorded), [])

    def test_counts_after_the_end_that_find_no_room_are_reported(self) -> None:
        recording = self.begin()
        recording.end(self.ending(), None)
        self.journal.full = True

        self.assertRaises(Unavailable, recording.observe, 1, [USAGE])

    def test_last_calls_that_find_no_room_leave_the_counts_beside_them(self) -> None:
        recording = self.begin()
        self.journal.full = True
        recording.end(self.ending(), None, [CALL, USAGE])

        self.assertEqual(self.journal.usage.output_tokens, 2)
        self.assertTrue(self.journal.ended.partially_observed)

    def test_last_counts_that_had_to_be_altered_mark_the_end(self) -> None:
        recording = self.begin()
        odd = msgspec.structs.replace(USAGE, response_id="msg\0")
        recording.end(self.ending(), None, [odd])

        self.assertEqual(len(self.journal.of(TokenUsageRecorded)), 1)
        self.assertTrue(self.journal.ended.partially_observed)

    def test_last_calls_that_find_no_room_cost_detail_not_the_end(self) -> None:
        recording = self.begin()
        self.journal.full = True
        recording.end(self.ending(), None, [CALL])

        self.assertEqual(self.journal.of(ToolUsageRecorded), [])
        self.assertTrue(self.journal.ended.partially_observed)

    def test_last_counts_too_large_for_the_reserve_are_given_up_for_the_end(self) -> None:
        recording = self.begin()
        self.journal.most_at_once = 1
        recording.end(self.ending(), None, [USAGE])

        self.assertEqual(self.journal.of(TokenUsageRecorded), [])
        self.assertTrue(self.journal.ended.partially_observed)

    def test_what_is_switched_off_never_reaches_the_journal(self) -> None:
        levels = Levels(prompts=False, tool_inputs=False, thoughts=False, tool_results=False)
        recording = self.begin(levels=levels)
        recording.observe(1, [CALL, THOUGHT, USAGE])

        self.assertIsNone(self.journal.of(InterceptionStarted)[0].prompt)
        (result,) = self.journal.of(InterceptionStarted)[0].tool_results
        self.assertEqual((result.tool_call_id, result.size_bytes, result.is_error, result.content),
                         ("toolu_0", 5, True, None))  # fmt: skip
        self.assertEqual(self.journal.of(ToolUsageRecorded)[0].input, "")
        self.assertEqual(self.journal.of(ToolUsageRecorded)[0].tool, "Bash")
        self.assertEqual(self.journal.of(ModelThoughtRecorded), [])
        self.assertEqual(self.journal.usage.output_tokens, 2)

    def test_results_of_tools_are_recorded_where_that_is_wanted_and_not_kept_in_memory(
        self,
    ) -> None:
        recording = self.begin(levels=Levels(tool_results=True))

        (result,) = self.journal.of(InterceptionStarted)[0].tool_results
        self.assertEqual(result.content, "oh no")
        self.assertEqual(recording.interception.tool_results, ())

    def test_a_result_that_an_earlier_request_brought_is_recorded_once(self) -> None:
        """Where the API does not tell, what this process remembers does."""

        def result(call: str, *, again: bool) -> ToolResult:
            return ToolResult(
                call_id=call, size_bytes=1, is_error=None, content="x", perhaps_repeated=again
            )

        brought = Brought(most=3)
        alice, bob = UUID(int=1), UUID(int=2)

        def new(who: UUID, *results: ToolResult) -> list[str]:
            return [each.call_id for each in brought.new(who, results)[0]]

        twice = (result("a", again=True), result("a", again=True))
        self.assertEqual(new(alice, *twice), ["a"])
        self.assertEqual(new(alice, result("a", again=True), result("b", again=False)), ["b"])
        self.assertEqual(new(bob, result("a", again=True)), ["a"])
        self.assertEqual(new(alice, result("a", again=False)), ["a"])
        self.assertEqual(new(alice, result("c", again=False), result("d", again=False)), ["c", "d"])
        self.assertEqual(new(alice, result("b", again=True)), ["b"], "it was forgotten")

    def test_a_result_that_was_not_written_down_comes_again(self) -> None:
        recorder = self.recorder(Levels())
        self.journal.full = True
        with self.assertRaises(Unavailable):
            self.begin(recorder=recorder, again=True)
        self.journal.full = False

        self.begin(recorder=recorder, again=True)
        self.begin(recorder=recorder, again=True)

        brought = [each.tool_results for each in self.journal.of(InterceptionStarted)]
        self.assertEqual([len(each) for each in brought], [1, 0])

    def test_a_prompt_is_not_kept_in_memory(self) -> None:
        recording = self.begin(prompt="secret plan")

        self.assertEqual(self.journal.started.prompt, "secret plan")
        self.assertIsNone(recording.interception.prompt)

    def test_what_had_to_be_replaced_marks_the_end(self) -> None:
        recording = self.begin(prompt="nul \0 byte")
        recording.end(self.ending(), None)

        self.assertTrue(self.journal.ended.partially_observed)

    def test_a_passthrough_waits_for_no_disk(self) -> None:
        self.journal.slow = True

        self.successResultOf(self.begin(traffic=Traffic.PASSTHROUGH).durable())
        self.assertNoResult(self.begin().durable())

    def test_ids_are_ours_and_in_order_of_time(self) -> None:
        recording = self.begin()
        self.clock.advance(1)
        recording.observe(1, [USAGE, CALL])
        recording.end(self.ending(), None)

        ids: list[UUID] = [record.id for record in self.journal.records]
        self.assertEqual({each.version for each in ids}, {7})
        self.assertEqual(ids[0], min(ids))
