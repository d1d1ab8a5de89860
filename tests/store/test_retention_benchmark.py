"""The benchmark of retention, small: days are filled, given up by real passes, and looked at."""

from __future__ import annotations

import shutil
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from twisted.internet import reactor

from benchmarks import retention
from benchmarks.retention_fill import DETAILED_EVERY, fill
from bridge.store.partitions import stored_days
from tests.support.postgres import SharedServer, StoreTestCase

COUNT = 1000
DAYS = 5


class RetentionBenchmarkTests(StoreTestCase):
    """Needs the real reactor: a pass and the writer work on a real server."""

    timeout = 120

    async def test_each_pass_gives_up_one_day_and_all_of_its_room(self) -> None:
        last = datetime.now(UTC).date() - timedelta(days=1)
        await fill(self.pool, interceptions=COUNT, days=DAYS, last=last)
        (counts,) = await self.fetch(
            "SELECT (SELECT count(*) FROM aibridge_interceptions),"
            " (SELECT count(*) FROM aibridge_user_prompts),"
            " (SELECT sum(interceptions)::int FROM aibridge_sessions),"
            " (SELECT count(*) FROM aibridge_interceptions"
            "  WHERE day <> (started_at AT TIME ZONE 'UTC')::date)"
        )
        self.assertEqual(counts, (COUNT, COUNT // DETAILED_EVERY, COUNT, 0))
        empty_dsn = await SharedServer.new_database()
        empty = self.new_pool(empty_dsn)
        await empty.start()
        directory = Path(tempfile.mkdtemp(prefix="aibridge-test-journal-"))
        self.addCleanup(shutil.rmtree, directory)

        outcome = await retention.measure(
            reactor, self.pool, empty, directory / "journal", repetitions=1, written=20
        )

        self.assertEqual(outcome.stored, COUNT)
        self.assertEqual([each.interceptions for each in outcome.passes], [COUNT // DAYS])
        self.assertGreater(outcome.passes[0].partition_bytes, 0)
        kept = await self.pool.transaction(stored_days)
        # Two days went, and the writer and the passes made today's and tomorrow's.
        self.assertEqual(min(kept), last - timedelta(days=DAYS - 3))
        self.assertEqual(len(kept), DAYS - 2 + 2)
        ((found,),) = await self.fetch("SELECT count(*) FROM aibridge_interceptions")
        written = 2 * 20 + 5
        self.assertEqual(found, COUNT - 2 * COUNT // DAYS + written)
        names = [each.what for each in outcome.targets()]
        self.assertIn(f"retention of one day of {COUNT} interceptions", names)
