"""A process killed in the middle of appending loses nothing that it had appended.

Real processes, because nothing else is killed like one; no reactor.
"""

from __future__ import annotations

import msgspec
from structlog.testing import CapturingLogger

from bridge.domain.records import AnyRecord, InterceptionEnded, ToolUsageRecorded
from bridge.journal.directory import segments, try_claim
from bridge.journal.format import SEGMENT_OPENED, JournalLine
from tests.journal.samples import all_lines, killed_process, new_journal
from tests.support.cases import BridgeTestCase


class CrashTests(BridgeTestCase):
    def test_a_killed_process_loses_nothing_and_its_open_interception_is_ended(self) -> None:
        root = self.temporary_directory() / "journal"
        identifier, appended = killed_process(root, 500)

        heir = new_journal(root, self.clock, log=CapturingLogger())

        self.assertGreater(len(segments(heir.directory)), 2)
        decoder = msgspec.json.Decoder(AnyRecord)
        records = []
        for line in all_lines(heir.directory):
            assert isinstance(line, JournalLine), line
            if line.kind != SEGMENT_OPENED:
                records.append(decoder.decode(line.body))
        numbers = [record.n for record in records if isinstance(record, ToolUsageRecorded)]
        self.assertEqual(numbers, list(range(1, len(numbers) + 1)))
        self.assertGreaterEqual(len(numbers), appended)
        (end,) = [record for record in records if isinstance(record, InterceptionEnded)]
        self.assertEqual((end.interception_id, end.status), (identifier, "lost"))
        self.successResultOf(heir.close())

    def test_a_living_process_keeps_its_directory(self) -> None:
        root = self.temporary_directory() / "journal"
        journal = new_journal(root, self.clock)

        self.assertIsNone(try_claim(journal.directory))

        self.successResultOf(journal.close())
