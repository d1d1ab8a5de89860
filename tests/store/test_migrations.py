"""The schema comes up to date once, whoever tries, and shuts out programs that are too old."""

from __future__ import annotations

from twisted.internet.defer import Deferred, gatherResults

from bridge.store.errors import SchemaTooNew, StoreError
from bridge.store.migrations import (
    SchemaFile,
    check_schema,
    migrate,
    schema_files,
    schema_status,
)
from tests.support.postgres import SharedServer, StoreTestCase

_FIRST = SchemaFile(version=1, name="0001_first.sql", sql="CREATE TABLE first (n integer)")
_SECOND = SchemaFile(
    version=2,
    name="0002_second.sql",
    sql="-- min_reader: 2\nCREATE TABLE second (n integer); INSERT INTO second VALUES (5 % 3)",
)
_BROKEN = SchemaFile(version=2, name="0002_broken.sql", sql="CREATE TABLE second (); SELECT 1/0")


class MigrationTests(StoreTestCase):
    """Begins with a database without any table."""

    async def setUp(self) -> None:
        await super().setUp()
        self.empty = await SharedServer.empty_database()
        self.addCleanup(lambda: Deferred.fromCoroutine(SharedServer.drop(self.empty)))
        self.migrated, self.pool = self.pool, self.new_pool(self.empty)
        self.addCleanup(self.migrated.close)
        await self.pool.start()

    async def test_every_file_is_applied_once(self) -> None:
        self.assertEqual(await migrate(self.pool, (_FIRST,)), 1)
        self.assertEqual(await migrate(self.pool, (_FIRST, _SECOND)), 1)
        self.assertEqual(await migrate(self.pool, (_FIRST, _SECOND)), 0)

        self.assertEqual(await self.fetch("SELECT n FROM second"), [(2,)])

    async def test_two_at_once_share_the_work(self) -> None:
        other = self.new_pool(self.empty)
        await other.start()
        files = (_FIRST, _SECOND)

        counts = await gatherResults(
            [Deferred.fromCoroutine(migrate(pool, files)) for pool in (self.pool, other)]
        )

        self.assertEqual(sum(counts), 2)

    async def test_failing_file_leaves_no_trace(self) -> None:
        failing = Deferred.fromCoroutine(migrate(self.pool, (_FIRST, _BROKEN)))

        error = await self.assertFailure(failing, StoreError)

        self.assertIn("0002_broken.sql", str(error))
        self.assertEqual(await self.fetch("SELECT to_regclass('second')"), [(None,)])
        self.assertEqual(await self.fetch("SELECT version FROM aibridge_schema_version"), [(1,)])

    async def test_older_program_is_shut_out_by_min_reader_only(self) -> None:
        harmless = SchemaFile(version=2, name="0002_harmless.sql", sql="SELECT 1")
        await migrate(self.pool, (_FIRST, harmless))
        self.assertEqual(await migrate(self.pool, (_FIRST,)), 0)
        self.assertFalse((await schema_status(self.pool, (_FIRST,))).too_new)

        barring = SchemaFile(version=3, name="0003_barring.sql", sql="-- min_reader: 3\nSELECT 1")
        await migrate(self.pool, (_FIRST, harmless, barring))

        refused = Deferred.fromCoroutine(migrate(self.pool, (_FIRST, harmless)))
        error = await self.assertFailure(refused, SchemaTooNew)
        self.assertIn("schema 3, which wants a program that knows 3", str(error))
        self.assertTrue((await schema_status(self.pool, (_FIRST, harmless))).too_new)

    async def test_status_of_an_empty_database_lists_all_as_pending(self) -> None:
        status = await schema_status(self.pool)

        self.assertEqual(status.database_version, 0)
        self.assertEqual(status.pending, tuple(file.name for file in schema_files()))
        self.assertGreaterEqual(int(status.server_version.partition(".")[0].split()[0]), 14)
        error = await self.assertFailure(
            Deferred.fromCoroutine(check_schema(self.pool)), StoreError
        )
        self.assertIn("aibridge db migrate", str(error))

    async def test_files_of_this_version_are_numbered_without_gap(self) -> None:
        numbers = [file.version for file in schema_files()]

        self.assertEqual(numbers, list(range(1, len(numbers) + 1)))
        await check_schema(self.migrated)

    async def test_every_column_has_a_comment(self) -> None:
        pool, self.pool = self.pool, self.migrated

        missing = await self.fetch(
            "SELECT c.relname || '.' || a.attname FROM pg_class c"
            " JOIN pg_attribute a ON a.attrelid = c.oid"
            " WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')"
            " AND NOT c.relispartition AND a.attnum > 0 AND NOT a.attisdropped"
            " AND col_description(c.oid, a.attnum) IS NULL"
        )

        self.pool = pool
        self.assertEqual(missing, [])
