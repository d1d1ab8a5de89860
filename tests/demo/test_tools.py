"""A call is of a tool that the client offers, with arguments that its schema accepts."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bridge.demo.tools import Tool, call_of, halves
from tests.support.cases import BridgeTestCase

COMMAND = "echo demo && sleep 0.2"


def arguments(schema: object, *, name: str = "anything") -> dict[str, Any]:
    call = call_of([Tool(name=name, schema=schema)], "the prompt")
    assert json.loads(call.text) == call.arguments
    return dict(call.arguments)


def requiring(**properties: object) -> dict[str, object]:
    return {"type": "object", "properties": properties, "required": list(properties)}


class ToolsTests(BridgeTestCase):
    def test_shell_is_preferred_to_what_was_offered_before_it(self) -> None:
        offered = [Tool(name="Agent"), Tool(name="Bash"), Tool(name="shell")]

        self.assertEqual(call_of(offered, "the prompt").name, "Bash")

    def test_shell_of_a_namespace_is_called_in_it(self) -> None:
        offered = [Tool(name="plan"), Tool(name="exec_command", namespace="machine")]

        call = call_of(offered, "the prompt")

        self.assertEqual((call.namespace, call.name), ("machine", "exec_command"))

    def test_without_a_shell_it_is_the_first_that_takes_arguments(self) -> None:
        offered = [Tool(name="apply_patch", free_text=True), Tool(name="plan"), Tool(name="view")]

        self.assertEqual(call_of(offered, "the prompt").name, "plan")

    def test_free_text_is_the_prompt(self) -> None:
        call = call_of([Tool(name="apply_patch", free_text=True)], "the prompt")

        self.assertEqual((call.name, call.text, call.arguments), ("apply_patch", "the prompt", {}))

    def test_nothing_offered_is_a_look_up_of_the_prompt(self) -> None:
        call = call_of([], "the prompt")

        self.assertEqual((call.name, call.arguments), ("look_up", {"query": "the prompt"}))

    def test_shell_of_claude_code_gets_a_command_and_a_description(self) -> None:
        schema = {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": {
                "command": {"description": "The command to execute", "type": "string"},
                "timeout": {"description": "Milliseconds", "type": "number"},
                "description": {"type": "string"},
                "run_in_background": {"type": "boolean"},
            },
            "required": ["command", "description"],
            "additionalProperties": False,
        }

        self.assertEqual(arguments(schema), {"command": COMMAND, "description": "demo"})

    def test_shell_of_codex_gets_its_command_as_words(self) -> None:
        schema = {
            "type": "object",
            "properties": {
                "command": {"type": "array", "items": {"type": "string"}},
                "workdir": {"type": "string"},
                "timeout_ms": {"type": "number"},
            },
            "required": ["command"],
        }

        self.assertEqual(arguments(schema), {"command": ["bash", "-lc", COMMAND]})

    def test_exec_command_of_codex_gets_cmd(self) -> None:
        schema = {
            "type": "object",
            "properties": {
                "cmd": {"type": "string"},
                "yield_time_ms": {"type": "number"},
                "tty": {"type": "boolean"},
            },
            "required": ["cmd"],
        }

        self.assertEqual(arguments(schema), {"cmd": COMMAND})

    def test_shell_of_cline_gets_one_of_several_commands(self) -> None:
        commands = {"type": "array", "items": {"type": "string", "description": "A command"}}

        call = call_of(
            [
                Tool(name="read_files"),
                Tool(name="run_commands", schema=requiring(commands=commands)),
            ],
            "the prompt",
        )

        self.assertEqual((call.name, call.arguments), ("run_commands", {"commands": [COMMAND]}))

    def test_what_is_required_is_filled_by_its_type(self) -> None:
        schema = requiring(
            command={"type": "string"},
            is_background={"type": "boolean"},
            count={"type": "integer"},
            ratio={"type": "number"},
            path={"type": "string"},
            items={"type": "array", "items": {"type": "string"}},
            options={"type": "object"},
            nothing={"type": "null"},
            anything={},
        )

        self.assertEqual(
            arguments(schema),
            {
                "command": COMMAND,
                "is_background": False,
                "count": 1,
                "ratio": 1,
                "path": "demo",
                "items": [],
                "options": {},
                "nothing": None,
                "anything": "demo",
            },
        )

    def test_query_is_the_prompt_even_if_it_is_not_required(self) -> None:
        schema = {"properties": {"query": {"type": "string"}, "limit": {"type": "integer"}}}

        self.assertEqual(arguments(schema), {"query": "the prompt"})

    def test_choices_and_constants_are_kept_to(self) -> None:
        schema = requiring(mode={"enum": ["slow", "fast"]}, version={"const": 3})

        self.assertEqual(arguments(schema), {"mode": "slow", "version": 3})

    def test_what_may_be_null_gets_a_value(self) -> None:
        schema = requiring(
            either={"anyOf": [{"type": "null"}, {"type": "integer"}]},
            both={"type": ["null", "boolean"]},
        )

        self.assertEqual(arguments(schema), {"either": 1, "both": False})

    def test_nested_objects_and_lists_that_must_not_be_empty_are_filled(self) -> None:
        todo = {"$ref": "#/$defs/Todo"}
        schema = {
            **requiring(todos={"type": "array", "minItems": 2, "items": todo}, first=todo),
            "$defs": {"Todo": requiring(text={"type": "string"}, done={"type": "boolean"})},
        }

        item = {"text": "demo", "done": False}
        self.assertEqual(arguments(schema), {"todos": [item, item], "first": item})

    def test_schema_that_contains_itself_comes_to_an_end(self) -> None:
        schema = {**requiring(inner={"$ref": "#"})}

        self.assertIn("inner", arguments(schema))

    def test_reference_to_itself_comes_to_an_end(self) -> None:
        self.assertEqual(
            arguments(requiring(inner={"$ref": "#/properties/inner"})), {"inner": "demo"}
        )

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=3),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(
                        [
                            "type",
                            "properties",
                            "required",
                            "enum",
                            "anyOf",
                            "$ref",
                            "items",
                            "minItems",
                        ]
                    )
                    | st.text(max_size=3),
                    inner,
                    max_size=4,
                )
            ),
            max_leaves=20,
        )
    )
    def test_nonsensical_schema_gets_some_object(self, schema: object) -> None:
        self.assertIsInstance(arguments(schema), dict)

    def test_halves_join_to_the_whole(self) -> None:
        self.assertEqual(["".join(halves(text)) for text in ("", "a", "abc")], ["", "a", "abc"])
