"""Everything in any journal reaches the store, in batches, soon; the store may come and go."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail

from bridge.domain.clock import utc
from bridge.domain.errors import Unavailable
from bridge.journal.directory import (
    WRITER_LOCK_NAME,
    try_lock,
)
from bridge.recording.writer import (
    BATCH_APPENDS,
    BATCH_RECORDS,
    BATCH_SECONDS,
    FLUSH_SECONDS,
    LOCK_SECONDS,
    Writer,
)
from bridge.recording.writer_batches import LONGEST_PAUSE_SECONDS
from bridge.store.errors import StoreUnavailable
from tests.journal.samples import (
    NOW,
    append_all,
    said,
)
from tests.recording.writer_case import WriterCase


class FollowingTests(WriterCase):
    def test_a_notified_record_is_stored_within_a_batch_s_time(self) -> None:
        writer = self.writer()
        journal = self.journal(on_append=writer.notify)
        writer.start()
        self.pass_time(1)
        journal.append(self.tools(1))
        self.assertEqual(self.store.lines, [])

        self.pass_time(2 * BATCH_SECONDS + 0.02)

        self.assertEqual(len(self.store.lines), 1)

    def test_nothing_is_stored_that_a_power_cut_could_take_from_the_journal(self) -> None:
        """The store would have a beginning whose end nobody can write."""
        on_disk: Deferred[None] = Deferred()
        writer = self.writer()
        writer.store_after(lambda: on_disk)
        self.journal().append(self.tools(1))
        writer.start()
        self.pass_time(1)
        self.assertEqual(self.store.lines, [])

        on_disk.callback(None)
        self.pass_time(0.1)

        self.assertEqual(len(self.store.lines), 1)

    def test_a_disk_that_fails_does_not_keep_records_from_the_store(self) -> None:
        writer = self.writer()
        writer.store_after(lambda: fail(Unavailable("The disk fails.")))
        self.journal().append(self.tools(1))
        writer.start()

        self.pass_time(1)

        self.assertEqual(len(self.store.lines), 1)

    def test_records_that_come_together_are_one_transaction(self) -> None:
        writer = self.writer()
        journal = self.journal(on_append=writer.notify)
        writer.start()
        journal.append(self.tools(1))
        self.pass_time(1)
        for record in self.tools(5):
            journal.append([record])
            self.clock.advance(0.005)

        self.pass_time(1)

        self.assertEqual(self.store.batches, [1, 5])

    def test_many_appends_are_not_kept_waiting(self) -> None:
        writer = self.writer()
        journal = self.journal(on_append=writer.notify)
        writer.start()
        self.pass_time(3.2 * BATCH_SECONDS)
        for record in self.tools(BATCH_APPENDS - 1):
            journal.append([record])
        self.pass_time(0.02)
        few = len(self.store.lines)

        journal.append(self.tools(1))
        self.pass_time(0.02)

        self.assertEqual((few, len(self.store.lines)), (0, BATCH_APPENDS))

    def test_a_process_that_cannot_notify_is_polled(self) -> None:
        self.running()
        journal = self.journal()
        self.pass_time(1)
        journal.append(self.tools(1))

        self.pass_time(2 * BATCH_SECONDS)

        self.assertEqual(len(self.store.lines), 1)

    def test_all_journals_are_followed_those_that_come_later_too(self) -> None:
        first = self.journal()
        self.running()
        self.pass_time(1)
        second = self.journal()
        first.append(self.tools(1))
        second.append(self.tools(2))

        self.pass_time(1)

        self.assertEqual(sorted(self.store.batches), [1, 2])

    def test_a_large_backlog_is_stored_in_bounded_batches_without_pauses(self) -> None:
        journal = self.journal(segment_bytes=1 << 17)
        append_all(journal, self.tools(3 * BATCH_RECORDS))
        self.running()

        self.pass_time(1)

        self.assertEqual(len(self.store.lines), 3 * BATCH_RECORDS)
        self.assertLessEqual(max(self.store.batches), BATCH_RECORDS)

    def test_order_is_kept(self) -> None:
        journal = self.journal(segment_bytes=2000)
        append_all(journal, self.tools(50))
        self.running()

        self.pass_time(2)

        self.assertEqual(self.store.numbers, sorted(self.store.numbers))

    def test_what_is_stored_is_not_stored_again_after_a_restart(self) -> None:
        journal = self.journal()
        append_all(journal, self.tools(5))
        first = self.running()
        self.pass_time(1)
        self.stop(first)
        append_all(journal, self.tools(2))

        self.running()
        self.pass_time(1)

        self.assertEqual(self.store.batches, [5, 2])

    def test_a_crash_before_the_checkpoint_stores_again(self) -> None:
        journal = self.journal()
        append_all(journal, self.tools(5))
        first = self.running()
        self.pass_time(1)
        self.stop(first)
        (journal.directory / "checkpoint").unlink()

        self.running()
        self.pass_time(1)

        self.assertEqual(self.store.batches, [5, 5])

    def test_an_idle_writer_does_not_touch_the_store(self) -> None:
        self.journal()
        self.running()

        self.pass_time(60)

        self.assertEqual(self.store.attempts, 0)


class AwayTests(WriterCase):
    def test_an_absent_store_costs_nothing_but_time(self) -> None:
        self.store.away = True
        writer = self.running()
        journal = self.journal(segment_bytes=5000)
        append_all(journal, self.tools(100))
        self.pass_time(20)
        status = writer.status()
        self.store.away = False

        self.pass_time(LONGEST_PAUSE_SECONDS + 2)

        self.assertEqual(status.problem, "The database cannot be reached.")
        self.assertEqual(status.oldest_unsent_at, utc(NOW))
        self.assertGreaterEqual(status.behind_records, 100)
        self.assertEqual(len(self.store.lines), 100)
        self.assertEqual((writer.status().problem, writer.status().behind_bytes), (None, 0))

    def test_stopping_while_it_is_away_is_quick(self) -> None:
        self.store.away = True
        writer = self.running()
        self.journal().append(self.tools(1))
        self.pass_time(5)

        self.stop(writer)

        self.assertEqual(self.clock.getDelayedCalls()[1:], [])  # the journal's housekeeping stays


class FlushTests(WriterCase):
    def flush(self, writer: Writer, **options: Any) -> Deferred[None]:
        return Deferred.fromCoroutine(writer.flush(**options))

    def test_flush_returns_when_all_there_was_is_stored(self) -> None:
        writer = self.running()
        journal = self.journal()
        append_all(journal, self.tools(3))

        flushing = self.flush(writer)
        self.assertNoResult(flushing)
        self.clock.pump([0.001] * 5)

        self.successResultOf(flushing)
        self.assertEqual(len(self.store.lines), 3)

    def test_flush_of_nothing_returns(self) -> None:
        writer = self.running()

        flushing = self.flush(writer)
        self.clock.pump([0.001] * 3)

        self.successResultOf(flushing)

    def test_flush_gives_up_while_the_store_is_away(self) -> None:
        self.store.away = True
        writer = self.running()
        self.journal().append(self.tools(1))

        flushing = self.flush(writer)
        self.pass_time(FLUSH_SECONDS + 1)

        error = self.failureResultOf(flushing, StoreUnavailable).value
        self.assertIn("The database cannot be reached.", str(error))

    def test_flush_ends_when_the_writer_stops(self) -> None:
        self.store.away = True
        writer = self.running()
        self.journal().append(self.tools(1))
        flushing = self.flush(writer)

        self.stop(writer)

        self.failureResultOf(flushing, StoreUnavailable)

    def test_flush_sees_what_another_process_stores(self) -> None:
        writer = self.running()
        second = self.running()
        self.pass_time(1)
        self.journal().append(self.tools(1))

        flushing = self.flush(second)
        self.pass_time(1)

        self.successResultOf(flushing)
        self.assertTrue(writer.status().writing)


class LockTests(WriterCase):
    def test_only_one_writes_and_the_other_takes_over(self) -> None:
        first = self.running()
        second = self.running()
        journal = self.journal()
        journal.append(self.tools(1))
        self.pass_time(1)
        before = (first.status().writing, second.status().writing)
        self.stop(first)

        journal.append(self.tools(1))
        self.pass_time(LOCK_SECONDS + 1)

        self.assertEqual(before, (True, False))
        self.assertTrue(second.status().writing)
        self.assertEqual(self.store.batches, [1, 1])

    def test_waiting_for_the_lock_is_said_once(self) -> None:
        self.root.mkdir(parents=True)
        held = try_lock(self.root / WRITER_LOCK_NAME)
        assert held is not None
        self.running()

        self.clock.pump([LOCK_SECONDS] * 5)

        self.assertEqual(
            said(self.log, "info"), ["another process writes this journal to the store"]
        )
        held.release()
