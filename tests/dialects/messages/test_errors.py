"""Our own errors look to an Anthropic client like Anthropic's."""

from __future__ import annotations

import json

from bridge.dialects.messages.dialect import Messages
from bridge.domain import errors
from bridge.domain.errors import BridgeError
from bridge.wire.sse import SseDecoder
from tests.support.cases import BridgeTestCase

TYPES = {
    errors.BadRequest: "invalid_request_error",
    errors.Unauthenticated: "authentication_error",
    errors.Forbidden: "permission_error",
    errors.NotFound: "not_found_error",
    errors.Conflict: "invalid_request_error",
    errors.PayloadTooLarge: "request_too_large",
    errors.UpgradeRefused: "invalid_request_error",
    errors.RateLimited: "rate_limit_error",
    errors.Overloaded: "overloaded_error",
    errors.Unavailable: "overloaded_error",
    errors.UpstreamUnreachable: "api_error",
    errors.UpstreamTimedOut: "timeout_error",
    errors.UpstreamBroke: "api_error",
    errors.InternalError: "api_error",
}


class ErrorTests(BridgeTestCase):
    """Bodies and events of our own errors."""

    def setUp(self) -> None:
        super().setUp()
        self.dialect = Messages()

    def test_every_kind_of_error_has_the_apis_type(self) -> None:
        kinds = [
            each for each in BridgeError.__subclasses__() if each.__module__ == errors.__name__
        ]

        types = {
            kind: json.loads(self.dialect.error_body(kind("No."), "req_1"))["error"]["type"]
            for kind in kinds
        }

        self.assertEqual(types, TYPES)

    def test_unknown_kind_is_an_api_error(self) -> None:
        body = json.loads(self.dialect.error_body(BridgeError("No."), "req_1"))

        self.assertEqual(body["error"]["type"], "api_error")

    def test_body_has_the_apis_shape(self) -> None:
        body = self.dialect.error_body(errors.NotFound("Not here."), "req_1")

        self.assertEqual(
            json.loads(body),
            {
                "type": "error",
                "error": {"type": "not_found_error", "message": "Not here."},
                "request_id": "req_1",
            },
        )

    def test_event_is_one_whole_event_whatever_the_message(self) -> None:
        error = errors.UpstreamBroke('It broke:\n\n"data: x"\r\n')

        event = self.dialect.error_event(error, "req_1")

        decoder = SseDecoder(max_event_bytes=10_000)
        ((name, data),) = decoder.feed(event)
        self.assertTrue(decoder.at_boundary)
        self.assertEqual(name, b"error")
        self.assertEqual(json.loads(data)["error"]["message"], error.message)

    def test_message_with_a_lone_surrogate_can_be_sent(self) -> None:
        body = self.dialect.error_body(errors.BadRequest("No model \ud83d."), "req_1")

        self.assertEqual(json.loads(body)["error"]["message"], "No model ?.")

    def test_ping_is_one_whole_event(self) -> None:
        decoder = SseDecoder(max_event_bytes=100)

        self.assertEqual(decoder.feed(self.dialect.ping), [(b"ping", b'{"type": "ping"}')])
        self.assertTrue(decoder.at_boundary)
