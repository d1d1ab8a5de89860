"""Heads that are read at once are taken as Twisted takes them line by line; heads that wait."""

from __future__ import annotations

import re
import weakref
from collections.abc import Sequence
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.testing import StringTransport
from twisted.web.resource import Resource

from bridge.bodies import BodyMemory
from bridge.domain.errors import BridgeError, NotFound
from bridge.web.answer import ClientAnswer
from bridge.web.arrivals import Arrival, Refusal, RequestHead, too_large
from bridge.web.channel import HEAD_WAITS_SECONDS, BridgeChannel, SiteLimits
from bridge.web.incoming import BridgeRequest
from bridge.web.site import BridgeSite
from tests.support.cases import BridgeTestCase

_POST = b"POST /a?b=c HTTP/1.1\r\nHost: x\r\nX-A:  1 \r\nContent-Length: 5\r\n\r\nhello"
_GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
_CHUNKS = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
_REFUSED = b"POST /refused HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
_LAST = b"GET /last HTTP/1.1\r\nConnection: close\r\n\r\n"
_PIECES = (
    *(b"POST / HTTP/1.1", b"GET /refused HTTP/1.1", b"GET / HTTP/1.0", b"\r\n", b"\r\n\r\n"),
    *(b"Content-Length: 3", b"Content-Length: 03", b"Transfer-Encoding: chunked", b"abc"),
    *(b"Connection: close", b"Expect: 100-continue", b"X: 1", b" ", b":", b"\x00", b"\xff"),
    *(b"\r", b"\n", b"3\r\nabc\r\n0\r\n", b"Transfer-Encoding: identity"),
)


class TooLargeTests(BridgeTestCase):
    def test_the_setting_is_named_where_it_decides(self) -> None:
        of_a_provider = Arrival(max_body_bytes=2048, place="there")
        ours = Arrival(max_body_bytes=2048, place=None, query_is_ours=True)

        self.assertEqual(
            [too_large(each).message for each in (of_a_provider, ours)],
            [
                "The request body is larger than the 2KiB that the bridge takes (limits.max_body).",
                "The request body is larger than the 2KiB that the bridge takes here.",
            ],
        )


class Told:
    """A gate that remembers what it was asked, and lets most in."""

    def __init__(self) -> None:
        self.seen: list[tuple[Any, ...]] = []

    def arrive(self, head: RequestHead) -> Arrival:
        seen = (head.method, head.target, sorted(head.headers), head.length)
        self.seen.append(seen)
        if head.target == b"/refused":
            raise NotFound("Not here.")
        return Arrival(max_body_bytes=10, place=None, answer=self.answer)

    def refusal(self, head: RequestHead, error: BridgeError) -> Refusal:
        return Refusal(status=error.status, headers=[(b"x-refused", b"1")], body=b"no")

    def answer(self, request: BridgeRequest) -> None:
        self.seen.append((request.body.content, request.clientproto, request.uri))
        request.begin(200, None, [(b"content-length", b"2"), (b"date", b"now")])
        request.write(b"ok")
        request.finish()


def site_for(gate: Told, clock: Any) -> BridgeSite:
    return BridgeSite(
        resource=Resource(),
        gate=gate,
        memory=BodyMemory(limit_bytes=1000),
        limits=SiteLimits(
            request_header_seconds=10.0,
            request_body_idle_seconds=10.0,
            header_bytes=4096,
            connections=10,
            connections_per_address=0,
        ),
        reactor=clock,
    )


class HeadsTests(BridgeTestCase):
    def take(self, pieces: Sequence[bytes], *, at_once: bool = True) -> tuple[Any, ...]:
        """Return what the gate saw, what was answered, and whether the connection goes on."""
        gate = Told()
        channel: BridgeChannel = site_for(gate, self.clock).buildProtocol(None)
        if not at_once:
            channel._awaits_head = lambda: False  # type: ignore[method-assign]
        transport = StringTransport()
        channel.makeConnection(transport)
        for piece in pieces:
            if not transport.disconnecting:
                channel.dataReceived(piece)
        out = re.sub(rb"Date: [^\r]*", b"Date: now", transport.value())
        return (gate.seen, sorted(out.split(b"\r\n")), out.count(b"ok"), transport.disconnecting)

    def assert_alike(self, *requests: bytes) -> None:
        whole = b"".join(requests)
        wanted = self.take([whole], at_once=False)
        self.assertGreater(len(wanted[0]), 0)
        for cut in range(len(whole)):
            pieces = [each for each in (whole[:cut], whole[cut:]) if each]
            self.assertEqual(self.take(pieces), wanted, cut)

    def test_usual_requests_are_taken_alike_wherever_they_are_cut(self) -> None:
        for request in (_POST, _GET, _CHUNKS, _REFUSED, _LAST):
            self.assert_alike(request)

    def test_one_after_the_other_they_are_taken_alike(self) -> None:
        self.assert_alike(_GET, _REFUSED, _POST, _CHUNKS, _GET, _LAST, _GET)

    def test_many_at_once_do_not_nest(self) -> None:
        seen = self.take([_GET * 3000])[0]

        self.assertEqual(len(seen), 6000)

    def test_the_next_request_goes_with_its_connection(self) -> None:
        channel: BridgeChannel = site_for(Told(), self.clock).buildProtocol(None)
        channel.makeConnection(StringTransport())
        channel.dataReceived(_GET)
        following = weakref.ref(channel._next)
        self.assertIsInstance(following(), BridgeRequest)

        channel.connectionLost()

        self.assertIsNone(following())

    def test_a_head_that_is_too_long_is_refused_alike(self) -> None:
        long = _GET.replace(b"Host", b"X-A: " + b"a" * 5000 + b"\r\nHost")

        self.assertEqual(self.take([long]), self.take([long], at_once=False))

    @settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
    @given(st.lists(st.sampled_from(_PIECES), max_size=14))
    def test_anything_is_taken_alike(self, pieces: list[bytes]) -> None:
        whole = [b"".join(pieces)]

        self.assertEqual(self.take(whole), self.take(whole, at_once=False))

    @settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
    @given(st.lists(st.sampled_from(_PIECES[5:12]), max_size=8))
    def test_any_fields_are_taken_alike(self, fields: list[bytes]) -> None:
        whole = [b"\r\n".join((b"POST / HTTP/1.1", *fields, b"", b"3\r\nabc\r\n0\r\n\r\n"))]

        self.assertEqual(self.take(whole), self.take(whole, at_once=False))


class WaitingHeadTests(BridgeTestCase):
    """A head waits a moment for its body; one that has none is the whole answer."""

    def begin(self, length: int | None) -> ClientAnswer:
        """Ask for an answer, and begin it; `self.transport` has what the client gets."""
        gate = Told()
        begun: list[BridgeRequest] = []
        gate.answer = begun.append  # type: ignore[method-assign]
        channel = site_for(gate, self.clock).buildProtocol(None)
        self.transport = StringTransport()
        channel.makeConnection(self.transport)
        channel.dataReceived(_GET)
        answer = ClientAnswer(begun[0], "some-id")
        answer.start(status=500, phrase=b"Odd", headers=[], length=length, begun=False)
        answer.limit_wait()
        return answer

    def test_a_head_waits_a_moment_for_its_body(self) -> None:
        self.begin(length=5)
        self.assertEqual(self.transport.value(), b"")

        self.clock.advance(HEAD_WAITS_SECONDS)

        self.assertTrue(self.transport.value().startswith(b"HTTP/1.1 500 Odd\r\n"))

    def test_without_a_body_it_waits_for_the_end(self) -> None:
        answer = self.begin(length=0)

        self.clock.advance(10 * HEAD_WAITS_SECONDS)
        self.assertEqual(self.transport.value(), b"")

        answer.finish()
        self.assertTrue(self.transport.value().endswith(b"Content-Length: 0\r\n\r\n"))

    def test_without_a_body_a_cut_answer_is_not_seen_as_a_whole_one(self) -> None:
        answer = self.begin(length=0)

        answer.cut()

        self.assertEqual(self.transport.value(), b"")
        self.assertTrue(self.transport.disconnecting)

    def test_with_one_it_is(self) -> None:
        answer = self.begin(length=5)

        answer.cut()

        self.assertTrue(self.transport.value().endswith(b"Content-Length: 5\r\n\r\n"))
