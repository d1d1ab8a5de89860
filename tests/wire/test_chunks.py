"""Chunks that are cut out at once hold what Twisted would have read, wherever they are cut."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.web.http import _ChunkedTransferDecoder

from bridge.wire.chunks import Chunks
from tests.support.cases import BridgeTestCase

_BODY = b"5\r\nhello\r\nA\r\n0123456789\r\n1;x=y\r\n!\r\n3\r\na\r\n\r\n0\r\n\r\nmore"
_PIECES = (b"3\r\nabc\r\n", b"3\r\n", b"abc", b"\r\n", b"0\r\n", b"00\r\n", b"-1\r\n", b"+3\r\n")
_PIECES = (*_PIECES, b"3 \r\nabc\r\n", b"3;\r\nabc\r\n", b"0x3\r\nabc\r\n", b"g\r\n", b"\n", b"3")


class ChunksTests(BridgeTestCase):
    def read(self, kind: type[_ChunkedTransferDecoder], pieces: Sequence[bytes]) -> tuple[Any, ...]:
        """Return the body, what came after it, and how reading failed."""
        came: list[bytes] = []
        rest: list[bytes] = []
        decoder = kind(came.append, rest.append)
        failure = ""
        try:
            for piece in pieces:
                if not rest:
                    decoder.dataReceived(piece)
        except Exception as e:  # noqa: BLE001 - whatever it is, both have to agree on it
            failure = type(e).__name__
        return (b"".join(came), rest, failure, decoder.state)

    def test_they_are_read_alike_wherever_they_are_cut(self) -> None:
        for first in range(len(_BODY)):
            for second in range(first, len(_BODY)):
                pieces = [_BODY[:first], _BODY[first:second], _BODY[second:]]
                self.assertEqual(
                    self.read(Chunks, pieces), self.read(_ChunkedTransferDecoder, pieces)
                )

    @settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
    @given(st.lists(st.sampled_from(_PIECES), max_size=10))
    def test_anything_is_read_alike(self, pieces: list[bytes]) -> None:
        for cut in (pieces, [b"".join(pieces)]):
            self.assertEqual(self.read(Chunks, cut), self.read(_ChunkedTransferDecoder, cut))

    def test_the_last_of_several_is_handed_on_by_itself(self) -> None:
        came: list[bytes] = []
        Chunks(came.append, lambda _: None).dataReceived(b"1\r\na\r\n1\r\nb\r\n1\r\nc\r\n1\r\n")

        self.assertEqual(came, [b"ab", b"c"])
