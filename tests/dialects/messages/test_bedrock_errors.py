"""AWS's errors are the Messages API's to a client that speaks it."""

from __future__ import annotations

import json

from bridge.dialects.messages.bedrock_errors import error_event, exception_kind, translated
from tests.support.cases import BridgeTestCase

CORAL = ":http://internal.amazon.com/coral/com.amazon.bedrock/"


class ErrorTests(BridgeTestCase):
    def check(self, status: int, kind: str, ours: int, type_: str) -> None:
        found = translated(status, kind, b'{"message":"Say \\"\xc3\xa9\\"."}')

        assert found is not None
        self.assertEqual(found[0], ours, kind)
        self.assertEqual(
            json.loads(found[1]),
            {"type": "error", "error": {"type": type_, "message": 'Say "é".'}},
        )

    def test_every_exception_of_the_model_has_its_place(self) -> None:
        self.check(403, "AccessDeniedException" + CORAL, 403, "permission_error")
        self.check(500, "InternalServerException" + CORAL, 500, "api_error")
        self.check(424, "ModelErrorException", 502, "api_error")
        self.check(429, "ModelNotReadyException", 503, "overloaded_error")
        self.check(424, "ModelStreamErrorException", 502, "api_error")
        self.check(408, "ModelTimeoutException", 504, "timeout_error")
        self.check(404, "ResourceNotFoundException", 404, "not_found_error")
        self.check(400, "ServiceQuotaExceededException", 429, "rate_limit_error")
        self.check(503, "ServiceUnavailableException", 503, "overloaded_error")
        self.check(429, "ThrottlingException" + CORAL, 429, "rate_limit_error")
        self.check(400, "ValidationException" + CORAL, 400, "invalid_request_error")

    def test_what_is_wrong_with_credentials_is_not_the_clients(self) -> None:
        """401 would make clients ask their user to log in, which cannot help."""
        for kind in ("UnrecognizedClientException", "ExpiredTokenException"):
            self.check(403, kind, 403, "permission_error")

    def test_an_unknown_name_leaves_it_to_the_status(self) -> None:
        self.check(400, "", 400, "invalid_request_error")
        self.check(401, "NewException", 401, "authentication_error")
        self.check(408, "", 504, "timeout_error")
        self.check(413, "", 413, "request_too_large")
        self.check(418, "TeapotException", 418, "api_error")
        self.check(424, "", 502, "api_error")

    def test_a_name_in_the_body_counts(self) -> None:
        found = translated(400, "", b'{"__type":"com.amazon#ThrottlingException","Message":"Slow"}')

        assert found is not None
        self.assertEqual(found[0], 429)
        self.assertIn(b'"message":"Slow"', found[1])

    def test_any_body_has_a_sentence(self) -> None:
        for body, said in (
            (b"", ""),
            (b"{}", "Amazon Bedrock answered with status 500."),
            (b'{"message":7}', "Amazon Bedrock answered with status 500."),
            (b"<html>Bad gateway</html>", "<html>Bad gateway</html>"),
            (b'{"message":"\\ud83d"}', "\ufffd"),
            (b"\xff", "\ufffd"),
        ):
            found = translated(500, "", body)

            assert found is not None
            self.assertEqual(
                json.loads(found[1])["error"]["message"],
                said or "Amazon Bedrock answered with status 500.",
            )

    def test_what_already_has_the_shape_stays(self) -> None:
        self.assertIsNone(
            translated(400, "", b'{"type":"error","error":{"type":"x","message":"y"}}')
        )

    def test_names_come_in_several_spellings(self) -> None:
        for name in (
            "throttlingException",
            "com.amazon#ThrottlingException:http://x/",
            "Throttling",
        ):
            self.assertEqual(exception_kind(name), "throttling")

    def test_an_event_is_one_line_of_json(self) -> None:
        event = error_event("api_error", "two\nlines \ud83d" + "x" * 10_000)

        head, _, data = event.partition(b"\ndata: ")
        self.assertEqual(head, b"event: error")
        self.assertEqual(data.count(b"\n"), 2)
        self.assertLess(len(json.loads(data)["error"]["message"]), 5000)
