"""Everything in any journal reaches the store, in batches, soon; the store may come and go."""

from __future__ import annotations

import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from structlog.testing import CapturingLogger
from twisted.internet.defer import Deferred

from bridge.domain.clock import utc
from bridge.domain.ids import uuid7
from bridge.journal.appender import Journal
from bridge.journal.directory import (
    WRITER_LOCK_NAME,
    claim_directory,
    directories,
    load_checkpoint,
    segment_path,
    segments,
    try_lock,
)
from bridge.journal.format import encode_line
from bridge.recording.writer import (
    BATCH_RECORDS,
    BATCH_SECONDS,
    FLUSH_SECONDS,
    LOCK_SECONDS,
    POLL_SECONDS,
    TIDY_SECONDS,
    Writer,
)
from bridge.recording.writer_batches import LONGEST_PAUSE_SECONDS
from bridge.store.errors import StoreUnavailable
from tests.journal.samples import (
    NOW,
    abandon,
    append_all,
    at_once,
    logger,
    new_journal,
    said,
    started,
    tool,
)
from tests.recording.writer_store import FakeStore
from tests.support.cases import BridgeTestCase


class WriterCase(BridgeTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.root = self.temporary_directory() / "journal"
        self.store = FakeStore()
        self.log = CapturingLogger()
        self.cutoff: datetime | None = None
        self.one = uuid7(NOW)

    def writer(self, **options: Any) -> Writer:
        writer = Writer(
            journal_root=self.root,
            pool=self.store,
            write_batch=self.store.write_batch,
            reactor=self.clock,
            log=logger(self.log),
            cutoff=lambda: self.cutoff,
            in_thread=at_once,
            **options,
        )
        self.addCleanup(self.stop, writer)
        return writer

    def running(self, **options: Any) -> Writer:
        writer = self.writer(**options)
        writer.start()
        return writer

    def stop(self, writer: Writer) -> None:
        stopping = Deferred.fromCoroutine(writer.stop())
        self.clock.advance(0)
        self.successResultOf(stopping)

    def journal(self, **options: Any) -> Journal:
        journal = new_journal(self.root, self.clock, **options)
        self.addCleanup(lambda: self.successResultOf(journal.close()))
        return journal

    def tools(self, count: int, identifier: UUID | None = None) -> list[Any]:
        return [tool(identifier or self.one, n) for n in range(1, count + 1)]

    def pass_time(self, seconds: float) -> None:
        self.clock.pump([0.01] * round(seconds / 0.01))

    def files(self, name: str) -> list[Path]:
        directory = self.root / name
        return sorted(directory.iterdir()) if directory.exists() else []


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

    def test_a_process_that_cannot_notify_is_polled(self) -> None:
        self.running()
        journal = self.journal()
        self.pass_time(1)
        journal.append(self.tools(1))

        self.pass_time(POLL_SECONDS + 2 * BATCH_SECONDS)

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


class OrphanTests(WriterCase):
    def orphan(self, **options: Any) -> Journal:
        journal = new_journal(self.root, self.clock, **options)
        self.addCleanup(journal._commit._close_ended)
        return journal

    def test_what_a_dead_process_left_is_stored_and_its_open_interception_ended(self) -> None:
        dead = self.orphan()
        append_all(dead, [started(self.one), tool(self.one)])
        abandon(dead)

        self.running()
        self.pass_time(1)

        kinds = [line.kind for line in self.store.lines]
        self.assertEqual(kinds, ["interception_started", "tool_usage", "interception_ended"])
        self.assertIn(b'"status":"lost"', self.store.lines[-1].body)
        self.assertIn(
            "interceptions of a process that is gone ended as lost", said(self.log, "warning")
        )

    def test_a_process_that_dies_later_is_noticed(self) -> None:
        dead = self.orphan()
        self.running()
        dead.append([started(self.one)])
        self.pass_time(1)
        abandon(dead)

        self.clock.pump([1.0] * 2 * round(TIDY_SECONDS))

        self.assertEqual(
            [line.kind for line in self.store.lines],
            ["interception_started", "interception_ended"],
        )

    def test_a_living_process_is_left_alone(self) -> None:
        journal = self.journal()
        self.running()
        journal.append([started(self.one)])

        self.clock.pump([1.0] * 2 * round(TIDY_SECONDS))

        self.assertEqual([line.kind for line in self.store.lines], ["interception_started"])

    def test_a_torn_tail_is_no_damage(self) -> None:
        dead = self.orphan()
        append_all(dead, self.tools(1))
        abandon(dead)
        with segment_path(dead.directory, 1).open("ab") as file:
            file.write(encode_line(tool(self.one), 9)[:-20])

        writer = self.running()
        self.pass_time(1)
        flushing = Deferred.fromCoroutine(writer.flush())
        self.pass_time(0.1)

        self.successResultOf(flushing)
        self.assertEqual(len(self.store.lines), 1)
        self.assertEqual(writer.status().quarantined, 0)

    def test_its_directory_goes_when_all_is_stored_and_was_kept(self) -> None:
        dead = self.orphan()
        append_all(dead, self.tools(3))
        abandon(dead)
        self.running(keep_seconds=3600)
        self.pass_time(1)
        kept = directories(self.root)
        for number in segments(dead.directory):
            os.utime(segment_path(dead.directory, number), (NOW - 7200, NOW - 7200))

        self.clock.pump([1.0] * 2 * round(TIDY_SECONDS))

        self.assertEqual((kept, directories(self.root)), ([dead.directory], []))

    def test_it_stays_while_it_is_not_stored(self) -> None:
        self.store.away = True
        dead = self.orphan()
        append_all(dead, self.tools(3))
        abandon(dead)
        os.utime(segment_path(dead.directory, 1), (NOW - 7200, NOW - 7200))
        self.running(keep_seconds=0)

        self.clock.pump([1.0] * 3 * round(TIDY_SECONDS))

        self.assertEqual(segments(dead.directory), [1])

    def test_between_two_looks_it_can_be_claimed_again(self) -> None:
        dead = self.orphan()
        append_all(dead, self.tools(3))
        abandon(dead)
        self.running()
        self.pass_time(1)

        directory, claim = claim_directory(self.root)

        self.assertEqual(directory, dead.directory)
        claim.release()


class BadLineTests(WriterCase):
    def test_a_damaged_line_is_put_aside_and_the_rest_stored(self) -> None:
        journal = self.journal()
        append_all(journal, self.tools(1))
        bad = bytearray(encode_line(tool(self.one), 2))
        bad[50] ^= 1
        with segment_path(journal.directory, 1).open("ab") as file:
            file.write(bytes(bad))
        append_all(journal, self.tools(1))
        writer = self.running()

        self.pass_time(1)

        self.assertEqual(len(self.store.lines), 2)
        self.assertEqual(writer.status().quarantined, 1)
        self.assertEqual(said(self.log, "error"), ["journal line quarantined"])
        (path,) = self.files("quarantine")
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
        self.assertIn(bytes(bad[:-1]), path.read_bytes())

    def test_a_line_that_the_store_refuses_is_put_aside_with_the_reason(self) -> None:
        journal = self.journal()
        append_all(journal, self.tools(20))
        self.store.poison = lambda line: b'"toolu_7"' in line.body
        writer = self.running()

        self.pass_time(1)

        (path,) = self.files("quarantine")
        self.assertIn(b'"reason":"no such column"', path.read_bytes())
        self.assertEqual(len(self.store.lines), 19)
        self.assertEqual(writer.status().behind_bytes, 0)

    def test_it_is_put_aside_once_however_often_it_is_read(self) -> None:
        journal = self.journal()
        append_all(journal, self.tools(20))
        self.store.poison = lambda line: b'"toolu_7"' in line.body
        first = self.running()
        self.pass_time(1)
        self.stop(first)
        (journal.directory / "checkpoint").unlink()

        second = self.running()
        self.pass_time(1)

        self.assertEqual(second.status().quarantined, 1)


class RetentionTests(WriterCase):
    def test_records_of_days_that_are_gone_are_not_stored(self) -> None:
        old = uuid7(NOW - 10 * 86400)
        journal = self.journal()
        append_all(journal, [tool(old), tool(self.one)])
        self.cutoff = utc(NOW) - timedelta(days=3)
        writer = self.running()

        self.pass_time(1)

        self.assertEqual([line.interception_id for line in self.store.lines], [self.one])
        self.assertEqual(writer.status().outdated, 1)
        self.assertEqual(writer.status().behind_bytes, 0)

    def test_purging_deletes_old_lines_put_aside_and_old_stored_segments(self) -> None:
        old = uuid7(NOW - 10 * 86400)
        journal = self.journal(segment_bytes=1)
        append_all(journal, [tool(self.one, 2), *self.tools(9), tool(old, 50), tool(self.one, 50)])
        self.store.poison = lambda line: b'"toolu_50"' in line.body
        writer = self.running()
        self.pass_time(5)
        self.assertEqual(writer.status().quarantined, 2)
        os.utime(segment_path(journal.directory, 1), (NOW - 9e5, NOW - 9e5))

        gone = self.result_of(writer.purge(utc(NOW - 86400)))

        self.assertEqual((gone, writer.status().quarantined), (1, 1))
        self.assertEqual(segments(journal.directory)[0], 2)

    def test_an_unreadable_line_goes_by_the_day_it_was_put_aside(self) -> None:
        journal = self.journal()
        append_all(journal, self.tools(1))
        with segment_path(journal.directory, 1).open("ab") as file:
            file.write(b"nonsense\n")
        writer = self.running()
        self.pass_time(1)

        first = self.result_of(writer.purge(utc(NOW - 1)))
        second = self.result_of(writer.purge(datetime(2030, 1, 1, tzinfo=UTC)))

        self.assertEqual((first, second), (0, 1))


class FaultTests(WriterCase):
    def test_a_checkpoint_that_cannot_be_written_stops_nothing(self) -> None:
        journal = self.journal()
        (journal.directory / "checkpoint.new").mkdir()
        append_all(journal, self.tools(2))
        writer = self.running()
        self.pass_time(1)
        append_all(journal, self.tools(1))
        self.pass_time(1)

        self.assertEqual(self.store.batches, [2, 1])
        self.assertIn("checkpoint cannot be written", writer.status().problem or "")
        (journal.directory / "checkpoint.new").rmdir()
        append_all(journal, self.tools(1))
        self.pass_time(1)

        self.assertIsNone(writer.status().problem)
        self.assertGreater(load_checkpoint(journal.directory).offset, 0)

    def test_a_fault_of_our_own_is_survived_and_nothing_skipped(self) -> None:
        journal = self.journal()
        append_all(journal, self.tools(2))
        failing = True

        def cutoff() -> datetime | None:
            if failing:
                raise RuntimeError("no database yet")
            return None

        writer = Writer(
            journal_root=self.root,
            pool=self.store,
            write_batch=self.store.write_batch,
            reactor=self.clock,
            log=logger(self.log),
            cutoff=cutoff,
            in_thread=at_once,
        )
        self.addCleanup(self.stop, writer)
        writer.start()
        self.pass_time(3)
        problem = writer.status().problem
        failing = False

        self.pass_time(2)

        self.assertIn("no database yet", problem or "")
        self.assertEqual(self.store.batches, [2])
        self.assertEqual(said(self.log, "error"), ["journal not stored"])
