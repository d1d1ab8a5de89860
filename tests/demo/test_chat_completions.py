"""The demo speaks OpenAI Chat Completions, as OpenAI's own types read it."""

from __future__ import annotations

import json
from typing import Any

from openai.types.chat import ChatCompletion, ChatCompletionChunk

from bridge.demo import script
from bridge.demo.chat_completions import ChatCompletions
from bridge.demo.exchange import Answer, Document, Stream
from tests.demo.asking import asked, chunks, document
from tests.support.cases import BridgeTestCase

BASH = {
    "type": "object",
    "properties": {"command": {"type": "string"}, "description": {"type": "string"}},
    "required": ["command", "description"],
}


def user(text: object) -> dict[str, object]:
    return {"role": "user", "content": text}


def function(name: str, parameters: object) -> dict[str, object]:
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


def deltas(stream: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [choice["delta"] for chunk in stream for choice in chunk["choices"]]


def text_in(stream: list[dict[str, Any]], field: str = "content") -> str:
    return "".join(delta.get(field) or "" for delta in deltas(stream))


class ChatCompletionsTests(BridgeTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.completions = ChatCompletions(run="run1")

    def ask(
        self,
        model: str,
        text: object = "what is nonce-17?",
        *,
        headers: dict[bytes, bytes] | None = None,
        **more: object,
    ) -> Answer:
        body = {"model": model, "messages": [user(text)], **more}
        return self.completions.answer(asked(body, path=b"/v1/chat/completions", headers=headers))

    def completion(self, model: str, text: object = "what is nonce-17?", **more: Any) -> Any:
        """Return the answer in one piece as OpenAI's client has it."""
        answer = self.ask(model, text, **more)
        assert isinstance(answer, Document)
        return ChatCompletion.model_validate_json(answer.body, strict=True)

    def stream(self, model: str, text: object = "what is nonce-17?", **more: Any) -> Any:
        """Return the chunks, after OpenAI's client could read each."""
        stream = chunks(self.ask(model, text, stream=True, **more))
        for chunk in stream:
            ChatCompletionChunk.model_validate_json(json.dumps(chunk), strict=True)
        return stream

    def test_text_in_one_piece_echoes_the_prompt(self) -> None:
        completion = self.completion("demo-text")

        self.assertEqual(completion.choices[0].message.content, "You said: what is nonce-17?")
        self.assertEqual(completion.choices[0].finish_reason, "stop")

    def test_usage_is_the_scripts_with_the_cached_tokens_among_the_prompts(self) -> None:
        usage = self.completion("demo-text").usage

        expected = script.usage_for("what is nonce-17?", 5)
        cached = expected.cache_read_tokens
        self.assertEqual(usage.prompt_tokens, expected.input_tokens + cached)
        self.assertEqual(usage.prompt_tokens_details.cached_tokens, cached)
        self.assertEqual(usage.completion_tokens, 5)
        self.assertEqual(usage.total_tokens, usage.prompt_tokens + 5)

    def test_text_as_a_stream_says_the_same(self) -> None:
        stream = self.stream("demo-text")

        self.assertEqual(text_in(stream), "You said: what is nonce-17?")
        self.assertEqual(deltas(stream)[0]["role"], "assistant")
        self.assertEqual(stream[-1]["choices"][0]["finish_reason"], "stop")
        self.assertEqual(len({chunk["id"] for chunk in stream}), 1)

    def test_usage_that_nobody_asked_for_is_not_in_the_stream(self) -> None:
        stream = self.stream("demo-text", stream_options={"include_usage": False})

        self.assertEqual([chunk for chunk in stream if "usage" in chunk], [])

    def test_usage_that_was_asked_for_is_in_the_last_chunk_and_null_before(self) -> None:
        *others, last = self.stream("demo-text", stream_options={"include_usage": True})

        self.assertEqual([chunk["usage"] for chunk in others], [None] * len(others))
        self.assertEqual(last["choices"], [])
        whole = document(self.ask("demo-text"))
        self.assertEqual(last["usage"], whole["usage"])

    def test_thoughts_come_before_the_text(self) -> None:
        stream = self.stream("demo-thinking")

        said = [delta for delta in deltas(stream)[1:] if delta]
        fields = [next(iter(delta)) for delta in said]
        self.assertEqual(sorted(fields, reverse=True), fields)
        self.assertIn("nonce-17", text_in(stream, "reasoning_content"))

    def test_thoughts_in_one_piece_are_counted_as_reasoning(self) -> None:
        completion = self.completion("demo-thinking")

        thoughts = completion.choices[0].message.reasoning_content
        details = completion.usage.completion_tokens_details
        self.assertEqual(details.reasoning_tokens, len(thoughts.split()))

    def test_tool_call_fits_what_the_client_offers(self) -> None:
        completion = self.completion("demo-tool", tools=[function("Bash", BASH)])

        (call,) = completion.choices[0].message.tool_calls
        self.assertEqual(call.function.name, "Bash")
        self.assertEqual(
            json.loads(call.function.arguments),
            {"command": "echo demo && sleep 0.2", "description": "demo"},
        )
        self.assertEqual(completion.choices[0].finish_reason, "tool_calls")

    def test_tool_call_streams_its_name_first_and_its_arguments_in_two_halves(self) -> None:
        stream = self.stream("demo-tool", tools=[function("Bash", BASH)])

        first, *parts = [
            delta["tool_calls"][0] for delta in deltas(stream) if "tool_calls" in delta
        ]
        self.assertEqual((first["type"], first["function"]["name"]), ("function", "Bash"))
        self.assertTrue(first["id"].startswith("call_"))
        joined = "".join(part["function"]["arguments"] for part in parts)
        self.assertEqual((len(parts), json.loads(joined)["description"]), (2, "demo"))
        self.assertEqual(stream[-1]["choices"][0]["finish_reason"], "tool_calls")

    def test_prompt_that_says_so_makes_any_model_call_the_tool(self) -> None:
        completion = self.completion("gpt-5", "Use the tool!", tools=[function("Bash", BASH)])

        self.assertEqual(completion.choices[0].message.tool_calls[0].function.name, "Bash")

    def test_prompt_that_says_so_without_any_tool_gets_text_as_for_a_title(self) -> None:
        completion = self.completion("gpt-5", "use the tool")

        self.assertIsNone(completion.choices[0].message.tool_calls)

    def test_client_that_wants_no_call_gets_none(self) -> None:
        tools = [function("Bash", BASH)]

        completion = self.completion("gpt-5", "use the tool", tools=tools, tool_choice="none")

        self.assertIsNone(completion.choices[0].message.tool_calls)

    def test_without_any_tool_the_tool_model_looks_the_prompt_up(self) -> None:
        completion = self.completion("demo-tool", tools=None)

        call = completion.choices[0].message.tool_calls[0].function
        self.assertEqual(call.name, "look_up")
        self.assertEqual(json.loads(call.arguments), {"query": "what is nonce-17?"})

    def test_tool_result_ends_the_turn_so_that_agents_come_to_an_end(self) -> None:
        call = {"id": "call_1", "type": "function", "function": {"name": "b", "arguments": "{}"}}
        messages = [
            user("use the tool"),
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_1", "content": "demo"},
            {"role": "system", "content": "Be brief."},
        ]
        tools = [function("Bash", BASH)]

        completion = self.completion("demo-tool", messages=messages, tools=tools)

        self.assertEqual(completion.choices[0].finish_reason, "stop")
        self.assertEqual(completion.choices[0].message.content, "You said: use the tool")

    def test_last_text_of_several_parts_is_the_prompt(self) -> None:
        parts = [
            {"type": "text", "text": "a reminder"},
            {"type": "text", "text": "the prompt"},
            {"type": "image_url", "image_url": {"url": "data:"}},
        ]

        completion = self.completion("demo-text", parts)

        self.assertEqual(completion.choices[0].message.content, "You said: the prompt")

    def test_text_of_the_surroundings_is_no_prompt(self) -> None:
        surroundings = "\n\n<environment_details>\nMessage time: now\n</environment_details>"
        parts = [{"type": "text", "text": each} for each in ("the prompt", surroundings)]

        completion = self.completion("demo-text", parts)

        self.assertEqual(completion.choices[0].message.content, "You said: the prompt")

    def test_error_is_an_overload_with_a_time_to_retry_by_default(self) -> None:
        answer = self.ask("demo-error")

        assert isinstance(answer, Document)
        self.assertEqual(answer.status, 503)
        self.assertIn(b"retry-after: 1\r\n", answer.head)
        self.assertEqual(
            document(answer)["error"],
            {
                "message": "This model always fails.",
                "type": "server_error",
                "param": None,
                "code": None,
            },
        )

    def test_error_has_the_status_that_was_asked_for(self) -> None:
        answer = self.ask("demo-error", headers={b"x-demo-status": b"429"})

        assert isinstance(answer, Document)
        self.assertEqual(answer.status, 429)
        self.assertEqual(document(answer)["error"]["code"], "rate_limit_exceeded")

    def test_error_in_a_stream_comes_after_the_text_asked_for_and_nothing_follows(self) -> None:
        answer = self.ask("demo-error", headers={b"x-demo-error-after": b"2"}, stream=True)

        assert isinstance(answer, Stream)
        stream = [json.loads(event.removeprefix(b"data: ")) for event in answer.events]
        self.assertEqual(text_in(stream[:-1]), "You said: ")
        self.assertEqual(stream[-1]["error"]["type"], "server_error")

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
        texts = [delta["content"] for delta in deltas(chunks(answer)) if delta.get("content")]
        self.assertEqual([len(text) for text in texts], [40] * 7)

    def test_unknown_model_and_unreadable_bodies_are_refused_in_shape(self) -> None:
        bodies = {
            b"": 400,
            b"[]": 400,
            b'{"model": 1}': 400,
            b'{"model": "demo-tool", "messages": [], "tools": [1]}': 400,
            b'{"model": "llama-4", "messages": []}': 404,
            b"[" * 100_000: 400,
        }

        answers = {
            body: self.completions.answer(asked(body, path=b"/v1/chat/completions"))
            for body in bodies
        }

        self.assertEqual({body: getattr(answers[body], "status", 0) for body in bodies}, bodies)
        shapes = {tuple(document(answer)["error"]) for answer in answers.values()}
        self.assertEqual(shapes, {("message", "type", "param", "code")})

    def test_other_methods_and_paths_are_refused(self) -> None:
        answers = [
            self.completions.answer(asked(b"", path=path, method=b"GET"))
            for path in (b"/v1/chat/completions", b"/v1/chat/other")
        ]

        self.assertEqual([getattr(answer, "status", 0) for answer in answers], [405, 404])
