"""After a crash: half a line goes, what was being served is ended as lost, counting goes on."""

from __future__ import annotations

from pathlib import Path

from structlog.testing import CapturingLogger

from bridge.domain.clock import utc
from bridge.domain.ids import uuid7
from bridge.domain.records import InterceptionEnded
from bridge.journal.adoption import adopt
from bridge.journal.directory import (
    Checkpoint,
    save_checkpoint,
    segment_path,
    segment_size,
    segments,
)
from bridge.journal.files import DiskFiles
from bridge.journal.format import JournalLine, encode_line
from bridge.journal.recovery import lost_ends, recover
from tests.journal.samples import (
    NOW,
    abandon,
    all_lines,
    ended,
    logger,
    new_journal,
    said,
    started,
    stored_kinds,
    tool,
)
from tests.support.cases import BridgeTestCase

_A, _B, _C = uuid7(NOW), uuid7(NOW), uuid7(NOW)


class RecoverTests(BridgeTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.directory = self.temporary_directory()

    def write(self, number: int, data: bytes) -> None:
        segment_path(self.directory, number).write_bytes(data)

    def test_at_every_cut_exactly_the_whole_lines_stay(self) -> None:
        first = encode_line(started(_A), 1)
        second = encode_line(ended(_A), 2)
        found = []
        for cut in range(len(second) + 1):
            self.write(1, first + second[:cut])
            recovered = recover(self.directory)
            found.append(
                (recovered.seq, len(recovered.open), recovered.cut, segment_size(self.directory, 1))
            )

        expected = [(1, 1, cut, len(first)) for cut in range(len(second))]
        expected.append((2, 0, 0, len(first) + len(second)))
        self.assertEqual(found, expected)

    def test_a_file_of_half_a_line_becomes_empty(self) -> None:
        self.write(1, b"\0" * 100_000)

        found = recover(self.directory)

        self.assertEqual((found.seq, found.open, found.cut), (0, {}, 100_000))
        self.assertEqual(segment_size(self.directory, 1), 0)

    def test_old_segments_are_never_written_again(self) -> None:
        self.write(3, encode_line(started(_A), 1))

        self.assertEqual(recover(self.directory).next_segment, 4)

    def test_counting_goes_on_when_all_segments_are_gone(self) -> None:
        save_checkpoint(self.directory, Checkpoint(segment=5, offset=10, seq=99))

        found = recover(self.directory)

        self.assertEqual((found.next_segment, found.seq), (6, 99))

    def test_an_empty_directory_begins_at_the_beginning(self) -> None:
        found = recover(self.directory)

        self.assertEqual((found.next_segment, found.seq, found.open), (1, 0, {}))

    def test_damage_in_the_middle_hides_nothing_else(self) -> None:
        bad = bytearray(encode_line(tool(_A), 2))
        bad[20] ^= 1
        self.write(
            1, encode_line(started(_A), 1) + bytes(bad) + encode_line(started(_B, NOW + 1), 3)
        )

        found = recover(self.directory)

        self.assertEqual(set(found.open), {_A, _B})
        self.assertEqual(found.seq, 3)

    def test_the_last_moment_known_is_that_of_the_last_record(self) -> None:
        self.write(
            1,
            encode_line(started(_A, NOW), 1)
            + encode_line(tool(_A, 1, NOW + 7), 2)
            + encode_line(started(_B, NOW + 9), 3),
        )

        found = recover(self.directory)

        self.assertEqual(found.open, {_A: utc(NOW + 7), _B: utc(NOW + 9)})

    def test_a_lost_end_says_what_is_not_known(self) -> None:
        self.write(1, encode_line(started(_A, NOW), 1))

        (end,) = lost_ends(recover(self.directory), NOW + 100)

        self.assertEqual((end.interception_id, end.status), (_A, "lost"))
        self.assertEqual(end.at, utc(NOW))
        self.assertEqual((end.http_status, end.duration_ms), (None, None))
        self.assertTrue(end.partially_observed)


class HeadTests(BridgeTestCase):
    """Segments name what is open, so older ones are not needed."""

    def setUp(self) -> None:
        super().setUp()
        self.root = self.temporary_directory()

    def rolled(self) -> Path:
        """Leave segments behind, the first of which began what is open."""
        journal = new_journal(self.root, self.clock, segment_bytes=1)
        for record in (started(_A), started(_B), ended(_B), tool(_C)):
            self.clock.advance(1)
            journal.append([record])
        abandon(journal)
        return journal.directory

    def test_what_began_in_a_deleted_segment_is_still_ended(self) -> None:
        directory = self.rolled()
        for number in segments(directory)[:-1]:
            segment_path(directory, number).unlink()

        found = recover(directory)

        self.assertEqual(found.open, {_A: utc(NOW + 4)})  # when the last segment began

    def test_a_segment_whose_head_is_torn_falls_back_on_the_one_before(self) -> None:
        directory = self.rolled()
        last = segments(directory)[-1]
        segment_path(directory, last + 1).write_bytes(b"1234 half a he")

        found = recover(directory)

        self.assertEqual(set(found.open), {_A})
        self.assertEqual(found.next_segment, last + 2)


class AdoptTests(BridgeTestCase):
    def test_what_was_open_is_ended_once_in_a_segment_of_its_own(self) -> None:
        log = CapturingLogger()
        root = self.temporary_directory()
        journal = new_journal(root, self.clock)
        journal.append([started(_A), started(_B), ended(_B)])
        abandon(journal)
        directory = journal.directory

        first = adopt(directory, clock=self.clock, files=DiskFiles(), log=logger(log))
        second = adopt(directory, clock=self.clock, files=DiskFiles(), log=logger(log))

        self.assertEqual((first, second), (1, 0))
        self.assertEqual(
            stored_kinds(root),
            ["interception_started"] * 2 + ["interception_ended"] * 2,
        )
        last = all_lines(directory)[-1]
        assert isinstance(last, JournalLine)
        self.assertEqual(last.interception_id, _A)
        self.assertIn(b'"status":"lost"', last.body)
        self.assertEqual(len(segments(directory)), 2)

    def test_the_next_owner_does_the_same_and_goes_on(self) -> None:
        log = CapturingLogger()
        root = self.temporary_directory()
        journal = new_journal(root, self.clock)
        journal.append([started(_A)])
        abandon(journal)
        with segment_path(journal.directory, 1).open("ab") as file:
            file.write(b"torn")

        again = new_journal(root, self.clock, log=log)
        again.append([started(_B), ended(_B)])

        self.assertEqual(again.directory, journal.directory)
        lines = [line for line in all_lines(again.directory) if isinstance(line, JournalLine)]
        self.assertEqual([line.seq for line in lines], [1, 2, 3, 4, 5, 6])
        self.assertEqual(InterceptionEnded.__struct_config__.tag, lines[3].kind)
        self.assertEqual(said(log, "warning"), ["open interceptions ended as lost"])
        self.successResultOf(again.close())
