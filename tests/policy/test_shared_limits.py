"""Tests for bridge.policy.shared_limits, alone and under bridge.policy.admission."""

from __future__ import annotations

import math
from uuid import UUID, uuid4

from bridge.domain.errors import Overloaded, RateLimited
from bridge.pages.guards import ATTEMPTS, WINDOW_SECONDS, Attempts
from bridge.policy.admission import Admission
from bridge.policy.shared_limits import FAILURE_SETS, SETS, WAYS, SharedLimits, Total, size_for
from tests.policy.test_admission import ADA, BOB, person
from tests.support.cases import BridgeTestCase

PROCESSES = 3


class SharedCase(BridgeTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.memory = bytearray(size_for(PROCESSES))
        self.shared = [
            SharedLimits(self.memory, processes=PROCESSES, me=n) for n in range(PROCESSES)
        ]

    def admissions(self, *, places: int = 0, rate: int = 0, streams: int = 0) -> list[Admission]:
        """Return what each process admits with."""
        return [
            Admission(
                max_concurrency=places,
                rate_limit=rate,
                max_streams_per_user=streams,
                clock=self.clock,
                recording=lambda: True,
                shared=each,
            )
            for each in self.shared
        ]


class FailureTests(SharedCase):
    """Failed attempts to sign in, wherever they were made."""

    def test_failures_count_together_and_are_forgotten_together(self) -> None:
        attempts = [Attempts(self.clock, each) for each in self.shared]
        for n in range(ATTEMPTS):
            attempts[n % PROCESSES].check("192.0.2.1")
            attempts[n % PROCESSES].failed("192.0.2.1")

        for each in attempts:
            self.assertRaises(RateLimited, each.check, "192.0.2.1")
            each.check("192.0.2.2")
        self.clock.advance(WINDOW_SECONDS + 1)
        for each in attempts:
            each.check("192.0.2.1")

    def test_a_process_that_is_replaced_takes_no_failures_with_it(self) -> None:
        for _ in range(ATTEMPTS):
            self.shared[1].failed(7, now=self.clock.seconds(), window=60.0)
        self.shared[0].clear(1)

        self.assertEqual(self.shared[2].failures(7)[1], ATTEMPTS)

    def test_where_no_place_is_left_the_oldest_is_forgotten(self) -> None:
        same_set = [1 + FAILURE_SETS * n for n in range(WAYS + 1)]
        for who in same_set:
            self.clock.advance(1)
            self.shared[0].failed(who, now=self.clock.seconds(), window=60.0)

        counts = [self.shared[1].failures(who)[1] for who in same_set]

        self.assertEqual(counts, [0] + [1] * WAYS)

    def test_failures_do_not_touch_users_places(self) -> None:
        first, second, _ = self.admissions(streams=1)
        first.admit(ADA)
        for who in range(20_000):
            self.shared[0].failed(who, now=self.clock.seconds(), window=60.0)

        self.assertRaises(RateLimited, second.admit, ADA)


class AdmissionTests(SharedCase):
    def test_places_are_everybodys(self) -> None:
        first, second, third = self.admissions(places=3)
        first.admit(ADA)
        ticket = second.admit(BOB)
        second.admit(ADA)

        with self.assertRaises(Overloaded) as caught:
            third.admit(BOB)
        self.assertIn("3 requests", caught.exception.message)
        ticket.release()
        third.admit(BOB)
        self.assertRaises(Overloaded, first.admit, ADA)

    def test_a_users_streams_are_counted_wherever_they_run(self) -> None:
        first, second, third = self.admissions(streams=2)
        ticket = first.admit(ADA)
        second.admit(ADA)

        self.assertRaises(RateLimited, third.admit, ADA)
        self.assertRaises(RateLimited, first.admit, ADA)
        third.admit(BOB)
        third.admit(ADA, counted=False)
        ticket.release()
        third.admit(ADA)

    def test_a_rate_holds_however_the_load_is_spread(self) -> None:
        admissions = self.admissions(rate=10)
        answered = 0
        for turn in range(1000):  # ten seconds; nine in ten requests at the first
            answered += self.admitted(admissions[0 if turn % 10 else 1])
            self.clock.advance(0.01)

        self.assertIn(answered, range(108, 112))

    def test_a_rate_is_as_in_one_process(self) -> None:
        (shared, *_) = self.admissions(rate=7)
        alone = Admission(max_concurrency=0, rate_limit=7, clock=self.clock, recording=lambda: True)
        for turn in range(500):
            self.clock.advance(0.05 * (turn % 7))
            self.assertEqual(self.admitted(shared), self.admitted(alone), turn)

    def test_who_is_refused_is_told_when_there_is_room(self) -> None:
        (admission, *_) = self.admissions(rate=2)
        admission.admit(ADA)
        admission.admit(ADA)

        with self.assertRaises(RateLimited) as caught:
            admission.admit(ADA)

        self.assertAlmostEqual(caught.exception.retry_after or 0, 0.5, places=4)
        self.clock.advance(0.5)
        admission.admit(ADA)

    def test_a_clock_that_is_set_back_locks_nobody_out(self) -> None:
        (admission, *_) = self.admissions(rate=1)
        admission.admit(ADA)
        self.clock.rightNow -= 86400.0
        self.assertRaises(RateLimited, admission.admit, ADA)

        self.clock.advance(1.0)

        admission.admit(ADA)

    def test_what_a_dead_process_counted_is_forgotten(self) -> None:
        first, second, _ = self.admissions(places=2, streams=2)
        second.admit(ADA)
        second.admit(ADA)
        self.assertRaises(Overloaded, first.admit, BOB)

        self.shared[0].clear(1)

        first.admit(ADA)
        self.assertTrue(math.isinf(self.shared[0].each(Total.CONNECTIONS)[1]))

    def admitted(self, admission: Admission) -> bool:
        """Whether another request of Ada's gets in; it is over at once."""
        try:
            admission.admit(ADA).release()
        except RateLimited:
            return False
        return True


class MemoryTests(SharedCase):
    def test_there_is_a_place_for_thousands_of_users_and_then_for_others(self) -> None:
        (shared, *_) = self.shared
        users = [uuid4().int for _ in range(SETS * WAYS // 4)]
        now = self.clock.seconds()
        known = [shared.spend(user, rate=5, now=now) for user in users]
        self.assertLess(known.count(None), len(users) // 100)

        self.clock.advance(1.0)
        others = [
            shared.spend(uuid4().int, rate=5, now=self.clock.seconds()) for _ in range(SETS * WAYS)
        ]

        self.assertLess(others.count(None), len(others) // 2)

    def test_for_whom_there_is_no_place_each_process_limits_by_itself(self) -> None:
        (admission, other, _) = self.admissions(rate=1, streams=1)
        for n in range(WAYS):
            admission.admit(person(1 + n * SETS))
        late = person(1 + WAYS * SETS)
        self.assertIsNone(self.shared[0].under_way(UUID(int=1 + WAYS * SETS).int))

        other.admit(late)

        self.assertRaises(RateLimited, other.admit, late)

    def test_connections_on_their_way_are_expected(self) -> None:
        first, second, _ = self.shared
        for each in self.shared:
            each.set_total(Total.CONNECTIONS, 4)
        first.handed(1)
        first.handed(1)
        second.took()

        self.assertEqual(first.expected(), [4, 5, 4])
