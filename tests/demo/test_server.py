"""One port for every API: who may ask, whose path it is, and what OpenAI's clients make of it."""

from __future__ import annotations

import gzip
import json
from typing import Any

import httpx2
import openai
import zstandard
from openai.types import CreateEmbeddingResponse, Model

from bridge.demo import script
from bridge.demo.exchange import Asked, Document, Stream
from bridge.demo.server import DemoServer
from tests.demo.asking import asked, document, request, status
from tests.support.cases import BridgeTestCase

PATHS = (
    b"/v1/messages",
    b"/v1/chat/completions",
    b"/v1/responses",
    b"/chat/completions",
    b"/responses",
    b"/v1/responses/compact",
    b"/v1/conversations",
    b"/v1/embeddings",
)


class ServerCase(BridgeTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.server = DemoServer(secret="secret", clock=self.clock)

    def send(
        self,
        path: bytes,
        body: object = b"",
        *,
        method: bytes = b"POST",
        **headers: bytes,
    ) -> Any:
        named = {name.replace("_", "-").encode(): value for name, value in headers.items()}
        named = named or {b"authorization": b"Bearer secret"}
        return self.server.answer(asked(body, path=path, method=method, headers=named))


class SecretTests(ServerCase):
    def test_secret_is_taken_as_a_key_or_as_a_bearer_token_by_every_api(self) -> None:
        by_key = {status(self.send(path, x_api_key=b"secret")) for path in PATHS}
        by_token = {status(self.send(path, authorization=b"bearer secret")) for path in PATHS}

        # There is a body for none but the conversation, which needs none.
        self.assertEqual((by_key, by_token), ({200, 400}, {200, 400}))

    def test_either_is_enough_when_the_other_is_something_else(self) -> None:
        first = self.send(
            b"/v1/models", method=b"GET", x_api_key=b"x", authorization=b"Bearer secret"
        )
        second = self.send(
            b"/v1/models", method=b"GET", x_api_key=b"secret", authorization=b"Basic x"
        )

        self.assertEqual((status(first), status(second)), (200, 200))

    def test_wrong_secret_is_refused_in_the_shape_of_the_api(self) -> None:
        refused = {path: self.send(path, authorization=b"secret") for path in PATHS}

        self.assertEqual({status(answer) for answer in refused.values()}, {401})
        codes = {path: document(answer)["error"].get("code") for path, answer in refused.items()}
        self.assertEqual(
            codes,
            {path: None if path == b"/v1/messages" else "invalid_api_key" for path in PATHS},
        )


class ModelsTests(ServerCase):
    def test_models_have_the_shape_of_anthropic_for_its_clients(self) -> None:
        headers = {"x_api_key": b"secret", "anthropic_version": b"2023-06-01"}

        listed = document(self.send(b"/v1/models", method=b"GET", **headers))
        one = document(self.send(b"/v1/models/demo-text", method=b"GET", **headers))
        refused = self.send(b"/v1/models", method=b"GET", anthropic_version=b"2023-06-01")

        self.assertEqual(listed["first_id"], "demo-text")
        self.assertIn(one, listed["data"])
        self.assertEqual(document(refused)["type"], "error")

    def test_models_have_the_shape_of_openai_for_all_others(self) -> None:
        listed = document(self.send(b"/models", method=b"GET"))
        one = document(self.send(b"/v1/models/demo-slow", method=b"GET"))

        self.assertEqual(listed["object"], "list")
        models = [Model.model_validate(model) for model in listed["data"]]
        self.assertEqual([model.id for model in models], list(script.MODELS))
        self.assertIn(one, listed["data"])

    def test_name_that_agents_insist_on_is_a_model(self) -> None:
        self.assertEqual(document(self.send(b"/v1/models/gpt-5", method=b"GET"))["id"], "gpt-5")

    def test_what_there_is_not_is_refused(self) -> None:
        self.assertEqual(status(self.send(b"/v1/models/llama-4", method=b"GET")), 404)
        self.assertEqual(status(self.send(b"/v1/models", method=b"DELETE")), 405)


class EmbeddingsTests(ServerCase):
    def embedded(self, given: object, **more: object) -> Any:
        body = {"model": "text-embedding-3-small", "input": given, **more}
        return document(self.send(b"/v1/embeddings", body))

    def test_same_text_has_the_same_vector_and_another_another(self) -> None:
        answer = self.embedded(["one", "two", "one"])

        first, second, third = (item["embedding"] for item in answer["data"])
        self.assertEqual((len(first), first), (8, third))
        self.assertNotEqual(first, second)
        CreateEmbeddingResponse.model_validate(answer)

    def test_vectors_have_the_size_that_was_asked_for(self) -> None:
        answer = self.embedded("one", dimensions=3)

        self.assertEqual(len(answer["data"][0]["embedding"]), 3)

    def test_tokens_of_one_text_are_one_input(self) -> None:
        self.assertEqual(len(self.embedded([1, 2, 3])["data"]), 1)
        self.assertEqual(len(self.embedded([[1], [2, 3]])["data"]), 2)
        self.assertEqual(self.embedded([])["data"], [])

    def test_what_is_no_input_is_refused(self) -> None:
        self.assertIn("error", self.embedded({"text": "one"}))
        self.assertIn("error", self.embedded("one", dimensions=0))
        self.assertEqual(status(self.send(b"/v1/embeddings", method=b"GET")), 405)


class EncodingsTests(ServerCase):
    def send_encoded(self, body: bytes, encoding: bytes) -> Any:
        headers = {"x_api_key": b"secret", "content_encoding": encoding}
        return self.send(b"/v1/messages", body, **headers)

    def test_compressed_body_is_read(self) -> None:
        body = json.dumps(request("demo-text")).encode()

        answers = [
            self.send_encoded(gzip.compress(body), b"gzip"),
            self.send_encoded(zstandard.compress(body), b"zstd"),
            self.send_encoded(body, b"identity"),
        ]

        self.assertEqual([status(answer) for answer in answers], [200, 200, 200])

    def test_body_that_is_not_what_its_header_says_is_refused(self) -> None:
        answers = [self.send_encoded(b"{}", encoding) for encoding in (b"gzip", b"zstd", b"br")]

        self.assertEqual([status(answer) for answer in answers], [400, 400, 400])

    def test_body_that_becomes_too_long_is_refused(self) -> None:
        body = zstandard.compress(bytes(64 * 1024**2 + 1))

        answer = self.send(b"/v1/responses", body, x_api_key=b"secret", content_encoding=b"zstd")

        self.assertEqual(status(answer), 400)
        self.assertIn("too long", document(answer)["error"]["message"])


class _Straight(httpx2.BaseTransport):
    """Hands what OpenAI's client sends to the demo, without a network."""

    def __init__(self, server: DemoServer) -> None:
        self._server = server

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        answer = self._server.answer(
            Asked(
                method=request.method.encode(),
                path=request.url.path.encode(),
                headers={name.lower(): value for name, value in request.headers.raw},
                body=request.read(),
            )
        )
        if isinstance(answer, Document):
            kind = {"content-type": "application/json"}
            return httpx2.Response(answer.status, headers=kind, content=answer.body)
        assert isinstance(answer, Stream)
        kind = {"content-type": "text/event-stream"}
        return httpx2.Response(200, headers=kind, content=b"".join(answer.events))


class ClientTests(ServerCase):
    """What OpenAI's own client makes of it, as a user writes it."""

    def setUp(self) -> None:
        super().setUp()
        transport = httpx2.Client(transport=_Straight(self.server))
        self.client = openai.OpenAI(
            api_key="secret", base_url="http://demo/v1", http_client=transport, max_retries=0
        )
        self.addCleanup(self.client.close)

    def test_chat_stream_is_put_together(self) -> None:
        with self.client.chat.completions.stream(
            model="demo-thinking", messages=[{"role": "user", "content": "hello"}]
        ) as stream:
            completion = stream.get_final_completion()

        self.assertEqual(completion.choices[0].message.content, "You said: hello")

    def test_streamed_response_is_put_together(self) -> None:
        with self.client.responses.stream(model="gpt-5", input="hello") as stream:
            response = stream.get_final_response()

        self.assertEqual(response.output_text, "You said: hello")

    def test_tool_call_and_its_result_make_two_responses(self) -> None:
        tool: Any = {
            "type": "function",
            "name": "bash",
            "strict": False,
            "parameters": {
                "type": "object",
                "properties": {"command": {"type": "string"}},
                "required": ["command"],
            },
        }
        first = self.client.responses.create(model="gpt-5", input="use the tool", tools=[tool])
        call = first.output[-1]
        assert call.type == "function_call"

        second = self.client.responses.create(
            model="gpt-5",
            previous_response_id=first.id,
            input=[{"type": "function_call_output", "call_id": call.call_id, "output": "demo"}],
            tools=[tool],
        )

        self.assertEqual(json.loads(call.arguments), {"command": "echo demo && sleep 0.2"})
        self.assertEqual(second.output_text, "You said: use the tool")

    def test_stored_response_is_followed_and_deleted(self) -> None:
        queued = self.client.responses.create(model="gpt-5", input="hello", background=True)

        found = self.client.responses.retrieve(queued.id)
        given = list(self.client.responses.input_items.list(queued.id))
        self.client.responses.delete(queued.id)

        self.assertEqual((queued.status, found.status, len(given)), ("queued", "completed", 1))
        with self.assertRaises(openai.NotFoundError):
            self.client.responses.retrieve(queued.id)

    def test_conversation_holds_what_was_said(self) -> None:
        conversation = self.client.conversations.create()
        self.client.responses.create(model="gpt-5", input="hello", conversation=conversation.id)

        said = list(self.client.conversations.items.list(conversation.id))

        self.assertEqual([item.type for item in said], ["message", "message"])

    def test_embeddings_and_models_are_read(self) -> None:
        embedded = self.client.embeddings.create(model="text-embedding-3-small", input="hello")
        models = list(self.client.models.list())

        self.assertEqual(len(embedded.data[0].embedding), 8)
        self.assertEqual([model.id for model in models], list(script.MODELS))

    def test_errors_are_the_clients_exceptions(self) -> None:
        with self.assertRaises(openai.InternalServerError):
            self.client.responses.create(model="demo-error", input="hello")
        with self.assertRaises(openai.NotFoundError):
            self.client.chat.completions.create(
                model="llama-4", messages=[{"role": "user", "content": "hello"}]
            )
        with self.assertRaises(openai.AuthenticationError):
            self.client.with_options(api_key="guess").models.list()

    def test_error_in_a_chat_stream_is_raised(self) -> None:
        stream = self.client.chat.completions.create(
            model="demo-error",
            messages=[{"role": "user", "content": "hello"}],
            stream=True,
            extra_headers={"x-demo-error-after": "1"},
        )

        with self.assertRaises(openai.APIError):
            list(stream)
