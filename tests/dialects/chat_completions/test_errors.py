"""Our own errors look to an OpenAI client like OpenAI's."""

from __future__ import annotations

import json

from bridge.dialects.chat_completions.dialect import ChatCompletions
from bridge.domain import errors
from bridge.domain.errors import BridgeError
from bridge.wire.sse import SseDecoder
from tests.support.cases import BridgeTestCase

REQUEST, SERVER = "invalid_request_error", "server_error"
TYPES_AND_CODES: dict[type[BridgeError], tuple[str, str | None]] = {
    errors.BadRequest: (REQUEST, None),
    errors.Unauthenticated: (REQUEST, "invalid_api_key"),
    errors.Forbidden: (REQUEST, "forbidden"),
    errors.NotFound: (REQUEST, "not_found"),
    errors.PayloadTooLarge: (REQUEST, "request_too_large"),
    errors.RateLimited: ("rate_limit_error", "rate_limit_exceeded"),
    errors.Overloaded: (SERVER, "overloaded"),
    errors.Unavailable: (SERVER, "unavailable"),
    errors.UpstreamUnreachable: (SERVER, "upstream_unreachable"),
    errors.UpstreamTimedOut: (SERVER, "upstream_timeout"),
    errors.UpstreamBroke: (SERVER, "upstream_broke"),
    errors.InternalError: (SERVER, None),
}


class ErrorTests(BridgeTestCase):
    """Bodies and events of our own errors."""

    def setUp(self) -> None:
        super().setUp()
        self.dialect = ChatCompletions()

    def test_kinds_of_error_have_the_apis_type_and_a_code(self) -> None:
        told = {}
        for kind in TYPES_AND_CODES:
            error = json.loads(self.dialect.error_body(kind("No."), "req_1"))["error"]
            told[kind] = (error["type"], error["code"])

        self.assertEqual(told, TYPES_AND_CODES)

    def test_unknown_kind_is_a_server_error(self) -> None:
        body = json.loads(self.dialect.error_body(BridgeError("No."), "req_1"))

        self.assertEqual((body["error"]["type"], body["error"]["code"]), (SERVER, None))

    def test_body_has_the_apis_shape(self) -> None:
        body = self.dialect.error_body(errors.RateLimited("Slower."), "req_1")

        self.assertEqual(
            json.loads(body),
            {
                "error": {
                    "message": "Slower.",
                    "type": "rate_limit_error",
                    "param": None,
                    "code": "rate_limit_exceeded",
                }
            },
        )

    def test_event_is_one_whole_event_whatever_the_message(self) -> None:
        error = errors.UpstreamBroke('It broke:\n\n"data: x"\r\n')

        event = self.dialect.error_event(error, "req_1")

        decoder = SseDecoder(max_event_bytes=10_000)
        ((name, data),) = decoder.feed(event)
        self.assertTrue(decoder.at_boundary)
        self.assertEqual((name, json.loads(data)["error"]["message"]), (b"", error.message))

    def test_reader_takes_our_own_event_for_an_error(self) -> None:
        reader = self.dialect.reader()
        event = self.dialect.error_event(errors.Overloaded("Later."), "req_1")

        reader.event(b"", event.removeprefix(b"data: ").strip())

        self.assertTrue(reader.terminal)

    def test_message_with_a_lone_surrogate_can_be_sent(self) -> None:
        body = self.dialect.error_body(errors.BadRequest("No model \ud83d."), "req_1")

        self.assertEqual(json.loads(body)["error"]["message"], "No model ?.")

    def test_ping_is_a_comment_that_ends_no_event(self) -> None:
        decoder = SseDecoder(max_event_bytes=100)

        self.assertEqual(decoder.feed(self.dialect.ping + b"data: x\n\n"), [(b"", b"x")])
        self.assertEqual(self.dialect.ping, b": ping\n")
