"""What is appended is on disk or refused: with a full disk, a failing one, a full journal."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from structlog.testing import CapturingLogger

from bridge.domain.clock import utc
from bridge.domain.errors import Unavailable
from bridge.domain.ids import uuid7
from bridge.domain.records import Record
from bridge.journal.appender import HOUSEKEEPING_SECONDS, PROBE_SECONDS, Journal
from bridge.journal.directory import save_checkpoint, segment_path, segments
from bridge.journal.reserve import RESERVE_BYTES
from bridge.journal.room import MEASURE_SECONDS
from bridge.recording.writer_directories import end_of
from tests.journal.samples import (
    NOW,
    BadDisk,
    all_lines,
    append_all,
    ended,
    new_journal,
    said,
    started,
    stored_kinds,
    tool,
)
from tests.support.cases import BridgeTestCase

_A = uuid7(NOW)
_B = uuid7(NOW)


class JournalCase(BridgeTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.root = self.temporary_directory() / "journal"
        self.log = CapturingLogger()
        self.disk = BadDisk()

    def journal(self, **options: object) -> Journal:
        journal = new_journal(
            self.root,
            self.clock,
            log=self.log,
            files=self.disk,
            **options,  # type: ignore[arg-type]
        )
        self.addCleanup(lambda: self.successResultOf(journal.close()))
        return journal

    def refused(self, journal: Journal, records: Sequence[Record], *, final: bool = False) -> None:
        with self.assertRaises(Unavailable):
            journal.append(records, final=final)

    def store_everything(self, directory: Path) -> None:
        """Do as if the writer had stored all of it."""
        save_checkpoint(directory, end_of(directory))


class AppendTests(JournalCase):
    def test_an_append_is_one_write(self) -> None:
        journal = self.journal()
        journal.append([started(_A)])
        before = segment_path(journal.directory, 1).stat().st_size

        self.disk.write_errors = []
        journal.append([tool(_A), ended(_A)])

        self.assertGreater(segment_path(journal.directory, 1).stat().st_size, before)
        self.assertEqual(
            stored_kinds(self.root), ["interception_started", "tool_usage", "interception_ended"]
        )

    def test_it_says_whether_something_had_to_be_replaced(self) -> None:
        journal = self.journal()

        self.assertFalse(journal.append([started(_A)]))
        self.assertTrue(journal.append([started(_B, prompt="a\0b")]))

    def test_nothing_to_append_writes_nothing(self) -> None:
        journal = self.journal()

        journal.append([])

        self.assertEqual(segments(journal.directory), [])

    def test_who_sends_records_on_is_told_of_each_append(self) -> None:
        told: list[int] = []
        journal = self.journal(on_append=lambda: told.append(1))

        append_all(journal, [started(_A), ended(_A)])

        self.assertEqual(len(told), 2)

    def test_segments_follow_each_other_and_name_what_is_open(self) -> None:
        journal = self.journal(segment_bytes=1000)

        append_all(journal, [started(_A), started(_B), ended(_B), tool(_A), tool(_A, 2)])

        last = segments(journal.directory)[-1]
        self.assertGreater(last, 1)
        head = next(line for line in all_lines(journal.directory) if line.segment == last)
        self.assertIn(str(_A).encode(), head.body)  # type: ignore[union-attr]
        self.assertNotIn(str(_B).encode(), head.body)  # type: ignore[union-attr]

    def test_files_are_private_whatever_the_umask(self) -> None:
        self.addCleanup(os.umask, os.umask(0))
        journal = self.journal()
        journal.append([started(_A)])

        modes = {stat.S_IMODE(path.stat().st_mode) for path in journal.directory.iterdir()}

        self.assertEqual(modes, {0o600})

    def test_closing_lets_the_next_process_in_and_takes_nothing_more(self) -> None:
        journal = self.journal()
        self.successResultOf(journal.close())

        self.refused(journal, [started(_A)], final=True)
        again = self.journal()

        self.assertEqual(again.directory, journal.directory)
        self.assertFalse(journal.accepting)

    def test_status_says_what_waits_since_when(self) -> None:
        journal = self.journal()
        journal.append([started(_A, NOW), ended(_A, NOW + 5)])

        status = journal.status()

        self.assertEqual(status.oldest_unsent_at, utc(NOW))
        self.assertEqual(status.unsent_bytes, status.bytes)
        self.assertTrue(status.accepting)
        self.assertIsNone(status.problem)

    def test_status_is_empty_when_all_is_stored(self) -> None:
        journal = self.journal()
        journal.append([started(_A), ended(_A)])
        self.store_everything(journal.directory)

        status = journal.status()

        self.assertEqual((status.unsent_bytes, status.oldest_unsent_at), (0, None))


class FullJournalTests(JournalCase):
    def fill(self, journal: Journal) -> None:
        while journal.accepting:
            journal.append([started(uuid7(NOW), prompt="p" * 5000)])

    def test_new_requests_are_refused_before_those_under_way(self) -> None:
        journal = self.journal(max_bytes=200_000, segment_bytes=50_000)
        self.fill(journal)

        journal.append([tool(_A)])

        self.assertFalse(journal.accepting)
        self.assertIn("the journal is full", journal.status().problem or "")

    def test_an_end_is_written_when_nothing_else_is(self) -> None:
        journal = self.journal(max_bytes=200_000, segment_bytes=50_000)
        self.fill(journal)
        self.refused(journal, [started(_A, prompt="p" * 100_000)])

        journal.append([ended(_A)], final=True)

        self.assertEqual(stored_kinds(self.root)[-1], "interception_ended")

    def test_kept_segments_are_given_up_before_anybody_is_refused(self) -> None:
        journal = self.journal(max_bytes=200_000, segment_bytes=50_000)
        self.fill(journal)
        self.store_everything(journal.directory)
        self.clock.advance(MEASURE_SECONDS)
        before = segments(journal.directory)

        self.assertTrue(journal.accepting)

        after = segments(journal.directory)
        self.assertLess(len(after), len(before))
        self.assertGreater(len(after), 1)  # no more than necessary

    def test_journals_of_other_processes_count(self) -> None:
        other = self.journal(max_bytes=1 << 30)
        journal = self.journal(max_bytes=200_000)
        self.assertTrue(journal.accepting)
        append_all(other, [started(_A, prompt="p" * 200_000)])

        self.clock.advance(MEASURE_SECONDS)

        self.assertFalse(journal.accepting)


class FullDiskTests(JournalCase):
    def test_a_short_write_leaves_nothing_behind(self) -> None:
        journal = self.journal()
        journal.append([started(_A)])
        size = segment_path(journal.directory, 1).stat().st_size
        self.disk.capacity = size + RESERVE_BYTES + 100

        self.refused(journal, [tool(_A), tool(_A, 2)])

        self.assertEqual(segment_path(journal.directory, 1).stat().st_size, size)
        self.assertEqual(said(self.log, "error")[-1], "journal takes no records")
        self.assertEqual(journal.status().problem, "the disk of the journal is full")

    def test_ends_take_the_reserved_space(self) -> None:
        journal = self.journal()
        journal.append([started(_A), started(_B)])
        self.disk.fill()
        self.refused(journal, [tool(_A)])

        journal.append([ended(_A)], final=True)
        journal.append([ended(_B)], final=True)

        self.assertEqual(
            stored_kinds(self.root), [*["interception_started"] * 2, *["interception_ended"] * 2]
        )
        self.assertFalse(journal.accepting)

    def test_an_end_that_cannot_be_written_at_all_is_refused(self) -> None:
        journal = self.journal()
        journal.append([started(_A)])
        self.disk.fill()
        self.refused(journal, [ended(_A, status="x" * 2 * RESERVE_BYTES)], final=True)
        self.disk.fill()

        self.refused(journal, [ended(_A)], final=True)

    def test_it_accepts_again_when_there_is_space_again(self) -> None:
        journal = self.journal()
        journal.append([started(_A)])
        self.disk.fill()
        self.refused(journal, [tool(_A)])
        journal.append([ended(_A)], final=True)
        self.disk.capacity = None

        too_early = journal.accepting
        self.clock.advance(PROBE_SECONDS)
        then = journal.accepting
        journal.append([started(_B)])

        self.assertEqual((too_early, then), (False, True))
        self.assertEqual((journal.directory / "reserve").stat().st_size, RESERVE_BYTES)
        self.assertIn("journal takes records again", said(self.log, "info"))

    def test_the_reserve_must_be_whole_before_anything_new_is_accepted(self) -> None:
        journal = self.journal()
        journal.append([started(_A)])
        self.disk.fill()
        self.refused(journal, [tool(_A)])
        journal.append([ended(_A)], final=True)
        assert self.disk.capacity is not None
        self.disk.capacity += 100

        self.clock.advance(PROBE_SECONDS)

        self.assertFalse(journal.accepting)

    def test_kept_segments_are_given_up_for_room_on_the_disk(self) -> None:
        journal = self.journal(segment_bytes=2000)
        append_all(journal, [tool(_A, text="x" * 3000) for _ in range(5)])
        self.store_everything(journal.directory)
        self.disk.write_errors = [errno.ENOSPC, errno.ENOSPC]

        journal.append([started(_B)])

        self.assertTrue(journal.accepting)
        self.assertLess(len(segments(journal.directory)), 6)

    def test_a_start_on_a_full_disk_refuses_requests_and_recovers(self) -> None:
        self.disk.capacity = 1000
        journal = self.journal()
        before = journal.accepting
        self.disk.capacity = None

        self.clock.advance(PROBE_SECONDS)

        self.assertEqual((before, journal.accepting), (False, True))

    def test_what_is_stored_is_given_up_while_requests_are_refused(self) -> None:
        """A bridge that is started on a disk full of stored segments must not wait for anybody."""
        journal = self.journal(segment_bytes=2 * RESERVE_BYTES)
        append_all(journal, [tool(_A, text="x" * RESERVE_BYTES) for _ in range(5)])
        self.disk.fill()
        self.refused(journal, [tool(_B, text="x" * RESERVE_BYTES)])
        self.clock.advance(PROBE_SECONDS)
        self.assertFalse(journal.accepting)

        self.store_everything(journal.directory)
        self.clock.advance(MEASURE_SECONDS)

        self.assertTrue(journal.accepting)
        self.assertEqual((journal.directory / "reserve").stat().st_size, RESERVE_BYTES)
        journal.append([started(_B)])

    def test_lines_after_the_fault_are_all_readable(self) -> None:
        journal = self.journal()
        journal.append([started(_A)])
        self.disk.capacity = segment_path(journal.directory, 1).stat().st_size + RESERVE_BYTES + 50
        self.disk.truncate_errors = [errno.EIO]
        self.refused(journal, [tool(_A)])
        self.disk.capacity = None
        self.clock.advance(PROBE_SECONDS)

        self.assertTrue(journal.accepting)
        journal.append([ended(_A)])

        self.assertEqual(stored_kinds(self.root), ["interception_started", "interception_ended"])


class BadDiskTests(JournalCase):
    def test_a_failing_file_is_followed_by_another_without_loss(self) -> None:
        journal = self.journal()
        journal.append([started(_A)])
        self.disk.write_errors = [errno.EIO]

        journal.append([ended(_A)])

        self.assertEqual(stored_kinds(self.root), ["interception_started", "interception_ended"])
        self.assertEqual(segments(journal.directory), [1, 2])
        self.assertTrue(journal.accepting)

    def test_a_failing_disk_refuses_and_is_looked_at_again(self) -> None:
        journal = self.journal()
        journal.append([started(_A)])
        self.disk.write_errors = [errno.EIO] * 2
        self.refused(journal, [tool(_A)])

        status = journal.status()
        self.clock.advance(PROBE_SECONDS)

        self.assertEqual(status.problem, "the disk of the journal fails: Input/output error")
        self.assertTrue(journal.accepting)

    def test_without_a_new_file_the_old_one_is_written_on(self) -> None:
        journal = self.journal(segment_bytes=700)
        journal.append([started(_A)])
        self.disk.write_errors = [errno.EIO]

        journal.append([ended(_A)])

        self.assertEqual(segments(journal.directory), [1])
        self.assertEqual(stored_kinds(self.root), ["interception_started", "interception_ended"])


class HousekeepingTests(JournalCase):
    def test_stored_segments_go_when_they_were_kept_long_enough(self) -> None:
        journal = self.journal(segment_bytes=1, keep_seconds=3600)
        append_all(journal, [started(_A), ended(_A)])
        self.store_everything(journal.directory)
        old = NOW - 7200
        os.utime(segment_path(journal.directory, 1), (old, old))

        self.clock.advance(HOUSEKEEPING_SECONDS)

        self.assertEqual(segments(journal.directory), [2])

    def test_what_is_not_stored_stays_however_old(self) -> None:
        journal = self.journal(segment_bytes=1, keep_seconds=0)
        append_all(journal, [started(_A), ended(_A)])

        self.clock.pump([HOUSEKEEPING_SECONDS] * 5)

        self.assertIn("interception_started", stored_kinds(self.root))

    def test_an_idle_journal_lets_go_of_contents(self) -> None:
        journal = self.journal(keep_seconds=120)
        append_all(journal, [started(_A), ended(_A)])
        self.clock.pump([HOUSEKEEPING_SECONDS] * 2)
        self.store_everything(journal.directory)
        for number in segments(journal.directory)[:-1]:
            os.utime(segment_path(journal.directory, number), (NOW, NOW))

        self.clock.pump([HOUSEKEEPING_SECONDS] * 2)

        self.assertEqual(stored_kinds(self.root), [])
