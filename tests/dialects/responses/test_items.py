"""What is told of an output item that is not as documented."""

from __future__ import annotations

import json

import msgspec

from bridge.dialects.responses.items import read_item, told_by
from bridge.domain.observations import ModelThought, ToolUsage
from tests.support.cases import BridgeTestCase


def told(**item: object) -> list[ToolUsage | ModelThought]:
    return told_by(read_item(msgspec.Raw(json.dumps(item).encode())), "resp_1")


class ToolCallTests(BridgeTestCase):
    """Calls are told with what there is of them."""

    def call(self, **item: object) -> ToolUsage:
        (found,) = told(**item)
        assert isinstance(found, ToolUsage)
        return found

    def test_call_without_a_call_id_has_its_items(self) -> None:
        call = self.call(type="function_call", id="fc_1", call_id="", name="f", arguments="{}")

        self.assertEqual((call.tool_call_id, call.item_id), ("fc_1", "fc_1"))

    def test_call_without_any_id_is_told(self) -> None:
        call = self.call(type="function_call", name="f", arguments="{}")

        self.assertEqual((call.tool_call_id, call.item_id), ("", None))

    def test_function_without_a_name_has_none(self) -> None:
        self.assertEqual(self.call(type="function_call", id="fc_1").tool, "")

    def test_arguments_that_are_an_object_stay_as_they_came(self) -> None:
        raw = msgspec.Raw(b'{"type":"function_call","id":"x","arguments":{ "n": 1.50 }}')

        (call,) = told_by(read_item(raw), "resp_1")

        assert isinstance(call, ToolUsage)
        self.assertEqual(call.input, '{ "n": 1.50 }')

    def test_null_arguments_are_none(self) -> None:
        self.assertEqual(self.call(type="function_call", id="x", arguments=None).input, "{}")

    def test_unknown_call_with_a_name_and_input_is_told_by_them(self) -> None:
        call = self.call(type="x_search_call", id="xs_1", name="x_keyword", input='{"q":1}')

        self.assertEqual((call.tool, call.input), ("x_keyword", '{"q":1}'))
        self.assertEqual(call.metadata, {"type": "x_search_call"})

    def test_caught_failure_without_words_is_no_failure(self) -> None:
        self.assertIsNone(self.call(type="mcp_call", id="m", error={"code": 5}).invocation_error)

    def test_output_of_a_tool_is_no_call(self) -> None:
        self.assertEqual(told(type="function_call_output", call_id="c", output="x"), [])


class ThoughtTests(BridgeTestCase):
    """Only texts of the documented kinds are thoughts."""

    def test_parts_of_other_kinds_are_passed_over(self) -> None:
        found = told(
            type="reasoning",
            summary=[None, {"type": "image"}, {"type": "summary_text", "text": 5}],
            content=[{"type": "reasoning_text", "text": "Hm."}, {"type": "text", "text": "x"}],
        )

        self.assertEqual(found, [ModelThought(content="Hm.", source="thinking")])

    def test_null_parts_are_none(self) -> None:
        self.assertEqual(told(type="reasoning", summary=None, content=None), [])

    def test_final_answer_is_no_thought(self) -> None:
        content = [{"type": "output_text", "text": "x"}]

        self.assertEqual(told(type="message", role="assistant", content=content), [])
        self.assertEqual(
            told(type="message", role="assistant", phase="final_answer", content=content), []
        )

    def test_commentary_of_somebody_else_is_no_thought(self) -> None:
        content = [{"type": "output_text", "text": "x"}]

        self.assertEqual(told(type="message", role="user", phase="commentary", content=content), [])

    def test_parts_that_are_no_array_are_a_type_error(self) -> None:
        self.assertRaises(TypeError, told, type="reasoning", summary={"a": 1})

    def test_item_without_a_type_is_a_type_error(self) -> None:
        self.assertRaises(TypeError, told, id="x")
