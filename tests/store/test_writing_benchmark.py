"""The benchmark of journal and writer, small: what it appends is stored, and it counts that."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from unittest import TestCase

from twisted.internet import reactor

from benchmarks import journal
from benchmarks.journal import Stored
from benchmarks.report import target_lines
from benchmarks.writing import PROMPT_BYTES, Pace
from tests.support.postgres import StoreTestCase

COUNT = 100


class JournalBenchmarkTests(StoreTestCase):
    """Needs the real reactor: the writer works while the test waits."""

    connections = 8

    async def test_every_record_that_was_appended_is_found_in_the_database(self) -> None:
        directory = Path(tempfile.mkdtemp(prefix="aibridge-test-journal-"))
        self.addCleanup(shutil.rmtree, directory)
        root = directory / "journal"

        outcome = await journal.measure(
            reactor, self.pool, root, interceptions=COUNT, repetitions=1, server_pid=None
        )

        self.assertEqual(outcome.missing, 0)
        for pace in (*outcome.appended, outcome.alone[0].pace, outcome.followed[0].pace):
            self.assertGreater(pace.bytes, COUNT * PROMPT_BYTES)
            self.assertGreater(pace.per_second, 0.0)
        stored = await self.fetch(
            "SELECT count(*), min(octet_length(prompt)), max(octet_length(prompt)) "
            "FROM aibridge_user_prompts"
        )
        self.assertEqual(stored, [(COUNT * 2 + COUNT // 10, PROMPT_BYTES, PROMPT_BYTES)])


class TargetTests(TestCase):
    def test_what_is_missing_misses_its_target(self) -> None:
        pace = Pace(records=4000, seconds=0.1, bytes=4_000_000)
        stored = Stored(pace=pace, writer_cpu_microseconds=40.0, server_cpu_microseconds=70.0)
        outcome = journal.Outcome(
            appended=[pace, pace], alone=[stored], followed=[stored], missing=1
        )

        lines = target_lines(outcome.targets()).splitlines()

        self.assertEqual(
            lines[0],
            "reached   records appended: 40000 records/s (at least 20000; 40000 to 40000 in 2)",
        )
        self.assertEqual(lines[-1], "MISSED    records missing: 1 (at most 0)")
