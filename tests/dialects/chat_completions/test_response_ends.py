"""How an answer ends, what counts then, and what is read behind an error or the end."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.dialects.chat_completions.response import ChatReader
from bridge.dialects.interface import InBandError
from bridge.domain.observations import TokenUsage, ToolUsage, UsageSource
from tests.fixtures.chat_chunks import block, call_choice, chunk, started, take, usage
from tests.fixtures.chat_streams import AFTER_THE_END
from tests.fixtures.observed import expected_of, observe
from tests.fixtures.shapes import cuts
from tests.support.cases import BridgeTestCase


class CountTests(BridgeTestCase):
    """Counts are final only when the provider gave them at the answer's end."""

    def source(self, *chunks: dict[str, Any]) -> tuple[UsageSource, UsageSource]:
        """Return what is said of the counts when the end is told, and of the whole reading."""
        reader = started()
        for each in chunks:
            take(reader, each)
        (told,) = reader.event(b"", b"[DONE]")
        assert isinstance(told, TokenUsage)
        known = reader.reading().usage
        assert known is not None
        return told.source, known.source

    def test_counts_of_the_first_chunk_alone_are_partial(self) -> None:
        partial = UsageSource.PROVIDER_PARTIAL
        first = chunk({"content": ""}, **usage(5, 0))

        self.assertEqual(self.source(first, chunk({"content": "x"})), (partial, partial))
        self.assertEqual(
            self.source(first, chunk({"content": "x"}), chunk({}, "stop")), (partial, partial)
        )

    def test_counts_with_the_finish_or_behind_it_are_final(self) -> None:
        final = UsageSource.PROVIDER_FINAL

        self.assertEqual(self.source(chunk({}, "stop", **usage(5, 1))), (final, final))
        self.assertEqual(
            self.source(chunk({}, "stop"), {"choices": [], **usage(5, 1)}), (final, final)
        )

    def test_null_counts_behind_the_finish_change_nothing(self) -> None:
        partial = UsageSource.PROVIDER_PARTIAL

        self.assertEqual(
            self.source(chunk({}, **usage(5, 0)), chunk({}, "stop", usage=None)),
            (partial, partial),
        )

    def test_counts_while_another_choice_goes_on_are_partial(self) -> None:
        partial = UsageSource.PROVIDER_PARTIAL
        two = chunk({"content": "x"})
        two["choices"].append({"index": 1, "delta": {"content": "y"}})

        self.assertEqual(
            self.source(two, chunk({}, "stop", **usage(5, 1)), {"choices": [{"index": 1}]}),
            (partial, partial),
        )

    def test_counts_of_a_document_are_final_whatever_it_lacks(self) -> None:
        (told,) = ChatReader().document(json.dumps({"choices": [], **usage(5, 1)}).encode(), 200)

        assert isinstance(told, TokenUsage)
        self.assertEqual(told.source, UsageSource.PROVIDER_FINAL)


class ErrorTests(BridgeTestCase):
    """An error ends the answer for the record; what the client gets behind it is read as well."""

    def setUp(self) -> None:
        super().setUp()
        self.reader = started()
        take(self.reader, {"choices": [call_choice(0, "call_cut", finish=None)]})
        take(self.reader, {"error": {"message": "first", "type": "t"}})
        self.assertTrue(self.reader.terminal)

    def test_calls_and_counts_behind_it_are_told(self) -> None:
        found = take(self.reader, {"choices": [call_choice(1, "call_late")], **usage(7, 3)})

        self.assertEqual(
            [each.tool_call_id for each in found if isinstance(each, ToolUsage)], ["call_late"]
        )
        (counts,) = [each for each in found if isinstance(each, TokenUsage)]
        self.assertEqual((counts.input_tokens, counts.output_tokens), (7, 3))
        self.assertEqual(counts.source, UsageSource.PROVIDER_PARTIAL)

    def test_first_error_stands_and_the_answer_is_one(self) -> None:
        take(self.reader, {"error": {"message": "second"}})
        take(self.reader, chunk({}, "stop"))
        self.reader.event(b"error", b'{"message":"third"}')
        self.reader.event(b"", b"[DONE]")

        reading = self.reader.reading()
        self.assertEqual(reading.error, InBandError(type="t", message="first"))
        self.assertTrue(reading.complete)
        self.assertFalse(reading.partially_observed)

    def test_call_that_it_cut_is_not_told_at_the_end(self) -> None:
        self.assertEqual(list(self.reader.event(b"", b"[DONE]")), [])

    def test_call_that_went_on_behind_it_is_told_at_the_end(self) -> None:
        take(self.reader, {"choices": [call_choice(1, "call_late", finish=None)]})

        (found,) = self.reader.event(b"", b"[DONE]")

        assert isinstance(found, ToolUsage)
        self.assertEqual(found.tool_call_id, "call_late")

    def test_end_is_announced_once(self) -> None:
        body = b'data: {"error":{"message":"x"}}\n\n'
        late = block({"choices": [call_choice(0, "call_late")]}) + b"\n\n"

        seen = observe([body, late, body, b"data: [DONE]\n\n"], streaming=True, reader=ChatReader())

        self.assertEqual(seen.announced, 1)
        self.assertEqual(len(seen.found), 1)
        self.assertFalse(seen.partially_observed)


class AfterTheEndTests(BridgeTestCase):
    """Behind `[DONE]` nothing is read; that something came is said."""

    def test_answer_behind_the_end_is_not_of_this_one_at_any_cut(self) -> None:
        for chunks in cuts(AFTER_THE_END.body):
            seen = observe(chunks, streaming=True, reader=ChatReader())

            self.assertEqual(seen, expected_of(AFTER_THE_END))

    def marked(self, *blocks: bytes) -> bool:
        body = [
            b"\n\n".join((block(chunk({"content": "x"}, "stop")), b"data: [DONE]", *blocks, b""))
        ]
        return observe(body, streaming=True, reader=ChatReader()).partially_observed

    def test_anything_behind_the_end_is_marked(self) -> None:
        self.assertTrue(self.marked(block({"choices": [call_choice(0, "call_late")]})))
        self.assertTrue(self.marked(block(chunk({"content": "ordinary"}))))
        self.assertTrue(self.marked(b"event: x\ndata: no JSON"))

    def test_same_end_again_and_comments_are_not(self) -> None:
        self.assertFalse(self.marked(b"data: [DONE]", b": bye", b"data:"))

    def test_ordinary_text_behind_the_end_is_marked_when_it_has_been_passed_over_before(
        self,
    ) -> None:
        text = block(chunk({"content": "ordinary"}))
        body = b"\n\n".join((text, text, text, b"data: [DONE]", text, b""))

        self.assertTrue(observe([body], streaming=True, reader=ChatReader()).partially_observed)


class CompletenessTests(BridgeTestCase):
    """When an answer counts as whole."""

    def test_finished_choices_complete_an_answer_before_its_end_is_said(self) -> None:
        reader = started()
        self.assertFalse(reader.reading().complete)

        take(reader, chunk({}, "stop"))

        self.assertTrue(reader.reading().complete)
        self.assertFalse(reader.terminal)

    def test_empty_finish_reason_is_none(self) -> None:
        reader = started()

        take(reader, chunk({}, ""))

        self.assertFalse(reader.reading().complete)
        self.assertFalse(reader.reading().partially_observed)

    def test_finished_answer_without_done_and_without_counts_is_marked(self) -> None:
        reader = started()
        take(reader, chunk({}, "stop"))
        self.assertTrue(reader.reading().partially_observed)

        take(reader, {"choices": [], **usage(5, 1)})

        self.assertFalse(reader.reading().partially_observed)

    def test_finished_answer_without_counts_is_not_marked_once_its_end_is_said(self) -> None:
        reader = started()
        take(reader, chunk({}, "stop"))

        reader.event(b"", b"[DONE]")

        self.assertFalse(reader.reading().partially_observed)

    def test_nothing_seen_is_not_complete(self) -> None:
        self.assertFalse(ChatReader().reading().complete)

    def test_whole_answer_in_one_event_is_read(self) -> None:
        reader = ChatReader()
        call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        choice = {"index": 0, "message": {"tool_calls": [call]}, "finish_reason": "tool_calls"}

        (found,) = take(reader, {"id": "c", "choices": [choice]})

        self.assertEqual(
            found, ToolUsage(response_id="c", tool_call_id="call_1", tool="f", input="{}")
        )

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=3),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(
                        [
                            *("id", "choices", "index", "delta", "message", "finish_reason"),
                            *("tool_calls", "function_call", "function", "name", "arguments"),
                            *("usage", "prompt_tokens", "prompt_tokens_details", "x_groq"),
                            *("cached_tokens", "content", "reasoning_details", "text", "error"),
                        ]
                    ),
                    inner,
                    max_size=6,
                )
            ),
            max_leaves=25,
        )
    )
    @settings(max_examples=500, deadline=None, derandomize=True)
    def test_any_json_is_survived(self, value: object) -> None:
        reader = ChatReader()
        take(reader, {"id": "c", "choices": [value, {"delta": value}]})
        take(reader, value)
        take(reader, {"usage": value, "choices": value})
        reader.event(b"", b"[DONE]")
        self.assertTrue(reader.reading().complete)
