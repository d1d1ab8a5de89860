"""The setup page's promises of `retention`: how long records are kept, by each of its sources."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any

import psycopg2
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SkipTest

from bridge.store.partitions import TABLES
from bridge.store.writes import write_batch
from tests.acceptance.running import command, listed
from tests.store.journalled import Maker, lines
from tests.support.bridge_process import BridgeProcess, eventually
from tests.support.postgres import StoreTestCase

PASSED = "SELECT 1 FROM aibridge_retention WHERE last_pass_at IS NOT NULL"
DERIVED = """
SELECT 1 WHERE NOT EXISTS (SELECT FROM aibridge_usage_marks)
    AND NOT EXISTS (SELECT FROM aibridge_search_marks)
"""
PASS_SECONDS = 20.0
DAY = timedelta(days=1)


class RetentionTests(StoreTestCase):
    """Needs the real reactor, because records are put into a real database beforehand."""

    async def kept(
        self,
        days_ago: Sequence[int],
        retention: str | None,
        *,
        environment: Mapping[str, str] | None = None,
        flags: Sequence[str] = (),
    ) -> list[int]:
        """Start a bridge over records of so many days ago, and return of which days all are left.

        Each day has one interception with everything that belongs to it, from its first seconds.
        """
        today = await self.today()
        maker = Maker()
        for count in days_ago:
            at = datetime.combine(today - count * DAY, time(0, 0, 30), UTC)
            batch = lines(*maker.whole(at), maker.audit(at))
            await self.pool.transaction(lambda cursor, batch=batch: write_batch(cursor, batch))  # type: ignore[misc]
        self.bridge = self.new_bridge(retention, environment or {}, flags)
        await deferToThread(self.bridge.start)
        await self.passed(PASSED)
        await self.passed(DERIVED)
        left = {table: await self.days(table, today) for table in TABLES}
        if await self.today() != today:
            raise SkipTest("midnight has passed meanwhile")
        days = left["aibridge_interceptions"]
        # The first start of a bridge is written to the audit log, today.
        left["audit_log"] = sorted({*left["audit_log"]} - {0})
        expected = dict.fromkeys(TABLES, days) | {"audit_log": [d for d in days if d]}
        self.assertEqual(left, expected)
        return days

    def new_bridge(
        self, retention: str | None, environment: Mapping[str, str], flags: Sequence[str]
    ) -> BridgeProcess:
        holder = tempfile.TemporaryDirectory(prefix="aibridge-test-")
        self.addCleanup(holder.cleanup)
        settings: dict[str, Any] = {"database": self.dsn}
        if retention is not None:
            settings["aibridge"] = {"retention": retention}
        bridge = BridgeProcess(
            directory=Path(holder.name), settings=settings, environment=environment, flags=flags
        )
        self.addCleanup(deferToThread, bridge.close)
        return bridge

    async def today(self) -> Any:
        ((now,),) = await self.fetch("SELECT now()")
        return now.date()

    async def days(self, table: str, today: Any) -> list[int]:
        """Return the ages in days of a table's rows, one for each day that has any."""
        rows = await self.fetch(f"SELECT DISTINCT day FROM {table}")
        return sorted((today - day).days for (day,) in rows)

    async def passed(self, question: str) -> None:
        """Wait until the bridge has looked after the retention once, or made what it derives."""

        def there() -> bool:
            with closing(psycopg2.connect(self.dsn)) as connection, connection.cursor() as cursor:
                cursor.execute(question)
                return cursor.fetchone() is not None

        await deferToThread(eventually, there, seconds=PASS_SECONDS, what="the bridge's pass")

    async def test_sixty_days_are_kept_when_nobody_says_otherwise(self) -> None:
        """The day in which the time runs out is the last that stays."""
        self.assertEqual(await self.kept([61, 60, 59, 0], None), [0, 59, 60])

    async def test_ninety_days_by_flag(self) -> None:
        flags = ["--aibridge-retention", "90d"]

        self.assertEqual(await self.kept([91, 90, 61, 0], None, flags=flags), [0, 61, 90])

    async def test_ninety_days_by_environment(self) -> None:
        said = {"CODER_AIBRIDGE_RETENTION": "90d"}

        self.assertEqual(await self.kept([91, 90, 61, 0], None, environment=said), [0, 61, 90])

    async def test_ninety_days_by_file(self) -> None:
        self.assertEqual(await self.kept([91, 90, 61, 0], "90d"), [0, 61, 90])

    async def test_everything_is_kept_with_zero(self) -> None:
        self.assertEqual(await self.kept([400, 91, 61, 0], "0"), [0, 61, 91, 400])

    async def test_what_is_older_is_hidden_though_its_day_is_still_there(self) -> None:
        await self.kept([60, 59, 0], "60d")

        today = await self.today()

        def seen_by_an_auditor() -> set[str]:
            done = command(self.bridge, "user", "set-role", "admin", "auditor")
            assert done.returncode == 0, done.stderr
            found: set[str] = set()

            def anything() -> bool:
                found.update(each["started_at"][:10] for each in listed(self.bridge))
                return bool(found)

            eventually(anything, seconds=PASS_SECONDS, what="the role to count")
            return found

        shown = await deferToThread(seen_by_an_auditor)

        self.assertEqual(shown, {str(today - 59 * DAY), str(today)})
