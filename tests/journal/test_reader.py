"""Reading behind an appender: whole lines only, whatever has reached the file so far."""

from __future__ import annotations

import os

from bridge.domain.clock import utc
from bridge.domain.ids import uuid7
from bridge.journal.directory import Checkpoint, save_checkpoint, segment_path
from bridge.journal.format import encode_line
from bridge.journal.reader import Tail, last_seq, lines_of, oldest_unsent, unsent_bytes
from tests.journal.samples import NOW, tool
from tests.support.cases import BridgeTestCase

_ID = uuid7(NOW)


class ReaderCase(BridgeTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.directory = self.temporary_directory()

    def write(self, number: int, data: bytes) -> None:
        with segment_path(self.directory, number).open("ab") as file:
            file.write(data)

    def lines(self, *seqs: int) -> bytes:
        return b"".join(encode_line(tool(_ID, seq, at=NOW + seq), seq) for seq in seqs)

    def drain(self, tail: Tail) -> tuple[list[int], list[str]]:
        seqs: list[int] = []
        reasons: list[str] = []
        while True:
            batch = tail.read(max_records=500)
            seqs += [line.seq for line in batch.lines]
            reasons += [line.reason for line in batch.damaged]
            if batch.caught_up:
                return seqs, reasons


class TailTests(ReaderCase):
    def test_a_line_is_read_once_when_its_last_byte_is_there(self) -> None:
        data = self.lines(1, 2)
        first = data.index(b"\n") + 1
        tail = Tail(directory=self.directory)
        seen = []
        for at in range(len(data)):
            self.write(1, data[at : at + 1])
            seen.append(self.drain(tail))
        tail.close()

        expected: list[tuple[list[int], list[str]]] = [([], [])] * len(data)
        expected[first - 1] = ([1], [])
        expected[-1] = ([2], [])
        self.assertEqual(seen, expected)

    def test_segments_are_read_in_order_whenever_they_appear(self) -> None:
        tail = Tail(directory=self.directory)
        self.write(1, self.lines(1))
        first = self.drain(tail)
        self.write(1, self.lines(2))
        self.write(4, self.lines(3))
        self.write(10, self.lines(4))

        second = self.drain(tail)

        self.assertEqual((first, second), (([1], []), ([2, 3, 4], [])))
        tail.close()

    def test_reading_goes_on_behind_a_damaged_line(self) -> None:
        bad = bytearray(self.lines(2))
        bad[40] ^= 1
        self.write(1, self.lines(1) + bytes(bad) + self.lines(3))
        tail = Tail(directory=self.directory)

        self.assertEqual(self.drain(tail), ([1, 3], ["wrong checksum"]))
        tail.close()

    def test_half_a_line_in_a_finished_segment_is_damage(self) -> None:
        self.write(1, self.lines(1) + self.lines(2)[:30])
        self.write(2, self.lines(3))
        tail = Tail(directory=self.directory)

        seqs, reasons = self.drain(tail)

        self.assertEqual(seqs, [1, 3])
        self.assertEqual(reasons, ["no end of line in a finished segment"])
        tail.close()

    def test_half_a_line_that_was_cut_off_after_it_was_read_is_nothing(self) -> None:
        whole = self.lines(1)
        self.write(1, whole + self.lines(2)[:30])
        tail = Tail(directory=self.directory)
        self.drain(tail)
        os.truncate(segment_path(self.directory, 1), len(whole))
        self.write(2, self.lines(2))

        self.assertEqual(self.drain(tail), ([2], []))
        tail.close()

    def test_a_line_longer_than_what_is_read_at_once_is_read(self) -> None:
        long = encode_line(tool(_ID, 1, text="x" * 5000), 1)
        self.write(1, long + self.lines(2))
        tail = Tail(directory=self.directory)
        seqs = []
        for _ in range(10):
            batch = tail.read(max_records=10, piece_bytes=1000)
            seqs += [line.seq for line in batch.lines]

        self.assertEqual(seqs, [1, 2])
        tail.close()

    def test_a_batch_has_no_more_records_than_asked_for(self) -> None:
        self.write(1, self.lines(1, 2, 3))
        tail = Tail(directory=self.directory)

        first = tail.read(max_records=2)
        second = tail.read(max_records=2)

        self.assertEqual([line.seq for line in first.lines], [1, 2])
        self.assertEqual([line.seq for line in second.lines], [3])
        tail.close()

    def test_reading_begins_at_the_checkpoint(self) -> None:
        first = self.lines(1)
        self.write(1, first + self.lines(2))
        save_checkpoint(self.directory, Checkpoint(segment=1, offset=len(first), seq=1))
        tail = Tail(directory=self.directory)

        self.assertEqual(self.drain(tail), ([2], []))
        self.assertEqual(tail.position.seq, 2)
        tail.close()

    def test_a_stored_segment_may_be_deleted_under_the_reader(self) -> None:
        self.write(1, self.lines(1))
        tail = Tail(directory=self.directory)
        self.drain(tail)
        self.write(2, self.lines(2))
        segment_path(self.directory, 1).unlink()

        self.assertEqual(self.drain(tail), ([2], []))
        tail.close()


class QuestionTests(ReaderCase):
    def test_last_seq_ignores_half_a_line(self) -> None:
        self.write(1, self.lines(1, 2) + self.lines(3)[:-5])

        self.assertEqual(last_seq(self.directory), 2)

    def test_last_seq_finds_a_line_behind_a_very_long_one(self) -> None:
        self.write(1, self.lines(7) + encode_line(tool(_ID, 8, text="x" * 300_000), 8)[:-5])

        self.assertEqual(last_seq(self.directory), 7)

    def test_last_seq_goes_back_to_the_segment_before(self) -> None:
        self.write(1, self.lines(5))
        self.write(2, b"")

        self.assertEqual(last_seq(self.directory), 5)

    def test_nothing_is_unsent_in_a_directory_that_is_gone(self) -> None:
        gone = self.directory / "gone"

        self.assertEqual(unsent_bytes(gone, Checkpoint()), 0)
        self.assertEqual(last_seq(gone), 0)
        self.assertIsNone(oldest_unsent(gone, Checkpoint()))

    def test_the_oldest_unsent_record_is_the_first_behind_the_checkpoint(self) -> None:
        first = self.lines(1)
        self.write(1, first + self.lines(2, 3))
        stored = Checkpoint(segment=1, offset=len(first), seq=1)

        self.assertEqual(oldest_unsent(self.directory, stored), utc(NOW + 2))
        self.assertEqual(unsent_bytes(self.directory, stored), len(self.lines(2, 3)))

    def test_all_whole_lines_of_a_segment_are_listed(self) -> None:
        self.write(1, self.lines(1, 2) + b"half")

        self.assertEqual(
            [line.end_offset for line in lines_of(self.directory, 1)][-1], len(self.lines(1, 2))
        )
