"""Records are on disk before anybody is told so, many at a time, and once more when fsync fails."""

from __future__ import annotations

import errno
from typing import Any

from structlog.testing import CapturingLogger
from twisted.internet.defer import CancelledError, Deferred

from bridge.domain.errors import Unavailable
from bridge.domain.ids import uuid7
from bridge.journal.appender import PROBE_SECONDS, Journal
from bridge.journal.commit import GROUP_SECONDS, REMEMBERED_BYTES, STUCK_SECONDS, UNWAITED_SECONDS
from bridge.journal.directory import segment_path, segments
from bridge.journal.format import JournalLine
from tests.journal.samples import (
    NOW,
    BadDisk,
    ManualThread,
    all_lines,
    ended,
    new_journal,
    said,
    started,
    stored_kinds,
    tool,
)
from tests.support.cases import BridgeTestCase

_A = uuid7(NOW)


class CommitCase(BridgeTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.root = self.temporary_directory() / "journal"
        self.log = CapturingLogger()
        self.disk = BadDisk()
        self.thread = ManualThread()

    def journal(self, fsync: str = "before_end", **options: Any) -> Journal:
        return new_journal(
            self.root,
            self.clock,
            log=self.log,
            files=self.disk,
            fsync=fsync,
            in_thread=self.thread.run,
            **options,
        )

    def inode(self, journal: Journal, number: int) -> int:
        return segment_path(journal.directory, number).stat().st_ino

    def finish_all(self) -> None:
        while self.thread.waiting:
            self.thread.finish()


class BeforeEndTests(CommitCase):
    def test_durable_fires_when_the_disk_has_it(self) -> None:
        journal = self.journal()
        journal.append([started(_A)])

        waiting = journal.durable()
        self.assertNoResult(waiting)
        self.thread.finish()

        self.successResultOf(waiting)
        self.assertEqual(self.disk.synced, [self.inode(journal, 1)])

    def test_nothing_to_wait_for_does_not_wait(self) -> None:
        journal = self.journal()
        journal.append([started(_A)])
        journal.durable()
        self.thread.finish()

        self.successResultOf(journal.durable())

        self.assertEqual(self.thread.waiting, [])

    def test_who_asks_while_the_disk_is_busy_shares_the_next(self) -> None:
        journal = self.journal()
        journal.append([started(_A)])
        first = journal.durable()
        later: list[Deferred[None]] = []
        for n in range(5):
            journal.append([tool(_A, n)])
            later.append(journal.durable())

        self.thread.finish()
        self.successResultOf(first)
        self.assertNoResult(later[0])
        self.assertEqual(len(self.thread.waiting), 1)
        self.thread.finish()

        for waiting in later:
            self.successResultOf(waiting)
        self.assertEqual(len(self.disk.synced), 2)

    def test_asking_during_an_fsync_for_nothing_new_waits_for_it(self) -> None:
        journal = self.journal()
        journal.append([started(_A)])
        first = journal.durable()
        second = journal.durable()

        self.thread.finish()
        self.finish_all()

        self.successResultOf(first)
        self.successResultOf(second)

    def test_a_segment_that_is_full_is_forced_to_disk_too(self) -> None:
        journal = self.journal(segment_bytes=1)
        journal.append([started(_A)])
        journal.append([ended(_A)])

        waiting = journal.durable()
        self.thread.finish()

        self.successResultOf(waiting)
        self.assertEqual(self.disk.synced, [self.inode(journal, 1), self.inode(journal, 2)])

    def test_a_client_that_leaves_does_not_disturb_the_others(self) -> None:
        journal = self.journal()
        journal.append([started(_A)])
        running = journal.durable()
        journal.append([tool(_A)])
        queued, other = journal.durable(), journal.durable()

        running.cancel()
        queued.cancel()
        self.failureResultOf(running, CancelledError)
        self.failureResultOf(queued, CancelledError)
        self.finish_all()

        self.successResultOf(other)

    def test_what_nobody_waits_for_is_forced_to_disk_a_little_later(self) -> None:
        journal = self.journal()
        journal.append([started(_A)])

        self.clock.advance(UNWAITED_SECONDS)

        self.assertEqual(len(self.thread.waiting), 1)

    def test_closing_forces_the_rest_to_disk(self) -> None:
        journal = self.journal()
        journal.append([started(_A)])

        closing = journal.close()
        self.assertNoResult(closing)
        self.thread.finish()

        self.successResultOf(closing)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class OtherModeTests(CommitCase):
    def test_under_group_nobody_waits_and_the_disk_has_it_soon(self) -> None:
        journal = self.journal("group")
        journal.append([started(_A)])

        self.successResultOf(journal.durable())
        self.assertEqual(self.thread.waiting, [])
        self.clock.advance(GROUP_SECONDS)

        self.assertEqual(len(self.thread.waiting), 1)

    def test_under_group_there_is_one_fsync_for_many_records(self) -> None:
        journal = self.journal("group")
        for n in range(10):
            journal.append([tool(_A, n)])
            self.clock.advance(GROUP_SECONDS / 20)
        self.clock.advance(GROUP_SECONDS)
        self.thread.finish()
        self.clock.advance(1)

        self.assertEqual(self.thread.waiting, [])

    def test_under_group_the_store_s_writer_can_wait_all_the_same(self) -> None:
        journal = self.journal("group")
        journal.append([started(_A)])

        waiting = journal.on_disk()
        self.assertNoResult(waiting)
        self.thread.finish()

        self.successResultOf(waiting)

    def test_under_never_there_is_none(self) -> None:
        journal = self.journal("never", segment_bytes=1)
        journal.append([started(_A)])
        journal.append([ended(_A)])

        self.successResultOf(journal.durable())
        self.clock.advance(10)
        self.successResultOf(journal.close())

        self.assertEqual(self.thread.waiting, [])


class FailingFsyncTests(CommitCase):
    def test_lines_are_written_again_into_a_new_file(self) -> None:
        journal = self.journal()
        journal.append([started(_A)])
        self.disk.sync_errors = [errno.EIO]
        waiting = journal.durable()
        journal.append([ended(_A)])

        self.thread.finish()
        self.assertNoResult(waiting)
        self.thread.finish()

        self.successResultOf(waiting)
        self.assertEqual(self.disk.synced, [self.inode(journal, 2)])
        seqs = [
            line.seq
            for line in all_lines(journal.directory)
            if isinstance(line, JournalLine) and line.segment == 2 and line.interception_id
        ]
        self.assertEqual(seqs, [2, 3])
        self.assertTrue(journal.accepting)
        self.assertIsNone(journal.status().problem)

    def test_the_failed_file_is_never_asked_again(self) -> None:
        journal = self.journal()
        journal.append([started(_A)])
        first = self.inode(journal, 1)
        self.disk.sync_errors = [errno.EIO]
        journal.durable()
        self.finish_all()

        journal.append([ended(_A)])
        journal.durable()
        self.finish_all()

        self.assertNotIn(first, self.disk.synced)
        self.assertEqual(segments(journal.directory), [1, 2])

    def test_a_disk_that_keeps_failing_withholds_ends_and_refuses_requests(self) -> None:
        journal = self.journal()
        journal.append([started(_A)])
        self.disk.sync_errors = [errno.EIO] * 2
        waiting = journal.durable()

        self.finish_all()

        self.failureResultOf(waiting, Unavailable)
        self.assertFalse(journal.accepting)
        self.assertIn("Input/output error", journal.status().problem or "")
        journal.append([ended(_A)], final=True)
        self.failureResultOf(journal.durable(), Unavailable)
        self.assertIn("journal could not be forced to disk", said(self.log, "error"))

    def test_a_disk_that_works_again_gets_what_it_missed(self) -> None:
        journal = self.journal()
        journal.append([started(_A)])
        self.disk.sync_errors = [errno.EIO] * 2
        failed = journal.durable()
        self.finish_all()
        self.failureResultOf(failed, Unavailable)

        self.clock.advance(PROBE_SECONDS)
        self.assertFalse(journal.accepting)
        self.finish_all()

        self.assertTrue(journal.accepting)
        newest = segments(journal.directory)[-1]
        self.assertEqual(self.disk.synced, [self.inode(journal, newest)])
        kinds = [
            line.kind
            for line in all_lines(journal.directory)
            if isinstance(line, JournalLine) and line.segment == newest
        ]
        # The head of the file that failed comes along; whoever reads skips it.
        self.assertEqual(kinds[-1], "interception_started")
        self.successResultOf(journal.durable())

    def test_a_full_disk_while_writing_again_is_a_problem_not_a_loss(self) -> None:
        journal = self.journal()
        journal.append([started(_A)])
        self.disk.sync_errors = [errno.EIO]
        waiting = journal.durable()
        self.disk.fill()
        self.finish_all()
        self.failureResultOf(waiting, Unavailable)
        self.disk.capacity = None

        self.clock.advance(PROBE_SECONDS)
        self.assertFalse(journal.accepting)
        self.finish_all()

        self.assertTrue(journal.accepting)
        self.assertEqual(stored_kinds(self.root), ["interception_started"] * 2)

    def test_a_disk_that_does_not_answer_is_not_waited_for_for_ever(self) -> None:
        journal = self.journal()
        journal.append([started(_A)])
        waiting = journal.durable()
        journal.append([tool(_A)])
        queued = journal.durable()

        self.clock.advance(STUCK_SECONDS)

        self.failureResultOf(waiting, Unavailable)
        self.failureResultOf(queued, Unavailable)
        self.assertFalse(journal.accepting)
        self.finish_all()
        self.assertTrue(journal.accepting)

    def test_what_is_no_longer_in_memory_is_admitted(self) -> None:
        journal = self.journal()
        half = "x" * (REMEMBERED_BYTES * 2 // 3)
        journal.append([tool(_A, 1, text=half)])
        journal.append([tool(_A, 2, text=half)])
        self.disk.sync_errors = [errno.EIO]

        waiting = journal.durable()
        self.finish_all()

        self.successResultOf(waiting)
        self.assertIn("may not survive a power cut", journal.status().problem or "")
        self.assertTrue(journal.accepting)
