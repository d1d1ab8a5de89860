"""JSON is read whatever a provider wrote into it."""

from __future__ import annotations

from typing import Any

import msgspec

from bridge.dialects.responses.decoding import NOTHING, decoded, is_absent
from tests.support.cases import BridgeTestCase

ANY = msgspec.json.Decoder(Any)
TEXT = msgspec.json.Decoder(str)


class DecodingTests(BridgeTestCase):
    """Fast where that is possible, else with what no record can hold replaced."""

    def test_plain_json_is_read(self) -> None:
        self.assertEqual(decoded(b'{"a":[1]}', ANY), {"a": [1]})

    def test_a_part_is_read(self) -> None:
        self.assertEqual(decoded(msgspec.Raw(b'"x"'), TEXT), "x")

    def test_lone_surrogates_are_replaced(self) -> None:
        self.assertEqual(decoded(rb'"a\ud83d"', TEXT), "a\ufffd")

    def test_whole_surrogate_pairs_are_one_character(self) -> None:
        self.assertEqual(decoded(rb'"\ud83d\udc22 \ud83d"', TEXT), "🐢 \ufffd")

    def test_stray_bytes_are_replaced(self) -> None:
        self.assertEqual(decoded(b'"caf\xe9"', TEXT), "caf\ufffd")

    def test_byte_order_mark_is_passed_over(self) -> None:
        self.assertEqual(decoded(b"\xef\xbb\xbf{}", ANY), {})

    def test_another_type_is_a_type_error(self) -> None:
        self.assertRaises(TypeError, decoded, b"5", TEXT)

    def test_another_type_behind_a_surrogate_is_a_type_error(self) -> None:
        self.assertRaises(TypeError, decoded, rb'["\ud83d"]', TEXT)

    def test_no_json_is_a_value_error(self) -> None:
        self.assertRaises(ValueError, decoded, b"nope", ANY)

    def test_number_that_is_beyond_json_is_a_value_error(self) -> None:
        self.assertRaises(ValueError, decoded, rb'["\ud83d",1' + b"9" * 500 + b"]", ANY)

    def test_missing_and_null_parts_are_absent(self) -> None:
        self.assertTrue(is_absent(NOTHING))
        self.assertTrue(is_absent(msgspec.Raw(b"null")))
        self.assertFalse(is_absent(msgspec.Raw(b'""')))
