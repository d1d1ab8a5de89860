"""Tests for bridge.dialects.tool_results: what tools gave back, in each API's requests."""

from __future__ import annotations

import json
from typing import Any

from bridge.dialects.chat_completions.dialect import ChatCompletions
from bridge.dialects.interface import Dialect
from bridge.dialects.messages.dialect import Messages
from bridge.dialects.responses.dialect import Responses
from bridge.dialects.tool_results import MAX_REPEATED, MAX_RESULTS
from bridge.domain.interception import ToolResult
from tests.support.cases import BridgeTestCase


class ToolResultCase(BridgeTestCase):
    def results(
        self, dialect: Dialect, body: Any
    ) -> list[tuple[str, int, bool | None, str | None]]:
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        found: list[ToolResult] = list(dialect.summarize(text).tool_results)
        return [(each.call_id, each.size_bytes, each.is_error, each.content) for each in found]


class MessagesTests(ToolResultCase):
    """`tool_result` blocks of the last message."""

    def of(self, *content: Any) -> list[tuple[str, int, bool | None, str | None]]:
        before = {"role": "user", "content": [self.block("earlier", "x")]}
        answer = {"role": "assistant", "content": [{"type": "text", "text": "so"}]}
        last = {"role": "user", "content": list(content)}
        return self.results(Messages(), {"model": "m", "messages": [before, answer, last]})

    @staticmethod
    def block(call: Any, content: Any, **more: Any) -> dict[str, Any]:
        return {"type": "tool_result", "tool_use_id": call, "content": content, **more}

    def test_results_are_in_order_with_size_and_error(self) -> None:
        self.assertEqual(
            self.of(
                self.block("a", "häßlich"), self.block("b", "no such file", is_error=True),
                {"type": "text", "text": "go on"},
            ),
            [("a", 9, False, "häßlich"), ("b", 12, True, "no such file")],
        )  # fmt: skip

    def test_what_is_more_than_text_is_its_json(self) -> None:
        blocks = [{"type": "text", "text": "hi"}]

        ((call, size, _, content),) = self.of(self.block("a", blocks))

        self.assertEqual((call, size), ("a", len(content or "")))
        self.assertEqual(json.loads(content or ""), blocks)

    def test_nothing_and_odd_things_are_no_failure(self) -> None:
        self.assertEqual(
            self.of(
                self.block(None, "x"), self.block("", "x"), self.block(3, "x"),
                self.block("a", None), {"type": "tool_result", "tool_use_id": "b"},
                self.block("c", 5, is_error="yes"),
            ),
            [("a", 0, False, ""), ("b", 0, False, ""), ("c", 1, False, "5")],
        )  # fmt: skip

    def test_texts_that_strict_json_refuses_are_read(self) -> None:
        body = (
            b'{"messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"a",'
            b'"content":"x\\ud800y"}]}]}'
        )

        ((call, size, error, _),) = self.results(Messages(), body)

        self.assertEqual((call, size, error), ("a", 5, False))

    def test_their_number_is_bounded(self) -> None:
        found = self.of(*(self.block(f"c{number}", "x") for number in range(MAX_RESULTS + 5)))

        self.assertEqual(len(found), MAX_RESULTS)
        self.assertEqual(found[-1][0], f"c{MAX_RESULTS + 4}")


class ChatTests(ToolResultCase):
    """Messages of the role `tool` behind the assistant's last one."""

    def test_results_of_the_last_turn(self) -> None:
        body = {
            "model": "m",
            "messages": [
                {"role": "user", "content": "hi"},
                {"role": "assistant", "tool_calls": []},
                {"role": "tool", "tool_call_id": "earlier", "content": "x"},
                {"role": "assistant", "tool_calls": []},
                {"role": "tool", "tool_call_id": "a", "content": "one"},
                {"role": "tool", "tool_call_id": "b",
                 "content": [{"type": "text", "text": "t"}, {"type": "text", "text": "wo"}]},
                {"role": "tool", "content": "of nobody"},
            ],
        }  # fmt: skip

        self.assertEqual(
            self.results(ChatCompletions(), body),
            [("a", 3, None, "one"), ("b", 3, None, "two")],
        )


class ResponsesTests(ToolResultCase):
    """Outputs behind the model's last item."""

    def test_results_of_the_last_turn(self) -> None:
        body = {
            "model": "m",
            "input": [
                {"role": "user", "content": "hi"},
                {"type": "function_call", "call_id": "earlier"},
                {"type": "function_call_output", "call_id": "earlier", "output": "x"},
                {"type": "function_call", "call_id": "a"},
                {"type": "function_call", "call_id": "b"},
                {"type": "function_call_output", "call_id": "a", "output": "one"},
                {"type": "custom_tool_call_output", "call_id": "b", "output": [1]},
                {"type": "local_shell_call_output", "id": "c", "output": "{}"},
            ],
        }

        summary = Responses().summarize(json.dumps(body).encode())
        self.assertEqual(
            [
                (each.call_id, each.content)
                for each in summary.tool_results
                if not each.perhaps_repeated
            ],
            [("a", "one"), ("b", "[1]"), ("c", "{}")],
        )

    @staticmethod
    def pair(call: str) -> list[dict[str, Any]]:
        return [
            {"type": "function_call", "call_id": call},
            {"type": "function_call_output", "call_id": call, "output": f"of {call}"},
        ]

    def found(self, *items: Any) -> list[tuple[str, bool]]:
        summary = Responses().summarize(json.dumps({"input": items}).encode())
        return [(each.call_id, each.perhaps_repeated) for each in summary.tool_results]

    def test_outputs_directly_behind_their_calls_are_all_seen(self) -> None:
        """Whether an earlier request brought them, the API does not tell."""
        self.assertEqual(
            self.found({"role": "user", "content": "hi"}, *self.pair("a"), *self.pair("b"),
                       *self.pair("c")),
            [("a", True), ("b", True), ("c", False)],
        )  # fmt: skip

    def test_what_ends_a_turn_for_sure_ends_them(self) -> None:
        for end in (
            {"type": "reasoning", "summary": []},
            {"role": "assistant", "content": "Let me see."},
            {"role": "user", "content": "go on"},
            {"type": "of tomorrow"},
            7,
        ):
            self.assertEqual(
                self.found(*self.pair("a"), end, *self.pair("b"), *self.pair("c")),
                [("b", True), ("c", False)],
            )

    def test_a_prompt_behind_a_call_without_output_brings_none(self) -> None:
        self.assertEqual(
            self.found(*self.pair("a"), {"type": "function_call", "call_id": "b"},
                       {"role": "user", "content": "never mind"}),
            [],
        )  # fmt: skip

    def test_their_number_is_bounded(self) -> None:
        pairs = [item for number in range(50) for item in self.pair(f"c{number}")]

        found = self.found(*pairs)

        self.assertEqual(len(found), MAX_REPEATED + 1)
        self.assertEqual(found[-1], ("c49", False))

    def test_a_prompt_behind_results_is_still_one(self) -> None:
        body = {
            "input": [
                {"type": "function_call", "call_id": "a"},
                {"type": "function_call_output", "call_id": "a", "output": "one"},
                {"role": "user", "content": [{"type": "input_text", "text": "go on"}]},
            ]
        }

        summary = Responses().summarize(json.dumps(body).encode())

        self.assertEqual(summary.prompt, "go on")
        self.assertEqual([each.call_id for each in summary.tool_results], ["a"])
