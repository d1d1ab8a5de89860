"""Tests for bridge.store.partitions, on a real server."""

from __future__ import annotations

from datetime import date
from typing import Any

from twisted.internet.defer import Deferred, gatherResults

from bridge.store.connection import Cursor
from bridge.store.partitions import (
    TABLES,
    Attachment,
    ensure_days,
    neighbours,
    partition_name,
    partitions,
    stored_days,
)
from tests.support.postgres import StoreTestCase

TODAY = date(2026, 11, 24)
TOMORROW = date(2026, 11, 25)


class Partitions(StoreTestCase):
    """Days come and are found again."""

    async def ensure(self, *days: date) -> int:
        """Make the partitions of `days`."""
        return await self.pool.transaction(lambda cursor: ensure_days(cursor, days))

    async def test_a_new_day_is_made_in_all_tables_and_only_once(self) -> None:
        first = await self.ensure(TODAY)
        again = await self.ensure(TODAY)
        more = await self.ensure(TODAY, TOMORROW)

        self.assertEqual((first, again, more), (len(TABLES), 0, len(TABLES)))
        self.assertEqual(await self.pool.transaction(stored_days), [TOMORROW, TODAY])

    async def test_two_that_make_the_same_day_at_once_both_succeed(self) -> None:
        made: Any = await gatherResults(
            [Deferred.fromCoroutine(self.ensure(TODAY, TOMORROW)) for _ in range(3)]
        )

        self.assertEqual(sorted(made), [0, 0, 2 * len(TABLES)])

    async def test_a_reader_is_not_kept_waiting_while_a_day_is_being_made(self) -> None:
        await self.ensure(TODAY)

        async def make_and_meanwhile_read(cursor: Cursor) -> list[Any]:
            await ensure_days(cursor, [TOMORROW])
            return await other.transaction(_count, statement_seconds=2, read_only=True)

        other = self.new_pool()
        await other.start()

        self.assertEqual(await self.pool.transaction(make_and_meanwhile_read), [0])

    async def test_a_day_that_was_given_up_and_left_lying_is_made_anew(self) -> None:
        await self.ensure(TODAY)
        name = partition_name("aibridge_legs", TODAY)
        await self.pool.outside_transaction(
            f"ALTER TABLE aibridge_legs DETACH PARTITION {name} CONCURRENTLY"
        )
        loose = [
            each.table
            for each in await self.pool.transaction(partitions)
            if each.attachment is Attachment.LOOSE
        ]

        made = await self.ensure(TODAY)

        self.assertEqual((loose, made), (["aibridge_legs"], 1))

    async def test_a_foreign_table_with_such_a_name_is_not_ours(self) -> None:
        await self.fetch("CREATE TABLE something_p20261124 (); SELECT 1")
        await self.fetch("CREATE TABLE aibridge_legs_p20269999 (); SELECT 1")

        self.assertEqual(await self.pool.transaction(partitions), [])

    def test_a_span_at_the_end_of_the_calendar_is_cut(self) -> None:
        self.assertEqual(
            neighbours([date.min, date.max], before=31, after=31), (date.min, date.max)
        )


async def _count(cursor: Cursor) -> list[Any]:
    await cursor.execute("SELECT count(*) FROM aibridge_interceptions")
    return [row[0] for row in cursor.fetchall()]
