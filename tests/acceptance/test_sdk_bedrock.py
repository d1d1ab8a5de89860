"""Amazon Bedrock behind the real process, asked by Anthropic's SDKs and by AWS's own."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anthropic
import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from tests.acceptance.running import recorded
from tests.support import bedrock as aws
from tests.support.bedrock import MODELS, FakeBedrock
from tests.support.bridge_process import BridgeProcess
from tests.support.fakes import Send

SECONDS = 20.0
HAIKU = MODELS[1]
DUMMY = {"aws_access_key_id": "AKIADUMMY", "aws_secret_access_key": "none of AWS's"}


class BedrockSdkTests(TestCase):
    """The fake is in this reactor, so whatever waits for the bridge does so in a thread."""

    timeout = 120

    async def serve(self) -> None:
        self.aws = FakeBedrock(reactor)
        await self.aws.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(self.aws.stop()))
        holder = tempfile.TemporaryDirectory(prefix="aibridge-test-")
        self.addCleanup(holder.cleanup)
        provider = {
            "type": "bedrock",
            "region": aws.REGION,
            "base_url": self.aws.url,
            "access_key": aws.ACCESS_KEY,
            "access_key_secret": aws.SECRET,
            "small_fast_model": HAIKU,
        }
        self.bridge = BridgeProcess(
            directory=Path(holder.name), settings={"aibridge": {"providers": [provider]}}
        )
        self.addCleanup(deferToThread, self.bridge.close)
        await deferToThread(self.bridge.start)
        self.base_url = f"http://127.0.0.1:{self.bridge.port}/bedrock"

    async def ask(self, work: Callable[[], Any]) -> Any:
        return await deferToThread(work)

    async def assert_recorded(self, prompt: str, model: str) -> None:
        record = await deferToThread(recorded, self.bridge, prompt)
        usage = record["token_usages"][0]
        self.assertEqual((record["model"], record["status"]), (model, "completed"))
        self.assertEqual((usage["input_tokens"], usage["output_tokens"]), (12, 6))

    async def test_anthropics_sdk_for_bedrock(self) -> None:
        """It speaks Bedrock's own API, and reads its binary streams."""
        await self.serve()
        client = anthropic.AnthropicBedrock(
            api_key=self.bridge.token(),
            aws_region=aws.REGION,
            base_url=self.base_url,
            max_retries=0,
            timeout=SECONDS,
        )
        self.addCleanup(client.close)

        def create() -> Any:
            return client.messages.create(
                model=HAIKU, max_tokens=64, messages=[{"role": "user", "content": "native: create"}]
            )

        def stream() -> Any:
            with client.messages.stream(
                model=HAIKU, max_tokens=64, messages=[{"role": "user", "content": "native: stream"}]
            ) as events:
                return events.get_final_message()

        for work, prompt in ((create, "native: create"), (stream, "native: stream")):
            answer = await self.ask(work)

            self.assertEqual(answer.content[0].text, "Hello.")
            await self.assert_recorded(prompt, HAIKU)
        self.aws.steps = [[Send(aws.AwsError(429, "ThrottlingException", "Slow down.").answer())]]
        with self.assertRaisesRegex(anthropic.RateLimitError, "Slow down"):
            await self.ask(create)

    async def test_anthropics_sdk(self) -> None:
        """It speaks the Messages API, and need not know that Bedrock answers."""
        await self.serve()
        client = anthropic.Anthropic(
            api_key=self.bridge.token(), base_url=self.base_url, max_retries=0, timeout=SECONDS
        )
        self.addCleanup(client.close)

        def create() -> Any:
            return client.messages.create(
                model="claude-haiku-4-5",
                max_tokens=64,
                messages=[{"role": "user", "content": "messages: create"}],
            )

        def stream() -> Any:
            with client.messages.stream(
                model="claude-haiku-4-5",
                max_tokens=64,
                messages=[{"role": "user", "content": "messages: stream"}],
            ) as events:
                return events.get_final_message()

        for work, prompt in ((create, "messages: create"), (stream, "messages: stream")):
            answer = await self.ask(work)

            self.assertEqual(answer.content[0].text, "Hello.")
            await self.assert_recorded(prompt, "claude-haiku-4-5")
        self.aws.steps = [[Send(aws.AwsError(429, "ThrottlingException", "Slow down.").answer())]]
        with self.assertRaisesRegex(anthropic.RateLimitError, "Slow down"):
            await self.ask(create)

    async def test_boto3(self) -> None:
        """It signs with what it has, and brings the token in a header of its own."""
        await self.serve()
        client = boto3.client(
            "bedrock-runtime",
            region_name=aws.REGION,
            endpoint_url=self.base_url,
            config=Config(retries={"total_max_attempts": 1}, read_timeout=SECONDS),
            **DUMMY,
        )
        self.addCleanup(client.close)
        token = self.bridge.token()

        def present(request: Any, **_: Any) -> None:
            request.headers["X-AI-Bridge-Token"] = token

        client.meta.events.register("before-send.bedrock-runtime.*", present)

        def body(prompt: str) -> str:
            return json.dumps(
                {
                    "anthropic_version": "bedrock-2023-05-31",
                    "max_tokens": 64,
                    "messages": [{"role": "user", "content": prompt}],
                }
            )

        def invoke() -> Any:
            return json.load(client.invoke_model(modelId=HAIKU, body=body("boto3: invoke"))["body"])

        def stream() -> Any:
            answer = client.invoke_model_with_response_stream(
                modelId=HAIKU, body=body("boto3: stream")
            )
            return [json.loads(each["chunk"]["bytes"]) for each in answer["body"]]

        def converse() -> Any:
            said = [{"role": "user", "content": [{"text": "boto3: converse"}]}]
            return client.converse(modelId=HAIKU, messages=said)

        self.assertEqual(await self.ask(invoke), aws.MESSAGE)
        self.assertEqual(await self.ask(stream), list(aws.EVENTS))
        answer = await self.ask(converse)
        self.assertEqual(answer["output"]["message"]["content"], [{"text": "Hello."}])
        await self.assert_recorded("boto3: invoke", HAIKU)
        await self.assert_recorded("boto3: stream", HAIKU)
        self.aws.steps = [[Send(aws.AwsError(429, "ThrottlingException", "Slow down.").answer())]]
        with self.assertRaisesRegex(ClientError, "Slow down"):
            await self.ask(invoke)
