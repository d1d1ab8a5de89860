"""Bedrock as a provider: where requests go, what of them, whose name is under them."""

from __future__ import annotations

import gzip
import json
from typing import Any

import msgspec
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from bridge.domain.errors import BadRequest, PayloadTooLarge, Unauthenticated, Unavailable
from bridge.domain.identity import CredentialKind, Secret, UserCredential
from bridge.domain.interception import Api
from bridge.providers.aws_credentials import StaticCredentials
from bridge.providers.bedrock import Bedrock
from bridge.providers.interface import Asked, Prepared, Route
from bridge.wire.headers import first
from bridge.wire.paths import safe
from tests.support.bedrock import ACCESS_KEY, API_KEY, MODELS, REGION, SECRET
from tests.support.cases import BridgeTestCase

PAIR = StaticCredentials(access_key_id=ACCESS_KEY, secret=Secret(SECRET), session_token=None)
ASK = b'{"model":"claude-sonnet-4-6","max_tokens":9,"stream":true,"messages":[]}'
HEADERS = (
    (b"user-agent", b"claude-cli/2.1.330 (external, cli)"),
    (b"content-type", b"application/json; charset=utf-8"),
    (b"accept", b"text/event-stream"),
    (b"anthropic-version", b"2023-06-01"),
    (b"anthropic-beta", b"context-1m-2025-08-07,unknown"),
    (b"x-stainless-lang", b"js"),
    (b"x-amzn-bedrock-trace", b"ENABLED"),
)
BEARER = UserCredential(header=b"authorization", value=b"Bearer " + API_KEY.encode())
SIGNATURE = UserCredential(
    header=b"authorization", value=b"AWS4-HMAC-SHA256 Credential=AKIAOTHER/2026/..., Signature=1"
)


class BedrockTestCase(BridgeTestCase):
    def bedrock(self, **options: Any) -> Bedrock:
        given = {
            "name": "bedrock",
            "region": REGION,
            "credentials": PAIR,
            "clock": self.clock,
            "max_body_bytes": 1024,
            "model": MODELS[0],
            "small_fast_model": MODELS[1],
            **options,
        }
        return Bedrock(**given)

    def asked(self, **changes: Any) -> Asked:
        asked = Asked(
            method=b"POST",
            path_and_query=b"/v1/messages?beta=true",
            headers=HEADERS,
            body=ASK,
            model="claude-sonnet-4-6",
            streaming=True,
        )
        return msgspec.structs.replace(asked, **changes)

    def prepared(self, bedrock: Bedrock | None = None, **changes: Any) -> Prepared:
        bedrock = bedrock or self.bedrock()
        return bedrock.prepare(self.asked(**changes), bedrock.credential(None))

    def route(self, bedrock: Bedrock, path: bytes, method: bytes = b"POST") -> Route | None:
        """Return what the gateway would find."""
        if not safe(path, encoded_slash_in=bedrock.encoded_slash_in):
            return None
        return next(
            (each for each in bedrock.routes if each.matches(path) and method in each.methods), None
        )


class InvokeTests(BedrockTestCase):
    def test_a_messages_request_becomes_one_for_a_model(self) -> None:
        sent = self.prepared()

        self.assertEqual(
            sent.target,
            b"/model/anthropic.claude-opus-4-5-20251101-v1%3A0/invoke-with-response-stream",
        )
        self.assertEqual(
            sent.body,
            b'{"max_tokens":9,"messages":[],"anthropic_beta":["context-1m-2025-08-07"],'
            b'"anthropic_version":"bedrock-2023-05-31"}',
        )

    def test_without_a_stream_it_is_another_operation(self) -> None:
        self.assertTrue(self.prepared(streaming=False).target.endswith(b"%3A0/invoke"))

    def test_a_haiku_goes_to_the_small_fast_model(self) -> None:
        bedrock = self.bedrock(small_fast_model=MODELS[2])
        asked = self.asked(model="claude-haiku-4-5")

        sent = bedrock.prepare(asked, bedrock.credential(None))

        self.assertIn(b"/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3A", sent.target)
        self.assertIn(b"inference-profile%2Fus.anthropic.claude-sonnet-4-6/invoke", sent.target)
        self.assertEqual(bedrock.sent_model(asked), MODELS[2])

    def test_without_a_configured_model_the_clients_is_asked(self) -> None:
        bedrock = self.bedrock(model="", small_fast_model="")

        self.assertIn(b"/us.x%3A0/", self.prepared(bedrock, model="us.x:0").target)
        with self.assertRaises(BadRequest):
            self.prepared(bedrock, model="")

    def test_only_what_aws_has_a_use_for_is_sent_and_signed(self) -> None:
        sent = self.prepared(
            headers=(*HEADERS, (b"cookie", b"a=b"), (b"x-api-key", b"sk-ant-api03-mine"))
        )

        self.assertEqual(
            [name for name, _ in sent.headers],
            [b"content-type", b"accept", b"x-amzn-bedrock-trace", b"x-amz-date", b"authorization"],
        )
        self.assertEqual(first(sent.headers, b"content-type"), b"application/json")
        self.assertEqual(first(sent.headers, b"accept"), b"application/json")
        self.assertNotIn(b"sk-ant", repr(sent).encode())

    def test_the_signature_is_that_of_awss_own_client(self) -> None:
        sent = self.prepared()

        request = AWSRequest(
            method="POST",
            url=f"https://bedrock-runtime.us-east-1.amazonaws.com{sent.target.decode()}",
            data=sent.body,
            headers={
                name.decode(): value.decode()
                for name, value in sent.headers
                if name != b"authorization"
            },
        )
        request.context["timestamp"] = "20260921T141320Z"
        signer = SigV4Auth(Credentials(ACCESS_KEY, SECRET), "bedrock", REGION)
        text = signer.string_to_sign(request, signer.canonical_request(request))

        self.assertEqual(first(sent.headers, b"x-amz-date"), b"20260921T141320Z")
        self.assertEqual(
            first(sent.headers, b"authorization"),
            b"AWS4-HMAC-SHA256 Credential=AKIAFAKEFAKEFAKEFAKE/20260921/us-east-1/bedrock/"
            b"aws4_request, SignedHeaders=accept;content-type;host;x-amz-date;"
            b"x-amzn-bedrock-trace, Signature=" + signer.signature(text, request).encode(),
        )

    def test_a_base_url_may_have_a_path(self) -> None:
        bedrock = self.bedrock(base_url="https://Proxy.example:8443/aws/bedrock/")

        self.assertEqual(bedrock.origin, "https://proxy.example:8443")
        self.assertTrue(self.prepared(bedrock).target.startswith(b"/aws/bedrock/model/anthropic."))
        self.assertEqual(
            self.prepared(bedrock, path_and_query=b"/model/x/converse?a=b").target,
            b"/aws/bedrock/model/x/converse?a=b",
        )

    def test_regions_have_their_addresses(self) -> None:
        for region, origin in (
            ("eu-west-1", "https://bedrock-runtime.eu-west-1.amazonaws.com"),
            ("cn-north-1", "https://bedrock-runtime.cn-north-1.amazonaws.com.cn"),
        ):
            self.assertEqual(self.bedrock(region=region).origin, origin)

    def test_a_compressed_body_is_rewritten_all_the_same(self) -> None:
        packed = gzip.compress(ASK)
        headers = (*HEADERS, (b"content-encoding", b"gzip"))

        sent = self.prepared(headers=headers, body=packed)

        self.assertEqual(sent.body, self.prepared().body)
        self.assertIsNone(first(sent.headers, b"content-encoding"))
        with self.assertRaises(PayloadTooLarge):
            self.prepared(self.bedrock(max_body_bytes=20), headers=headers, body=packed)

    def test_a_body_that_is_no_object_is_refused(self) -> None:
        with self.assertRaises(BadRequest):
            self.prepared(body=b"[1]")


class CredentialTests(BedrockTestCase):
    def test_the_organisations_is_recorded_masked(self) -> None:
        bedrock = self.bedrock()

        credential = bedrock.credential(None)

        self.assertEqual(credential.kind, CredentialKind.CENTRALIZED)
        self.assertEqual((credential.hint, credential.header), ("AKIA...FAKE", b""))
        self.assertEqual(bedrock.credentials, (credential,))
        self.assertNotIn(SECRET, repr(credential) + repr(bedrock.credentials))

    def test_a_users_api_key_goes_as_it_is_and_unsigned(self) -> None:
        bedrock = self.bedrock(credentials=None)
        credential = bedrock.credential(BEARER)

        sent = bedrock.prepare(self.asked(), credential)

        self.assertEqual((credential.kind, credential.hint), (CredentialKind.BYOK, "ABSK...6789"))
        self.assertEqual(first(sent.headers, b"authorization"), BEARER.value)
        self.assertIsNone(first(sent.headers, b"x-amz-date"))
        self.assertEqual(sent.body, self.prepared().body)

    def test_a_clients_signature_is_replaced_by_ours(self) -> None:
        bedrock = self.bedrock()

        credential = bedrock.credential(SIGNATURE)

        self.assertEqual(credential.kind, CredentialKind.CENTRALIZED)
        sent = bedrock.prepare(self.asked(), credential)
        self.assertNotIn(b"AKIAOTHER", first(sent.headers, b"authorization") or b"AKIAOTHER")

    def test_without_any_it_says_what_to_send(self) -> None:
        bedrock = self.bedrock(credentials=None)

        for own in (None, SIGNATURE):
            with self.assertRaisesRegex(Unauthenticated, "your own Bedrock API key"):
                bedrock.credential(own)
        self.assertEqual(bedrock.credentials, ())

    def test_a_session_token_is_sent_and_signed(self) -> None:
        pair = StaticCredentials(
            access_key_id="ASIAFAKEFAKEFAKEFAKE", secret=Secret(SECRET), session_token=Secret("t/=")
        )

        sent = self.prepared(self.bedrock(credentials=pair))

        self.assertEqual(first(sent.headers, b"x-amz-security-token"), b"t/=")
        self.assertIn(
            b";x-amz-date;x-amz-security-token;", first(sent.headers, b"authorization") or b""
        )

    def test_credentials_that_are_not_there_are_503(self) -> None:
        class Missing:
            hint = ""

            def current(self) -> Any:
                raise Unavailable("None yet.")

        bedrock = self.bedrock(credentials=Missing())

        with self.assertRaises(Unavailable):
            bedrock.prepare(self.asked(), bedrock.credential(None))

    def test_the_family_is_anthropics(self) -> None:
        self.assertEqual(self.bedrock().family(Api.MESSAGES), "anthropic")


class AnswerTests(BedrockTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.provider = self.bedrock()
        self.messages = self.route(self.provider, b"/v1/messages")
        self.native = self.route(self.provider, b"/model/x/invoke-with-response-stream")
        self.converse = self.route(self.provider, b"/model/x/converse-stream")

    def test_binary_streams_are_reframed_for_whom_they_must(self) -> None:
        binary = b"application/vnd.amazon.eventstream"
        ours = self.provider.frames(self.messages, binary + b"; charset=x")
        native = self.provider.frames(self.native, binary)

        assert ours is not None
        assert native is not None
        self.assertEqual((ours.for_client, native.for_client), (True, False))
        self.assertIsNone(self.provider.frames(self.converse, binary))
        for other in (b"text/event-stream", b"application/json", None):
            self.assertIsNone(self.provider.frames(self.messages, other))

    def test_errors_are_worded_for_whoever_speaks_the_messages_api(self) -> None:
        headers = ((b"x-amzn-errortype", b"ThrottlingException:http://x/"),)
        body = b'{"message":"Too many tokens, please wait before trying again."}'

        found = self.provider.error_body(self.messages, 429, headers, body)

        assert found is not None
        self.assertEqual(found[0], 429)
        self.assertEqual(json.loads(found[1])["error"]["type"], "rate_limit_error")
        self.assertIsNone(self.provider.error_body(self.native, 429, headers, body))
        self.assertIsNone(self.provider.error_body(self.messages, 200, (), b"{}"))

    def test_what_was_signed_is_not_told(self) -> None:
        """AWS repeats all of it, the session token included."""
        headers = ((b"x-amzn-errortype", b"InvalidSignatureException"),)
        body = b'{"message":"The Canonical String ...\\nx-amz-security-token:secret\\n"}'

        for route in (self.messages, self.native, self.converse):
            found = self.provider.error_body(route, 403, headers, body)

            assert found is not None
            self.assertEqual(found[0], 403)
            self.assertNotIn(b"secret", found[1])
            self.assertIn(b"refused the gateway's signature", found[1])
