"""What the reader passes over, what it keeps no more of, and that nothing makes it raise."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.dialects.responses.response import ResponsesReader
from bridge.domain.observations import ModelThought, TokenUsage, ToolUsage, UsageSource
from tests.fixtures.responses import STREAMS
from tests.support.cases import BridgeTestCase


def item_done(index: int, **item: object) -> bytes:
    return json.dumps(
        {"type": "response.output_item.done", "output_index": index, "item": item}
    ).encode()


class SkippingTests(BridgeTestCase):
    """Events about parts are passed over by a look at their first bytes."""

    def skipped(self, block: bytes) -> bool:
        return ResponsesReader().skips(block)

    def test_text_delta_is_skipped(self) -> None:
        self.assertTrue(self.skipped(b'event: response.output_text.delta\ndata: {"delta":"x"}'))

    def test_arguments_delta_is_skipped(self) -> None:
        self.assertTrue(self.skipped(b"event: response.function_call_arguments.delta\ndata: {}"))

    def test_part_that_is_done_is_skipped(self) -> None:
        self.assertTrue(self.skipped(b"event: response.content_part.done\ndata: {}"))

    def test_unnamed_delta_is_skipped(self) -> None:
        self.assertTrue(self.skipped(b'data: {"type":"response.output_text.delta","delta":"x"}'))

    def test_unnamed_delta_with_a_space_is_skipped(self) -> None:
        self.assertTrue(self.skipped(b'data: {"type": "response.output_text.delta"}'))

    def test_item_that_is_done_is_read(self) -> None:
        self.assertFalse(self.skipped(b"event: response.output_item.done\ndata: {}"))
        self.assertFalse(self.skipped(b'data: {"type":"response.output_item.done","item":{}}'))
        self.assertFalse(self.skipped(b'data: {"type": "response.output_item.done","item":{}}'))

    def test_end_is_read_whatever_it_holds(self) -> None:
        data = b'data: {"type":"response.completed","response":{"model":"gpt-5.2.delta"}}'

        self.assertFalse(self.skipped(data))
        self.assertFalse(self.skipped(b"event: response.completed\n" + data))

    def test_unnamed_event_whose_type_comes_late_is_read(self) -> None:
        data = b'data: {"sequence_number":3,"type":"response.output_text.delta","delta":"x"}'

        self.assertFalse(self.skipped(data))

    def test_unnamed_event_without_a_type_is_read(self) -> None:
        self.assertFalse(self.skipped(b'data: {"error":{"message":"a.b"}}'))

    def test_all_that_is_skipped_would_have_told_nothing(self) -> None:
        for fixture in STREAMS:
            reader = ResponsesReader()
            for block in fixture.body.split(b"\n\n"):
                name, _, data = block.removeprefix(b"event: ").partition(b"\ndata: ")
                if reader.skips(block) and data:
                    self.assertEqual(reader.event(name, data), (), fixture.name)
                    self.assertFalse(reader.terminal)


class UnknownEventTests(BridgeTestCase):
    """What is not known is passed over."""

    def test_unknown_events_tell_nothing(self) -> None:
        reader = ResponsesReader()

        reader.event(b"response.transcended", b'{"type":"response.transcended"}')
        reader.event(b"", b'{"type":"weather"}')
        reader.event(b"", b"{}")

        self.assertFalse(reader.reading().partially_observed)


class BoundTests(BridgeTestCase):
    """Whatever a provider sends, no more than a bounded part of it is kept."""

    def test_arguments_beyond_the_room_are_cut_and_say_so(self) -> None:
        reader = ResponsesReader(max_text=10)

        found = [
            *reader.event(
                b"", item_done(0, type="function_call", name="f", call_id="a", arguments="12345678")
            ),
            *reader.event(
                b"", item_done(1, type="function_call", name="f", call_id="b", arguments="12345678")
            ),
        ]

        calls = [each for each in found if isinstance(each, ToolUsage)]
        self.assertEqual([each.input for each in calls], ["12345678", "12"])
        self.assertEqual([each.metadata for each in calls], [{}, {"truncated": True}])
        self.assertTrue(reader.reading().partially_observed)

    def test_thoughts_beyond_the_room_are_cut(self) -> None:
        reader = ResponsesReader(max_text=3)

        (found,) = reader.event(
            b"", item_done(0, type="reasoning", summary=[{"type": "summary_text", "text": "12345"}])
        )

        assert isinstance(found, ModelThought)
        self.assertEqual(found.content, "123")
        self.assertTrue(reader.reading().partially_observed)

    def test_items_beyond_the_limit_are_left_out(self) -> None:
        reader = ResponsesReader(max_items=2)

        told = [
            len(reader.event(b"", item_done(n, type="function_call", call_id=f"c{n}", name="f")))
            for n in range(4)
        ]

        self.assertEqual(told, [1, 1, 0, 0])
        self.assertTrue(reader.reading().partially_observed)

    def test_calls_without_any_id_are_all_told(self) -> None:
        reader = ResponsesReader()
        call = item_done(0, type="function_call", name="f", arguments="{}")

        told = [len(reader.event(b"", call)) for _ in range(2)]

        self.assertEqual(told, [1, 1])

    def test_deeply_nested_event_is_odd(self) -> None:
        reader = ResponsesReader()
        deep = b'{"type":"response.created","response":' + b"[" * 50_000

        self.assertEqual(reader.event(b"", deep), ())
        self.assertTrue(reader.reading().partially_observed)
        self.assertFalse(reader.terminal)

    def test_unnamed_end_of_which_only_the_beginning_is_there_is_an_end(self) -> None:
        """An event that is too large is read by its beginning."""
        for spelled in (b'{"type":"response.incomplete",', b'{ "type": "response.incomplete" ,'):
            reader = ResponsesReader()

            self.assertEqual(reader.event(b"", spelled + b'"response":{"id"'), ())
            self.assertTrue(reader.terminal)
            self.assertEqual(reader.reading().stop_reason, "incomplete")
            self.assertTrue(reader.reading().partially_observed)

    def test_beginning_of_another_event_is_no_end(self) -> None:
        reader = ResponsesReader()

        reader.event(b"", b'{"type":"response.transcended","type":"response.completed')
        reader.event(b"response.output_item.done", b'{"type":"response.output_item.done","item":{"')

        self.assertFalse(reader.terminal)

    def test_end_that_cannot_be_read_is_an_end(self) -> None:
        reader = ResponsesReader()
        deep = b'{"response":{"status":"completed","tools":' + b"[" * 50_000 + b"]" * 50_000 + b"}}"

        self.assertEqual(reader.event(b"response.completed", deep), ())
        self.assertTrue(reader.terminal)
        self.assertEqual(reader.reading().stop_reason, "completed")
        self.assertTrue(reader.reading().partially_observed)


class ErrorTests(BridgeTestCase):
    """The first error stands; what follows it may still count tokens."""

    def test_a_second_error_changes_nothing(self) -> None:
        reader = ResponsesReader()

        reader.event(b"error", b'{"type":"error","code":"a","message":"first"}')
        reader.event(b"error", b'{"type":"error","code":"b","message":"second"}')

        error = reader.reading().error
        assert error is not None
        self.assertEqual((error.type, error.message), ("a", "first"))

    def test_an_error_without_a_type_is_one_whatever_the_events_name(self) -> None:
        reader = ResponsesReader()

        reader.event(b"message", b'{"error":{"message":"upstream died","code":"bad_gateway"}}')

        error = reader.reading().error
        assert error is not None
        self.assertEqual((error.type, error.message), ("bad_gateway", "upstream died"))

    def test_a_failure_without_a_reason_is_a_failure(self) -> None:
        reader = ResponsesReader()

        reader.event(b"response.failed", b'{"type":"response.failed"}')

        error = reader.reading().error
        assert error is not None
        self.assertEqual((error.type, error.message), ("failed", ""))

    def test_a_failure_may_have_its_reason_beside_the_response(self) -> None:
        reader = ResponsesReader()

        reader.event(b"", b'{"type":"response.failed","error":{"message":"no","type":"internal"}}')

        error = reader.reading().error
        assert error is not None
        self.assertEqual((error.type, error.message), ("internal", "no"))


class UnfinishedTests(BridgeTestCase):
    """What the provider goes on with behind our back is not wholly seen."""

    def document(self, **members: object) -> ResponsesReader:
        reader = ResponsesReader()
        reader.document(json.dumps({"id": "resp_1", **members}).encode(), 200)
        return reader

    def stream(self, *events: tuple[str, dict[str, object]]) -> ResponsesReader:
        reader = ResponsesReader()
        for name, response in events:
            told = {"type": f"response.{name}", "response": {"id": "resp_1", **response}}
            reader.event(f"response.{name}".encode(), json.dumps(told).encode())
        return reader

    def test_document_that_is_queued_says_so_and_is_marked(self) -> None:
        reading = self.document(status="queued", background=True, usage=None).reading()

        self.assertEqual((reading.stop_reason, reading.partially_observed), ("queued", True))
        self.assertEqual((reading.complete, reading.usage), (True, None))

    def test_document_in_progress_has_no_final_counts(self) -> None:
        counts = {"input_tokens": 0, "output_tokens": 0}
        reading = self.document(status="in_progress", usage=counts).reading()

        assert reading.usage is not None
        self.assertEqual(reading.usage.source, UsageSource.PROVIDER_PARTIAL)
        self.assertTrue(reading.partially_observed)

    def test_document_that_is_done_is_not_marked(self) -> None:
        for status in ("completed", "incomplete", "failed", "cancelled"):
            self.assertFalse(self.document(status=status).reading().partially_observed, status)

    def test_stream_that_ends_while_queued_is_marked(self) -> None:
        reader = self.stream(("completed", {"status": "queued"}))

        self.assertTrue(reader.reading().partially_observed)

    def test_background_stream_that_is_left_goes_on_unseen(self) -> None:
        reader = self.stream(("queued", {"status": "queued", "background": True}))

        self.assertTrue(reader.reading().partially_observed)

    def test_background_stream_that_has_ended_is_not_marked(self) -> None:
        reader = self.stream(
            ("queued", {"status": "queued", "background": True}),
            ("completed", {"status": "completed", "background": True}),
        )

        self.assertFalse(reader.reading().partially_observed)

    def test_ordinary_stream_that_is_left_ends_at_the_provider_too(self) -> None:
        reader = self.stream(("created", {"status": "in_progress", "background": False}))

        self.assertFalse(reader.reading().partially_observed)


class SourceOfCountsTests(BridgeTestCase):
    """Counts are final only where the answer's own end gave them."""

    BEGUN = (
        b'{"type":"response.created","response":{"id":"resp_1",'
        b'"usage":{"input_tokens":0,"output_tokens":0}}}'
    )

    def source(self, name: bytes, end: bytes) -> UsageSource:
        reader = ResponsesReader()
        reader.event(b"response.created", self.BEGUN)

        told = [each for each in reader.event(name, end) if isinstance(each, TokenUsage)]

        usage = reader.reading().usage
        assert usage is not None
        self.assertEqual(told, [usage])
        self.assertTrue(reader.terminal)
        return usage.source

    def test_counts_of_the_end_are_final(self) -> None:
        end = b'{"response":{"usage":{"input_tokens":3,"output_tokens":4}}}'

        self.assertEqual(self.source(b"response.completed", end), UsageSource.PROVIDER_FINAL)

    def test_end_that_cannot_be_read_makes_nothing_final(self) -> None:
        self.assertEqual(
            self.source(b"response.completed", b'{"response":'), UsageSource.PROVIDER_PARTIAL
        )

    def test_end_without_counts_makes_nothing_final(self) -> None:
        end = b'{"response":{"status":"completed","usage":null}}'

        self.assertEqual(self.source(b"response.completed", end), UsageSource.PROVIDER_PARTIAL)

    def test_end_whose_counts_are_none_makes_nothing_final(self) -> None:
        end = b'{"response":{"usage":{"input_tokens":"many"}}}'

        self.assertEqual(self.source(b"response.completed", end), UsageSource.PROVIDER_PARTIAL)

    def test_failure_without_counts_makes_nothing_final(self) -> None:
        end = b'{"response":{"status":"failed","error":{"code":"x","message":"y"}}}'

        self.assertEqual(self.source(b"response.failed", end), UsageSource.PROVIDER_PARTIAL)


NAMES = [
    *("type", "id", "object", "status", "error", "code", "message", "item", "response", "output"),
    *("output_index", "usage", "input_tokens", "input_tokens_details", "cached_tokens"),
    *("tool_usage", "service_tier", "incomplete_details", "reason", "call_id", "name", "arguments"),
    *("input", "action", "actions", "queries", "summary", "content", "text", "role", "phase"),
]
WORDS = [
    *("response.output_item.done", "response.completed", "response.failed", "response.created"),
    *("error", "response", "function_call", "custom_tool_call", "web_search_call", "mcp_call"),
    *("reasoning", "message", "assistant", "commentary", "summary_text", "output_text", "failed"),
]
ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(WORDS),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=6)
    ),
    max_leaves=20,
)


class AnythingTests(BridgeTestCase):
    """No event and no document makes an event raise, or a reading fail."""

    @given(st.sampled_from([b"", b"x", *map(str.encode, WORDS)]), ANYTHING)
    @settings(max_examples=400, deadline=None, derandomize=True)
    def test_any_event_is_read_or_odd(self, name: bytes, value: object) -> None:
        reader = ResponsesReader()

        reader.event(name, json.dumps(value).encode())
        reader.rest(name, json.dumps(value).encode())

        self.assertIsNotNone(reader.reading())

    @given(st.sampled_from([b"", b"error"]), st.binary(max_size=40))
    @settings(max_examples=200, deadline=None, derandomize=True)
    def test_any_bytes_are_read_or_odd(self, name: bytes, data: bytes) -> None:
        reader = ResponsesReader()

        reader.event(name, data)

        self.assertIsNotNone(reader.reading())

    @given(st.dictionaries(st.sampled_from(NAMES), ANYTHING, max_size=8))
    @settings(max_examples=300, deadline=None, derandomize=True)
    def test_any_object_is_a_document(self, value: dict[str, object]) -> None:
        reader = ResponsesReader()
        body = json.dumps(value)
        if "NaN" in body or "Infinity" in body:
            return

        reader.document(body.encode(), 200)

        self.assertTrue(reader.reading().complete)
