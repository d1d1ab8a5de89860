"""The demo speaks Anthropic Messages: the same answer for the same prompt, in either form."""

from __future__ import annotations

from typing import Any

from bridge.demo import script
from bridge.demo.exchange import Document, Stream
from bridge.demo.messages import Messages
from tests.demo.asking import asked, document, events, request
from tests.support.cases import BridgeTestCase


def text_in(stream: list[dict[str, Any]]) -> str:
    deltas = [event["delta"] for event in stream if event["type"] == "content_block_delta"]
    return "".join(delta.get("text", "") for delta in deltas)


class MessagesTests(BridgeTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.messages = Messages(run="run1")

    def test_text_in_one_piece_echoes_the_prompt(self) -> None:
        message = document(self.messages.answer(asked(request("demo-text"))))

        self.assertEqual(message["content"][0]["text"], "You said: what is nonce-17?")
        self.assertEqual(message["stop_reason"], "end_turn")

    def test_text_as_a_stream_says_the_same_with_the_same_usage(self) -> None:
        message = document(self.messages.answer(asked(request("demo-text"))))

        stream = events(self.messages.answer(asked(request("demo-text", stream=True))))

        self.assertEqual(text_in(stream), message["content"][0]["text"])
        self.assertEqual(stream[0]["message"]["usage"]["input_tokens"], 12)
        self.assertEqual(stream[-2]["usage"]["output_tokens"], message["usage"]["output_tokens"])
        self.assertEqual(stream[-1], {"type": "message_stop"})

    def test_prompts_that_differ_in_one_character_have_different_usage(self) -> None:
        self.assertNotEqual(script.usage_for("nonce-17", 1), script.usage_for("nonce-18", 1))

    def test_count_tokens_agrees_with_the_message(self) -> None:
        message = document(self.messages.answer(asked(request("demo-text"))))

        counted = document(
            self.messages.answer(asked(request("demo-text"), path=b"/v1/messages/count_tokens"))
        )

        self.assertEqual(counted, {"input_tokens": message["usage"]["input_tokens"]})

    def test_thinking_comes_before_the_text_with_a_signature(self) -> None:
        message = document(self.messages.answer(asked(request("demo-thinking"))))

        self.assertEqual([block["type"] for block in message["content"]], ["thinking", "text"])
        self.assertIn("nonce-17", message["content"][0]["thinking"])
        self.assertTrue(message["content"][0]["signature"])

    def test_tool_call_names_the_first_tool_and_holds_the_prompt(self) -> None:
        body = request("demo-tool", tools=[{"name": "Bash", "input_schema": {}}])

        message = document(self.messages.answer(asked(body)))

        call = message["content"][-1]
        self.assertEqual((call["type"], call["name"]), ("tool_use", "Bash"))
        self.assertEqual(call["input"], {"query": "what is nonce-17?"})
        self.assertEqual(message["stop_reason"], "tool_use")

    def test_tool_call_streams_its_arguments_in_parts_that_join_to_them(self) -> None:
        stream = events(self.messages.answer(asked(request("demo-tool", stream=True))))

        parts = [event["delta"].get("partial_json", "") for event in stream if "delta" in event]
        self.assertEqual("".join(parts), '{"query":"what is nonce-17?"}')

    def test_tool_result_ends_the_turn_so_that_agents_come_to_an_end(self) -> None:
        result = [{"type": "tool_result", "tool_use_id": "toolu_demo_1", "content": "42"}]
        body = {"model": "demo-tool", "messages": [{"role": "user", "content": result}]}

        message = document(self.messages.answer(asked(body)))

        self.assertEqual(message["stop_reason"], "end_turn")

    def test_answer_after_a_tool_result_is_to_what_the_human_said_before(self) -> None:
        result = [{"type": "tool_result", "tool_use_id": "toolu_demo_1", "content": "42"}]
        turns = [{"role": "user", "content": "use the tool"}, {"role": "user", "content": result}]

        message = document(self.messages.answer(asked(request("claude-opus-5", messages=turns))))

        self.assertEqual(message["content"], [{"type": "text", "text": "You said: use the tool"}])

    def test_prompt_that_says_so_makes_any_model_call_the_shell(self) -> None:
        schema = {"type": "object", "properties": {"command": {"type": "string"}}}
        tools = [{"name": "Agent", "input_schema": {}}, {"name": "Bash", "input_schema": schema}]

        body = request("claude-opus-5", "Please use the tool.", tools=tools)

        message = document(self.messages.answer(asked(body)))
        call = message["content"][-1]
        self.assertEqual(
            (call["name"], call["input"]), ("Bash", {"command": "echo demo && sleep 0.2"})
        )

    def test_text_of_the_surroundings_is_no_prompt(self) -> None:
        surroundings = "\n\n<environment_details>\nMessage time: now\n</environment_details>"
        blocks = [{"type": "text", "text": each} for each in ("the prompt", surroundings)]
        turns = [{"role": "user", "content": blocks}]

        message = document(self.messages.answer(asked(request("demo-text", messages=turns))))

        self.assertEqual(message["content"][0]["text"], "You said: the prompt")

    def test_prompt_that_says_so_without_any_tool_gets_text_as_for_a_title(self) -> None:
        message = document(self.messages.answer(asked(request("claude-opus-5", "use the tool"))))

        self.assertEqual(message["stop_reason"], "end_turn")

    def test_client_that_wants_no_call_gets_none(self) -> None:
        tools = [{"name": "Bash", "input_schema": {}}]
        body = request("claude-opus-5", "use the tool", tools=tools, tool_choice={"type": "none"})

        message = document(self.messages.answer(asked(body)))

        self.assertEqual(message["stop_reason"], "end_turn")

    def test_tools_that_the_provider_runs_are_not_called(self) -> None:
        tools = [
            {"type": "web_search_20250305", "name": "web_search"},
            {"type": "bash_20250124", "name": "bash"},
        ]

        message = document(self.messages.answer(asked(request("demo-tool", tools=tools))))

        call = message["content"][-1]
        self.assertEqual(
            (call["name"], call["input"]), ("bash", {"command": "echo demo && sleep 0.2"})
        )

    def test_error_has_the_status_that_was_asked_for(self) -> None:
        answer = self.messages.answer(
            asked(request("demo-error"), headers={b"x-demo-status": b"400"})
        )

        assert isinstance(answer, Document)
        self.assertEqual(answer.status, 400)
        self.assertEqual(document(answer)["error"]["type"], "invalid_request_error")

    def test_error_is_overloaded_with_a_time_to_retry_by_default(self) -> None:
        answer = self.messages.answer(asked(request("demo-error")))

        assert isinstance(answer, Document)
        self.assertEqual(answer.status, 529)
        self.assertIn(b"retry-after: 1\r\n", answer.head)

    def test_error_in_a_stream_comes_after_the_text_asked_for_and_nothing_follows(self) -> None:
        answer = self.messages.answer(
            asked(request("demo-error", stream=True), headers={b"x-demo-error-after": b"2"})
        )

        stream = events(answer)
        self.assertEqual(text_in(stream), "You said: ")
        self.assertEqual(stream[-1]["type"], "error")

    def test_number_size_and_pace_of_events_follow_the_headers(self) -> None:
        headers = {
            b"x-demo-events": b"7",
            b"x-demo-event-bytes": b"40",
            b"x-demo-interval": b"0.5",
            b"x-demo-delay": b"2",
        }

        answer = self.messages.answer(asked(request("demo-text", stream=True), headers=headers))

        assert isinstance(answer, Stream)
        self.assertEqual((answer.interval_seconds, answer.delay_seconds), (0.5, 2.0))
        deltas = [event for event in events(answer) if event["type"] == "content_block_delta"]
        self.assertEqual([len(event["delta"]["text"]) for event in deltas], [40] * 7)

    def test_slow_stream_takes_its_time_unasked(self) -> None:
        answer = self.messages.answer(asked(request("demo-slow", stream=True)))

        assert isinstance(answer, Stream)
        self.assertEqual(answer.interval_seconds, 1.0)

    def test_headers_that_are_no_numbers_are_refused(self) -> None:
        answer = self.messages.answer(
            asked(request("demo-text"), headers={b"x-demo-events": b"many"})
        )

        assert isinstance(answer, Document)
        self.assertEqual(answer.status, 400)

    def test_names_of_claude_are_answered_because_agents_insist_on_them(self) -> None:
        message = document(self.messages.answer(asked(request("claude-haiku-4-5"))))

        self.assertEqual(message["model"], "claude-haiku-4-5")

    def test_unknown_model_and_unreadable_bodies_are_refused_in_shape(self) -> None:
        bodies = {
            b"": 400,
            b"[]": 400,
            b'{"model": 1}': 400,
            b'{"model": "llama-4", "messages": []}': 404,
            b"[" * 100_000: 400,
        }

        answers = {body: self.messages.answer(asked(body)) for body in bodies}

        self.assertEqual({body: getattr(answers[body], "status", 0) for body in bodies}, bodies)
        self.assertEqual({document(answer)["type"] for answer in answers.values()}, {"error"})

    def test_models_are_listed_and_described(self) -> None:
        listed = document(self.messages.answer(asked(b"", path=b"/v1/models", method=b"GET")))
        one = document(
            self.messages.answer(asked(b"", path=b"/v1/models/demo-slow", method=b"GET"))
        )

        self.assertEqual([model["id"] for model in listed["data"]], list(script.MODELS))
        self.assertIn(one, listed["data"])

    def test_ids_differ_between_answers_and_between_starts(self) -> None:
        answers = [
            document(messages.answer(asked(request("demo-text"))))
            for messages in (self.messages, self.messages, Messages(run="run2"))
        ]

        self.assertEqual(len({message["id"] for message in answers}), 3)
