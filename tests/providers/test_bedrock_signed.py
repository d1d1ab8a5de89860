"""What the provider prepares is taken by something that checks signatures, over real sockets."""

from __future__ import annotations

import json
from http.client import HTTPConnection
from typing import Any

import msgspec
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from bridge.domain.identity import Secret, UserCredential
from bridge.providers.aws_credentials import StaticCredentials
from bridge.providers.bedrock import Bedrock
from bridge.providers.interface import Asked
from bridge.providers.regions import BedrockProtocol
from tests.support.bedrock import (
    ACCESS_KEY,
    API_KEY,
    MESSAGE,
    MODELS,
    REGION,
    SECRET,
    FakeBedrock,
    events_of,
)

TOKEN = "a session token/of some length=="
BODY = json.dumps(
    {
        "model": "claude-sonnet-4-6",
        "stream": True,
        "max_tokens": 2000,
        "metadata": {"user_id": "u"},
        "thinking": {"type": "adaptive"},
        "messages": [{"role": "user", "content": "Grüße"}],
    },
    ensure_ascii=False,
).encode()
NATIVE = b'{"anthropic_version":"bedrock-2023-05-31","max_tokens":9,"messages":[]}'
ASKED = Asked(
    method=b"POST",
    path_and_query=b"/v1/messages?beta=true",
    headers=(
        (b"content-type", b"application/json"),
        (b"anthropic-beta", b"context-1m-2025-08-07"),
        (b"x-amzn-bedrock-guardrailidentifier", b"gr  1"),
    ),
    body=BODY,
    model="claude-sonnet-4-6",
    streaming=True,
)


class SignedTests(TestCase):
    timeout = 30

    async def start(
        self, *, token: str | None = None, secret: str = SECRET, **options: Any
    ) -> Bedrock:
        mantle = options.get("protocol") is BedrockProtocol.MANTLE
        self.fake = FakeBedrock(
            reactor, token=token, service="bedrock-mantle" if mantle else "bedrock"
        )
        await self.fake.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(self.fake.stop()))
        given = {
            "name": "bedrock",
            "region": REGION,
            "credentials": StaticCredentials(
                access_key_id=ACCESS_KEY,
                secret=Secret(secret),
                session_token=Secret(token) if token else None,
            ),
            "clock": reactor,
            "max_body_bytes": 1_000_000,
            "base_url": f"{self.fake.url}/some/path",
            "model": MODELS[2],
            **options,
        }
        return Bedrock(**given)

    async def send(
        self, bedrock: Bedrock, own: UserCredential | None = None, **changes: Any
    ) -> tuple[int, str | None, bytes]:
        """Send what is prepared, byte for byte; return status, content type and body."""
        asked = msgspec.structs.replace(ASKED, **changes)
        sent = bedrock.prepare(asked, bedrock.credential(own))

        def run() -> tuple[int, str | None, bytes]:
            connection = HTTPConnection("127.0.0.1", self.fake._server.port)
            try:
                connection.putrequest(
                    asked.method.decode(), sent.target.decode(), skip_accept_encoding=True
                )
                for name, value in sent.headers:
                    connection.putheader(name.decode(), value)
                connection.putheader("content-length", str(len(sent.body)))
                connection.endheaders(sent.body)
                response = connection.getresponse()
                return response.status, response.getheader("content-type"), response.read()
            finally:
                connection.close()

        return await deferToThread(run)

    async def test_a_stream_is_asked_for_and_reframed(self) -> None:
        bedrock = await self.start()

        status, content_type, body = await self.send(bedrock)

        assert content_type is not None
        frames = bedrock.frames(bedrock.routes[0], content_type.encode())
        assert frames is not None
        self.assertEqual((status, frames.feed(body) + frames.finish()), (200, events_of()))

    async def test_a_document_is_asked_for(self) -> None:
        bedrock = await self.start(token=TOKEN)

        status, _, body = await self.send(bedrock, streaming=False)

        self.assertEqual((status, json.loads(body)), (200, MESSAGE))

    async def test_bedrocks_own_paths_are_signed_anew_as_they_came(self) -> None:
        bedrock = await self.start()
        for segment in (
            b"us.anthropic.claude-haiku-4-5-20251001-v1:0",
            b"us.anthropic.claude-haiku-4-5-20251001-v1%3A0",
            b"us.anthropic.claude-haiku-4-5-20251001-v1%3a0",
            MODELS[2].replace("/", "%2F").encode(),
        ):
            for operation in (b"invoke", b"converse", b"count-tokens", b"converse-stream"):
                path = b"/model/" + segment + b"/" + operation

                status, _, body = await self.send(bedrock, path_and_query=path, body=NATIVE)

                self.assertEqual(status, 200, body)
                self.assertEqual(self.fake.requests[-1].target, b"/some/path" + path)
                self.assertEqual(self.fake.requests[-1].body, NATIVE)

    async def test_a_query_is_signed_too(self) -> None:
        bedrock = await self.start()

        status, _, body = await self.send(
            bedrock,
            method=b"GET",
            path_and_query=b"/inference-profiles?type=SYSTEM_DEFINED&nextToken=a%2Fb%3D&maxResults",
            body=b"",
        )

        self.assertEqual(status, 200, body)

    async def test_mantle_is_signed_under_its_own_name(self) -> None:
        bedrock = await self.start(protocol=BedrockProtocol.MANTLE)

        status, _, body = await self.send(bedrock)

        self.assertEqual((status, json.loads(body)), (200, MESSAGE))
        self.assertEqual(self.fake.requests[0].body, BODY)

    async def test_a_users_own_key_needs_no_signature(self) -> None:
        bedrock = await self.start(credentials=None)
        own = UserCredential(header=b"authorization", value=b"Bearer " + API_KEY.encode())

        status, _, _ = await self.send(bedrock, own)

        self.assertEqual(status, 200)

    async def test_a_wrong_secret_is_refused_without_telling_what_was_signed(self) -> None:
        bedrock = await self.start(secret="wrong", token=TOKEN)

        status, _, body = await self.send(bedrock)
        told = bedrock.error_body(bedrock.routes[0], status, (), body)

        self.assertIn(TOKEN.encode(), body)
        assert told is not None
        self.assertEqual(told[0], 403)
        self.assertNotIn(TOKEN.encode(), told[1])

    async def test_what_bedrock_refuses_is_told_in_the_messages_apis_words(self) -> None:
        bedrock = await self.start()
        body = json.dumps({"model": "m", "messages": []}).encode()

        status, _, answer = await self.send(bedrock, body=body)
        told = bedrock.error_body(bedrock.routes[0], status, (), answer)

        assert told is not None
        self.assertEqual(
            json.loads(told[1])["error"],
            {"type": "invalid_request_error", "message": "max_tokens: Field required"},
        )
