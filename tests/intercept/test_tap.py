"""The tap sees what goes past, and never gets in its way."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.dialects.interface import Reader, Reading
from bridge.dialects.messages.dialect import Messages
from bridge.dialects.responses.dialect import Responses
from bridge.domain.observations import Observation, TokenUsage
from bridge.intercept.tap import Tap
from tests.fixtures.messages import STREAMS
from tests.fixtures.observed import Lines, expected_of, observe
from tests.support.cases import BridgeTestCase

FIXTURES = {fixture.name: fixture for fixture in STREAMS}
PIECES = st.sampled_from(
    [
        b"event: message_start\ndata: ",
        b"event: content_block_start\ndata: ",
        b"event: content_block_delta\ndata: ",
        b"event: content_block_stop\ndata: ",
        b"event: message_delta\ndata: ",
        b"event: message_stop\ndata: ",
        b"event: error\ndata: ",
        b'{"type":"text_delta"}',
        b'{"index":0,"content_block":{"type":"tool_use","id":"a","input":{}}}',
        b'{"index":0,"delta":{"type":"input_json_delta","partial_json":"{"}}',
        b'{"message":{"id":"m","usage":{"output_tokens":1}}}',
        b'{"index":{},"delta":3,"usage":[],"message":[],"content_block":7}',
        b'{"a":' + b"[" * 5000,
        b"\xff\xfe",
        b"\\ud83d",
        b"\r",
        b"\n",
        b"\n\n",
        b"{}",
    ]
)


class FaultyReader:
    """A reader with a fault of ours in it."""

    terminal = False

    def skips(self, block: bytes) -> bool:
        return False

    def event(self, name: bytes, data: bytes) -> Sequence[Observation]:
        raise KeyError("secret words of the answer")

    def rest(self, name: bytes, data: bytes) -> Sequence[Observation]:
        raise KeyError("secret words of the answer")

    def document(self, body: bytes, status: int) -> Sequence[Observation]:
        raise KeyError("secret words of the answer")

    def reading(self) -> Reading:
        raise KeyError("secret words of the answer")


class TapTestCase(BridgeTestCase):
    """Has one tap and what it told."""

    def setUp(self) -> None:
        super().setUp()
        self.told: list[Observation] = []
        self.log = Lines()

    def tap(
        self,
        *,
        streaming: bool = True,
        reader: Reader | None = None,
        max_bytes: int = 10_000,
        refusing: bool = False,
    ) -> Tap:
        def refuse(_: Sequence[Observation]) -> None:
            raise OSError("disk")

        return Tap(
            reader=reader if reader is not None else Messages().reader(),
            streaming=streaming,
            status=200,
            max_event_bytes=max_bytes,
            max_document_bytes=max_bytes,
            on_observations=refuse if refusing else self.told.extend,
            log=self.log,
        )


class ObservingTests(TapTestCase):
    """What is told, and when."""

    def test_counts_so_far_are_told_as_soon_as_the_answer_begins(self) -> None:
        tap = self.tap()

        tap.data(FIXTURES["text"].body.partition(b"event: content_block_start")[0])

        (usage,) = [each for each in self.told if isinstance(each, TokenUsage)]
        self.assertEqual((usage.output_tokens, usage.source), (1, "provider_partial"))

    def test_tool_call_is_told_as_soon_as_its_block_ends(self) -> None:
        body = FIXTURES["tool_call"].body
        tap = self.tap()

        tap.data(body[: body.index(b"event: message_delta")])

        self.assertIn(FIXTURES["tool_call"].found[0], self.told)

    def test_only_the_chunk_with_the_end_says_so(self) -> None:
        body = FIXTURES["text"].body
        tap = self.tap()

        self.assertFalse(tap.data(body[:-2]))
        self.assertTrue(tap.data(body[-2:]))
        self.assertFalse(tap.data(body))

    def test_error_event_is_an_end(self) -> None:
        self.assertTrue(self.tap().data(FIXTURES["error_mid_stream"].body))

    def test_finishing_twice_tells_once(self) -> None:
        tap = self.tap()
        tap.data(FIXTURES["truncated_before_stop"].body)

        first = tap.finish()
        told = list(self.told)

        self.assertIs(tap.finish(), first)
        self.assertEqual(self.told, told)

    def test_final_counts_of_a_cut_answer_are_told_at_its_end(self) -> None:
        tap = self.tap()
        tap.data(FIXTURES["truncated_before_stop"].body)

        tap.finish()

        self.assertEqual(self.told[-1], FIXTURES["truncated_before_stop"].usage)

    def test_several_counts_in_one_chunk_are_one(self) -> None:
        tap = self.tap()

        tap.data(FIXTURES["text"].body)
        tap.finish()

        self.assertEqual(self.told, [FIXTURES["text"].usage])

    def test_document_has_no_boundary_for_an_event_of_ours(self) -> None:
        self.assertFalse(self.tap(streaming=False).at_boundary)

    def test_boundary_is_only_between_events(self) -> None:
        tap = self.tap()
        seen = [tap.at_boundary]

        tap.data(b"event: ping\n")
        seen.append(tap.at_boundary)
        tap.data(b'data: {"type": "ping"}\n\n')
        seen.append(tap.at_boundary)

        self.assertEqual(seen, [True, False, True])


class FaultTests(TapTestCase):
    """Whatever goes wrong in observing, the answer goes on."""

    def test_fault_in_reading_is_said_once_and_marks_the_record(self) -> None:
        tap = self.tap(reader=FaultyReader())

        tap.data(b"data: {}\n\n")
        tap.data(b"data: {}\n\nda")
        tap.finish()

        self.assertEqual(len(self.log.warnings), 1)
        self.assertEqual((tap.partially_observed, tap.following), (True, False))

    def test_fault_in_reading_does_not_log_the_answer(self) -> None:
        tap = self.tap(reader=FaultyReader())

        tap.data(b"data: {}\n\n")

        ((event, fields),) = self.log.warnings
        self.assertEqual((event, fields["error"]), ("observing stopped", "KeyError"))
        self.assertNotIn("secret", repr(fields))

    def test_boundaries_are_followed_after_a_fault(self) -> None:
        tap = self.tap(reader=FaultyReader())

        tap.data(b"data: {}\n\ndata")
        between = tap.at_boundary
        tap.data(b": {}\n\n")

        self.assertEqual((between, tap.at_boundary), (False, True))

    def test_fault_in_reading_a_document_marks_the_record(self) -> None:
        seen = observe([b"{}"], streaming=False, reader=FaultyReader())

        self.assertTrue(seen.partially_observed)

    def test_fault_in_recording_does_not_hide_the_end(self) -> None:
        tap = self.tap(refusing=True)

        self.assertTrue(tap.data(FIXTURES["tool_call"].body))
        self.assertTrue(tap.finish().complete)
        self.assertEqual((tap.partially_observed, tap.following), (True, True))
        self.assertEqual(len(self.log.warnings), 1)

    def test_cut_answer_is_not_called_partially_observed(self) -> None:
        tap = self.tap()
        tap.data(FIXTURES["truncated_in_stop"].body)

        reading = tap.finish()

        self.assertEqual((reading.complete, tap.partially_observed), (False, False))
        self.assertTrue(tap.following)

    def test_event_that_is_too_large_costs_only_itself(self) -> None:
        fixture = FIXTURES["tool_call"]
        large = b"event: content_block_delta\ndata: " + b"x" * 3000 + b"\n\n"
        body = fixture.body.replace(b"event: ping", large + b"event: ping")
        expected = expected_of(fixture)
        log = Lines()

        seen = observe([large, body], streaming=True, max_bytes=2000, log=log)

        self.assertEqual((seen.found, seen.usage), (expected.found, expected.usage))
        self.assertEqual((seen.complete, seen.partially_observed), (True, True))
        self.assertEqual([event for event, _ in log.warnings], ["event not read in full"])

    def test_end_may_have_been_in_what_was_too_large(self) -> None:
        """A stream without an end is then not called broken."""
        tap = self.tap(max_bytes=2000)
        tap.data(FIXTURES["truncated_before_stop"].body)
        before = tap.following

        tap.data(b"data: " + b"x" * 3000 + b"\n\n")

        self.assertEqual((before, tap.following), (True, False))
        self.assertFalse(tap.finish().complete)

    def test_end_that_is_too_large_is_an_end(self) -> None:
        stop = b'event: message_stop\ndata: {"x":"' + b"x" * 3000 + b'"}'
        tap = self.tap(max_bytes=2000)
        tap.data(FIXTURES["truncated_before_stop"].body)

        ends = [tap.data(piece) for piece in (stop[:2500], stop[2500:], b"\n", b"\n", b"\n")]

        self.assertEqual(ends, [False, False, False, True, False])
        self.assertTrue(tap.finish().complete)
        self.assertTrue(tap.partially_observed)

    def test_end_of_the_responses_api_that_is_too_large_is_an_end(self) -> None:
        data = b'data: {"type":"response.completed","response":"' + b"x" * 3000 + b'"}\n\n'
        for end in (b"event: response.completed\n" + data, data):
            tap = self.tap(reader=Responses().reader(), max_bytes=2000)

            self.assertTrue(tap.data(end))
            self.assertTrue(tap.finish().complete)

    def test_document_that_is_too_large_is_not_read(self) -> None:
        seen = observe([b'{"id":"m","x":"', b"x" * 3000, b'"}'], streaming=False, max_bytes=2000)

        self.assertEqual((seen.complete, seen.partially_observed), (False, True))

    @given(st.lists(PIECES | st.binary(max_size=20), max_size=25), st.booleans())
    @settings(max_examples=300, deadline=None, derandomize=True)
    def test_no_bytes_make_it_raise(self, chunks: list[bytes], streaming: bool) -> None:
        log = Lines()

        observe(chunks, streaming=streaming, log=log, max_bytes=6000)

        # Strange bytes are no fault of ours: at most a document, or an event, was not read.
        faults = [fields["error"] for event, fields in log.warnings if "not read" not in event]
        self.assertFalse({"KeyError", "AttributeError", "IndexError"} & set(faults))

    @given(st.lists(PIECES | st.binary(max_size=20), max_size=25))
    @settings(max_examples=200, deadline=None, derandomize=True)
    def test_cuts_of_any_bytes_change_nothing(self, chunks: list[bytes]) -> None:
        whole = observe([b"".join(chunks)], streaming=True)

        cut = observe(chunks, streaming=True)

        self.assertEqual(cut, whole)


class MemoryTests(TapTestCase):
    """A provider cannot fill our memory."""

    def grown_by(self, chunk: bytes, times: int) -> int:
        tap = self.tap(max_bytes=100_000)
        tap.data(b'event: message_start\ndata: {"message":{"id":"m"}}\n\n')
        tap.data(
            b'event: content_block_start\ndata: {"index":0,"content_block":'
            b'{"type":"tool_use","id":"t","name":"f"}}\n\n'
        )
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            for _ in range(times):
                tap.data(chunk)
            return tracemalloc.get_traced_memory()[0] - before
        finally:
            tracemalloc.stop()

    def test_arguments_without_end_are_kept_up_to_a_bound(self) -> None:
        text = b"x" * 90_000
        chunk = (
            b'event: content_block_delta\ndata: {"index":0,"delta":'
            b'{"type":"input_json_delta","partial_json":"' + text + b'"}}\n\n'
        )

        self.assertLess(self.grown_by(chunk, 400), 24 << 20)

    def test_arguments_in_crumbs_take_little_more_than_their_bytes(self) -> None:
        chunk = (
            b'event: content_block_delta\ndata: {"index":0,"delta":'
            b'{"type":"input_json_delta","partial_json":"xyz"}}\n\n'
        )

        self.assertLess(self.grown_by(chunk, 20_000), 200_000)

    def test_blocks_without_end_are_kept_up_to_a_bound(self) -> None:
        chunk = b"".join(
            b'event: content_block_start\ndata: {"index":%d,"content_block":'
            b'{"type":"thinking","thinking":"%s"}}\n\n' % (index, b"x" * 90)
            for index in range(20_000)
        )
        self.assertLess(self.grown_by(chunk, 1), 2 << 20)

    def test_line_without_end_is_not_kept(self) -> None:
        self.assertLess(self.grown_by(b"x" * 50_000, 400), 1 << 20)

    def test_unknown_counts_without_end_are_not_kept(self) -> None:
        counts = b",".join(b'"count_%d":1' % number for number in range(4000))
        chunk = b'event: message_delta\ndata: {"delta":{},"usage":{' + counts + b"}}\n\n"

        self.assertLess(self.grown_by(chunk, 1), 100_000)
