"""Bedrock's own API, and AWS's endpoint that speaks the Messages API: as they came, but signed."""

from __future__ import annotations

from bridge.domain.interception import Traffic
from bridge.providers.bedrock import BedrockProtocol
from bridge.wire.headers import first
from tests.providers.test_bedrock import ASK, BedrockTestCase


class NativeTests(BedrockTestCase):
    """Clients that speak Bedrock's own API: Claude Code, AWS's and Anthropic's SDKs."""

    def test_models_are_found_however_their_ids_are_written(self) -> None:
        bedrock = self.bedrock()
        arn = b"arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fus.anthropic.x-v1%3A0"
        for segment, model in (
            (b"us.anthropic.x-v1:0", "us.anthropic.x-v1:0"),
            (b"us.anthropic.x-v1%3A0", "us.anthropic.x-v1:0"),
            (arn, "arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.x-v1:0"),
            (
                arn.replace(b"%3A", b":"),
                "arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.x-v1:0",
            ),
        ):
            for operation, streams, traffic in (
                (b"invoke", False, Traffic.INTERCEPTED),
                (b"invoke-with-response-stream", True, Traffic.INTERCEPTED),
                (b"converse", False, Traffic.PASSTHROUGH),
                (b"converse-stream", True, Traffic.PASSTHROUGH),
                (b"count-tokens", False, Traffic.PASSTHROUGH),
            ):
                path = b"/model/" + segment + b"/" + operation
                route = self.route(bedrock, path)

                assert route is not None
                self.assertEqual(route.pattern, f"/model/*/{operation.decode()}")
                self.assertEqual(route.traffic, traffic)
                self.assertEqual(bedrock.named_in_path(path), (model, streams))
                sent = self.prepared(bedrock, path_and_query=path, model="", body=b'{"a": 1}')
                self.assertEqual((sent.target, sent.body), (path, b'{"a": 1}'))
                self.assertEqual(
                    bedrock.sent_model(self.asked(path_and_query=path, model="")), model
                )

    def test_other_paths_are_not_served(self) -> None:
        bedrock = self.bedrock()
        for path in (
            b"/model//invoke",
            b"/model/x/invoke/",
            b"/model/x/y/invoke",
            b"/model/../invoke",
            b"/model/%2e%2e%2fx/invoke",
            b"/model/x%252Fy/invoke",
            b"/model/x%5cy/invoke",
            b"/model/x;y/invoke",
            b"/model/x/invoke-with-bidirectional-stream",
            b"/model/x%2Fy/unknown",
            b"/guardrail/x%2Fy/apply",
            b"/v1%2Fmessages",
            b"/v1/messages/count_tokens",
            b"/v1/models",
        ):
            self.assertIsNone(self.route(bedrock, path), path)
        self.assertIsNone(self.route(bedrock, b"/model/x/invoke", b"GET"))
        self.assertIsNone(bedrock.named_in_path(b"/v1/messages"))

    def test_inference_profiles_are_asked_for_as_they_are(self) -> None:
        bedrock = self.bedrock()
        asked = b"/inference-profiles?type=SYSTEM_DEFINED"

        self.assertIsNotNone(self.route(bedrock, b"/inference-profiles", b"GET"))
        self.assertEqual(
            self.prepared(bedrock, method=b"GET", path_and_query=asked, body=b"").target, asked
        )

    def test_their_headers_pass_as_they_came(self) -> None:
        sent = self.prepared(path_and_query=b"/model/x/invoke")

        self.assertEqual(first(sent.headers, b"accept"), b"text/event-stream")
        self.assertIsNone(first(sent.headers, b"anthropic-beta"))
        self.assertIsNone(first(sent.headers, b"user-agent"))


class MantleTests(BedrockTestCase):
    def test_requests_are_only_addressed_and_signed(self) -> None:
        bedrock = self.bedrock(protocol=BedrockProtocol.MANTLE)

        sent = self.prepared(bedrock)

        self.assertEqual(bedrock.origin, "https://bedrock-mantle.us-east-1.api.aws")
        self.assertEqual((sent.target, sent.body), (b"/anthropic/v1/messages?beta=true", ASK))
        self.assertEqual(first(sent.headers, b"anthropic-version"), b"2023-06-01")
        self.assertEqual(first(sent.headers, b"anthropic-beta"), b"context-1m-2025-08-07,unknown")
        self.assertIsNone(first(sent.headers, b"x-amzn-bedrock-trace"))
        self.assertIn(
            b"/20260921/us-east-1/bedrock-mantle/aws4_request",
            first(sent.headers, b"authorization") or b"",
        )
        self.assertEqual(bedrock.sent_model(self.asked()), "claude-sonnet-4-6")

    def test_the_service_may_be_called_otherwise(self) -> None:
        bedrock = self.bedrock(protocol=BedrockProtocol.MANTLE, service="other")

        sent = self.prepared(bedrock)

        self.assertIn(b"/us-east-1/other/", first(sent.headers, b"authorization") or b"")

    def test_it_serves_what_it_speaks(self) -> None:
        bedrock = self.bedrock(protocol=BedrockProtocol.MANTLE)

        for path, method in (
            (b"/v1/messages", b"POST"),
            (b"/v1/messages/count_tokens", b"POST"),
            (b"/v1/models", b"GET"),
        ):
            self.assertIsNotNone(self.route(bedrock, path, method))
        self.assertIsNone(self.route(bedrock, b"/model/x/invoke"))
        self.assertIsNone(self.route(bedrock, b"/model/x%2Fy/invoke"))
        self.assertIsNone(self.route(bedrock, b"/api/event_logging/batch"))

    def test_its_answers_need_nothing(self) -> None:
        bedrock = self.bedrock(protocol=BedrockProtocol.MANTLE)
        route = bedrock.routes[0]

        self.assertIsNone(bedrock.frames(route, b"application/vnd.amazon.eventstream"))
        self.assertIsNone(bedrock.error_body(route, 400, (), b'{"message":"x"}'))
