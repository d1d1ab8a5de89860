"""A process killed in the middle of appending loses nothing that it had appended.

Real processes, because nothing else is killed like one; no reactor.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from uuid import UUID

import msgspec
from structlog.testing import CapturingLogger

from bridge.domain.records import AnyRecord, InterceptionEnded, ToolUsageRecorded
from bridge.journal.directory import segments, try_claim
from bridge.journal.format import SEGMENT_OPENED, JournalLine
from tests.journal.samples import all_lines, new_journal
from tests.support.cases import BridgeTestCase

_PROJECT = Path(__file__).parents[2]


class CrashTests(BridgeTestCase):
    def killed_after(self, root: Path, records: int) -> tuple[UUID, int]:
        """Return the open interception, and the last number that the child said it had appended."""
        child = subprocess.Popen(
            [sys.executable, "-m", "tests.journal.appending_child", str(root)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=_PROJECT,
            env={"PYTHONPATH": f"{_PROJECT / 'src'}:{_PROJECT}"},
        )
        assert child.stdout is not None
        with child:
            identifier = UUID(child.stdout.readline().strip())
            for _ in range(records):
                child.stdout.readline()
            child.kill()
            said = child.stdout.read().split()
        return identifier, int(said[-1]) if said else records

    def test_a_killed_process_loses_nothing_and_its_open_interception_is_ended(self) -> None:
        root = self.temporary_directory() / "journal"
        identifier, appended = self.killed_after(root, 500)

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
