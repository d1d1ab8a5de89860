"""Tests for bridge.policy.admission: who gets in, and what the others are told."""

from __future__ import annotations

from uuid import UUID

from bridge.domain.errors import Overloaded, RateLimited, Unavailable
from bridge.domain.identity import Actor, Role, Scope
from bridge.policy.admission import Admission
from tests.support.cases import BridgeTestCase


def person(user: int, *, token: str = "Abcdefghijkl") -> Actor:
    return Actor(
        id=UUID(int=user),
        username="somebody",
        roles=frozenset({Role.MEMBER}),
        token_id=token,
        scope=Scope.INFERENCE,
    )


ADA, BOB = person(1), person(2)


class AdmissionCase(BridgeTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.journal = True

    def admission(self, *, places: int = 0, rate: int = 0, streams: int = 0) -> Admission:
        return Admission(
            max_concurrency=places,
            rate_limit=rate,
            max_streams_per_user=streams,
            clock=self.clock,
            recording=lambda: self.journal,
        )


class AdmissionTests(AdmissionCase):
    def test_without_limits_everybody_gets_in(self) -> None:
        admission = self.admission()

        tickets = [admission.admit(ADA) for _ in range(100)]

        self.assertEqual(admission.in_flight, 100)
        for ticket in tickets:
            ticket.release()
        self.assertEqual(admission.in_flight, 0)

    def test_a_place_is_given_back_once(self) -> None:
        admission = self.admission(places=1)
        ticket = admission.admit(ADA)

        ticket.release()
        ticket.release()

        self.assertEqual(admission.in_flight, 0)

    def test_no_place_is_told_with_when_to_come_again(self) -> None:
        admission = self.admission(places=1)
        admission.admit(ADA)

        error = self.assertRaises(Overloaded, admission.admit, BOB)

        self.assertEqual((error.status, error.retry_after), (503, 1.0))
        self.assertIn("(max_concurrency)", error.message)

    def test_each_user_has_their_own_rate(self) -> None:
        admission = self.admission(rate=2)
        for user in (ADA, ADA, BOB, BOB):
            admission.admit(user)

        error = self.assertRaises(RateLimited, admission.admit, ADA)

        self.assertEqual(error.status, 429)
        self.assertAlmostEqual(error.retry_after or 0, 0.5)
        self.assertIn("(rate_limit)", error.message)

    def test_another_token_buys_no_more(self) -> None:
        admission = self.admission(rate=2)
        admission.admit(person(1, token="Aaaaaaaaaaaa"))
        admission.admit(person(1, token="Bbbbbbbbbbbb"))

        self.assertRaises(RateLimited, admission.admit, person(1, token="Cccccccccccc"))

    def test_the_rate_is_refilled_with_time_but_never_saved_up(self) -> None:
        admission = self.admission(rate=2)
        admission.admit(ADA)
        self.clock.advance(3600)

        for _ in range(2):
            admission.admit(ADA)

        self.assertRaises(RateLimited, admission.admit, ADA)

    def test_a_clock_that_was_set_back_refills_nothing_and_breaks_nothing(self) -> None:
        admission = self.admission(rate=1)
        admission.admit(ADA)
        self.clock.rightNow -= 100

        self.assertRaises(RateLimited, admission.admit, ADA)
        self.clock.advance(1)
        admission.admit(ADA)

    def test_the_number_of_users_remembered_is_bounded(self) -> None:
        admission = self.admission(rate=1)

        for n in range(10_050):
            admission.admit(person(n))

        self.assertLessEqual(len(admission._buckets), 10_000)

    def test_what_cannot_be_recorded_is_not_begun(self) -> None:
        admission = self.admission()
        self.journal = False

        error = self.assertRaises(Unavailable, admission.admit, ADA)

        self.assertIsNotNone(error.retry_after)
        self.assertEqual(admission.in_flight, 0)

    def test_draining_lets_in_who_is_connected_until_it_is_closed(self) -> None:
        admission = self.admission()
        admission.draining = True
        admission.admit(ADA)

        admission.closed = True

        self.assertRaises(Overloaded, admission.admit, ADA)


class UncountedTests(AdmissionCase):
    def test_what_costs_nothing_is_not_counted_against_the_rate(self) -> None:
        admission = self.admission(rate=1)

        for _ in range(10):
            admission.admit(ADA, counted=False)

        admission.admit(ADA)
        admission.admit(ADA, counted=False)
        self.assertRaises(RateLimited, admission.admit, ADA)

    def test_nor_against_the_requests_at_a_time_of_a_user(self) -> None:
        admission = self.admission(streams=1)
        admission.admit(ADA, counted=False).release()
        admission.admit(ADA, counted=False)

        ticket = admission.admit(ADA)

        self.assertRaises(RateLimited, admission.admit, ADA)
        ticket.release()
        admission.admit(ADA)

    def test_but_against_the_places_of_all(self) -> None:
        admission = self.admission(places=1)
        admission.admit(ADA, counted=False)

        self.assertRaises(Overloaded, admission.admit, BOB, counted=False)


class StreamsOfAUserTests(AdmissionCase):
    def test_too_many_at_a_time_are_told_which_limit_it_was(self) -> None:
        admission = self.admission(streams=2)
        admission.admit(ADA)
        admission.admit(ADA)

        error = self.assertRaises(RateLimited, admission.admit, ADA)

        self.assertEqual((error.status, error.retry_after), (429, 5.0))
        self.assertIn("limited to 2 at a time (max_streams_per_user)", error.message)
        self.assertEqual(admission.in_flight, 2)

    def test_another_users_are_their_own(self) -> None:
        admission = self.admission(streams=1)
        admission.admit(ADA)

        admission.admit(BOB)

        self.assertEqual(admission.in_flight, 2)

    def test_an_ended_one_makes_room_for_one(self) -> None:
        admission = self.admission(streams=2)
        ticket = admission.admit(ADA)
        admission.admit(ADA)

        ticket.release()
        ticket.release()

        admission.admit(ADA)
        self.assertRaises(RateLimited, admission.admit, ADA)

    def test_who_is_refused_has_not_spent_anything_of_their_rate(self) -> None:
        admission = self.admission(streams=1, rate=2)
        ticket = admission.admit(ADA)
        for _ in range(5):
            self.assertRaises(RateLimited, admission.admit, ADA)
        ticket.release()

        admission.admit(ADA)

    def test_who_is_refused_for_the_rate_takes_no_place(self) -> None:
        admission = self.admission(streams=2, rate=1)
        admission.admit(ADA)
        self.assertRaises(RateLimited, admission.admit, ADA)
        self.clock.advance(1)

        admission.admit(ADA)

        self.assertEqual(admission.in_flight, 2)

    def test_who_has_nothing_under_way_is_not_remembered(self) -> None:
        admission = self.admission(streams=1)

        for n in range(100):
            admission.admit(person(n)).release()

        self.assertEqual(len(admission._under_way), 0)


class ConfiguredAnewTests(AdmissionCase):
    def test_what_is_under_way_counts_on(self) -> None:
        admission = self.admission()
        tickets = [admission.admit(ADA) for _ in range(2)]

        admission.configure(max_concurrency=0, rate_limit=0, max_streams_per_user=2)

        self.assertRaises(RateLimited, admission.admit, ADA)
        for ticket in tickets:
            ticket.release()
        self.assertEqual(admission.in_flight, 0)
        admission.admit(ADA)

    def test_fewer_places_end_nothing_but_let_nobody_in(self) -> None:
        admission = self.admission(places=3)
        tickets = [admission.admit(ADA) for _ in range(3)]

        admission.configure(max_concurrency=1, rate_limit=0, max_streams_per_user=0)

        tickets[0].release()
        tickets[1].release()
        self.assertRaises(Overloaded, admission.admit, BOB)
        tickets[2].release()
        admission.admit(BOB)

    def test_a_smaller_rate_holds_at_once(self) -> None:
        admission = self.admission(rate=100)
        admission.admit(ADA)

        admission.configure(max_concurrency=0, rate_limit=1, max_streams_per_user=0)

        admission.admit(ADA)
        self.assertRaises(RateLimited, admission.admit, ADA)

    def test_no_rate_lets_everybody_in(self) -> None:
        admission = self.admission(rate=1)
        admission.admit(ADA)

        admission.configure(max_concurrency=0, rate_limit=0, max_streams_per_user=0)

        for _ in range(10):
            admission.admit(ADA)
