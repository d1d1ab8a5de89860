"""Tests for bridge.bodies: many tiny pieces take no more memory than is accounted for."""

from __future__ import annotations

import tracemalloc

from bridge.bodies import Body, BodyMemory
from bridge.domain.errors import Overloaded
from tests.support.cases import BridgeTestCase

KIB = 1024


class TinyPiecesTests(BridgeTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.memory = BodyMemory(limit_bytes=KIB * KIB)
        self.body = Body(self.memory)

    def test_pieces_become_one_in_order(self) -> None:
        pieces = [b"a", b"bc", b"d" * 5000, b"e", b"f" * 300, b"g" * 4096]
        for piece in pieces:
            self.body.add(piece)
        self.body.complete()

        self.assertEqual(self.body.content, b"".join(pieces))
        self.assertIs(type(self.body.content), bytes)
        self.assertEqual(self.memory.used_bytes, sum(map(len, pieces)))

    def test_one_large_piece_is_not_copied(self) -> None:
        piece = b"x" * 64 * KIB
        self.body.add(piece)
        self.body.complete()

        self.assertIs(self.body.content, piece)

    def test_tiny_pieces_take_little_more_than_they_hold(self) -> None:
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        for number in range(64 * KIB):
            self.body.add(b"%02d" % (number % 100))

        held, _ = tracemalloc.get_traced_memory()
        self.assertLess(held, 2 * self.body.size)

    def test_what_is_dropped_is_given_back_at_any_stage(self) -> None:
        for whole in (False, True):
            body = Body(self.memory)
            for piece in (b"ab", b"c" * 5000, b"d"):
                body.add(piece)
            if whole:
                body.complete()
            body.drop()
            body.drop()

            self.assertEqual((self.memory.used_bytes, body.content, body.size), (0, b"", 5003))

    def test_a_piece_over_the_budget_is_not_kept(self) -> None:
        self.body.add(b"x" * KIB)
        self.assertRaises(Overloaded, self.body.add, b"y" * KIB * KIB)

        self.assertEqual((self.body.size, self.memory.used_bytes), (KIB, KIB))
