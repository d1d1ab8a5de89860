"""Journals of the dead, lines that nobody can use, records that are too old, disks that fail."""

from __future__ import annotations

import os
import stat
from datetime import UTC, datetime, timedelta
from typing import Any

from twisted.internet.defer import Deferred

from bridge.domain.clock import utc
from bridge.domain.ids import uuid7
from bridge.journal.appender import Journal
from bridge.journal.directory import (
    claim_directory,
    directories,
    load_checkpoint,
    segment_path,
    segments,
)
from bridge.journal.format import encode_line
from bridge.recording.writer import (
    TIDY_SECONDS,
    Writer,
)
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
from tests.recording.writer_case import WriterCase


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
