"""The vendor's own SDK against the real process, and what the records say of it afterwards."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import anthropic
from anthropic.types import Message, MessageParam, ToolParam, Usage

from tests.acceptance.running import AcceptanceCase, Shared, listed, recorded
from tests.support.bridge_process import BridgeProcess, eventually

SECONDS = 20.0
TOOL: ToolParam = {
    "name": "look_it_up",
    "description": "Looks something up.",
    "input_schema": {"type": "object", "properties": {"query": {"type": "string"}}},
}


def demo(directory: Path) -> BridgeProcess:
    """Return a bridge with the demo provider."""
    providers = [{"name": "demo", "type": "demo"}]
    return BridgeProcess(directory=directory, settings={"aibridge": {"providers": providers}})


shared = Shared(demo)


def turn(text: str) -> MessageParam:
    """Return what the human says."""
    return {"role": "user", "content": text}


class SdkCase(AcceptanceCase):
    """Has a client of the SDK as a user has it: a base URL and a token, nothing else."""

    def setUp(self) -> None:
        self.bridge = shared.get()
        self.client = self.new_client()

    def new_client(self, token: str | None = None, **options: Any) -> anthropic.Anthropic:
        client = anthropic.Anthropic(**self.options(token, **options))
        self.addCleanup(client.close)
        return client

    def options(self, token: str | None = None, **more: Any) -> dict[str, Any]:
        """Return the arguments of a client."""
        return {
            "base_url": f"http://127.0.0.1:{self.bridge.port}/demo",
            "api_key": token or self.bridge.token(),
            "max_retries": 0,
            "timeout": SECONDS,
            **more,
        }

    def ask(self, prompt: str, *, model: str = "demo-text", **options: Any) -> Message:
        """Send a prompt, and return the message that comes back."""
        answer: Message = self.client.messages.create(
            model=model, max_tokens=64, messages=[turn(prompt)], **options
        )
        return answer

    def assert_recorded(self, prompt: str, status: str = "completed") -> dict[str, Any]:
        """Return the record of a prompt, which must have ended like this."""
        record = recorded(self.bridge, prompt)
        self.assertEqual((record["status"], record["provider_name"]), (status, "demo"))
        self.assertEqual(record["initiator"]["username"], "admin")
        return record


class Answers(SdkCase):
    """Messages, whole and streamed, with tools and thoughts."""

    def test_a_message(self) -> None:
        answer = self.ask("sdk: a message")

        self.assertEqual(text_of(answer), "You said: sdk: a message")
        record = self.assert_recorded("sdk: a message")
        self.assertEqual(record["response_id"], answer.id)
        self.assertEqual((record["model"], record["streaming"]), ("demo-text", False))
        self.assert_same_usage(record, answer.usage)

    def test_a_stream(self) -> None:
        with self.client.messages.stream(
            model="demo-text", max_tokens=64, messages=[turn("sdk: a stream")]
        ) as stream:
            pieces = list(stream.text_stream)
            answer = stream.get_final_message()

        self.assertEqual("".join(pieces), "You said: sdk: a stream")
        self.assertGreater(len(pieces), 1)
        record = self.assert_recorded("sdk: a stream")
        self.assertEqual((record["streaming"], record["stop_reason"]), (True, "end_turn"))
        self.assertEqual(record["response_id"], answer.id)
        self.assert_same_usage(record, answer.usage)

    def test_a_message_and_a_stream_without_blocking(self) -> None:
        async def both() -> tuple[str, str]:
            async with anthropic.AsyncAnthropic(**self.options()) as client:
                whole = await client.messages.create(
                    model="demo-text", max_tokens=64, messages=[turn("sdk: async")]
                )
                async with client.messages.stream(
                    model="demo-text", max_tokens=64, messages=[turn("sdk: async stream")]
                ) as stream:
                    return text_of(whole), await stream.get_final_text()

        answers = asyncio.run(both())

        self.assertEqual(answers, ("You said: sdk: async", "You said: sdk: async stream"))
        self.assert_recorded("sdk: async")
        self.assert_recorded("sdk: async stream")

    def test_many_at_once_without_blocking(self) -> None:
        prompts = [f"sdk: at once {number}" for number in range(20)]

        async def all_of_them() -> list[str]:
            async with anthropic.AsyncAnthropic(**self.options()) as client:
                return [
                    text_of(each)
                    for each in await asyncio.gather(
                        *(
                            client.messages.create(
                                model="demo-text", max_tokens=64, messages=[turn(prompt)]
                            )
                            for prompt in prompts
                        )
                    )
                ]

        answers = asyncio.run(all_of_them())

        self.assertEqual(answers, [f"You said: {prompt}" for prompt in prompts])
        ids = {self.assert_recorded(prompt)["response_id"] for prompt in prompts}
        self.assertEqual(len(ids), 20)

    def test_a_tool_call_and_its_result_make_one_thread(self) -> None:
        first = self.ask("sdk: look it up", model="demo-tool", tools=[TOOL])
        call = next(block for block in first.content if block.type == "tool_use")
        result = {"type": "tool_result", "tool_use_id": call.id, "content": "Found it."}
        turns: list[Any] = [
            turn("sdk: look it up"),
            {"role": "assistant", "content": first.content},
            {"role": "user", "content": [result]},
        ]

        second = self.client.messages.create(
            model="demo-tool", max_tokens=64, messages=turns, tools=[TOOL]
        )

        self.assertEqual((first.stop_reason, second.stop_reason), ("tool_use", "end_turn"))
        record = self.assert_recorded("sdk: look it up")
        (tool,) = record["tool_usages"]
        self.assertEqual((tool["tool"], tool["provider_tool_call_id"]), ("look_it_up", call.id))
        self.assertEqual(tool["input"], '{"query":"sdk: look it up"}')
        answered = self.of_response(second.id)
        self.assertEqual(answered["user_prompts"], [])
        self.assertEqual(answered["correlating_tool_call_id"], call.id)
        self.assertEqual(answered["thread_parent_id"], record["id"])

    def test_a_streamed_tool_call(self) -> None:
        with self.client.messages.stream(
            model="demo-tool", max_tokens=64, messages=[turn("sdk: streamed tool")], tools=[TOOL]
        ) as stream:
            answer = stream.get_final_message()

        call = next(block for block in answer.content if block.type == "tool_use")
        self.assertEqual(call.input, {"query": "sdk: streamed tool"})
        (tool,) = self.assert_recorded("sdk: streamed tool")["tool_usages"]
        self.assertEqual(tool["input"], '{"query":"sdk: streamed tool"}')

    def test_thoughts(self) -> None:
        with self.client.messages.stream(
            model="demo-thinking", max_tokens=64, messages=[turn("sdk: think")]
        ) as stream:
            answer = stream.get_final_message()

        thought = next(block for block in answer.content if block.type == "thinking")
        (seen,) = self.assert_recorded("sdk: think")["model_thoughts"]
        self.assertEqual(seen["content"], thought.thinking)

    def test_leaving_a_stream_is_recorded(self) -> None:
        with self.client.messages.stream(
            model="demo-slow", max_tokens=64, messages=[turn("sdk: leave")]
        ) as stream:
            next(iter(stream.text_stream))

        self.assert_recorded("sdk: leave", "client_abort")

    def assert_same_usage(self, record: dict[str, Any], usage: Usage) -> None:
        (seen,) = record["token_usages"]
        self.assertEqual(
            (seen["input_tokens"], seen["output_tokens"], seen["cache_read_input_tokens"]),
            (usage.input_tokens, usage.output_tokens, usage.cache_read_input_tokens),
        )
        self.assertEqual(seen["usage_source"], "provider_final")

    def of_response(self, identifier: str) -> dict[str, Any]:
        """Wait for the record of an answer, and return it."""
        found: list[dict[str, Any]] = []

        def there() -> bool:
            found[:] = [each for each in listed(self.bridge) if each["response_id"] == identifier]
            return bool(found)

        eventually(there, seconds=SECONDS, what=f"the record of {identifier}")
        return found[0]


class Passthrough(SdkCase):
    """What is no message: it works, and is recorded without content."""

    def test_tokens_are_counted(self) -> None:
        counted = self.client.messages.count_tokens(
            model="demo-text", messages=[turn("sdk: count me")]
        )

        self.assertEqual(counted.input_tokens, 8 + len("sdk: count me") // 4)
        record = self.passed("/v1/messages/count_tokens")
        self.assertEqual((record["status"], record["user_prompts"]), ("completed", []))

    def test_models_are_listed_and_described(self) -> None:
        names = [model.id for model in self.client.models.list()]
        described = self.client.models.retrieve("demo-tool")

        self.assertIn("demo-text", names)
        self.assertEqual((described.id, described.display_name), ("demo-tool", "Demo: a tool call"))
        self.assertEqual(self.passed("/v1/models")["http_status"], 200)
        self.assertEqual(self.passed("/v1/models/*")["http_status"], 200)

    def passed(self, route: str) -> dict[str, Any]:
        """Wait for a passthrough of `route`, and return it."""
        found: list[dict[str, Any]] = []

        def there() -> bool:
            passed = listed(self.bridge, "?q=kind:passthrough")
            found[:] = [
                each for each in passed if each["route"] == route and each["status"] != "running"
            ]
            return bool(found)

        eventually(there, seconds=SECONDS, what=f"the record of {route}")
        return found[0]


class Errors(SdkCase):
    """Each error, ours or the provider's, is the exception that the SDK has for it."""

    def test_a_wrong_token(self) -> None:
        for wrong in ("nonsense", "sk-ant-something-else"):
            client = self.new_client(wrong)
            with self.assertRaises(anthropic.AuthenticationError) as caught:
                client.models.list()
            self.assertEqual(error_type(caught.exception), "authentication_error")

    def test_a_token_for_management(self) -> None:
        client = self.new_client(self.bridge.token("admin"))

        with self.assertRaises(anthropic.PermissionDeniedError) as caught:
            client.models.list()

        self.assertEqual(error_type(caught.exception), "permission_error")

    def test_an_unknown_model(self) -> None:
        with self.assertRaises(anthropic.NotFoundError) as caught:
            self.ask("sdk: unknown model", model="no-such-model")

        self.assertEqual(error_type(caught.exception), "not_found_error")
        record = self.assert_recorded("sdk: unknown model", "upstream_error")
        self.assertEqual(record["http_status"], 404)

    def test_an_unknown_path(self) -> None:
        with self.assertRaises(anthropic.NotFoundError) as caught:
            self.client.get("/v1/no/such/thing", cast_to=object)

        self.assertEqual(error_type(caught.exception), "not_found_error")

    def test_a_bad_request(self) -> None:
        with self.assertRaises(anthropic.BadRequestError) as caught:
            self.client.post("/v1/messages", body={"model": "demo-text"}, cast_to=object)

        self.assertEqual(error_type(caught.exception), "invalid_request_error")

    def test_an_overloaded_provider(self) -> None:
        with self.assertRaises(anthropic.OverloadedError) as caught:
            self.ask("sdk: overloaded", model="demo-error")

        self.assertEqual(caught.exception.status_code, 529)
        self.assertEqual(error_type(caught.exception), "overloaded_error")
        self.assertEqual(caught.exception.response.headers["retry-after"], "1")
        record = self.assert_recorded("sdk: overloaded", "upstream_error")
        self.assertEqual((record["http_status"], record["error_type"]), (529, "overloaded"))

    def test_other_errors_of_the_provider(self) -> None:
        expected = {
            400: anthropic.BadRequestError,
            403: anthropic.PermissionDeniedError,
            413: anthropic.RequestTooLargeError,
            429: anthropic.RateLimitError,
            500: anthropic.InternalServerError,
        }

        raised = {}
        for status in expected:
            with self.assertRaises(anthropic.APIStatusError) as caught:
                self.ask(
                    f"sdk: error {status}",
                    model="demo-error",
                    extra_headers={"x-demo-status": str(status)},
                )
            raised[status] = type(caught.exception)

        self.assertEqual(raised, expected)

    def test_a_stream_that_breaks_off(self) -> None:
        with (
            self.assertRaises(anthropic.APIStatusError) as caught,
            self.client.messages.stream(
                model="demo-error",
                max_tokens=64,
                messages=[turn("sdk: broken stream")],
                extra_headers={"x-demo-error-after": "2"},
            ) as stream,
        ):
            stream.get_final_message()

        self.assertEqual(error_type(caught.exception), "overloaded_error")
        record = self.assert_recorded("sdk: broken stream", "upstream_error")
        self.assertEqual((record["http_status"], record["error_type"]), (200, "overloaded"))

    def test_one_request_is_one_record_when_nothing_is_tried_again(self) -> None:
        with self.assertRaises(anthropic.OverloadedError):
            self.ask("sdk: once", model="demo-error")
        self.assert_recorded("sdk: once", "upstream_error")

        client = self.new_client(max_retries=1)
        with self.assertRaises(anthropic.OverloadedError):
            client.messages.create(model="demo-error", max_tokens=64, messages=[turn("sdk: twice")])

        def both() -> bool:
            prompts = [each["user_prompts"] for each in listed(self.bridge, "?q=model:demo-error")]
            return len([each for each in prompts if each[0]["prompt"] == "sdk: twice"]) == 2

        eventually(both, seconds=SECONDS, what="a record for each attempt")


def text_of(answer: Message) -> str:
    """Return the text in a message."""
    return "".join(block.text for block in answer.content if block.type == "text")


def error_type(error: anthropic.APIStatusError) -> str:
    """Return the type that an error's body names."""
    body: Any = error.body
    assert isinstance(body, dict), body
    return str(body["error"]["type"])
