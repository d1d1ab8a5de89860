"""What treq is given in place of its own: nothing in it may change what is sent."""

from __future__ import annotations

from hyperlink import EncodedURL

from bridge.upstream.agents import OriginUrl, SentHeaders
from tests.support.cases import BridgeTestCase


class OriginUrlTests(BridgeTestCase):
    def test_it_is_written_as_treq_would_write_it(self) -> None:
        for text in ("https://api.example/", "http://127.0.0.1:8000/"):
            wanted = EncodedURL.from_text(text).to_uri().to_text()
            url = OriginUrl.from_text(text)

            self.assertEqual(url.to_uri().to_text(), wanted)
            self.assertEqual(url.to_uri().to_text(), wanted)

    def test_it_may_be_an_address_of_ipv6(self) -> None:
        self.assertEqual(
            OriginUrl.from_text("http://[::1]:8/").to_uri().to_text(), "http://[::1]:8/"
        )


class SentHeadersTests(BridgeTestCase):
    def test_a_copy_has_everything_in_order(self) -> None:
        headers = SentHeaders.of([(b"b", b"1"), (b"a", b"2"), (b"b", b"3")])

        self.assertEqual(
            [*headers.copy().getAllRawHeaders()], [(b"B", [b"1", b"3"]), (b"A", [b"2"])]
        )

    def test_a_copy_is_on_its_own(self) -> None:
        headers = SentHeaders.of([(b"a", b"1")])
        copy = headers.copy()
        copy.addRawHeader(b"a", b"2")
        copy.addRawHeader(b"b", b"3")

        self.assertEqual([*headers.getAllRawHeaders()], [(b"A", [b"1"])])

    def test_no_line_can_be_smuggled_in(self) -> None:
        headers = SentHeaders.of([(b"a", b"1\r\nb: 2")])

        self.assertEqual([*headers.copy().getAllRawHeaders()], [(b"A", [b"1 b: 2"])])
