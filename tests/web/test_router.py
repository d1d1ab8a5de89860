"""Every answer that Klein would give by itself has our shape, and none is glued to a stream."""

from __future__ import annotations

import json
from typing import Any

import structlog
from treq.testing import StubTreq
from twisted.internet.defer import Deferred
from twisted.web.client import ResponseFailed
from twisted.web.server import Request

from bridge.domain.errors import (
    Forbidden,
    InvalidRequest,
    Overloaded,
    Unauthenticated,
    Validation,
)
from bridge.web.router import Router
from tests import drop_logs
from tests.support.cases import BridgeTestCase


class Nasty:
    """An app that goes wrong in every way."""

    router = Router()

    def __init__(self) -> None:
        self.waiting: Deferred[bytes] = Deferred()

    @router.route("/fine", methods=["GET"])
    def fine(self, request: Request) -> bytes:
        return Router.json(request, {"ok": True})

    @router.route("/forbidden")
    def forbidden(self, request: Request) -> bytes:
        raise Forbidden("Not for you.")

    @router.route("/full")
    async def full(self, request: Request) -> bytes:
        raise Overloaded("Full.", retry_after=2.4)

    @router.route("/who")
    def who(self, request: Request) -> bytes:
        raise Unauthenticated("Who are you?")

    @router.route("/invalid")
    def invalid(self, request: Request) -> bytes:
        raise InvalidRequest("No.", [Validation(field="limit", detail="too large")])

    @router.route("/bug")
    async def bug(self, request: Request) -> bytes:
        request.setHeader(b"x-aibridge-request-id", b"r-1")
        raise ZeroDivisionError("secret detail")

    @router.route("/late/<kind>")
    def late(self, request: Request, kind: str) -> bytes:
        request.write(b"data: 1\n\n")
        raise {"known": Forbidden("late"), "bug": ZeroDivisionError("late")}[kind]

    @router.route("/wait")
    def wait(self, request: Request) -> Deferred[bytes]:
        return self.waiting


class RouterTests(BridgeTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.app = Nasty()
        self.web = StubTreq(self.app.router.resource())
        self.said = structlog.testing.LogCapture()
        structlog.configure(processors=[self.said])
        self.addCleanup(drop_logs)

    def asked(self, path: str, method: str = "GET", **options: Any) -> tuple[Any, bytes]:
        answer = self.successResultOf(self.web.request(method, f"http://t{path}", **options))
        return answer, self.successResultOf(answer.content())

    def problem(self, path: str, **options: Any) -> tuple[int, Any]:
        answer, body = self.asked(path, **options)
        self.assertEqual(answer.headers.getRawHeaders("content-type"), ["application/json"])
        problem = json.loads(body)
        self.assertEqual(set(problem), {"message", "detail", "validations"})
        return answer.code, problem

    def test_json_answer_is_neither_cached_nor_guessed_at(self) -> None:
        """Management answers hold content: no store, no sniffing."""
        answer, body = self.asked("/fine")

        self.assertEqual((answer.code, json.loads(body)), (200, {"ok": True}))
        self.assertEqual(answer.headers.getRawHeaders("cache-control"), ["no-store"])
        self.assertEqual(answer.headers.getRawHeaders("x-content-type-options"), ["nosniff"])

    def test_head_has_the_length_and_no_body(self) -> None:
        """HEAD works wherever GET does."""
        answer, body = self.asked("/fine", "HEAD")

        self.assertEqual((answer.code, body), (200, b""))
        self.assertEqual(answer.headers.getRawHeaders("content-length"), ["11"])

    def test_unknown_path_is_json(self) -> None:
        """404 in shape, not Klein's HTML."""
        code, problem = self.problem("/nothing")

        self.assertEqual((code, problem["message"]), (404, "There is nothing at this path."))

    def test_doubled_and_trailing_slashes_do_not_redirect(self) -> None:
        """A redirect would lose a POST's body; the path simply is not there, or is."""
        self.assertEqual(self.problem("/late//known")[0], 404)
        self.assertEqual(self.problem("/fine//")[0], 404)

    def test_wrong_method_names_the_right_ones(self) -> None:
        """405 in shape with Allow."""
        answer, body = self.asked("/fine", "POST")

        self.assertEqual(answer.code, 405)
        self.assertEqual(answer.headers.getRawHeaders("allow"), ["GET, HEAD"])
        self.assertIn("method", json.loads(body)["message"])

    def test_path_that_is_not_utf8_is_400(self) -> None:
        """Klein would answer in plain text."""
        self.assertEqual(self.problem("/%ff")[0], 400)

    def test_host_that_is_no_host_is_400(self) -> None:
        """An overlong label must not become an HTML 500."""
        self.assertEqual(self.problem("/fine", headers={"host": "a" * 300})[0], 400)

    def test_our_errors_have_their_status_and_sentence(self) -> None:
        """The message is the error's own."""
        code, problem = self.problem("/forbidden")

        self.assertEqual(
            (code, problem), (403, {"message": "Not for you.", "detail": "", "validations": []})
        )

    def test_retry_after_is_whole_seconds(self) -> None:
        """What may be tried again says when."""
        answer, _ = self.asked("/full")

        self.assertEqual(answer.code, 503)
        self.assertEqual(answer.headers.getRawHeaders("retry-after"), ["3"])

    def test_unauthenticated_says_how(self) -> None:
        """401 comes with its challenge (RFC 9110 section 15.5.2)."""
        answer, _ = self.asked("/who")

        self.assertEqual(answer.code, 401)
        self.assertTrue(answer.headers.getRawHeaders("www-authenticate"))

    def test_invalid_fields_are_named(self) -> None:
        """Each thing that is wrong is listed."""
        code, problem = self.problem("/invalid")

        self.assertEqual(code, 400)
        self.assertEqual(problem["validations"], [{"field": "limit", "detail": "too large"}])

    def test_bug_is_500_without_detail_and_logged_once(self) -> None:
        """The caller gets an id, the log the traceback."""
        code, problem = self.problem("/bug")

        self.assertEqual(code, 500)
        self.assertIn("r-1", problem["message"])
        self.assertNotIn("secret", json.dumps(problem))
        self.assertEqual(
            [(e["event"], e["request_id"]) for e in self.said.entries], [("request failed", "r-1")]
        )

    def test_error_after_the_first_byte_is_an_unclean_end(self) -> None:
        """No error body is glued to a stream, known error or not; the client sees the break."""
        for kind in ("known", "bug"):
            with self.subTest(kind):
                pending = self.web.get(f"http://t/late/{kind}")
                self.web.flush()
                answer = self.successResultOf(pending)
                self.failureResultOf(answer.content(), ResponseFailed)

    def test_client_that_leaves_is_not_an_error(self) -> None:
        """A cancelled handler answers nobody and logs nothing."""
        pending = self.web.get("http://t/wait")
        pending.addErrback(lambda _: None)

        pending.cancel()
        self.web.flush()

        self.assertEqual(self.said.entries, [])
