"""Tests for bridge.deadlines: exact and in order, with one timer."""

from __future__ import annotations

from bridge.deadlines import Deadlines
from tests.support.cases import BridgeTestCase


class DeadlinesTests(BridgeTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.deadlines = Deadlines(self.clock, 10.0)
        self.expired: list[str] = []

    def begin(self, name: str) -> int:
        return self.deadlines.begin(lambda: self.expired.append(name))

    def test_each_expires_when_its_own_time_is_up(self) -> None:
        self.begin("first")
        self.clock.advance(4.0)
        self.begin("second")

        self.clock.advance(5.9)
        self.assertEqual(self.expired, [])
        self.clock.advance(0.1)
        self.assertEqual(self.expired, ["first"])
        self.clock.advance(3.9)
        self.assertEqual(self.expired, ["first"])
        self.clock.advance(0.1)
        self.assertEqual(self.expired, ["first", "second"])

    def test_an_ended_one_never_expires(self) -> None:
        first = self.begin("first")
        self.clock.advance(1.0)
        self.begin("second")
        self.deadlines.end(first)
        self.deadlines.end(first)

        self.clock.advance(60.0)

        self.assertEqual(self.expired, ["second"])

    def test_many_have_one_timer(self) -> None:
        for n in range(100):
            self.begin(str(n))

        self.assertEqual(len(self.clock.getDelayedCalls()), 1)

    def test_who_is_called_may_end_others_and_begin_anew(self) -> None:
        def again() -> None:
            self.expired.append("first")
            self.deadlines.end(second)
            self.begin("third")

        self.deadlines.begin(again)
        second = self.begin("second")

        self.clock.advance(10.0)
        self.assertEqual((self.expired, len(self.clock.getDelayedCalls())), (["first"], 1))
        self.clock.advance(10.0)
        self.assertEqual(self.expired, ["first", "third"])

    def test_nothing_is_left_once_it_is_closed_and_the_last_wait_is_over(self) -> None:
        wait = self.begin("first")
        self.deadlines.close()
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)

        self.deadlines.end(wait)

        self.assertEqual(self.clock.getDelayedCalls(), [])
