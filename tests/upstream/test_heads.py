"""Heads that are written and read at once say what Twisted would have written and read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.protocol import Protocol
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web._newclient import HTTPClientParser
from twisted.web.client import ResponseDone

from bridge.upstream.heads import Answer, AnswerParser, Sent, request_head
from tests.support.cases import BridgeTestCase

_DOCUMENT = b"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nX-A: 1\r\nContent-Length: 5\r\n\r\nhello"
_STREAM = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-a:\t two  \r\n\r\n5\r\nhello\r\n0\r\n\r\n"
)
_ODD = (
    b"HTTP/1.1 200 OK\r\nX-A: 1\r\n folded\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
    b"HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nContent-Length: 05\r\n\r\nhello",
    (
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"5\r\nhello\r\n0\r\n\r\n"
    ),
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
    b"HTTP/1.1 304 Not Modified\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX-A\x00: 1\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nX-A: 1\x00\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nX-A : 1\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nX-A: 1\rX-B: 2\r\nContent-Length: 5\r\n\r\nhello",
)
_PIECES = (
    *(b"HTTP/1.1 200 OK", b"HTTP/1.1 503", b"X: 1", b"\r", b"\n", b"\r\n", b"\r\n\r\n"),
    *(b"Content-Length: 3", b"Content-Length: 3,3", b"Transfer-Encoding: chunked"),
    *(b"3\r\nabc\r\n0\r\n", b"abc", b"Connection: close", b" ", b":", b"\x00", b"\xff"),
)
Seen = tuple[Any, ...]


class Body(Protocol):
    def __init__(self) -> None:
        self.came = b""
        self.ended: Failure | None = None

    def dataReceived(self, data: bytes) -> None:
        self.came += data

    def connectionLost(self, reason: Failure = Failure(ResponseDone())) -> None:  # noqa: B008
        self.ended = reason


class AnswerParserTests(BridgeTestCase):
    def read(self, pieces: Sequence[bytes], *, quickly: bool, method: bytes = b"POST") -> Seen:
        """Return what is made of an answer that comes in `pieces`."""
        sent = Sent(method, True)
        rests: list[bytes] = []
        parser: Any
        if quickly:
            parser = AnswerParser(sent, rests.append, lambda _: None)
        else:
            parser = HTTPClientParser(sent, rests.append)
        answered: list[Any] = []
        body = Body()

        def take(answer: Any) -> None:
            answered.append(answer)
            (answer.deliver if isinstance(answer, Answer) else answer.deliverBody)(body)

        parser._responseDeferred.addCallback(take)
        parser.makeConnection(StringTransport())
        failure = ""
        try:
            for piece in pieces:
                if not rests:
                    parser.dataReceived(piece)
        except Exception as e:  # noqa: BLE001 - whatever it is, both have to agree on it
            failure = type(e).__name__
        if not failure and answered:
            parser.connectionLost(Failure(ResponseDone()))
        (answer,) = answered or [None]
        if answer is None:
            return (failure,)
        if isinstance(answer, Answer):
            head = (answer.code, answer.phrase, sorted(answer.fields), answer.length)
        else:
            fields = sorted(
                (name.lower(), value)
                for name, values in answer.headers.getAllRawHeaders()
                for value in values
            )
            known = isinstance(answer.length, int)
            head = (answer.code, answer.phrase, fields, answer.length if known else None)
        ended = body.ended.type if body.ended is not None else None
        return (failure, *head, body.came, ended, rests)

    def assert_alike(self, answer: bytes, method: bytes = b"POST") -> None:
        for cut in range(len(answer)):
            pieces = [piece for piece in (answer[:cut], answer[cut:]) if piece]
            self.assertEqual(
                self.read(pieces, quickly=True, method=method),
                self.read(pieces, quickly=False, method=method),
                (answer, cut),
            )

    def test_a_document_is_read_alike_wherever_it_is_cut(self) -> None:
        self.assert_alike(_DOCUMENT)
        self.assert_alike(_DOCUMENT + b"more")

    def test_a_stream_is_read_alike_wherever_it_is_cut(self) -> None:
        self.assert_alike(_STREAM)

    def test_an_answer_to_head_is_read_alike(self) -> None:
        self.assert_alike(_DOCUMENT.removesuffix(b"hello"), b"HEAD")

    def test_odd_heads_are_read_alike(self) -> None:
        for odd in _ODD:
            self.assert_alike(odd)

    def test_a_head_that_is_too_long_is_read_alike(self) -> None:
        long = b"X-A: " + b"a" * 20_000 + b"\r\n"
        pieces = [_DOCUMENT.replace(b"X-A: 1\r\n", long)]

        self.assertEqual(self.read(pieces, quickly=True), self.read(pieces, quickly=False))

    @settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
    @given(
        st.lists(
            st.sampled_from(_PIECES),
            max_size=12,
        )
    )
    def test_anything_is_read_alike(self, pieces: list[bytes]) -> None:
        whole = [b"".join(pieces)]

        self.assertEqual(self.read(whole, quickly=True), self.read(whole, quickly=False))

    def test_nothing_is_read_of_a_body_that_nobody_wants_yet(self) -> None:
        transport = StringTransport()
        parser = AnswerParser(Sent(b"POST", True), lambda _: None, lambda _: None)
        parser.makeConnection(transport)
        parser.dataReceived(_STREAM[:-10])
        self.assertEqual(transport.producerState, "paused")

        body = Body()
        self.successResultOf(parser.answered).deliver(body)

        self.assertEqual((body.came, transport.producerState), (b"he", "producing"))

    def test_whoever_wants_the_body_may_pause_it_with_its_first_bytes(self) -> None:
        transport = StringTransport()
        parser = AnswerParser(Sent(b"POST", True), lambda _: None, lambda _: None)
        parser.makeConnection(transport)
        parser.dataReceived(_STREAM[:-10])
        body = Body()
        body.dataReceived = lambda _: transport.pauseProducing()  # type: ignore[method-assign]

        self.successResultOf(parser.answered).deliver(body)

        self.assertEqual(transport.producerState, "paused")


class RequestHeadTests(BridgeTestCase):
    def head(self, **changed: Any) -> bytes:
        usual: dict[str, Any] = {
            "method": b"POST",
            "target": b"/v1/messages?beta=true",
            "host": b"api.example",
            "headers": [(b"x-api-key", b"k"), (b"content-type", b"a/b")],
            "length": 4,
            "persistent": True,
        }
        return request_head(**{**usual, **changed})

    def test_a_head_is_as_it_should_be(self) -> None:
        self.assertEqual(
            self.head(),
            b"POST /v1/messages?beta=true HTTP/1.1\r\nX-Api-Key: k\r\nContent-Type: a/b\r\n"
            b"Content-Length: 4\r\nAccept-Encoding: identity\r\nHost: api.example\r\n\r\n",
        )

    def test_no_body_has_no_length(self) -> None:
        head = self.head(method=b"GET", length=None, persistent=False)

        self.assertNotIn(b"Content-Length", head)
        self.assertIn(b"\r\nConnection: close\r\n", head)

    def test_what_is_about_the_connection_is_ours_to_say(self) -> None:
        theirs = [(b"host", b"evil"), (b"content-length", b"9"), (b"accept-encoding", b"gzip")]

        self.assertEqual(self.head(headers=theirs), self.head(headers=()))

    def test_no_line_can_be_smuggled_in(self) -> None:
        for value in (b"1\r\nb: 2", b"1\nb: 2", b"1\rb: 2"):
            head = self.head(headers=[(b"x-a", value)])

            self.assertIn(b"X-A: 1 b: 2\r\n", head)

    def test_no_other_request_can_be_smuggled_in(self) -> None:
        for name, value in (("target", b"/ HTTP/1.1\r\n"), ("target", b""), ("method", b"GET /")):
            with self.assertRaises(ValueError):
                self.head(**{name: value})
