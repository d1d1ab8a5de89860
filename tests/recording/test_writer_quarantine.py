"""Lines put aside are kept whole, once, privately, within limits, and no longer than allowed."""

from __future__ import annotations

import stat
from datetime import timedelta

import msgspec

from bridge.domain.clock import utc
from bridge.domain.ids import day_of, uuid7
from bridge.journal.format import DamagedLine, JournalLine, decode_line, encode_line
from bridge.recording import quarantine as module
from bridge.recording.quarantine import Quarantine, Quarantined, QuarantineFull, quarantined
from tests.journal.samples import NOW, tool
from tests.support.cases import BridgeTestCase


class QuarantineTests(BridgeTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.root = self.temporary_directory()
        self.quarantine = Quarantine(root=self.root, clock=self.clock)
        self.raw = encode_line(tool(uuid7(NOW)), 5)[:-1]

    def line(self, at: float = NOW, text: str = "ls") -> JournalLine:
        found = decode_line(encode_line(tool(uuid7(at), text=text), 5)[:-1], 2, 300)
        assert isinstance(found, JournalLine)
        return found

    def test_a_line_is_kept_as_it_was_in_the_journal_with_what_is_known(self) -> None:
        line = decode_line(self.raw, 2, 300)
        assert isinstance(line, JournalLine)

        self.quarantine.put(line, directory="0001", reason="value out of range")

        ((path, entry),) = quarantined(self.root)
        self.assertEqual(path.read_bytes().split(b"\n")[1], self.raw)
        self.assertEqual(
            entry,
            Quarantined(
                reason="value out of range",
                quarantined_at=utc(NOW),
                directory="0001",
                segment=2,
                end_offset=300,
                kind="tool_usage",
                interception_id=line.interception_id,
                day=day_of(uuid7(NOW)),
            ),
        )

    def test_a_damaged_line_is_kept_byte_for_byte(self) -> None:
        self.quarantine.put(
            DamagedLine(b"\xff\0 bad", "wrong checksum", 1, 9), directory="0001", reason="torn"
        )

        ((path, entry),) = quarantined(self.root)
        self.assertEqual(path.read_bytes().split(b"\n", 1)[1], b"\xff\0 bad\n")
        self.assertEqual((entry.kind, entry.day), (None, None))

    def test_nobody_else_can_read_it(self) -> None:
        self.quarantine.put(self.line(), directory="0001", reason="no")

        ((path, _),) = quarantined(self.root)
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(path.parent.stat().st_mode), 0o700)

    def test_a_line_found_twice_is_there_once(self) -> None:
        line = self.line()

        first = self.quarantine.put(line, directory="0001", reason="no")
        second = self.quarantine.put(line, directory="0001", reason="no")

        self.assertEqual((first, second, self.quarantine.count), (True, False, 1))

    def test_what_was_there_before_the_start_counts(self) -> None:
        self.quarantine.put(self.line(), directory="0001", reason="no")

        self.assertEqual(Quarantine(root=self.root, clock=self.clock).count, 1)

    def test_it_is_bounded(self) -> None:
        text = "x" * (module.MAX_BYTES // 2)
        self.quarantine.put(self.line(text=text), directory="0001", reason="no")

        with self.assertRaises(QuarantineFull):
            self.quarantine.put(self.line(text=text), directory="0001", reason="no")

    def test_purging_makes_room_again(self) -> None:
        text = "x" * (module.MAX_BYTES // 2)
        self.quarantine.put(self.line(text=text), directory="0001", reason="no")

        gone = self.quarantine.purge(utc(NOW) + timedelta(days=2))

        self.assertEqual((gone, self.quarantine.count), (1, 0))
        self.assertTrue(self.quarantine.put(self.line(text=text), directory="0001", reason="no"))

    def test_a_line_belongs_to_the_day_of_its_interception(self) -> None:
        self.quarantine.put(self.line(NOW - 10 * 86400), directory="0001", reason="old")
        self.quarantine.put(self.line(NOW), directory="0001", reason="new")

        self.quarantine.purge(utc(NOW) - timedelta(days=5))

        self.assertEqual([entry.reason for _, entry in quarantined(self.root)], ["new"])

    def test_other_files_are_left_alone(self) -> None:
        self.quarantine.put(self.line(), directory="0001", reason="no")
        other = self.quarantine.directory / "notes.line"
        other.write_bytes(msgspec.json.encode({"mine": True}))

        self.quarantine.purge(utc(NOW) + timedelta(days=30))

        self.assertTrue(other.exists())
