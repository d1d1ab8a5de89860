"""What the reader passes over unread, and what it keeps at most."""

from __future__ import annotations

from typing import Any

from bridge.dialects.chat_completions.response import ChatReader
from bridge.domain.observations import ModelThought, ToolUsage
from tests.fixtures.chat import STREAMS
from tests.fixtures.chat_chunks import block, call_choice, chunk, started, take
from tests.fixtures.observed import observe
from tests.support.cases import BridgeTestCase


class ReadingAll(ChatReader):
    """Passes nothing over."""

    def skips(self, block: bytes) -> bool:
        return False


class SkippingTests(BridgeTestCase):
    """Ordinary text is not decoded; whatever else may matter is."""

    def skipped(self, value: object, *, spaced: bool = False) -> bool:
        return started().skips(block(value, spaced=spaced))

    def test_text_is_passed_over(self) -> None:
        self.assertTrue(self.skipped(chunk({"content": "Hi"})))

    def test_spaced_text_is_passed_over(self) -> None:
        self.assertTrue(self.skipped(chunk({"content": "Hi"}, usage=None), spaced=True))

    def test_text_beside_empty_fields_is_passed_over(self) -> None:
        empty: dict[str, object] = {
            "tool_calls": [],
            "reasoning": None,
            "reasoning_content": "",
            "function_call": None,
        }

        self.assertTrue(self.skipped(chunk({"content": "Hi", **empty}, usage=None, error=None)))

    def test_text_that_looks_like_fields_is_passed_over(self) -> None:
        text = '"tool_calls":[1],"usage":{"finish_reason":"stop","index":1,"error":{}}'

        self.assertTrue(self.skipped(chunk({"content": text})))

    def test_first_chunk_is_read_for_its_id(self) -> None:
        self.assertFalse(ChatReader().skips(block(chunk({"content": "Hi"}))))

    def test_what_matters_is_read(self) -> None:
        call = {"index": 0, "id": "c", "function": {"name": "f"}}
        thinking = [{"type": "thinking", "thinking": [{"type": "text", "text": "x"}]}]
        telling: tuple[dict[str, Any], ...] = (
            chunk({"content": ""}, "stop"),
            chunk({"tool_calls": [call]}),
            chunk({"function_call": {"name": "f"}}),
            chunk({"content": "", "reasoning_content": "x"}),
            chunk({"content": "", "reasoning": "x"}),
            chunk({"content": "", "reasoning_text": "x"}),
            chunk({"content": "", "reasoning_details": [{"text": "x"}]}),
            chunk({"content": thinking}),
            chunk({"content": "x"}, usage={"prompt_tokens": 1}),
            chunk({"content": "x"}, usage=None, x_groq={"usage": {"prompt_tokens": 1}}),
            chunk({"content": "x"}, error={"message": "x"}),
            {**chunk({"content": "x"}), "choices": [{"index": 1, "finish_reason": None}]},
            {"id": "c", "choices": [], "usage": None},
        )
        for value in telling:
            self.assertFalse(self.skipped(value), value)
            self.assertFalse(self.skipped(value, spaced=True), value)

    def test_another_choice_in_the_same_chunk_is_read(self) -> None:
        value = chunk({"content": "x"})
        value["choices"].append({"index": 1, "delta": {}, "finish_reason": "stop"})

        self.assertFalse(self.skipped(value))

    def test_named_event_is_read(self) -> None:
        self.assertFalse(started().skips(b"event: error\n" + block(chunk({"content": "x"}))))

    def test_unusual_space_is_read(self) -> None:
        odd = block(chunk({"content": "x"}, usage=1)).replace(b'"usage":1', b'"usage":\t{}')

        self.assertFalse(started().skips(odd))

    def test_streams_say_the_same_when_nothing_is_passed_over(self) -> None:
        for fixture in STREAMS:
            seen = observe([fixture.body], streaming=True, reader=ReadingAll())

            self.assertEqual(seen.found, fixture.found, fixture.name)
            self.assertEqual(seen.usage, fixture.usage, fixture.name)


class FrameTests(BridgeTestCase):
    """Deltas that differ from an ordinary one only in their text are known by that."""

    def setUp(self) -> None:
        super().setUp()
        self.reader = started()
        self.usual = block(chunk({"content": "Hi"}, usage=None, obfuscation="aB3"))
        self.assertTrue(self.reader.skips(self.usual))

    def test_other_text_and_padding_are_passed_over(self) -> None:
        self.assertTrue(self.reader.skips(self.usual.replace(b"Hi", b"").replace(b"aB3", b"c")))
        self.assertTrue(self.reader.skips(self.usual.replace(b"Hi", b"}\\n]").replace(b"aB3", b"")))

    def test_text_with_quotes_is_passed_over(self) -> None:
        self.assertTrue(self.reader.skips(self.usual.replace(b"Hi", b'\\"usage\\":{')))
        self.assertTrue(self.reader.skips(self.usual.replace(b"Hi", b"\\\\")))

    def test_anything_more_is_read(self) -> None:
        for at, more in (
            (b'Hi"', b'Hi","tool_calls":[{"index":0}]'),
            (b'Hi"', b'Hi","reasoning":"x"'),
            (b'aB3"', b'aB3","usage":{"prompt_tokens":1}'),
            (b'aB3"', b'aB3","error":{"message":"x"}'),
            (b'"usage":null', b'"usage":{}'),
            (b'"finish_reason":null', b'"finish_reason":"stop"'),
            (b'"index":0', b'"index":1'),
        ):
            self.assertFalse(self.reader.skips(self.usual.replace(at, more)), more)

    def test_frame_that_changes_is_followed(self) -> None:
        for created in range(3):
            later = block({"created": created, **chunk({"content": "Hi"})})

            self.assertTrue(self.reader.skips(later))
            self.assertTrue(self.reader.skips(later.replace(b"Hi", b"there")))


class BoundTests(BridgeTestCase):
    """A provider that never ends something costs a bounded amount."""

    def test_arguments_over_the_limit_are_cut_and_said_to_be(self) -> None:
        reader = started()
        piece = "x" * 4_000_000
        call = {"index": 0, "id": "call_1", "function": {"name": "f", "arguments": piece}}
        for _ in range(5):
            take(reader, chunk({"tool_calls": [call]}))

        (found,) = take(reader, chunk({}, "tool_calls"))

        assert isinstance(found, ToolUsage)
        self.assertEqual((len(found.input), found.metadata), (16_000_000, {"truncated": True}))
        self.assertTrue(reader.reading().partially_observed)

    def test_thought_over_the_limit_is_cut(self) -> None:
        reader = started()
        for _ in range(5):
            take(reader, chunk({"reasoning": "x" * 4_000_000}))

        (found,) = take(reader, chunk({}, "stop"))

        assert isinstance(found, ModelThought)
        self.assertEqual(len(found.content), 16_000_000)
        self.assertTrue(reader.reading().partially_observed)

    def test_calls_over_the_limit_are_left_out(self) -> None:
        reader = started()
        for n in range(1500):
            call = {"index": n, "id": f"call_{n}", "function": {"name": "f"}}
            take(reader, chunk({"tool_calls": [call]}))

        self.assertEqual(len(take(reader, chunk({}, "tool_calls"))), 1024)
        self.assertTrue(reader.reading().partially_observed)

    def test_calls_over_the_limit_in_one_chunk_are_left_out(self) -> None:
        for unit in ({"id": "c"}, {"index": 0, "id": "c", "function": {"name": "f"}}):
            reader = started()
            calls = [{**unit, "id": f"call_{n}"} for n in range(80_000)]

            told = take(reader, chunk({"tool_calls": calls}, "tool_calls"))

            self.assertTrue(1000 < len(told) < 5000, len(told))
            self.assertTrue(reader.reading().partially_observed)

    def test_choices_over_the_limit_in_one_chunk_are_left_out(self) -> None:
        reader = started()

        told = take(reader, {"choices": [call_choice(0, f"call_{n}") for n in range(20_000)]})

        self.assertEqual(len(told), 128)
        self.assertTrue(reader.reading().partially_observed)

    def test_open_calls_grow_when_there_is_no_room_for_others(self) -> None:
        reader = started()
        for n in range(1024):
            take(reader, chunk({"tool_calls": [{"index": n, "id": f"call_{n}"}]}))
        take(reader, chunk({"tool_calls": [{"id": "call_1023", "function": {"name": "f"}}]}))

        told = take(reader, chunk({}, "tool_calls"))

        assert isinstance(told[-1], ToolUsage)
        self.assertEqual(told[-1].tool, "f")

    def test_calls_without_end_under_one_number_are_told_as_they_end(self) -> None:
        reader = started()
        told = 0
        for n in range(1500):
            call = {"index": 0, "id": f"call_{n}", "function": {"name": "f"}}
            told += len(take(reader, chunk({"tool_calls": [call]})))

        self.assertEqual(told, 1499)
        self.assertFalse(reader.reading().partially_observed)

    def test_choices_over_the_limit_are_left_out(self) -> None:
        reader = started()
        for n in range(200):
            take(reader, {"choices": [{"index": n, "delta": {}, "finish_reason": "stop"}]})

        self.assertTrue(reader.reading().partially_observed)

    def test_deep_nesting_is_left_out(self) -> None:
        reader = started()

        reader.event(b"", b'{"choices":' + b"[" * 100_000 + b"]" * 100_000 + b"}")

        self.assertTrue(reader.reading().partially_observed)
