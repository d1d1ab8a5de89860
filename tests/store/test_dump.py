"""Tests for bridge.store.dump, on real servers, with the programs in the wheel."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from twisted.internet import reactor

from bridge.store.dump import check_version, dump, holds_something, restore
from bridge.store.embedded.program import MAJOR_VERSION
from bridge.store.errors import StoreError
from bridge.store.migrations import migrate
from bridge.store.pool import Pool
from bridge.store.rows import many, none
from bridge.store.writes import write_batch
from tests.store.journalled import Maker, lines
from tests.support.cases import BridgeTestCase
from tests.support.postgres import SharedServer, StoreTestCase

_LEFT = """
SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace
UNION ALL SELECT p.proname FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace
UNION ALL SELECT t.typname FROM pg_type t WHERE t.typnamespace = 'public'::regnamespace
"""
_CONTENTS = "SELECT to_jsonb(i) FROM aibridge_interceptions i ORDER BY id"


class DumpTests(StoreTestCase):
    async def setUp(self) -> None:
        await super().setUp()
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.file = Path(holder.name) / "database.dump"

    async def record(self, seed: int) -> None:
        """Store an interception."""
        batch = lines(*Maker(seed).whole())
        await self.pool.transaction(lambda cursor: write_batch(cursor, batch))

    async def another(self) -> tuple[str, Pool]:
        """Return another database, empty."""
        dsn = await SharedServer.empty_database()
        pool = self.new_pool(dsn)
        await pool.start()
        self.addCleanup(lambda: SharedServer.drop(dsn))
        return dsn, pool

    async def ask(self, pool: Pool, sql: str) -> list[Any]:
        return await pool.transaction(lambda cursor: many(cursor, sql))

    async def test_a_dump_fills_an_empty_database(self) -> None:
        await self.record(1)
        await dump(reactor, self.pool, self.dsn, self.file)
        dsn, pool = await self.another()

        await restore(reactor, pool, dsn, self.file)

        self.assertEqual(await self.ask(pool, _CONTENTS), await self.ask(self.pool, _CONTENTS))
        self.assertEqual(await migrate(pool), 0)
        self.assertEqual(self.file.stat().st_mode & 0o777, 0o600)
        await pool.close()

    async def test_all_that_is_the_bridges_is_replaced_and_others_tables_stay(self) -> None:
        """Days, tables and functions that the dump does not know go too."""
        dsn, pool = await self.another()
        await pool.transaction(lambda cursor: none(cursor, "CREATE TABLE others (n integer)"))
        await dump(reactor, pool, dsn, self.file)
        await self.record(1)

        await restore(reactor, self.pool, self.dsn, self.file)

        left = [name for (name,) in await self.ask(self.pool, _LEFT)]
        self.assertEqual(sorted(left), ["_others", "others", "others"])
        await pool.close()

    async def test_a_restore_that_breaks_off_changes_nothing(self) -> None:
        await self.record(1)
        await dump(reactor, self.pool, self.dsn, self.file)
        before = await self.ask(self.pool, _CONTENTS)
        whole = self.file.read_bytes()
        self.file.write_bytes(whole[: len(whole) // 2])

        with self.assertRaises(StoreError) as failed:
            await restore(reactor, self.pool, self.dsn, self.file)

        self.assertIn("pg_restore failed", str(failed.exception))
        self.assertEqual(await self.ask(self.pool, _CONTENTS), before)

    async def test_a_restore_that_the_server_refuses_changes_nothing(self) -> None:
        """Another's table has the name of one of ours, and is no table."""
        await dump(reactor, self.pool, self.dsn, self.file)
        dsn, pool = await self.another()
        view = "CREATE VIEW aibridge_legs AS SELECT 1 AS n"
        await pool.transaction(lambda cursor: none(cursor, view))

        with self.assertRaises(StoreError) as failed:
            await restore(reactor, pool, dsn, self.file)

        self.assertIn("psql failed", str(failed.exception))
        self.assertEqual(await self.ask(pool, "SELECT * FROM aibridge_legs"), [(1,)])
        self.assertEqual(await self.ask(pool, "SELECT to_regclass('users')"), [(None,)])
        await pool.close()

    async def test_a_wrong_password_is_said_and_not_told(self) -> None:
        dsn = self.dsn.replace("@", "wrong@", 1)

        with self.assertRaises(StoreError) as failed:
            await dump(reactor, self.pool, dsn, self.file)

        self.assertIn("pg_dump failed", str(failed.exception))
        self.assertNotIn("wrong", str(failed.exception))

    async def test_what_nobody_could_give_back_is_noticed(self) -> None:
        self.assertFalse(await self.pool.transaction(holds_something))

        await self.record(1)

        self.assertTrue(await self.pool.transaction(holds_something))


class VersionTests(BridgeTestCase):
    def test_a_later_server_is_refused_with_a_sentence(self) -> None:
        check_version(MAJOR_VERSION)

        with self.assertRaises(StoreError) as refused:
            check_version(MAJOR_VERSION + 1)

        self.assertIn(f"PostgreSQL {MAJOR_VERSION + 1}", str(refused.exception))
