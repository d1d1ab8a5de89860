"""Packed request bodies are unpacked for reading, within bounds."""

from __future__ import annotations

import gzip
import zlib

import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.domain.errors import BadRequest, PayloadTooLarge
from bridge.wire.encodings import content_coding, decode_body
from tests.support.cases import BridgeTestCase

BODY = b'{"model":"claude-x","messages":[]}' * 40
LIMIT = 1 << 20
SKIPPABLE = b"\x50\x2a\x4d\x18\x03\x00\x00\x00abc"


def raw_deflate(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(body) + packer.flush()


def zstd(body: bytes, **options: bool) -> bytes:
    return zstandard.ZstdCompressor(**options).compress(body)


def zstd_stream(body: bytes) -> bytes:
    """Pack as Codex does, without the size at the front, in several blocks."""
    packer = zstandard.ZstdCompressor().compressobj()
    half = len(body) // 2
    flushed = packer.compress(body[:half]) + packer.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
    return flushed + packer.compress(body[half:]) + packer.flush()


class ContentCodingTests(BridgeTestCase):
    """What a body is encoded with, however many header lines say it."""

    def check(self, expected: bytes, *values: bytes) -> None:
        headers = [(b"content-type", b"a/b"), *((b"content-encoding", value) for value in values)]
        self.assertEqual(content_coding(headers), expected)

    def test_no_header_is_no_encoding(self) -> None:
        self.check(b"")

    def test_an_empty_header_is_no_encoding(self) -> None:
        self.check(b"", b" ", b",")

    def test_identity_is_no_encoding(self) -> None:
        self.check(b"", b"Identity")

    def test_one_encoding(self) -> None:
        self.check(b"gzip", b"gzip")

    def test_identity_after_an_encoding_says_nothing(self) -> None:
        self.check(b"gzip", b"gzip", b"identity")

    def test_identity_before_an_encoding_says_nothing(self) -> None:
        self.check(b"gzip", b"identity", b"gzip")

    def test_identity_in_the_same_header_says_nothing(self) -> None:
        self.check(b"gzip", b"identity , gzip")

    def test_several_headers_are_one_in_their_order(self) -> None:
        self.check(b"gzip, deflate, zstd", b"gzip", b"deflate,zstd")


class DecodingTests(BridgeTestCase):
    """Every encoding that clients send gives the body back."""

    def check(self, packed: bytes, encoding: bytes) -> None:
        self.assertEqual(decode_body(packed, encoding, limit=LIMIT), BODY)

    def test_no_encoding_is_the_same_object(self) -> None:
        self.assertIs(decode_body(BODY, b"", limit=1), BODY)

    def test_identity_is_the_same_object(self) -> None:
        self.assertIs(decode_body(BODY, b"Identity", limit=1), BODY)

    def test_gzip(self) -> None:
        self.check(gzip.compress(BODY), b"gzip")

    def test_gzip_by_its_old_name_in_capitals(self) -> None:
        self.check(gzip.compress(BODY), b" X-GZIP ")

    def test_gzip_in_two_members(self) -> None:
        self.check(gzip.compress(BODY[:9]) + gzip.compress(BODY[9:]), b"gzip")

    def test_deflate_as_the_standard_has_it(self) -> None:
        self.check(zlib.compress(BODY), b"deflate")

    def test_deflate_as_some_send_it(self) -> None:
        self.check(raw_deflate(BODY), b"deflate")

    def test_zstd(self) -> None:
        self.check(zstd(BODY), b"zstd")

    def test_zstd_with_checksum(self) -> None:
        self.check(zstd(BODY, write_checksum=True), b"zstd")

    def test_zstd_of_unknown_size_in_several_blocks(self) -> None:
        self.check(zstd_stream(BODY), b"zstd")

    def test_zstd_in_two_frames_with_others_around(self) -> None:
        packed = SKIPPABLE + zstd(BODY[:9]) + zstd(b"") + SKIPPABLE + zstd(BODY[9:]) + SKIPPABLE

        self.check(packed, b"zstd")

    def test_two_layers_are_undone_last_to_first(self) -> None:
        self.check(zstd(gzip.compress(BODY)), b"gzip, zstd")


class RefusalTests(BridgeTestCase):
    """What cannot be unpacked, or unpacks to too much, is refused."""

    def check_every_cut(self, packed: bytes, encoding: bytes) -> None:
        for at in range(len(packed)):
            self.assertRaises(BadRequest, decode_body, packed[:at], encoding, limit=LIMIT)

    def check_bomb(self, packed: bytes, encoding: bytes) -> None:
        self.assertRaises(PayloadTooLarge, decode_body, packed, encoding, limit=LIMIT)

    def test_unknown_encoding_is_named(self) -> None:
        error = self.assertRaises(BadRequest, decode_body, BODY, b"br\xff", limit=LIMIT)

        self.assertIn("'br\ufffd'", error.message)

    def test_three_layers(self) -> None:
        self.assertRaises(BadRequest, decode_body, BODY, b"gzip,gzip,gzip", limit=LIMIT)

    def test_gzip_that_is_none(self) -> None:
        self.assertRaises(BadRequest, decode_body, BODY, b"gzip", limit=LIMIT)

    def test_zstd_that_is_none(self) -> None:
        self.assertRaises(BadRequest, decode_body, BODY, b"zstd", limit=LIMIT)

    def test_cut_gzip(self) -> None:
        self.check_every_cut(gzip.compress(BODY), b"gzip")

    def test_cut_deflate(self) -> None:
        self.check_every_cut(zlib.compress(BODY), b"deflate")

    def test_cut_zstd(self) -> None:
        self.check_every_cut(zstd(BODY, write_checksum=True), b"zstd")

    def test_cut_zstd_stream(self) -> None:
        self.check_every_cut(zstd_stream(BODY), b"zstd")

    def test_text_after_gzip(self) -> None:
        packed = gzip.compress(BODY) + b"more"

        self.assertRaises(BadRequest, decode_body, packed, b"gzip", limit=LIMIT)

    def test_wrong_checksum(self) -> None:
        packed = bytearray(gzip.compress(BODY))
        packed[-6] ^= 1

        self.assertRaises(BadRequest, decode_body, bytes(packed), b"gzip", limit=LIMIT)

    def test_exactly_the_limit_passes(self) -> None:
        self.assertEqual(decode_body(gzip.compress(BODY), b"gzip", limit=len(BODY)), BODY)
        self.assertEqual(decode_body(zstd(BODY), b"zstd", limit=len(BODY)), BODY)

    def test_one_over_the_limit_does_not(self) -> None:
        limit = len(BODY) - 1

        self.assertRaises(PayloadTooLarge, decode_body, gzip.compress(BODY), b"gzip", limit=limit)
        self.assertRaises(PayloadTooLarge, decode_body, zstd(BODY), b"zstd", limit=limit)

    def test_gzip_bomb(self) -> None:
        self.check_bomb(gzip.compress(bytes(64 << 20)), b"gzip")

    def test_deflate_bomb(self) -> None:
        self.check_bomb(zlib.compress(bytes(64 << 20)), b"deflate")

    def test_zstd_bomb(self) -> None:
        self.check_bomb(zstd(bytes(64 << 20)), b"zstd")

    def test_bomb_within_a_bomb(self) -> None:
        self.check_bomb(zstd(gzip.compress(bytes(64 << 20))), b"gzip, zstd")

    def test_zstd_with_a_window_over_the_bound(self) -> None:
        parameters = zstandard.ZstdCompressionParameters(window_log=27)
        packed = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
        body = packed.compress(BODY) + packed.flush()

        self.assertRaises(BadRequest, decode_body, body, b"zstd", limit=LIMIT)

    def test_members_by_the_thousand(self) -> None:
        packed = gzip.compress(b"") * 20_000

        self.assertRaises(BadRequest, decode_body, packed, b"gzip", limit=LIMIT)

    def test_empty_zstd_frames_by_the_hundred_thousand(self) -> None:
        packed = zstd(b"") * 100_000

        self.assertRaises(BadRequest, decode_body, packed, b"zstd", limit=LIMIT)

    @given(st.binary(max_size=40), st.sampled_from([b"gzip", b"deflate", b"zstd"]))
    @settings(max_examples=300, deadline=None, derandomize=True)
    def test_any_bytes_are_unpacked_or_refused(self, body: bytes, encoding: bytes) -> None:
        start = {b"gzip": b"\x1f\x8b\x08", b"deflate": b"", b"zstd": b"\x28\xb5\x2f\xfd"}
        try:
            decode_body(start[encoding] + body, encoding, limit=1000)
        except (BadRequest, PayloadTooLarge) as e:
            self.assertIn("request body", e.message)
