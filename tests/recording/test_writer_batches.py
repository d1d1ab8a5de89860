"""Batches wait while the store is away; a line that it never takes is given up, alone."""

from __future__ import annotations

from collections.abc import Sequence

from structlog.testing import CapturingLogger
from twisted.internet.defer import Deferred

from bridge.domain.ids import uuid7
from bridge.journal.format import JournalLine, decode_line, encode_line
from bridge.recording.quarantine import QuarantineFull
from bridge.recording.writer_batches import (
    FIRST_PAUSE_SECONDS,
    LONGEST_PAUSE_SECONDS,
    PATIENCE,
    Batches,
    Stopped,
)
from bridge.store.errors import SchemaTooNew, StoreUnavailable, WrongPassword
from tests.journal.samples import NOW, logger, said, tool
from tests.recording.writer_store import FakeStore
from tests.support.cases import BridgeTestCase

_ID = uuid7(NOW)


def lines(count: int) -> list[JournalLine]:
    found = [decode_line(encode_line(tool(_ID, n), n)[:-1], 1, n) for n in range(1, count + 1)]
    return [line for line in found if isinstance(line, JournalLine)]


class BatchesCase(BridgeTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.store = FakeStore()
        self.log = CapturingLogger()
        self.refused: list[tuple[int, str]] = []
        self.batches = Batches(
            pool=self.store,
            write_batch=self.store.write_batch,
            reactor=self.clock,
            log=logger(self.log),
        )

    def send(self, batch: Sequence[JournalLine]) -> Deferred[None]:
        return Deferred.fromCoroutine(
            self.batches.store(batch, lambda line, why: self.refused.append((line.seq, why)))
        )

    def wait_long(self) -> None:
        self.clock.pump([LONGEST_PAUSE_SECONDS] * (PATIENCE + 2))


class AwayTests(BatchesCase):
    def test_a_batch_is_one_transaction(self) -> None:
        self.successResultOf(self.send(lines(5)))

        self.assertEqual((self.store.batches, self.batches.problem), ([5], None))

    def test_an_absent_store_is_tried_again_ever_more_slowly(self) -> None:
        self.store.away = True
        self.send(lines(1))
        tries = []
        for seconds in (0.25, 0.5, 1.0, 2.0, 4.0, 5.0, 5.0):
            self.clock.advance(seconds - 0.01)
            tries.append(self.store.attempts)
            self.clock.advance(0.01)

        self.assertEqual(tries, [1, 2, 3, 4, 5, 6, 7])
        self.assertEqual(self.batches.problem, "The database cannot be reached.")

    def test_when_it_is_back_all_is_stored_and_said_once(self) -> None:
        self.store.away = True
        sending = self.send(lines(3))
        self.clock.pump([1.0] * 20)
        self.store.away = False

        self.clock.advance(LONGEST_PAUSE_SECONDS)

        self.successResultOf(sending)
        self.assertEqual(self.store.numbers, [1, 2, 3])
        self.assertIsNone(self.batches.problem)
        self.assertEqual(
            (said(self.log, "warning"), said(self.log, "info")),
            (
                ["store takes no records, they wait in the journal"],
                ["store takes records again"],
            ),
        )

    def test_the_next_absence_begins_with_the_shortest_pause(self) -> None:
        self.store.away = True
        first = self.send(lines(1))
        self.clock.pump([1.0] * 20)
        self.store.away = False
        self.clock.advance(LONGEST_PAUSE_SECONDS)
        self.successResultOf(first)
        self.store.away = True

        self.send(lines(1))
        before = self.store.attempts
        self.clock.advance(FIRST_PAUSE_SECONDS)

        self.assertEqual(self.store.attempts, before + 1)

    def test_a_store_that_is_not_for_us_refuses_no_line(self) -> None:
        self.store.poison = lambda _: True
        results = []
        for error in (SchemaTooNew("from the future"), WrongPassword("no")):
            self.store.error = lambda error=error: error  # type: ignore[misc]
            results.append(self.send(lines(2)))
            self.wait_long()

        for waiting in results:
            self.assertNoResult(waiting)
        self.assertEqual(self.refused, [])

    def test_stopping_ends_a_pause_at_once(self) -> None:
        self.store.away = True
        sending = self.send(lines(1))

        self.batches.stop()

        self.failureResultOf(sending, Stopped)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stopping_lets_a_transaction_end(self) -> None:
        self.store.slow = Deferred()
        sending = self.send(lines(1))
        self.batches.stop()
        self.assertNoResult(sending)

        slow, self.store.slow = self.store.slow, None
        slow.callback(None)

        self.successResultOf(sending)
        self.assertEqual(self.store.numbers, [1])


class RefusalTests(BatchesCase):
    def test_a_bad_line_is_found_among_many_and_all_others_are_stored(self) -> None:
        self.store.poison = lambda line: line.seq in {3, 77}

        self.successResultOf(self.send(lines(100)))

        self.assertEqual([seq for seq, _ in self.refused], [3, 77])
        self.assertEqual(self.refused[0][1], "no such column")
        self.assertEqual(set(self.store.numbers), set(range(1, 101)) - {3, 77})
        self.assertIsNone(self.batches.problem)

    def test_finding_it_takes_few_transactions(self) -> None:
        self.store.poison = lambda line: line.seq == 251

        self.successResultOf(self.send(lines(500)))

        self.assertLess(self.store.attempts, 30)

    def test_a_store_that_takes_nothing_is_at_fault_itself(self) -> None:
        self.store.poison = lambda _: True
        sending = self.send(lines(100))
        self.wait_long()
        self.assertNoResult(sending)
        self.store.poison = lambda _: False

        self.clock.advance(LONGEST_PAUSE_SECONDS)

        self.successResultOf(sending)
        self.assertEqual(self.refused, [])

    def test_a_single_line_is_given_up_after_some_tries(self) -> None:
        self.store.poison = lambda _: True
        sending = self.send(lines(1))
        self.assertNoResult(sending)

        self.wait_long()

        self.successResultOf(sending)
        self.assertEqual(self.refused, [(1, "no such column")])
        self.assertIsNone(self.batches.problem)

    def test_a_store_that_goes_away_while_the_line_is_sought_is_waited_for(self) -> None:
        self.store.poison = lambda line: line.seq == 2
        self.store.away_at = {2, 3, 5, 8}
        sending = self.send(lines(4))

        self.wait_long()

        self.successResultOf(sending)
        self.assertEqual(set(self.store.numbers), {1, 3, 4})
        self.assertEqual([seq for seq, _ in self.refused], [2])

    def test_our_own_fault_in_a_line_is_the_line_s(self) -> None:
        self.store.poison = lambda line: line.seq == 2
        self.store.error = lambda: KeyError("prompt")

        self.successResultOf(self.send(lines(3)))

        self.assertEqual(self.refused, [(2, "KeyError: 'prompt'")])
        self.assertIn("batch not written", said(self.log, "error"))

    def test_a_full_quarantine_holds_the_writer_up_and_loses_nothing(self) -> None:
        self.store.poison = lambda line: line.seq == 2
        full = True

        def refuse(line: JournalLine, reason: str) -> None:
            if full:
                raise QuarantineFull
            self.refused.append((line.seq, reason))

        sending = Deferred.fromCoroutine(self.batches.store(lines(3), refuse))
        self.wait_long()
        self.assertNoResult(sending)
        self.assertEqual(self.batches.problem, "the quarantine is full")
        full = False
        self.wait_long()

        self.successResultOf(sending)
        self.assertEqual(set(self.store.numbers), {1, 3})

    def test_unavailable_is_a_kind_of_store_error_that_is_no_refusal(self) -> None:
        self.store.poison = lambda _: True
        self.store.error = lambda: StoreUnavailable("disk full (53100)")
        self.send(lines(1))

        self.wait_long()

        self.assertEqual((self.refused, self.batches.problem), ([], "disk full (53100)"))
