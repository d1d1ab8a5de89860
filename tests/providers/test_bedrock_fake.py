"""The fake Bedrock is one to AWS's own client: what it accepts and refuses, AWS would.

It needs real sockets, and a thread for a client that blocks.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError
from botocore.session import Session
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from tests.support.bedrock import (
    ACCESS_KEY,
    EVENTS,
    EXCEPTIONS,
    MESSAGE,
    MODELS,
    REGION,
    SECRET,
    FakeBedrock,
    exception_of,
    stream_answer,
    stream_of,
)
from tests.support.fakes import Send

BODY = json.dumps(
    {
        "anthropic_version": "bedrock-2023-05-31",
        "max_tokens": 100,
        "messages": [{"role": "user", "content": "Hello é"}],
    }
)
CONVERSATION = [{"role": "user", "content": [{"text": "Hello"}]}]


class BedrockTestCase(TestCase):
    timeout = 30
    token: str | None = None

    async def setUp(self) -> None:
        self.bedrock = FakeBedrock(reactor, token=self.token)
        await self.bedrock.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(self.bedrock.stop()))

    async def ask(self, what: Callable[[Any], Any], **credentials: Any) -> Any:
        """Run `what` with a client of AWS's in a thread; return what it returned or raised."""

        def run() -> Any:
            given = {
                "aws_access_key_id": ACCESS_KEY,
                "aws_secret_access_key": SECRET,
                "aws_session_token": self.token,
                "region_name": REGION,
                **credentials,
            }
            client = Session().create_client(
                "bedrock-runtime",
                endpoint_url=self.bedrock.url,
                config=Config(retries={"total_max_attempts": 1}),
                **given,
            )
            try:
                return what(client)
            except (ClientError, EventStreamError) as e:
                return e
            finally:
                client.close()

        return await deferToThread(run)

    async def refusal(self, **credentials: Any) -> tuple[str, int]:
        error = await self.ask(
            lambda client: client.invoke_model(modelId=MODELS[0], body=BODY), **credentials
        )
        self.assertIsInstance(error, ClientError)
        return error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]


class SignedTests(BedrockTestCase):
    async def test_a_signed_request_is_answered(self) -> None:
        for model in MODELS:
            found = await self.ask(
                lambda client, model=model: json.loads(
                    client.invoke_model(modelId=model, body=BODY)["body"].read()
                )
            )

            self.assertEqual(found, MESSAGE, model)
        self.assertIn(b"inference-profile%2Fus.anthropic", self.bedrock.requests[-1].target)

    async def test_a_stream_is_read_by_its_client(self) -> None:
        def read(client: Any) -> Any:
            answer = client.invoke_model_with_response_stream(modelId=MODELS[0], body=BODY)
            return [json.loads(each["chunk"]["bytes"]) for each in answer["body"]]

        self.assertEqual(await self.ask(read), [*EVENTS])

    async def test_an_exception_in_a_stream_is_one_to_its_client(self) -> None:
        def read(client: Any) -> Any:
            answer = client.invoke_model_with_response_stream(modelId=MODELS[0], body=BODY)
            return [*answer["body"]]

        for kind in EXCEPTIONS:
            self.bedrock.steps.append(
                [Send(stream_answer(stream_of(EVENTS[:3]) + exception_of(kind, "Sorry.")))]
            )
            error = await self.ask(read)

            self.assertIsInstance(error, EventStreamError)
            self.assertEqual(error.response["Error"], {"Code": kind, "Message": "Sorry."})

    async def test_the_other_operations_are_answered(self) -> None:
        def ask(client: Any) -> Any:
            whole = client.converse(modelId=MODELS[0], messages=CONVERSATION)
            stream = client.converse_stream(modelId=MODELS[0], messages=CONVERSATION)["stream"]
            count = client.count_tokens(
                modelId=MODELS[0], input={"converse": {"messages": CONVERSATION}}
            )
            return whole["output"]["message"]["content"], [*stream][-1], count["inputTokens"]

        self.assertEqual(
            await self.ask(ask),
            ([{"text": "Hello."}], {"messageStop": {"stopReason": "end_turn"}}, 12),
        )

    async def test_what_is_signed_otherwise_is_refused(self) -> None:
        self.assertEqual(
            await self.refusal(aws_access_key_id="AKIASOMEBODYELSE0000"),
            ("UnrecognizedClientException", 403),
        )
        self.assertEqual(
            await self.refusal(aws_session_token="none is due"),
            ("UnrecognizedClientException", 403),
        )
        for wrong in ({"aws_secret_access_key": "wrong"}, {"region_name": "eu-west-1"}):
            self.assertEqual(await self.refusal(**wrong), ("InvalidSignatureException", 403))

    async def test_a_clock_that_is_wrong_is_refused(self) -> None:
        late = FakeBedrock(_Late())
        self.bedrock._server.script = late._script

        self.assertEqual(await self.refusal(), ("InvalidSignatureException", 403))

    async def test_an_unknown_model_is_not_found(self) -> None:
        error = await self.ask(lambda client: client.invoke_model(modelId="other.v1", body=BODY))

        self.assertEqual(error.response["Error"]["Code"], "ResourceNotFoundException")


class SessionTokenTests(BedrockTestCase):
    token = "a session token of some length=="

    async def test_it_belongs_to_the_signature(self) -> None:
        answer = await self.ask(lambda client: client.invoke_model(modelId=MODELS[0], body=BODY))
        self.assertEqual(answer["ResponseMetadata"]["HTTPStatusCode"], 200)

        self.assertEqual(
            await self.refusal(aws_session_token="another"), ("UnrecognizedClientException", 403)
        )


class _Late:
    """A clock that is ten minutes ahead."""

    def seconds(self) -> float:
        return reactor.seconds() + 600.0  # type: ignore[attr-defined]  # the real one has it
