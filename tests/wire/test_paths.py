"""Tests for bridge.wire.paths: only what every program reads the same way may be matched."""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from hypothesis import given
from hypothesis import strategies as st

from bridge.wire.paths import collapsed, safe, safe_query, split_target
from tests.support.cases import BridgeTestCase

MODEL = re.compile(rb"/model/[^/]+/invoke")


class SafePathTests(BridgeTestCase):
    def test_ordinary_paths(self) -> None:
        for path in (
            b"/",
            b"/v1/messages",
            b"/v1/models/claude-3.5-sonnet",
            b"/v1/models/anthropic.claude:0",
            b"/a/.hidden",
            b"/a/..b",
            b"/a/%E2%82%AC",
            b"/a/%20b",
        ):
            self.assertTrue(safe(path), path)

    def test_paths_that_are_read_in_more_than_one_way(self) -> None:
        for path in (
            b"",
            b"v1",
            b"*",
            b"http://elsewhere/v1",
            b"/a/../b",
            b"/a/.",
            b"/..",
            b"/a/%2e%2e/b",
            b"/a/%2E/b",
            b"/a//b",
            b"//a",
            b"/a\\b",
            b"/a%5cb",
            b"/a%2fb",
            b"/a%00",
            b"/a%0a",
            b"/a%",
            b"/a%2",
            b"/a%zz",
            b"/a%252e",
            b"/a;b",
            b"/a%3bb",
            b"/a#b",
            b"/a b",
            b"/a\x7f",
            b"/a\xff",
            b"/a%ff",
            b"/a%c0%ae",
            b"/a%c2%85",
            b"/a%e2%80%ae",
        ):
            self.assertFalse(safe(path), path)

    def test_an_encoded_slash_only_where_a_name_may_hold_one(self) -> None:
        self.assertTrue(safe(b"/model/arn%2Fx/invoke", encoded_slash_in=MODEL))
        self.assertFalse(safe(b"/other/arn%2Fx/invoke", encoded_slash_in=MODEL))
        self.assertFalse(safe(b"/model/..%2F..%2Fx/invoke", encoded_slash_in=MODEL))

    @given(st.binary(max_size=40))
    def test_nothing_safe_has_a_dot_segment_however_often_it_is_decoded(self, tail: bytes) -> None:
        path = b"/v1/" + tail

        if safe(path):
            for _ in range(3):
                self.assertFalse({b".", b".."} & set(re.split(rb"[/\\]", path)), path)
                path = unquote_to_bytes(path)

    @given(st.text(alphabet="./%25eEfFcC\\;a", max_size=24))
    def test_likewise_of_what_attackers_write(self, tail: str) -> None:
        path = b"/v1/" + tail.encode()

        if safe(path):
            for _ in range(3):
                self.assertFalse({b".", b".."} & set(re.split(rb"[/\\]", path)), path)
                path = unquote_to_bytes(path)


class TargetTests(BridgeTestCase):
    def test_a_query_keeps_its_mark(self) -> None:
        self.assertEqual(split_target(b"/a?b=/../c?d"), (b"/a", b"?b=/../c?d"))
        self.assertEqual(split_target(b"/a"), (b"/a", b""))

    def test_a_query_is_printable_and_has_no_fragment(self) -> None:
        self.assertTrue(safe_query(b"?beta=true&a=%0d"))
        for query in (b"?a b", b"?a#b", b"?\x00", b"?\xe9"):
            self.assertFalse(safe_query(query))

    def test_slashes_at_the_start_are_one(self) -> None:
        self.assertEqual(collapsed(b"///v1//models"), b"/v1//models")
        self.assertEqual(collapsed(b""), b"/")
