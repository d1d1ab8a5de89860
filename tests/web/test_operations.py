"""The operations port: what is served there, and what a scrape gets."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.web.server import Site
from twisted.web.test.test_web import DummyChannel

from bridge.telemetry.metrics import Exposition
from bridge.web.operations import Operations
from tests.support.cases import BridgeTestCase


class OperationsTests(BridgeTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.accepted: list[str] = []
        self.answer: Deferred[Exposition] = succeed(
            Exposition(content_type="text/plain; version=0.0.4", body=b"aibridge_ready 1.0\n")
        )
        self.site: Site = Operations(
            details=lambda: {"ready": True}, not_ready=lambda: None, metrics=self.metrics
        ).site()

    def metrics(self, accept: str) -> Deferred[Exposition]:
        self.accepted.append(accept)
        return self.answer

    def ask(self, path: bytes, method: bytes = b"GET", accept: bytes = b"text/plain") -> Any:
        channel = DummyChannel()
        request = self.site.requestFactory(channel, False)
        request.site = channel.site = self.site
        request.gotLength(0)
        request.requestHeaders.setRawHeaders(b"host", [b"localhost"])
        request.requestHeaders.setRawHeaders(b"accept", [accept])
        request.requestReceived(method, path, b"HTTP/1.1")
        self.request = request
        return channel.transport.written.getvalue()

    def test_a_scrape_gets_the_metrics_in_the_format_it_accepts(self) -> None:
        written = self.ask(b"/metrics", accept=b"application/openmetrics-text")

        head, _, body = written.partition(b"\r\n\r\n")
        self.assertIn(b"200 OK", head)
        self.assertIn(b"text/plain; version=0.0.4", head)
        self.assertEqual(body, b"aibridge_ready 1.0\n")
        self.assertEqual(self.accepted, ["application/openmetrics-text"])

    def test_a_probe_s_head_has_no_body(self) -> None:
        head, _, body = self.ask(b"/metrics", method=b"HEAD").partition(b"\r\n\r\n")

        self.assertIn(b"200 OK", head)
        self.assertEqual(body, b"")

    def test_a_scrape_that_waits_holds_up_nothing_else(self) -> None:
        """The text is made elsewhere; health is answered meanwhile."""
        self.answer = Deferred()

        self.assertEqual(self.ask(b"/metrics"), b"")
        self.assertIn(b"ok\n", self.ask(b"/healthz"))

    def test_details_and_health_are_served_as_before(self) -> None:
        self.assertIn(b'{"ready":true}', self.ask(b"/status"))
        self.assertIn(b"ready\n", self.ask(b"/readyz"))
        self.assertIn(b"404", self.ask(b"/metrics/else"))
