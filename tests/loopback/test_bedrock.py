"""Amazon Bedrock through the gateway: Messages clients, Bedrock's own, and AWS's bad moments."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Sequence
from threading import Event
from typing import Any

from twisted.internet import reactor
from twisted.python.threadable import isInIOThread

from bridge.domain.errors import BadRequest
from bridge.domain.identity import Credential, CredentialKind, Secret
from bridge.domain.records import InterceptionStarted, LegRecorded
from bridge.providers.aws_credentials import StaticCredentials
from bridge.providers.bedrock import Bedrock
from bridge.providers.interface import Asked, Prepared, Provider
from bridge.providers.regions import BedrockProtocol
from tests.support import bedrock as aws
from tests.support.bedrock import EXCEPTIONS, MODELS, FakeBedrock
from tests.support.fakes import Close, Hold, Reset, Send, answer, chunk
from tests.support.gateway import MIB, TOKEN, GatewayTestCase, request

SONNET = MODELS[2]
ASK = b'{"model":"claude-sonnet-4-6","max_tokens":64,"messages":[{"role":"user","content":"Hi"}]}'
ASK_STREAM = ASK[:-1] + b',"stream":true}'
NATIVE = b'{"anthropic_version":"bedrock-2023-05-31",' + ASK.partition(b",")[2]
MESSAGES = b"/bedrock/v1/messages"
INVOKE = b"/bedrock/model/" + MODELS[0].replace(":", "%3A").encode() + b"/invoke"
INVOKE_STREAM = INVOKE + b"-with-response-stream"
BEARER = ((b"Authorization", b"Bearer " + TOKEN.encode()),)
_SIGNATURE = (
    b"AWS4-HMAC-SHA256 Credential=AKIAOTHER/20261125/us-east-1/bedrock/aws4_request, "
    b"SignedHeaders=host, Signature=00"
)
SIGNED = (
    (b"X-AI-Bridge-Token", TOKEN.encode()),
    (b"Authorization", _SIGNATURE),
    (b"X-Amz-Date", b"20261125T000000Z"),
)
HEAD_OF_STREAM = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.amazon.eventstream\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)


class BedrockCase(GatewayTestCase):
    """A gateway in front of a Bedrock that checks signatures."""

    protocol = BedrockProtocol.INVOKE
    service = "bedrock"
    kind: type[Bedrock] = Bedrock

    async def serve(self) -> None:
        self.aws = FakeBedrock(reactor, service=self.service)
        self.upstream: Any = self.aws
        await self.aws.start()
        self.addCleanup(self._stop_upstream)
        self.start_gateway(self.aws.url)

    def provider(self, base_url: str, keys: Sequence[Secret]) -> Provider:
        return self.kind(
            name="bedrock",
            region=aws.REGION,
            credentials=StaticCredentials(
                access_key_id=aws.ACCESS_KEY, secret=Secret(aws.SECRET), session_token=None
            ),
            clock=reactor,
            max_body_bytes=self.max_body_bytes,
            protocol=self.protocol,
            base_url=base_url,
            model=SONNET,
        )

    async def send(self, body: bytes, target: bytes, headers: Any = BEARER) -> Any:
        return await self.ask(body, target=target, headers=headers, token=None)


class MessagesTests(BedrockCase):
    async def test_a_document(self) -> None:
        await self.serve()

        reply = await self.send(ASK, MESSAGES)

        self.assertEqual((reply.status, json.loads(reply.body)), (200, aws.MESSAGE))
        started, ended, usage = self.journal.started, self.journal.ended, self.journal.usage
        self.assertEqual((started.provider, started.provider_name), ("anthropic", "bedrock"))
        self.assertEqual(
            (started.model, started.credential_hint), ("claude-sonnet-4-6", "AKIA...FAKE")
        )
        self.assertEqual((ended.status, ended.response_id), ("completed", "msg_bdrk_01"))
        self.assertEqual((usage.input_tokens, usage.output_tokens), (12, 6))

    async def test_a_stream_becomes_server_sent_events(self) -> None:
        await self.serve()

        reply = await self.send(ASK_STREAM, MESSAGES)

        self.assertEqual((reply.status, reply.body, reply.end), (200, aws.events_of(), "clean"))
        self.assertEqual(reply.header(b"content-type"), b"text/event-stream")
        ended = self.journal.ended
        self.assertEqual((ended.status, ended.stop_reason), ("completed", "end_turn"))
        self.assertEqual(ended.response_sha256, hashlib.sha256(aws.stream_of()).hexdigest())
        self.assertEqual(ended.client_sha256, hashlib.sha256(aws.events_of()).hexdigest())
        self.assertEqual(ended.bytes_out, len(aws.events_of()))
        self.assertEqual(self.journal.usage.usage_source, "provider_final")

    async def test_every_exception_in_a_stream_is_an_error_event_of_the_api(self) -> None:
        await self.serve()

        for kind in EXCEPTIONS:
            begun = aws.stream_of(aws.EVENTS[:3])
            self.aws.steps = [[Send(aws.stream_answer(begun + aws.exception_of(kind)))]]
            self.journal.records.clear()

            reply = await self.send(ASK_STREAM, MESSAGES)

            events = aws.events_of(aws.EVENTS[:3])
            self.assertTrue(reply.body.startswith(events), kind)
            self.assertRegex(reply.body[len(events) :], rb'\Aevent: error\ndata: \{"type":"error"')
            self.assertEqual(self.journal.ended.status, "upstream_error", kind)

    async def test_a_stream_that_is_damaged_or_cut_never_ends_like_a_whole_one(self) -> None:
        whole = aws.stream_of()
        flipped = bytearray(whole)
        flipped[len(whole) // 2] ^= 0xFF
        await self.serve()

        for name, steps in (
            ("bad CRC", [Send(aws.stream_answer(bytes(flipped)))]),
            ("cut in a message", [Send(aws.stream_answer(whole[:-20]))]),
            ("cut between messages", [Send(aws.stream_answer(aws.stream_of(aws.EVENTS[:4])))]),
            ("truncated prelude", [Send(aws.stream_answer(whole + b"\0\0\0")[:-5]), Close()]),
            ("reset", [Send(HEAD_OF_STREAM + chunk(whole[:300])), Reset()]),
        ):
            self.aws.steps = [steps]
            self.journal.records.clear()

            reply = await self.send(ASK_STREAM, MESSAGES)

            if b"message_stop" in reply.body:
                continue  # what follows the end of the answer is nobody's
            self.assertIn(b"event: error", reply.body, name)
            self.assertEqual(self.journal.ended.status, "upstream_error", name)

    async def test_errors_come_in_the_shape_and_with_the_status_of_the_api(self) -> None:
        await self.serve()

        for status, kind, expected in (
            (429, "ThrottlingException", (429, "rate_limit_error")),
            (403, "AccessDeniedException", (403, "permission_error")),
            (400, "ValidationException", (400, "invalid_request_error")),
            (408, "ModelTimeoutException", (504, "timeout_error")),
            (404, "ResourceNotFoundException", (404, "not_found_error")),
            (500, "InternalServerException", (500, "api_error")),
        ):
            self.aws.steps = [[Send(aws.AwsError(status, kind, "So it is.").answer())]]
            self.journal.records.clear()

            reply = await self.send(ASK, MESSAGES)

            told = json.loads(reply.body)["error"]
            self.assertEqual((reply.status, told["type"]), expected, kind)
            self.assertIn("So it is.", told["message"])
            self.assertEqual(self.journal.ended.http_status, expected[0])
            self.assertEqual(self.journal.ended.status, "upstream_error")

    async def test_of_a_broken_off_error_the_client_gets_whole_words(self) -> None:
        await self.serve()
        cut = aws.AwsError(429, "ThrottlingException", "Slow down.").answer()[:-5]
        self.aws.steps = [[Send(cut), Close()]]

        reply = await self.send(ASK, MESSAGES)

        self.assertEqual(reply.status, 429)
        self.assertEqual(json.loads(reply.body)["error"]["type"], "rate_limit_error")
        self.assertEqual(self.journal.ended.status, "upstream_error")

    async def test_a_refused_signature_tells_nobody_what_was_signed(self) -> None:
        await self.serve()
        self.aws.token = "the-session-token-that-belongs-to-the-pair"
        self.aws.steps = []
        said = (
            "The Canonical String for this request should have been 'POST x-amz-security-token:"
            "FwoGZXIvYXdzE-session' The String-to-Sign should have been 'AWS4'"
        )
        refused = aws.AwsError(403, "InvalidSignatureException", said).answer()

        for body, target in ((ASK, MESSAGES), (NATIVE, INVOKE)):
            self.aws.token = None
            self.aws.steps = [[Send(refused)]]
            self.journal.records.clear()

            reply = await self.send(body, target)

            self.assertEqual(reply.status, 403)
            self.assertNotIn(b"FwoGZXIvYXdzE", reply.body)
            self.assertNotIn("FwoGZXIvYXdzE", repr(self.journal.ended))

    async def test_the_same_request_twice_on_one_connection(self) -> None:
        await self.serve()
        client = await self.connect()

        for body in (ASK, ASK_STREAM, ASK):
            reply = await self.ask(body, target=MESSAGES, headers=BEARER, token=None, client=client)

            self.assertEqual((reply.status, reply.end), (200, "clean"))

    async def test_a_packed_error_tells_nobody_what_was_signed_either(self) -> None:
        """Nobody asked for it to be packed; something between us and AWS may do it all the same."""
        await self.serve()
        said = json.dumps({"message": "The Canonical String should have been 'FwoGZXIvYXdzE'"})
        packed = answer(
            gzip.compress(said.encode()), status=403, headers=[(b"Content-Encoding", b"gzip")]
        )

        for body, target in ((ASK, MESSAGES), (NATIVE, INVOKE)):
            self.aws.steps = [[Send(packed)]]

            reply = await self.send(body, target)

            self.assertEqual(reply.status, 403)
            self.assertIsNone(reply.header(b"content-encoding"))
            self.assertIn("refused the gateway", json.dumps(json.loads(reply.body)))

    async def test_a_client_that_leaves_during_an_error_is_recorded_once(self) -> None:
        await self.serve()
        head = b"HTTP/1.1 503 Busy\r\nContent-Length: 100\r\n\r\n{"
        self.aws.steps = [[Send(head), Hold()]]
        client = await self.connect()
        client.send(request(ASK, target=MESSAGES, headers=BEARER, token=None))
        while not self.aws.requests:
            await self.a_turn()

        await client.reset()
        await self.settled()

        self.assertEqual(self.journal.ended.status, "client_abort")
        (leg,) = self.journal.of(LegRecorded)
        self.assertEqual(leg.n, 1)

    async def test_what_can_be_no_model_is_refused(self) -> None:
        await self.serve()

        for model in ("..", "a/../b", "/x", "a b", "m?x=1", "%2e", r"\ud800", "x" * 2_100, ""):
            body = b'{"model":"%b","max_tokens":1,"messages":[]}' % model.encode()
            provider = Bedrock(
                name="bedrock",
                region=aws.REGION,
                credentials=None,
                clock=reactor,
                max_body_bytes=MIB,
                base_url=self.aws.url,
            )
            asked = Asked(
                method=b"POST",
                path_and_query=b"/v1/messages",
                headers=(),
                body=body,
                model=json.loads(body)["model"],
                streaming=False,
            )
            own = Credential(kind=CredentialKind.BYOK, hint="", header=b"authorization", value=b"x")
            with self.assertRaises(BadRequest, msg=model):
                provider.prepare(asked, own)

    async def test_a_member_that_nobody_means_is_refused_unread(self) -> None:
        await self.serve()
        body = ASK[:-1] + b',"anthropic_beta":[' + b"0," * 20_000 + b"0]}"

        reply = await self.send(body, MESSAGES)

        self.assertEqual(reply.status, 400)
        self.assertEqual(self.aws.requests, [])


class Watched(Bedrock):
    """Says in which thread it made requests, and makes none before it may."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.in_reactor: list[bool] = []
        self.may_go = Event()
        self.may_go.set()

    def prepare(self, asked: Asked, credential: Credential) -> Prepared:
        self.in_reactor.append(isInIOThread())
        self.may_go.wait(10.0)
        return super().prepare(asked, credential)


class LargeBodyTests(BedrockCase):
    """What takes long to be rewritten and signed is made in a thread, within the budget."""

    body_memory_bytes = 1024 * 1024
    kind = Watched

    def provider(self, base_url: str, keys: Sequence[Secret]) -> Provider:
        provider = super().provider(base_url, keys)
        assert isinstance(provider, Watched)
        self.watched = provider
        return provider

    def large(self, size: int) -> bytes:
        return ASK.replace(b'"Hi"', b'"' + b"Hi " * (size // 3) + b'"')

    def packed(self, size: int) -> tuple[bytes, tuple[tuple[bytes, bytes], ...]]:
        return gzip.compress(self.large(size)), (*BEARER, (b"Content-Encoding", b"gzip"))

    async def test_a_small_one_is_made_at_once(self) -> None:
        await self.serve()

        await self.send(ASK, MESSAGES)

        self.assertEqual(self.watched.in_reactor, [True])

    async def test_a_large_one_is_made_in_a_thread(self) -> None:
        await self.serve()

        reply = await self.send(self.large(200_000), MESSAGES)

        self.assertEqual((reply.status, self.watched.in_reactor), (200, [False]))
        self.assertGreater(len(self.aws.requests[-1].body), 200_000)
        self.assertEqual(self.memory.used_bytes, 0)

    async def test_a_packed_one_is_made_in_a_thread(self) -> None:
        await self.serve()
        body, headers = self.packed(200_000)

        reply = await self.send(body, MESSAGES, headers)

        self.assertEqual((reply.status, self.watched.in_reactor), (200, [False]))
        self.assertEqual(self.memory.used_bytes, 0)

    async def test_a_packed_one_counts_with_what_it_unpacks_to(self) -> None:
        await self.serve()
        body, headers = self.packed(1_500_000)

        reply = await self.send(body, MESSAGES, headers)

        self.assertEqual(reply.status, 503)
        self.assertEqual(self.aws.requests, [])
        self.assertEqual((self.memory.used_bytes, self.journal.ended.status), (0, "upstream_error"))

    async def test_a_client_that_leaves_meanwhile_is_recorded_once(self) -> None:
        await self.serve()
        self.watched.may_go.clear()
        client = await self.connect()
        client.send(request(self.large(200_000), target=MESSAGES, headers=BEARER, token=None))
        while not self.watched.in_reactor:
            await self.a_turn()

        await client.reset()
        await self.settled()
        self.watched.may_go.set()

        self.assertEqual(self.journal.ended.status, "client_abort")
        self.assertEqual((self.aws.requests, self.memory.used_bytes), ([], 0))


class OwnPathsTests(BedrockCase):
    """Claude Code in Bedrock mode and boto3 speak Bedrock's own API."""

    async def test_a_document_passes_and_is_read(self) -> None:
        await self.serve()

        reply = await self.send(NATIVE, INVOKE)

        self.assertEqual((reply.status, json.loads(reply.body)), (200, aws.MESSAGE))
        self.assertEqual(self.aws.requests[-1].target, INVOKE[len(b"/bedrock") :])
        self.assertEqual(self.aws.requests[-1].body, NATIVE)
        self.assertEqual(self.journal.started.model, MODELS[0])
        self.assertEqual(self.journal.started.prompt, "Hi")
        self.assertEqual(self.journal.usage.output_tokens, 6)

    async def test_a_stream_passes_byte_for_byte_and_is_read(self) -> None:
        await self.serve()

        reply = await self.send(NATIVE, INVOKE_STREAM)

        self.assertEqual((reply.status, reply.body, reply.end), (200, aws.stream_of(), "clean"))
        self.assertEqual(reply.header(b"content-type"), b"application/vnd.amazon.eventstream")
        self.assertIsNone(self.journal.ended.client_sha256)
        self.assertEqual(self.journal.ended.status, "completed")
        self.assertTrue(self.journal.started.streaming)
        self.assertEqual(self.journal.usage.output_tokens, 6)

    async def test_nothing_of_ours_gets_into_a_cut_stream(self) -> None:
        await self.serve()
        begun = aws.stream_of(aws.EVENTS[:4])
        self.aws.steps = [[Send(HEAD_OF_STREAM + chunk(begun)), Reset()]]

        reply = await self.send(NATIVE, INVOKE_STREAM)

        self.assertEqual(reply.body, begun)
        self.assertNotEqual(reply.end, "clean")
        self.assertEqual(self.journal.ended.status, "upstream_error")

    async def test_a_model_that_speaks_another_api_is_relayed_and_marked(self) -> None:
        """Bedrock's paths are for every vendor's models; of Claude's alone the end is known."""
        await self.serve()
        whole = b"".join(aws.chunk_of(b'{"outputText":"Hi","index":%d}' % n) for n in range(3))
        self.aws.steps = [[Send(aws.stream_answer(whole))]]
        target = b"/bedrock/model/amazon.titan-text-express-v1/invoke-with-response-stream"

        reply = await self.send(b'{"inputText":"Hi"}', target)

        self.assertEqual((reply.status, reply.body, reply.end), (200, whole, "clean"))
        self.assertEqual(self.journal.ended.status, "completed")
        self.assertTrue(self.journal.ended.partially_observed)

    async def test_errors_pass_as_they_are(self) -> None:
        await self.serve()
        error = aws.AwsError(429, "ThrottlingException", "Slow down.").answer()
        self.aws.steps = [[Send(error)]]

        reply = await self.send(NATIVE, INVOKE)

        self.assertEqual((reply.status, reply.body), (429, error.partition(b"\r\n\r\n")[2]))

    async def test_what_a_client_signed_itself_is_signed_anew(self) -> None:
        await self.serve()

        reply = await self.send(NATIVE, INVOKE, SIGNED)

        self.assertEqual(reply.status, 200)
        self.assertNotIn(b"AKIAOTHER", self.aws.requests[-1].head)
        self.assertEqual(self.journal.started.credential_kind, "centralized")

    async def test_a_model_with_a_slash_in_its_name(self) -> None:
        await self.serve()
        name = SONNET.replace(":", "%3A").replace("/", "%2F").encode()

        reply = await self.send(NATIVE, b"/bedrock/model/" + name + b"/invoke")

        self.assertEqual(reply.status, 200)
        self.assertEqual(self.journal.started.model, SONNET)

    async def test_converse_passes(self) -> None:
        await self.serve()
        base = INVOKE.removesuffix(b"invoke")

        for operation in (b"converse", b"converse-stream", b"count-tokens"):
            reply = await self.send(b"{}", base + operation)

            self.assertEqual((reply.status, reply.end), (200, "clean"), operation)
        models = {each.model for each in self.journal.of(InterceptionStarted)}
        self.assertEqual(models, {MODELS[0]})


class LimitTests(BedrockCase):
    rate_limit = 1

    async def test_converse_counts_like_what_is_recorded(self) -> None:
        await self.serve()
        base = INVOKE.removesuffix(b"invoke")

        statuses = [(await self.send(b"{}", base + b"converse")).status for _ in range(4)]

        self.assertIn(429, statuses)


class NotAllowedTests(BedrockCase):
    allow_byok = False

    async def test_a_clients_signature_is_no_credential_of_its_own(self) -> None:
        await self.serve()

        self.assertEqual((await self.send(NATIVE, INVOKE, SIGNED)).status, 200)


class MantleTests(BedrockCase):
    protocol = BedrockProtocol.MANTLE
    service = "bedrock-mantle"

    async def test_a_request_is_only_signed(self) -> None:
        await self.serve()

        reply = await self.send(ASK, MESSAGES)

        self.assertEqual(reply.status, 200)
        self.assertEqual(self.aws.requests[-1].body, ASK)
        self.assertEqual(self.aws.requests[-1].target, b"/v1/messages")
