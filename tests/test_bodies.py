"""Tests for bridge.bodies: one budget, given back exactly once."""

from __future__ import annotations

from bridge.bodies import Body, BodyMemory
from bridge.domain.errors import Overloaded
from tests.support.cases import BridgeTestCase


class BodyTests(BridgeTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.memory = BodyMemory(limit_bytes=10)

    def test_a_body_takes_its_size_until_it_is_dropped(self) -> None:
        body = Body(self.memory)
        body.add(b"1234")
        body.add(b"56")
        body.complete()
        self.assertEqual((body.content, self.memory.used_bytes), (b"123456", 6))

        body.drop()
        body.drop()

        self.assertEqual((body.content, body.size, self.memory.used_bytes), (b"", 6, 0))

    def test_a_half_body_is_given_back_too(self) -> None:
        body = Body(self.memory)
        body.add(b"1234")

        body.drop()

        self.assertEqual(self.memory.used_bytes, 0)

    def test_together_they_stay_within_the_budget(self) -> None:
        first, second = Body(self.memory), Body(self.memory)
        first.add(b"123456")

        error = self.assertRaises(Overloaded, second.add, b"12345")

        self.assertIsNotNone(error.retry_after)
        self.assertEqual((self.memory.used_bytes, second.size), (6, 0))
