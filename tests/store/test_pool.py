"""The pool on a real server; it needs the real reactor because txpostgres reads real sockets."""

from __future__ import annotations

from bridge.store.pool import Cursor
from bridge.store.rows import none, one
from tests.support.postgres import StoreTestCase


class TransactionTests(StoreTestCase):
    """What a transaction promises."""

    async def test_returned_work_is_committed(self) -> None:
        async def work(cursor: Cursor) -> int:
            await none(cursor, "CREATE TABLE kept (n integer)")
            return await none(cursor, "INSERT INTO kept VALUES (%s), (%s)", (1, 2))

        touched = await self.pool.transaction(work)

        self.assertEqual(touched, 2)
        self.assertEqual(await self.fetch("SELECT n FROM kept ORDER BY n"), [(1,), (2,)])

    async def test_second_uses_the_same_server(self) -> None:
        async def work(cursor: Cursor) -> str:
            (zone,) = await one(cursor, "SELECT current_setting('timezone')")
            return str(zone)

        self.assertEqual(await self.pool.transaction(work), "UTC")
