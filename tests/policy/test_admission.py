"""Tests for bridge.policy.admission: who gets in, and what the others are told."""

from __future__ import annotations

from uuid import UUID

from bridge.domain.errors import Overloaded, RateLimited, Unavailable
from bridge.domain.identity import Actor, Role, Scope
from bridge.policy.admission import Admission
from tests.support.cases import BridgeTestCase


def holder(token_id: str) -> Actor:
    return Actor(
        id=UUID(int=1),
        username="ada",
        roles=frozenset({Role.MEMBER}),
        token_id=token_id,
        scope=Scope.INFERENCE,
    )


class AdmissionTests(BridgeTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.journal = True

    def admission(self, *, places: int = 0, rate: int = 0) -> Admission:
        return Admission(
            max_concurrency=places,
            rate_limit=rate,
            clock=self.clock,
            recording=lambda: self.journal,
        )

    def test_without_limits_everybody_gets_in(self) -> None:
        admission = self.admission()

        tickets = [admission.admit(holder("a")) for _ in range(100)]

        self.assertEqual(admission.in_flight, 100)
        for ticket in tickets:
            ticket.release()
        self.assertEqual(admission.in_flight, 0)

    def test_a_place_is_given_back_once(self) -> None:
        admission = self.admission(places=1)
        ticket = admission.admit(holder("a"))

        ticket.release()
        ticket.release()

        self.assertEqual(admission.in_flight, 0)

    def test_no_place_is_told_with_when_to_come_again(self) -> None:
        admission = self.admission(places=1)
        admission.admit(holder("a"))

        error = self.assertRaises(Overloaded, admission.admit, holder("b"))

        self.assertEqual((error.status, error.retry_after), (503, 1.0))

    def test_each_token_has_its_own_rate(self) -> None:
        admission = self.admission(rate=2)
        for name in ("a", "a", "b", "b"):
            admission.admit(holder(name))

        error = self.assertRaises(RateLimited, admission.admit, holder("a"))

        self.assertEqual(error.status, 429)
        self.assertAlmostEqual(error.retry_after or 0, 0.5)

    def test_the_rate_is_refilled_with_time_but_never_saved_up(self) -> None:
        admission = self.admission(rate=2)
        admission.admit(holder("a"))
        self.clock.advance(3600)

        for _ in range(2):
            admission.admit(holder("a"))

        self.assertRaises(RateLimited, admission.admit, holder("a"))

    def test_a_clock_that_was_set_back_refills_nothing_and_breaks_nothing(self) -> None:
        admission = self.admission(rate=1)
        admission.admit(holder("a"))
        self.clock.rightNow -= 100

        self.assertRaises(RateLimited, admission.admit, holder("a"))
        self.clock.advance(1)
        admission.admit(holder("a"))

    def test_the_number_of_tokens_remembered_is_bounded(self) -> None:
        admission = self.admission(rate=1)

        for n in range(10_050):
            admission.admit(holder(str(n)))

        self.assertLessEqual(len(admission._buckets), 10_000)

    def test_what_cannot_be_recorded_is_not_begun(self) -> None:
        admission = self.admission()
        self.journal = False

        error = self.assertRaises(Unavailable, admission.admit, holder("a"))

        self.assertIsNotNone(error.retry_after)
        self.assertEqual(admission.in_flight, 0)

    def test_draining_lets_nobody_in(self) -> None:
        admission = self.admission()
        admission.draining = True

        self.assertRaises(Overloaded, admission.admit, holder("a"))
