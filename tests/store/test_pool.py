"""The pool on a real server; it needs the real reactor because txpostgres reads real sockets."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from unittest import SkipTest
from urllib.parse import unquote

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater

from bridge.store.errors import ServerTooOld, StoreError, StoreUnavailable, WrongPassword
from bridge.store.pool import Cursor
from bridge.store.rows import many, maybe, none, one
from tests.support.oldserver import old_server
from tests.support.postgres import StoreTestCase

_TERMINATE_OTHERS = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


class TransactionTests(StoreTestCase):
    """What a transaction promises."""

    async def setUp(self) -> None:
        await super().setUp()
        await self.fetch("CREATE TABLE kept (n integer UNIQUE)")

    async def kept(self) -> list[int]:
        return [n for (n,) in await self.fetch("SELECT n FROM kept ORDER BY n")]

    async def test_returned_work_is_committed(self) -> None:
        async def work(cursor: Cursor) -> int:
            return await none(cursor, "INSERT INTO kept VALUES (%s), (%s)", (1, 2))

        touched = await self.pool.transaction(work)

        self.assertEqual(touched, 2)
        self.assertEqual(await self.kept(), [1, 2])

    async def test_raising_work_is_undone(self) -> None:
        async def work(cursor: Cursor) -> None:
            await none(cursor, "INSERT INTO kept VALUES (1)")
            raise KeyError("changed my mind")

        await self.assertFailure(_started(self.pool.transaction(work)), KeyError)

        self.assertEqual(await self.kept(), [])

    async def test_failed_statement_passed_over_commits_nothing(self) -> None:
        async def work(cursor: Cursor) -> None:
            await none(cursor, "INSERT INTO kept VALUES (1)")
            try:
                await none(cursor, "SELECT 1/0")
            except StoreError:
                return

        await self.assertFailure(_started(self.pool.transaction(work)), StoreError)

        self.assertEqual(await self.kept(), [])

    async def test_read_only_cannot_write(self) -> None:
        async def work(cursor: Cursor) -> None:
            await none(cursor, "INSERT INTO kept VALUES (1)")

        refused = self.pool.transaction(work, read_only=True)

        await self.assertFailure(_started(refused), StoreUnavailable)
        self.assertEqual(await self.kept(), [])

    async def test_cancelled_waiter_leaves_the_transaction_whole(self) -> None:
        over: Deferred[None] = Deferred()

        async def work(cursor: Cursor) -> None:
            await none(cursor, "INSERT INTO kept VALUES (1)")
            await none(cursor, "SELECT pg_sleep(0.1)")
            await none(cursor, "INSERT INTO kept VALUES (2)")
            reactor.callLater(0, over.callback, None)

        waiter = _started(self.pool.transaction(work))
        waiter.cancel()
        await self.assertFailure(waiter, CancelledError)
        await over

        self.assertEqual(await self.kept(), [1, 2])

    async def test_data_that_can_never_be_stored_is_told_apart(self) -> None:
        for statement, value in (
            ("INSERT INTO kept VALUES (%s)", "eleven"),
            ("INSERT INTO kept VALUES (%s)", 2**40),
            ("SELECT %s::text", "a\0b"),
            ("SELECT %s", object()),
        ):
            failed = _started(self.fetch(statement, value))
            error = await self.assertFailure(failed, StoreError)
            self.assertNotIsInstance(error, StoreUnavailable)

    async def test_missing_table_may_come_later(self) -> None:
        await self.assertFailure(_started(self.fetch("SELECT 1 FROM nowhere")), StoreUnavailable)

    async def test_slow_statement_is_ended_by_the_server(self) -> None:
        pool = self.new_pool(statement_seconds=0.1)
        await pool.start()

        async def sleep(cursor: Cursor) -> None:
            await none(cursor, "SELECT pg_sleep(30)")

        error = await self.assertFailure(_started(pool.transaction(sleep)), StoreUnavailable)

        self.assertIn("longer than 0.1 s", str(error))

    async def test_another_limit_holds_for_one_transaction_only(self) -> None:
        async def limit(cursor: Cursor) -> str:
            return str((await one(cursor, "SELECT current_setting('statement_timeout')"))[0])

        self.assertEqual(await self.pool.transaction(limit, statement_seconds=0), "0")
        self.assertEqual(await self.pool.transaction(limit), "10s")

    async def test_more_transactions_than_connections_take_turns(self) -> None:
        def insert(n: int) -> Deferred[int]:
            return _started(
                self.pool.transaction(lambda c: none(c, "INSERT INTO kept VALUES (%s)", (n,)))
            )

        for waiting in [insert(n) for n in range(10)]:
            await waiting

        self.assertEqual(await self.kept(), list(range(10)))

    async def test_statement_outside_a_transaction_runs(self) -> None:
        await self.pool.outside_transaction("VACUUM kept")

        refused = _started(self.pool.outside_transaction("VACUUM nowhere"))

        await self.assertFailure(refused, StoreUnavailable)
        self.assertEqual(await self.fetch("SHOW statement_timeout"), [("10s",)])

    async def test_rows_come_in_the_cardinality_asked_for(self) -> None:
        async def work(cursor: Cursor) -> None:
            self.assertEqual(await one(cursor, "SELECT 1, 2"), (1, 2))
            self.assertIsNone(await maybe(cursor, "SELECT 1 WHERE false"))
            self.assertEqual(await many(cursor, "SELECT generate_series(1, 2)"), [(1,), (2,)])
            try:
                await maybe(cursor, "SELECT generate_series(1, 2)")
            except StoreError as error:
                self.assertIn("2 rows", str(error))
            await one(cursor, "SELECT 1 WHERE false")

        await self.assertFailure(_started(self.pool.transaction(work)), StoreError)


class ReconnectionTests(StoreTestCase):
    """A server that goes away comes back without anybody's help."""

    async def end_all(self) -> None:
        other = self.new_pool()
        await other.start()
        await other.transaction(lambda cursor: one(cursor, _TERMINATE_OTHERS))
        await other.close()

    async def test_connection_ended_while_idle_is_replaced(self) -> None:
        await self.end_all()

        self.assertEqual(await self.fetch("SELECT 1"), [(1,)])
        self.assertTrue(self.pool.connected)

    async def test_connection_ended_in_a_transaction_fails_that_one_only(self) -> None:
        async def work(cursor: Cursor) -> None:
            await self.end_all()
            await one(cursor, "SELECT 1")

        await self.assertFailure(_started(self.pool.transaction(work)), StoreUnavailable)

        self.assertEqual(await self.fetch("SELECT 1"), [(1,)])

    async def test_start_without_server_connects_when_it_comes(self) -> None:
        directory = re.search(r"host=([^&]*)", self.dsn)
        if directory is None:
            raise SkipTest("the server has no socket")
        place = Path(tempfile.mkdtemp())
        self.addCleanup(place.rmdir)
        socket_directory = unquote(directory.group(1))
        link = place / "link"
        pool = self.new_pool(self.dsn.replace(directory.group(), f"host={link}"))

        await self.assertFailure(_started(pool.start()), StoreUnavailable)
        self.assertFalse(pool.connected)
        self.assertIn("cannot be reached", pool.problem or "")
        link.symlink_to(socket_directory)
        self.addCleanup(link.unlink)
        await pool.when_connected()

        self.assertTrue(pool.connected)
        self.assertIsNone(pool.problem)
        await pool.close()

    async def test_transaction_on_a_closed_pool_is_refused(self) -> None:
        await self.pool.close()

        await self.assertFailure(_started(self.fetch("SELECT 1")), StoreUnavailable)


class StartTests(StoreTestCase):
    """What stops a start, and in which words."""

    async def test_wrong_password_is_named_without_showing_it(self) -> None:
        user, _, secret = self.dsn.partition("//")[2].partition("@")[0].partition(":")
        pool = self.new_pool(self.dsn.replace(secret, "swordfish"))

        error = await self.assertFailure(_started(pool.start()), WrongPassword)

        self.assertIn(f"{user}@", str(error))
        self.assertNotIn("swordfish", str(error) + repr(pool) + error.message)

    async def test_missing_database_is_not_waited_for(self) -> None:
        pool = self.new_pool(self.dsn.replace("/test_", "/nowhere_"))

        error = await self.assertFailure(_started(pool.start()), StoreError)

        self.assertNotIsInstance(error, StoreUnavailable)
        self.assertIn("does not exist", str(error))

    async def test_server_before_14_is_refused(self) -> None:
        port = old_server(reactor, "13.9")
        self.addCleanup(port.stopListening)
        pool = self.new_pool(f"postgresql://u:p@127.0.0.1:{port.getHost().port}/d")

        error = await self.assertFailure(_started(pool.start()), ServerTooOld)

        self.assertIn("PostgreSQL 13; 14 or later is needed", str(error))

    async def test_closed_port_is_unreachable(self) -> None:
        port = old_server(reactor, "13.9")
        number = port.getHost().port
        await port.stopListening()
        pool = self.new_pool(f"postgresql://u:secret@127.0.0.1:{number}/d")

        error = await self.assertFailure(_started(pool.start()), StoreUnavailable)
        await pool.close()

        self.assertIn(f"u@127.0.0.1:{number}/d cannot be reached", str(error))
        self.assertNotIn("secret", str(error))

    async def test_unknown_host_is_unreachable(self) -> None:
        pool = self.new_pool("postgresql://u:secret@nowhere.invalid/d")

        error = await self.assertFailure(_started(pool.start()), StoreUnavailable)
        await pool.close()

        self.assertIn("nowhere.invalid", str(error))

    async def test_host_name_is_looked_up(self) -> None:
        port = old_server(reactor, "13.9")
        self.addCleanup(port.stopListening)
        pool = self.new_pool(f"postgresql://u:p@localhost:{port.getHost().port}/d")

        await self.assertFailure(_started(pool.start()), ServerTooOld)

    async def test_server_that_says_nothing_does_not_hold_up_closing(self) -> None:
        port = old_server(reactor, None)
        self.addCleanup(port.stopListening)
        pool = self.new_pool(f"postgresql://u:p@127.0.0.1:{port.getHost().port}/d")
        starting = _started(pool.start())
        await deferLater(reactor, 0)

        await pool.close()

        await self.assertFailure(starting, StoreUnavailable)

    def test_unreadable_address_is_not_quoted(self) -> None:
        error = self.assertRaises(StoreError, self.new_pool, "postgresql://u:se%zzcret@h/d")

        self.assertNotIn("cret", str(error))


class ListenTests(StoreTestCase):
    """Notifications arrive, and a gap in listening is told."""

    async def test_listener_hears_changes_and_new_connections(self) -> None:
        heard = _Bell()
        self.pool.listen("things", heard.ring)
        await heard.rings(1)  # it listens from now on

        await self.fetch("NOTIFY things")
        await heard.rings(2)
        await self.fetch(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%%'"
            " AND datname = current_database()"
        )
        await heard.rings(3)
        await self.fetch("NOTIFY things")
        await heard.rings(4)

    async def test_second_channel_is_heard_too(self) -> None:
        first, second = _Bell(), _Bell()
        self.pool.listen("things", first.ring)
        self.pool.listen("others", second.ring)
        await second.rings(1)

        await self.fetch("NOTIFY others")
        await second.rings(2)


class _Bell:
    """Counts, and lets a test wait for a count."""

    def __init__(self) -> None:
        self.count = 0
        self._waiting: tuple[int, Deferred[None]] | None = None

    def ring(self) -> None:
        self.count += 1
        if self._waiting is not None and self.count >= self._waiting[0]:
            waiting, self._waiting = self._waiting[1], None
            reactor.callLater(0, waiting.callback, None)

    async def rings(self, count: int) -> None:
        if self.count < count:
            self._waiting = (count, Deferred())
            await self._waiting[1]


def _started(work: object) -> Deferred:
    return Deferred.fromCoroutine(work)
