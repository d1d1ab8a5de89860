"""A whole bridge blanks content that is over its time, and keeps what it cost."""

from __future__ import annotations

import tempfile
from contextlib import closing
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import psycopg2
from twisted.internet.threads import deferToThread

from bridge.store.writes import write_batch
from tests.store.journalled import Maker, lines
from tests.support.bridge_process import BridgeProcess, eventually
from tests.support.postgres import StoreTestCase

BLANKED_SECONDS = 60.0
DAY = timedelta(days=1)
_BLANK = "SELECT 1 FROM aibridge_interceptions WHERE content_blanked_at IS NOT NULL"


class ContentRetentionTests(StoreTestCase):
    """Needs the real reactor, because records are put into a real database beforehand."""

    async def test_content_of_old_days_goes_by_itself(self) -> None:
        """Of the day in which the time runs out, and of later ones, it stays."""
        ((now,),) = await self.fetch("SELECT now()")
        today = now.astimezone(UTC).date()
        maker = Maker()
        for days in (8, 7, 0):
            at = datetime.combine(today - days * DAY, time(0, 0, 30), UTC)
            batch = lines(*maker.whole(at))
            await self.pool.transaction(lambda cursor, batch=batch: write_batch(cursor, batch))  # type: ignore[misc]
        holder = tempfile.TemporaryDirectory(prefix="aibridge-test-")
        self.addCleanup(holder.cleanup)
        bridge = BridgeProcess(
            directory=Path(holder.name),
            settings={"database": self.dsn, "aibridge": {"content_retention": "7d"}},
        )
        self.addCleanup(deferToThread, bridge.close)

        await deferToThread(bridge.start)

        def blanked() -> bool:
            with closing(psycopg2.connect(self.dsn)) as connection, connection.cursor() as cursor:
                cursor.execute(_BLANK)
                return cursor.fetchone() is not None

        await deferToThread(eventually, blanked, seconds=BLANKED_SECONDS, what="blank content")
        rows = await self.fetch(
            "SELECT p.day, p.prompt <> '', t.output_tokens FROM aibridge_user_prompts p "
            "JOIN aibridge_token_usages t USING (interception_id) ORDER BY p.day"
        )
        self.assertEqual(
            [((today - day).days, kept, tokens) for day, kept, tokens in rows],
            [(8, False, 20), (7, True, 20), (0, True, 20)],
        )
