"""Tests for bridge.periodic and bridge.deferreds: work that survives errors and cancellation."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred

from bridge.deferreds import limited, run_in_background, shielded
from bridge.periodic import Periodic
from tests.support.cases import BridgeTestCase


class PeriodicTests(BridgeTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.runs = 0
        self.waiting: Deferred[None] | None = None
        self.failing = False

    async def _work(self) -> None:
        self.runs += 1
        if self.failing:
            raise RuntimeError("no")
        if self.waiting is not None:
            await self.waiting

    def periodic(self) -> Periodic:
        return Periodic(name="test", seconds=10, work=self._work, clock=self.clock)

    def test_an_error_does_not_end_it(self) -> None:
        self.failing = True
        work = self.periodic()
        work.start()

        self.clock.pump([10, 10])

        self.assertEqual((self.runs, work.failures), (3, 3))

    def test_it_never_overlaps(self) -> None:
        self.waiting = Deferred()
        work = self.periodic()
        work.start()

        self.clock.pump([10, 10, 10])

        self.assertEqual(self.runs, 1)

    def test_stopping_waits_for_what_is_under_way(self) -> None:
        self.waiting = Deferred()
        work = self.periodic()
        work.start()

        stopped = Deferred.fromCoroutine(work.stop())
        self.assertNoResult(stopped)
        self.waiting.callback(None)

        self.successResultOf(stopped)
        self.clock.advance(100)
        self.assertEqual(self.runs, 1)


class DeferredTests(BridgeTestCase):
    def test_cancelling_a_shielded_one_only_detaches_the_waiter(self) -> None:
        cancelled: list[object] = []
        work: Deferred[int] = Deferred(cancelled.append)
        waiter = shielded(work)

        waiter.cancel()

        self.failureResultOf(waiter, CancelledError)
        self.assertEqual(cancelled, [])
        work.callback(1)

    def test_a_limit_that_fires_says_which(self) -> None:
        work: Deferred[None] = Deferred()
        waiter = limited(work, 5, self.clock, lambda: TimeoutError("limits.first_byte"))

        self.clock.advance(5)

        error = self.failureResultOf(waiter, TimeoutError).value
        self.assertEqual(str(error), "limits.first_byte")

    def test_a_result_in_time_stops_the_clock(self) -> None:
        work: Deferred[int] = Deferred()
        waiter = limited(work, 5, self.clock, TimeoutError)

        work.callback(7)

        self.assertEqual(self.successResultOf(waiter), 7)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_background_work_that_fails_goes_no_further(self) -> None:
        async def failing() -> None:
            raise RuntimeError("no")

        self.successResultOf(run_in_background("test", failing()))
