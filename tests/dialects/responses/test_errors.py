"""Our own errors inside a stream look to a client of the Responses API like the provider's."""

from __future__ import annotations

import json

from bridge.dialects.responses.dialect import Responses
from bridge.domain import errors
from bridge.wire.sse import SseDecoder
from tests.support.cases import BridgeTestCase


class ErrorTests(BridgeTestCase):
    """Events and bodies of our own errors, and the keep-alive."""

    def setUp(self) -> None:
        super().setUp()
        self.dialect = Responses()

    def test_event_says_it_at_the_top_and_in_an_error_object(self) -> None:
        error = errors.UpstreamTimedOut("The provider fell silent.")

        event = self.dialect.error_event(error, "req_1")

        ((name, data),) = SseDecoder(max_event_bytes=10_000).feed(event)
        self.assertEqual(name, b"error")
        self.assertEqual(
            json.loads(data),
            {
                "type": "error",
                "code": "upstream_timeout",
                "message": "The provider fell silent.",
                "param": None,
                "sequence_number": 0,
                "error": {
                    "message": "The provider fell silent.",
                    "type": "server_error",
                    "param": None,
                    "code": "upstream_timeout",
                },
            },
        )

    def test_event_is_one_whole_event_whatever_the_message(self) -> None:
        error = errors.UpstreamBroke('It broke \ud83d:\n\n"data: x"\r\n')

        event = self.dialect.error_event(error, "req_1")

        decoder = SseDecoder(max_event_bytes=10_000)
        ((_, data),) = decoder.feed(event)
        self.assertTrue(decoder.at_boundary)
        self.assertEqual(json.loads(data)["message"], 'It broke ?:\n\n"data: x"\r\n')

    def test_event_reads_as_the_error_that_it_is(self) -> None:
        reader = self.dialect.reader()
        ((name, data),) = SseDecoder(max_event_bytes=10_000).feed(
            self.dialect.error_event(errors.Overloaded("Full."), "req_1")
        )

        reader.event(name, data)

        error = reader.reading().error
        assert error is not None
        self.assertEqual((error.type, error.message), ("server_error", "Full."))

    def test_body_is_openais(self) -> None:
        body = json.loads(self.dialect.error_body(errors.NotFound("Not here."), "req_1"))

        self.assertEqual(body["error"]["message"], "Not here.")
        self.assertEqual(body["error"]["type"], "invalid_request_error")

    def test_ping_before_an_event_leaves_the_event_as_it_is(self) -> None:
        decoder = SseDecoder(max_event_bytes=100)

        seen = decoder.feed(self.dialect.ping + b"event: x\ndata: {}\n\n")

        self.assertEqual(seen, [(b"x", b"{}")])
        self.assertTrue(decoder.at_boundary)
