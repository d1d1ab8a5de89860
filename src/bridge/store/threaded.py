"""Reading in threads: for whoever reads so much that waking the reactor for every piece counts.

The driver then waits for a whole result itself, in a thread, which takes this process a third of
the time; text can be left as it is on the wire; and a statement that is run again and again is
planned once. The statements are the same: a transaction's coroutine runs to its end in the thread.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from hashlib import sha256
from typing import Any, TypeVar, cast

import psycopg2
import psycopg2.extras
from psycopg2.extensions import BYTES, AsIs, register_type
from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from bridge.deferreds import shielded
from bridge.store.address import Address
from bridge.store.connection import (
    CONNECT_SECONDS,
    SETTINGS,
    Cursor,
    Parameters,
    connect_error,
    refusal,
)
from bridge.store.errors import StoreError, StoreUnavailable

T = TypeVar("T")

_ALL_PREPARED = "SELECT name FROM pg_prepared_statements WHERE starts_with(name, %s)"
_TEXT = 25
_PREPARED = "aibridge_texts_"
"""How the names of prepared statements begin; their digest follows."""


class Readers:
    """Up to `size` connections, each for one thread at a time; made when first needed.

    The threads are as many and no others: what a result leaves behind in a thread's part of the
    heap is used again by the next one, in place of a little in each of the reactor's threads.
    """

    def __init__(self, *, dsn: str, reactor: Any, size: int, statement_seconds: float) -> None:
        """Keep what to connect to.

        Args:
            dsn: `postgresql://user:password@host/database`.
            reactor: threads and names.
            size: connections, and threads, at a time.
            statement_seconds: how long one statement may take.

        Raises:
            StoreError: `dsn` is no address.
        """
        self._address = Address(dsn)
        self._reactor = reactor
        self._size = size
        self._milliseconds = str(round(statement_seconds * 1000))
        self._turns = DeferredSemaphore(size)
        self._idle: list[_Reader] = []
        self._closed = False
        self._threads = ThreadPool(0, size, name="readers")
        self._threads.start()
        self._at_shutdown = reactor.addSystemEventTrigger("during", "shutdown", self._threads.stop)

    async def transaction(
        self,
        work: Callable[[Cursor], Awaitable[T]],
        *,
        read_only: bool = True,  # noqa: ARG002 - as of every pool; these only read
    ) -> T:
        """Run `work` in one read-only transaction; it awaits nothing but its cursor.

        Raises:
            StoreUnavailable: not now.
            StoreError: the database refuses what it was given.
        """
        return await shielded(Deferred.fromCoroutine(self._in_turn(work)))

    async def close(self) -> None:
        """Hang up; what is under way is ended first."""
        self._closed = True
        for _ in range(self._size):
            await self._turns.acquire()
        for reader in self._idle:
            reader.close()
        self._idle.clear()
        self._reactor.removeSystemEventTrigger(self._at_shutdown)
        self._threads.stop()

    async def _in_turn(self, work: Callable[[Cursor], Awaitable[T]]) -> T:
        await self._turns.acquire()
        reader = None
        try:
            if self._closed:
                raise StoreUnavailable("The database is closed.")
            reader = self._idle.pop() if self._idle else _Reader()
            parameters = {} if reader.open else await self._address.resolved(self._reactor)
            run = deferToThreadPool(
                self._reactor, self._threads, self._run, reader, parameters, work
            )
            return await run
        finally:
            if reader is not None and reader.open:
                self._idle.append(reader)
            self._turns.release()

    def _run(
        self,
        reader: _Reader,
        parameters: Mapping[str, str],
        work: Callable[[Cursor], Awaitable[T]],
    ) -> T:
        """Do everything in this thread."""
        ended = False
        try:
            if not reader.open:
                reader.connection = self._connect(parameters)
            cursor = RawCursor(reader.connection.cursor())
            cursor.run("BEGIN READ ONLY")
            result = _finished(work(cursor))
            cursor.run("COMMIT")
            ended = True
            return result
        finally:
            if not ended:
                reader.close()

    def _connect(self, parameters: Mapping[str, str]) -> Any:
        limit = str(round(CONNECT_SECONDS))
        try:
            connection = psycopg2.connect(**{"connect_timeout": limit, **parameters})
        except psycopg2.Error as e:
            raise connect_error(e, self._address) from e
        connection.autocommit = True
        connection.set_client_encoding("UTF8")  # as `texts` gives it
        psycopg2.extras.register_uuid(conn_or_curs=connection)
        RawCursor(connection.cursor()).run(SETTINGS, (self._milliseconds,))
        return connection


class _Reader:
    """A place for a connection, which one thread at a time uses."""

    def __init__(self) -> None:
        self.connection: Any = None

    @property
    def open(self) -> bool:
        """Whether it is connected, as far as is known."""
        return self.connection is not None and not self.connection.closed

    def close(self) -> None:
        """Hang up."""
        if self.connection is not None:
            self.connection.close()


class RawCursor(Cursor):
    """A cursor whose statements have ended when `execute` gives its coroutine."""

    def __init__(self, cursor: Any) -> None:
        """Keep the driver's."""
        self._last = cursor

    async def execute(self, sql: str, params: Parameters = None) -> None:
        """Run one statement."""
        self.run(sql, params)

    def run(self, sql: str, params: Parameters = None) -> None:
        """Run one statement, and wait for it."""
        try:
            self._last.execute(sql, params)
        except (psycopg2.Error, ValueError) as e:
            raise refusal(e) from e

    def texts(
        self, sql: str, params: Mapping[str, object], changing: Mapping[str, object]
    ) -> Sequence[bytes]:
        """Run a query of one column of text, and return its rows as the server sent them, in UTF-8.

        Other threads run until the whole result is there. COPY, which the driver gives row by row,
        would wait for them at each row.

        Args:
            sql: the query; planned once, for as long as only `changing` changes.
            params: values in it.
            changing: further values in it, each with its type beside it.

        Raises:
            StoreUnavailable: the connection is gone, or the server is.
            StoreError: the server refuses it.
        """
        numbered = {name: AsIs(f"${number}") for number, name in enumerate(changing, 1)}
        try:
            query: bytes = self._last.mogrify(sql, {**params, **numbered})
            prepared = self._prepared(query)
            with self._last.connection.cursor() as cursor:
                register_type(BYTES, cursor)
                cursor.string_types[_TEXT] = BYTES
                given = ", ".join(["%s"] * len(changing))
                cursor.execute(f"EXECUTE {prepared} ({given})", tuple(changing.values()))
                return [text for (text,) in cursor.fetchall()]
        except (psycopg2.Error, ValueError) as e:
            raise refusal(e) from e

    def _prepared(self, query: bytes) -> str:
        """Return what the server calls this query, which is the only one then.

        It is asked what it has prepared: behind a pool of connections it need not be the same
        server process as in the transaction before.
        """
        name = _PREPARED + sha256(query).hexdigest()[:32]
        self._last.execute(_ALL_PREPARED, (_PREPARED,))
        names = [each for (each,) in self._last.fetchall()]
        if name not in names:
            for each in names:
                self._last.execute(f"DEALLOCATE {each}")
            self._last.execute(f"PREPARE {name} AS ".encode() + query)
        return name


def _finished(work: Awaitable[T]) -> T:
    """Return what a coroutine returns that never has to wait."""
    try:
        cast("Coroutine[Any, Any, T]", work).send(None)
    except StopIteration as e:
        return cast("T", e.value)
    raise StoreError("A transaction in a thread waited for something else than its cursor.")
