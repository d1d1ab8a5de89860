"""OpenAI's own SDK against the real process, and what the records say of it afterwards."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import openai
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam
from openai.types.responses import FunctionToolParam

from tests.acceptance.running import LIST, AcceptanceCase, Shared, command, listed, recorded
from tests.acceptance.test_sdk import demo
from tests.support.bridge_process import eventually

SECONDS = 20.0
DEMO = {"name": "demo", "type": "demo"}
PARAMETERS: dict[str, object] = {
    "type": "object",
    "properties": {"query": {"type": "string"}},
    "required": ["query"],
    "additionalProperties": False,
}
CHAT_TOOL: ChatCompletionToolParam = {
    "type": "function",
    "function": {"name": "look_it_up", "parameters": PARAMETERS},
}
TOOL: FunctionToolParam = {
    "type": "function",
    "name": "look_it_up",
    "parameters": PARAMETERS,
    "strict": True,
}

shared = Shared(demo)


class OpenAiCase(AcceptanceCase):
    """Has a client as a user has it: a base URL and a token, nothing else."""

    def setUp(self) -> None:
        self.bridge = shared.get()
        self.client = self.new_client()

    def options(self, token: str | None = None, **more: Any) -> dict[str, Any]:
        """Return the arguments of a client."""
        return {
            "base_url": f"http://127.0.0.1:{self.bridge.port}/demo/v1",
            "api_key": token or self.bridge.token(),
            "max_retries": 0,
            "timeout": SECONDS,
            **more,
        }

    def new_client(self, token: str | None = None, **options: Any) -> openai.OpenAI:
        client = openai.OpenAI(**self.options(token, **options))
        self.addCleanup(client.close)
        return client

    def assert_recorded(self, prompt: str, api: str, status: str = "completed") -> dict[str, Any]:
        """Return the record of a prompt, which must have ended like this."""
        record = recorded(self.bridge, prompt)
        self.assertEqual(
            (record["status"], record["provider"], record["api"]), (status, "openai", api)
        )
        return record

    def assert_tokens(self, record: dict[str, Any], read: int, cached: int, out: int) -> None:
        """Check the counts: what was read without what the cache gave."""
        (seen,) = record["token_usages"]
        self.assertEqual(
            (seen["input_tokens"], seen["cache_read_input_tokens"], seen["output_tokens"]),
            (read - cached, cached, out),
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


def turn(text: str) -> ChatCompletionMessageParam:
    """Return what the human says."""
    return {"role": "user", "content": text}


class Chat(OpenAiCase):
    """Chat completions, whole and streamed, with tools and thoughts."""

    def test_a_completion(self) -> None:
        answer = self.client.chat.completions.create(
            model="demo-text", messages=[turn("chat: a completion")]
        )

        self.assertEqual(answer.choices[0].message.content, "You said: chat: a completion")
        record = self.assert_recorded("chat: a completion", "chat_completions")
        self.assertEqual((record["response_id"], record["streaming"]), (answer.id, False))
        usage = answer.usage
        assert usage is not None and usage.prompt_tokens_details is not None
        cached = usage.prompt_tokens_details.cached_tokens or 0
        self.assert_tokens(record, usage.prompt_tokens, cached, usage.completion_tokens)

    def test_a_stream_whose_client_asks_for_usage_gets_it(self) -> None:
        chunks = list(
            self.client.chat.completions.create(
                model="demo-text",
                messages=[turn("chat: a stream with usage")],
                stream=True,
                stream_options={"include_usage": True},
            )
        )

        usage = chunks[-1].usage
        assert usage is not None and usage.prompt_tokens_details is not None
        self.assertEqual(chunks[-1].choices, [])
        record = self.assert_recorded("chat: a stream with usage", "chat_completions")
        cached = usage.prompt_tokens_details.cached_tokens or 0
        self.assert_tokens(record, usage.prompt_tokens, cached, usage.completion_tokens)
        self.assertIsNone(record["client_sha256"])

    def test_a_stream_whose_client_does_not_ask_gets_none_and_is_counted(self) -> None:
        chunks = list(
            self.client.chat.completions.create(
                model="demo-text", messages=[turn("chat: a stream")], stream=True
            )
        )

        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
        self.assertEqual(text, "You said: chat: a stream")
        self.assertTrue(all(chunk.choices and chunk.usage is None for chunk in chunks))
        record = self.assert_recorded("chat: a stream", "chat_completions")
        self.assertGreater(record["token_usages"][0]["output_tokens"], 0)
        self.assertNotEqual(record["client_sha256"], record["response_sha256"])

    def test_many_at_once_without_blocking(self) -> None:
        prompts = [f"chat: at once {number}" for number in range(20)]

        async def all_of_them() -> list[str | None]:
            async with openai.AsyncOpenAI(**self.options()) as client:
                answers = await asyncio.gather(
                    *(
                        client.chat.completions.create(model="demo-text", messages=[turn(prompt)])
                        for prompt in prompts
                    )
                )
                return [each.choices[0].message.content for each in answers]

        answers = asyncio.run(all_of_them())

        self.assertEqual(answers, [f"You said: {prompt}" for prompt in prompts])
        for prompt in prompts:
            self.assert_recorded(prompt, "chat_completions")

    def test_a_tool_call_and_its_result_make_one_thread(self) -> None:
        first = self.client.chat.completions.create(
            model="demo-tool", messages=[turn("chat: look it up")], tools=[CHAT_TOOL]
        )
        message = first.choices[0].message
        assert message.tool_calls is not None
        (call,) = message.tool_calls
        turns: list[Any] = [
            turn("chat: look it up"),
            message.model_dump(exclude_none=True),
            {"role": "tool", "tool_call_id": call.id, "content": "Found it."},
        ]

        second = self.client.chat.completions.create(
            model="demo-tool", messages=turns, tools=[CHAT_TOOL]
        )

        self.assertEqual(second.choices[0].finish_reason, "stop")
        record = self.assert_recorded("chat: look it up", "chat_completions")
        (tool,) = record["tool_usages"]
        self.assertEqual((tool["tool"], tool["provider_tool_call_id"]), ("look_it_up", call.id))
        self.assertEqual(json.loads(tool["input"]), {"query": "chat: look it up"})
        answered = self.of_response(second.id)
        self.assertEqual(answered["user_prompts"], [])
        self.assertEqual(answered["thread_parent_id"], record["id"])

    def test_a_streamed_tool_call_by_the_sdks_helper(self) -> None:
        with self.client.chat.completions.stream(
            model="demo-tool", messages=[turn("chat: streamed tool")], tools=[CHAT_TOOL]
        ) as stream:
            answer = stream.get_final_completion()

        calls = answer.choices[0].message.tool_calls
        assert calls
        record = self.assert_recorded("chat: streamed tool", "chat_completions")
        (tool,) = record["tool_usages"]
        self.assertEqual(tool["provider_tool_call_id"], calls[0].id)
        self.assertEqual(json.loads(tool["input"]), {"query": "chat: streamed tool"})

    def test_thoughts(self) -> None:
        list(
            self.client.chat.completions.create(
                model="demo-thinking", messages=[turn("chat: think")], stream=True
            )
        )

        record = self.assert_recorded("chat: think", "chat_completions")
        (seen,) = record["model_thoughts"]
        self.assertIn("The user said: chat: think", seen["content"])

    def test_leaving_a_stream_is_recorded(self) -> None:
        stream = self.client.chat.completions.create(
            model="demo-slow", messages=[turn("chat: leave")], stream=True
        )
        next(iter(stream))
        stream.close()

        self.assert_recorded("chat: leave", "chat_completions", "client_abort")


class Responses(OpenAiCase):
    """Responses, whole and streamed, chained, kept, in the background."""

    def test_a_response(self) -> None:
        answer = self.client.responses.create(model="demo-text", input="responses: one")

        self.assertEqual(answer.output_text, "You said: responses: one")
        record = self.assert_recorded("responses: one", "responses")
        self.assertEqual(record["response_id"], answer.id)
        usage = answer.usage
        assert usage is not None
        cached = usage.input_tokens_details.cached_tokens
        self.assert_tokens(record, usage.input_tokens, cached, usage.output_tokens)

    def test_a_stream(self) -> None:
        with self.client.responses.stream(model="demo-text", input="responses: stream") as stream:
            kinds = [event.type for event in stream]
            answer = stream.get_final_response()

        self.assertEqual(kinds[0], "response.created")
        self.assertEqual(kinds[-1], "response.completed")
        record = self.assert_recorded("responses: stream", "responses")
        self.assertEqual((record["response_id"], record["streaming"]), (answer.id, True))
        self.assertIsNone(record["client_sha256"])

    def test_a_tool_call_and_its_result_chained_by_id_make_one_thread(self) -> None:
        first = self.client.responses.create(
            model="demo-tool", input="responses: look it up", tools=[TOOL]
        )
        call = next(item for item in first.output if item.type == "function_call")

        second = self.client.responses.create(
            model="demo-tool",
            previous_response_id=first.id,
            input=[
                {"type": "function_call_output", "call_id": call.call_id, "output": "Found it."}
            ],
            tools=[TOOL],
        )

        record = self.assert_recorded("responses: look it up", "responses")
        (tool,) = record["tool_usages"]
        self.assertEqual(
            (tool["tool"], tool["provider_tool_call_id"], tool["provider_item_id"]),
            ("look_it_up", call.call_id, call.id),
        )
        answered = self.of_response(second.id)
        self.assertEqual(answered["user_prompts"], [])
        self.assertEqual(answered["thread_parent_id"], record["id"])

    def test_thoughts(self) -> None:
        with self.client.responses.stream(model="demo-thinking", input="responses: think") as found:
            found.get_final_response()

        (seen,) = self.assert_recorded("responses: think", "responses")["model_thoughts"]
        self.assertEqual(seen["metadata"]["source"], "reasoning_summary")

    def test_a_kept_response_is_its_makers_alone(self) -> None:
        kept = self.client.responses.create(model="demo-text", input="responses: keep me")
        other = self.new_client(self.token_of_another())

        mine = self.client.responses.retrieve(kept.id)
        with self.assertRaises(openai.NotFoundError):
            other.responses.retrieve(kept.id)
        with self.assertRaises(openai.NotFoundError):
            other.responses.create(
                model="demo-text", input="responses: tell me", previous_response_id=kept.id
            )
        with self.assertRaises(openai.NotFoundError):
            other.responses.delete(kept.id)

        self.assertEqual(mine.output_text, kept.output_text)

    def test_a_kept_response_is_known_after_a_restart(self) -> None:
        self.bridge = self.new_bridge({"aibridge": {"providers": [DEMO]}})
        self.bridge.start()
        kept = self.new_client().responses.create(
            model="demo-text", input="responses: keep me long"
        )
        self.assert_recorded("responses: keep me long", "responses")
        self.bridge.terminate()
        self.bridge.start()
        # The bridge serves before its database does, and finds it at its next look.
        eventually(
            lambda: self.bridge.ask("GET", LIST, token="admin")[0] == 200,
            seconds=SECONDS,
            what="the bridge to have its database",
        )

        # The demo upstream has forgotten it with the restart: the answer is its own, not ours.
        with self.assertRaises(openai.NotFoundError) as caught:
            self.new_client().responses.retrieve(kept.id)

        self.assertNotIn("of yours here", caught.exception.message)

    def test_one_in_the_background_is_recorded_as_far_as_it_is_seen(self) -> None:
        queued = self.client.responses.create(
            model="demo-text", input="responses: later", background=True
        )

        self.assertEqual(queued.status, "queued")
        self.assertEqual(self.client.responses.retrieve(queued.id).status, "completed")
        record = self.assert_recorded("responses: later", "responses")
        self.assertEqual((record["stop_reason"], record["token_usages"]), ("queued", []))

    def test_a_conversation(self) -> None:
        made = self.client.conversations.create()
        self.client.responses.create(
            model="demo-text", input="responses: in a conversation", conversation=made.id
        )

        self.assertEqual(self.client.conversations.retrieve(made.id).id, made.id)
        other = self.new_client(self.token_of_another())
        with self.assertRaises(openai.NotFoundError):
            other.conversations.retrieve(made.id)

    def token_of_another(self) -> str:
        """Return an inference token of another user."""
        name = "eve"
        command(self.bridge, "user", "create", name)
        made = command(self.bridge, "token", "create", "--user", name)
        self.assertEqual(made.returncode, 0, made.stderr)
        token = made.stdout.strip()

        def known() -> bool:
            client = self.new_client(token)
            try:
                client.models.list()
            except openai.AuthenticationError:
                return False
            return True

        eventually(known, seconds=SECONDS, what="the new token to be known")
        return token


class Others(OpenAiCase):
    def test_models_and_embeddings_pass(self) -> None:
        names = [model.id for model in self.client.models.list()]
        vector = self.client.embeddings.create(model="demo-text", input="embed me")

        self.assertIn("demo-text", names)
        self.assertGreater(len(vector.data[0].embedding), 0)

    def test_a_base_url_without_the_version_works_too(self) -> None:
        client = self.new_client(base_url=f"http://127.0.0.1:{self.bridge.port}/demo")

        answer = client.chat.completions.create(
            model="demo-text", messages=[turn("chat: without version")]
        )

        self.assertEqual(answer.choices[0].message.content, "You said: chat: without version")


class Errors(OpenAiCase):
    """Each error, ours or the provider's, is the exception that the SDK has for it."""

    def ask(self, prompt: str, model: str = "demo-error", **more: Any) -> object:
        return self.client.chat.completions.create(model=model, messages=[turn(prompt)], **more)

    def test_a_wrong_token(self) -> None:
        with self.assertRaises(openai.AuthenticationError) as caught:
            self.new_client("sk-nonsense").chat.completions.create(
                model="demo-text", messages=[turn("chat: nobody")]
            )

        self.assertEqual(caught.exception.code, "invalid_api_key")

    def test_a_token_for_management(self) -> None:
        with self.assertRaises(openai.PermissionDeniedError):
            self.new_client(self.bridge.token("admin")).responses.create(
                model="demo-text", input="nobody"
            )

    def test_errors_of_the_provider(self) -> None:
        expected = {
            400: openai.BadRequestError,
            403: openai.PermissionDeniedError,
            404: openai.NotFoundError,
            422: openai.UnprocessableEntityError,
            429: openai.RateLimitError,
            500: openai.InternalServerError,
        }

        raised = {}
        for status in expected:
            with self.assertRaises(openai.APIStatusError) as caught:
                self.ask(f"chat: error {status}", extra_headers={"x-demo-status": str(status)})
            raised[status] = type(caught.exception)

        self.assertEqual(raised, expected)
        record = self.assert_recorded("chat: error 429", "chat_completions", "upstream_error")
        self.assertEqual((record["http_status"], record["error_type"]), (429, "rate_limited"))

    def test_a_stream_that_breaks_off(self) -> None:
        with self.assertRaises(openai.APIError):
            list(
                self.client.chat.completions.create(
                    model="demo-error",
                    messages=[turn("chat: broken stream")],
                    stream=True,
                    extra_headers={"x-demo-error-after": "2"},
                )
            )

        self.assert_recorded("chat: broken stream", "chat_completions", "upstream_error")

    def test_a_response_that_fails(self) -> None:
        with self.assertRaises(openai.APIStatusError):
            self.client.responses.create(model="demo-error", input="responses: fail")

        self.assert_recorded("responses: fail", "responses", "upstream_error")
