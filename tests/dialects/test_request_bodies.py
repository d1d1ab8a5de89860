"""Request bodies are read as clients send them, in bounded time."""

from __future__ import annotations

import msgspec

from bridge.dialects.request_bodies import read_body
from bridge.domain.errors import BadRequest
from tests.support.cases import BridgeTestCase

BOM = b"\xef\xbb\xbf"
LARGE = 5 * 1024 * 1024
"""More than is read a second time."""


class Body(msgspec.Struct):
    """A body of any API."""

    model: str


DECODER = msgspec.json.Decoder(Body)


class ByteOrderMarkTests(BridgeTestCase):
    """Some editors and shells on Windows put one at the front."""

    def test_it_is_passed_over(self) -> None:
        self.assertEqual(read_body(BOM + b'{"model":"m"}', DECODER), Body("m"))

    def test_it_is_passed_over_in_front_of_a_large_body(self) -> None:
        body = BOM + b'{"model":"m","messages":"' + b"x" * LARGE + b'"}'

        self.assertEqual(read_body(body, DECODER), Body("m"))

    def test_alone_it_is_an_empty_body(self) -> None:
        with self.assertRaisesRegex(BadRequest, "empty"):
            read_body(BOM, DECODER)

    def test_many_are_not_json(self) -> None:
        with self.assertRaisesRegex(BadRequest, "not valid JSON"):
            read_body(BOM * 5000 + b'{"model":"m"}', DECODER)
