"""The demo speaks OpenAI Responses, as OpenAI's own types read it."""

from __future__ import annotations

import json
from typing import Any, get_args

from openai import BaseModel
from openai.types.responses import CompactedResponse, Response, ResponseStreamEvent

from bridge.demo import script
from bridge.demo.exchange import Answer, Document, Stream
from bridge.demo.responses import Responses
from tests.demo.asking import asked, document, status
from tests.support.cases import BridgeTestCase

PROMPT = "what is nonce-17?"
EXEC = {
    "type": "function",
    "name": "exec_command",
    "parameters": {
        "type": "object",
        "properties": {"cmd": {"type": "string"}, "tty": {"type": "boolean"}},
        "required": ["cmd"],
    },
}
SHELL = {
    "type": "function",
    "name": "shell",
    "parameters": {
        "type": "object",
        "properties": {"command": {"type": "array", "items": {"type": "string"}}},
        "required": ["command"],
    },
}
PATCH = {"type": "custom", "name": "apply_patch", "description": "Edits files."}
SEARCH = {"type": "web_search"}
EVENTS: dict[str, type[BaseModel]] = {
    get_args(event.model_fields["type"].annotation)[0]: event
    for event in get_args(get_args(ResponseStreamEvent)[0])
}


def human(text: str) -> dict[str, object]:
    content = [{"type": "input_text", "text": text}]
    return {"type": "message", "role": "user", "content": content}


def read(answer: Answer) -> list[dict[str, Any]]:
    """Return the events, after OpenAI's client could read each by its name, in order."""
    assert isinstance(answer, Stream)
    found: list[dict[str, Any]] = []
    for event in answer.events:
        name, raw = event.removeprefix(b"event: ").removesuffix(b"\n\n").split(b"\ndata: ")
        value = json.loads(raw)
        EVENTS[name.decode()].model_validate_json(raw, strict=True)
        assert value["type"] == name.decode()
        assert value["sequence_number"] == len(found)
        found.append(value)
    return found


def names(events: list[dict[str, Any]]) -> list[str]:
    """Return the events' names, of several deltas in a row only one."""
    found: list[str] = []
    for event in events:
        if not (event["type"].endswith(".delta") and found[-1:] == [event["type"]]):
            found.append(event["type"])
    return found


class ResponsesCase(BridgeTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.responses = Responses(run="run1")

    def ask(
        self,
        model: str,
        given: object = PROMPT,
        *,
        headers: dict[bytes, bytes] | None = None,
        **more: object,
    ) -> Answer:
        body = {"model": model, "input": given, **more}
        return self.responses.answer(asked(body, path=b"/v1/responses", headers=headers))

    def response(self, model: str, given: object = PROMPT, **more: Any) -> Response:
        """Return the answer in one piece as OpenAI's client has it."""
        answer = self.ask(model, given, **more)
        assert isinstance(answer, Document)
        assert answer.status == 200, answer.body
        return Response.model_validate_json(answer.body, strict=True)

    def stream(self, model: str, given: object = PROMPT, **more: Any) -> list[dict[str, Any]]:
        return read(self.ask(model, given, stream=True, **more))


class TextTests(ResponsesCase):
    def test_text_in_one_piece_echoes_the_prompt(self) -> None:
        response = self.response("demo-text")

        self.assertEqual(response.output_text, "You said: what is nonce-17?")
        self.assertEqual((response.status, response.error), ("completed", None))

    def test_usage_is_the_scripts_with_the_cached_tokens_among_the_input(self) -> None:
        usage = self.response("demo-text").usage

        assert usage is not None
        expected = script.usage_for(PROMPT, 5)
        cached = expected.cache_read_tokens
        self.assertEqual(usage.input_tokens, expected.input_tokens + cached)
        self.assertEqual(usage.input_tokens_details.cached_tokens, cached)
        self.assertEqual((usage.output_tokens, usage.total_tokens), (5, usage.input_tokens + 5))

    def test_what_the_request_said_is_repeated(self) -> None:
        response = self.response(
            "gpt-5",
            instructions="Be brief.",
            metadata={"a": "b"},
            temperature=0.5,
            tools=[EXEC],
            prompt_cache_key="key",
            text=None,
        )

        self.assertEqual((response.model, response.instructions), ("gpt-5", "Be brief."))
        self.assertEqual((response.metadata, response.temperature), ({"a": "b"}, 0.5))
        self.assertEqual((response.tools[0].type, response.prompt_cache_key), ("function", "key"))

    def test_request_in_several_lines_is_repeated_in_one(self) -> None:
        body = {"model": "demo-text", "input": "x", "stream": True, "tools": [EXEC]}
        raw = json.dumps(body, indent=2).encode()

        events = read(self.responses.answer(asked(raw, path=b"/v1/responses")))

        self.assertEqual(events[0]["response"]["tools"], [EXEC])

    def test_text_streams_in_the_documented_order(self) -> None:
        events = self.stream("demo-text")

        self.assertEqual(
            names(events),
            [
                "response.created",
                "response.in_progress",
                "response.output_item.added",
                "response.content_part.added",
                "response.output_text.delta",
                "response.output_text.done",
                "response.content_part.done",
                "response.output_item.done",
                "response.completed",
            ],
        )

    def test_text_as_a_stream_says_the_same_as_in_one_piece(self) -> None:
        whole = document(self.ask("demo-text"))

        events = self.stream("demo-text")

        text = "You said: what is nonce-17?"
        self.assertEqual("".join(event.get("delta", "") for event in events), text)
        self.assertEqual(events[-4]["text"], text)
        completed = events[-1]["response"]
        self.assertEqual(completed["usage"], whole["usage"])
        self.assertEqual(completed["output"][0]["content"], whole["output"][0]["content"])

    def test_thoughts_stream_as_a_summary_before_the_text(self) -> None:
        events = self.stream("demo-thinking")

        self.assertEqual(
            names(events)[2:8],
            [
                "response.output_item.added",
                "response.reasoning_summary_part.added",
                "response.reasoning_summary_text.delta",
                "response.reasoning_summary_text.done",
                "response.reasoning_summary_part.done",
                "response.output_item.done",
            ],
        )
        reasoning, message = events[-1]["response"]["output"]
        self.assertIn("nonce-17", reasoning["summary"][0]["text"])
        self.assertTrue(reasoning["encrypted_content"])
        self.assertEqual(message["content"][0]["text"], "You said: what is nonce-17?")

    def test_last_text_of_the_last_human_is_the_prompt(self) -> None:
        given = [
            {"role": "developer", "content": "You are an agent."},
            human("<environment_context>"),
            human("the prompt"),
            {"role": "developer", "content": "Be brief."},
        ]

        self.assertEqual(self.response("gpt-5", given).output_text, "You said: the prompt")

    def test_text_of_the_surroundings_is_no_prompt(self) -> None:
        surroundings = "\n\n<environment_details>\nMessage time: now\n</environment_details>"
        parts = [{"type": "input_text", "text": each} for each in ("the prompt", surroundings)]

        response = self.response("gpt-5", [{"role": "user", "content": parts}])

        self.assertEqual(response.output_text, "You said: the prompt")

    def test_number_size_and_pace_of_events_follow_the_headers(self) -> None:
        headers = {
            b"x-demo-events": b"7",
            b"x-demo-event-bytes": b"40",
            b"x-demo-interval": b"0.5",
            b"x-demo-delay": b"2",
        }

        answer = self.ask("demo-text", headers=headers, stream=True)

        assert isinstance(answer, Stream)
        self.assertEqual((answer.interval_seconds, answer.delay_seconds), (0.5, 2.0))
        sizes = [len(event["delta"]) for event in read(answer) if "delta" in event]
        self.assertEqual(sizes, [40] * 7)


class CallTests(ResponsesCase):
    def test_call_streams_in_the_documented_order(self) -> None:
        events = self.stream("demo-tool", tools=[EXEC])

        self.assertEqual(
            names(events)[-6:],
            [
                "response.output_item.done",
                "response.output_item.added",
                "response.function_call_arguments.delta",
                "response.function_call_arguments.done",
                "response.output_item.done",
                "response.completed",
            ],
        )
        parts = [event["delta"] for event in events if event["type"].endswith("arguments.delta")]
        self.assertEqual(len(parts), 2)
        self.assertEqual(json.loads("".join(parts)), {"cmd": "echo demo && sleep 0.2"})

    def test_prompt_that_says_so_makes_any_model_call_the_shell(self) -> None:
        response = self.response("codex-mini", "use the tool", tools=[SEARCH, PATCH, SHELL])

        call = response.output[-1]
        assert call.type == "function_call"
        self.assertEqual(
            (call.name, json.loads(call.arguments)),
            ("shell", {"command": ["bash", "-lc", "echo demo && sleep 0.2"]}),
        )
        self.assertTrue(call.call_id.startswith("call_"))

    def test_tool_of_a_namespace_is_called_by_its_name_beside_the_namespace(self) -> None:
        group = {"type": "namespace", "name": "machine", "description": "Tools.", "tools": [EXEC]}

        call = self.response("demo-tool", tools=[group]).output[-1]

        assert call.type == "function_call"
        self.assertEqual((call.namespace, call.name), ("machine", "exec_command"))

    def test_custom_tool_gets_free_text_in_events_of_its_own(self) -> None:
        events = self.stream("demo-tool", tools=[SEARCH, PATCH])

        self.assertEqual(
            names(events)[-5:-1],
            [
                "response.output_item.added",
                "response.custom_tool_call_input.delta",
                "response.custom_tool_call_input.done",
                "response.output_item.done",
            ],
        )
        call = events[-1]["response"]["output"][-1]
        self.assertEqual((call["type"], call["input"]), ("custom_tool_call", PROMPT))

    def test_tools_that_the_provider_runs_are_not_called(self) -> None:
        response = self.response("gpt-5", "use the tool", tools=[SEARCH])

        self.assertEqual([item.type for item in response.output], ["message"])

    def test_client_that_wants_no_call_gets_none(self) -> None:
        response = self.response("gpt-5", "use the tool", tools=[EXEC], tool_choice="none")

        self.assertEqual([item.type for item in response.output], ["message"])

    def test_result_ends_the_turn_so_that_agents_come_to_an_end(self) -> None:
        call = {"type": "function_call", "call_id": "call_1", "name": "b", "arguments": "{}"}
        results = [
            {"type": "function_call_output", "call_id": "call_1", "output": "demo"},
            {"type": "custom_tool_call_output", "call_id": "call_1", "output": "demo"},
        ]

        answers = [
            self.response("demo-tool", [human("use the tool"), call, result], tools=[EXEC])
            for result in results
        ]

        self.assertEqual([len(answer.output) for answer in answers], [1, 1])
        self.assertEqual([answer.output_text for answer in answers], ["You said: use the tool"] * 2)

    def test_result_alone_belongs_to_the_response_before(self) -> None:
        first = self.response("gpt-5", "use the tool", tools=[EXEC])
        result = {"type": "function_call_output", "call_id": "call_1", "output": "demo"}

        second = self.response("gpt-5", [result], previous_response_id=first.id, tools=[EXEC])

        self.assertEqual(second.output_text, "You said: use the tool")
        self.assertEqual(second.previous_response_id, first.id)


class ErrorTests(ResponsesCase):
    def test_error_is_an_overload_with_a_time_to_retry_by_default(self) -> None:
        answer = self.ask("demo-error", stream=True)

        assert isinstance(answer, Document)
        self.assertEqual(answer.status, 503)
        self.assertIn(b"retry-after: 1\r\n", answer.head)
        self.assertEqual(document(answer)["error"]["type"], "server_error")

    def test_error_has_the_status_that_was_asked_for(self) -> None:
        self.assertEqual(status(self.ask("demo-error", headers={b"x-demo-status": b"400"})), 400)

    def test_error_in_a_stream_comes_after_the_text_asked_for_and_fails_the_response(self) -> None:
        events = self.stream("demo-error", headers={b"x-demo-error-after": b"2"})

        self.assertEqual("".join(event.get("delta", "") for event in events), "You said: ")
        self.assertEqual(names(events)[-2:], ["error", "response.failed"])
        self.assertEqual(events[-1]["response"]["error"]["code"], "server_error")

    def test_unknown_model_and_unreadable_bodies_are_refused_in_shape(self) -> None:
        bodies = [
            b"",
            b"[]",
            b'{"model": 1}',
            b'{"model": "demo-text", "input": [1]}',
            b'{"model": "demo-tool", "input": "x", "tools": [1]}',
            b'{"model": "llama-4", "input": "x"}',
            b"[" * 100_000,
            b'{"model": "demo-text", "input": [' + b"[" * 100_000,
        ]

        answers = [self.responses.answer(asked(body, path=b"/v1/responses")) for body in bodies]

        self.assertEqual({status(answer) for answer in answers}, {400})
        shapes = {tuple(document(answer)["error"]) for answer in answers}
        self.assertEqual(shapes, {("message", "type", "param", "code")})

    def test_websocket_is_refused_so_that_agents_do_without_at_once(self) -> None:
        headers = {b"upgrade": b"websocket"}

        answer = self.responses.answer(
            asked(b"", path=b"/v1/responses", method=b"GET", headers=headers)
        )

        self.assertEqual(status(answer), 426)

    def test_other_methods_are_refused(self) -> None:
        answer = self.responses.answer(asked(b"", path=b"/v1/responses", method=b"GET"))

        self.assertEqual(status(answer), 405)


class CompactionTests(ResponsesCase):
    def test_trigger_is_answered_by_one_item_that_stands_for_all(self) -> None:
        given = [human("use the tool"), {"type": "compaction_trigger"}]

        events = self.stream("gpt-5", given, tools=[EXEC])

        (item,) = events[-1]["response"]["output"]
        self.assertEqual(item["type"], "compaction")
        self.assertTrue(item["encrypted_content"])
        self.assertEqual(
            names(events)[2:4], ["response.output_item.added", "response.output_item.done"]
        )

    def test_item_that_stands_for_all_is_taken_back(self) -> None:
        given = [{"type": "compaction", "encrypted_content": "e"}, human("go on")]

        self.assertEqual(self.response("gpt-5", given).output_text, "You said: go on")

    def test_compact_keeps_what_humans_said_and_one_item_for_the_rest(self) -> None:
        body = {"model": "gpt-5", "input": [human("one"), {"role": "assistant", "content": "two"}]}

        answer = self.responses.answer(asked(body, path=b"/v1/responses/compact"))

        # Not validated: the documented output has users' messages, which the types do not know.
        compacted = CompactedResponse.construct(**document(answer))
        self.assertEqual([item.type for item in compacted.output], ["message", "compaction"])

    def test_input_tokens_agree_with_the_response(self) -> None:
        body = {"model": "gpt-5", "input": PROMPT}

        counted = document(self.responses.answer(asked(body, path=b"/responses/input_tokens")))

        usage = self.response("gpt-5").usage
        assert usage is not None
        self.assertEqual(counted["input_tokens"], usage.input_tokens)
