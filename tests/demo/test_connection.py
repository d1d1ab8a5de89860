"""The demo's HTTP: requests in any cut, answers at their pace, and only for the secret."""

from __future__ import annotations

import json

from twisted.internet.testing import StringTransport

from bridge.demo.connection import DemoConnection
from bridge.demo.server import DemoServer
from tests.demo.asking import request
from tests.support.cases import BridgeTestCase


def raw(body: object, *, key: str = "secret", extra: str = "") -> bytes:
    payload = json.dumps(body).encode()
    head = f"POST /v1/messages HTTP/1.1\r\nX-Api-Key: {key}\r\nContent-Length: {len(payload)}\r\n"
    return (head + extra + "\r\n").encode() + payload


class SocketTransport(StringTransport):
    def setTcpNoDelay(self, enabled: bool) -> None:
        """A real socket sends small writes at once; this one anyway."""


class ConnectionTests(BridgeTestCase):
    def setUp(self) -> None:
        super().setUp()
        server = DemoServer(secret="secret", clock=self.clock)
        self.transport = SocketTransport()
        self.connection = DemoConnection(server.answer, self.clock)
        self.connection.makeConnection(self.transport)

    def turns(self, count: int, seconds: float = 0.0) -> None:
        for _ in range(count):
            self.clock.advance(seconds)

    def test_request_in_single_bytes_is_answered_once(self) -> None:
        for byte in raw(request("demo-text")):
            self.connection.dataReceived(bytes([byte]))

        self.assertEqual(self.transport.value().count(b"HTTP/1.1 200 OK"), 1)
        self.assertIn(b"nonce-17", self.transport.value())

    def test_two_requests_at_once_are_answered_in_order(self) -> None:
        self.connection.dataReceived(raw(request("demo-slow", stream=True)) + raw({}))

        self.turns(60, 1.0)

        stream, _, second = self.transport.value().partition(b"\r\n0\r\n\r\n")
        self.assertIn(b"message_stop", stream)
        self.assertTrue(second.startswith(b"HTTP/1.1 400"))

    def test_wrong_secret_is_refused_in_the_shape_of_the_api(self) -> None:
        self.connection.dataReceived(raw(request("demo-text"), key="guess"))

        self.assertTrue(self.transport.value().startswith(b"HTTP/1.1 401"))
        self.assertIn(b"authentication_error", self.transport.value())

    def test_each_event_is_a_write_of_its_own_at_its_time(self) -> None:
        self.connection.dataReceived(raw(request("demo-slow", stream=True)))
        at_first = self.transport.value().count(b"event: ")
        self.turns(1, 0.5)
        at_half = self.transport.value().count(b"event: ")

        self.turns(1, 0.5)

        self.assertEqual((at_first, at_half), (1, 1))
        self.assertEqual(self.transport.value().count(b"event: "), 2)

    def test_client_that_does_not_read_stops_the_stream_until_it_does(self) -> None:
        self.connection.dataReceived(raw(request("demo-text", stream=True)))
        producer = self.transport.producer
        assert producer is not None
        producer.pauseProducing()
        self.turns(50)
        while_paused = self.transport.value().count(b"event: ")

        producer.resumeProducing()
        self.turns(50)

        self.assertEqual(while_paused, 1)
        self.assertTrue(self.transport.value().endswith(b"\r\n0\r\n\r\n"))

    def test_client_that_leaves_ends_the_stream(self) -> None:
        self.connection.dataReceived(raw(request("demo-slow", stream=True)))

        self.connection.connectionLost()

        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_answer_waits_for_the_delay_that_was_asked_for(self) -> None:
        self.connection.dataReceived(raw(request("demo-text"), extra="x-demo-delay: 2\r\n"))
        before = self.transport.value()

        self.turns(1, 2.0)

        self.assertEqual(before, b"")
        self.assertIn(b"nonce-17", self.transport.value())

    def test_what_is_not_http_with_a_length_is_refused(self) -> None:
        self.connection.dataReceived(
            b"POST /v1/messages HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
        )

        self.assertTrue(self.transport.value().startswith(b"HTTP/1.1 411"))
        self.assertTrue(self.transport.disconnecting)
