"""Reading in threads: for whoever reads so much that waking the reactor for every piece counts.

The driver then waits for a whole result itself, in a thread, which takes this process a third of
the time; and much text can be copied as it is on the wire. The statements are the same: a
transaction's coroutine runs to its end in the thread.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeVar, cast

import psycopg2
import psycopg2.extras
from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.internet.threads import deferToThreadPool

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

_COPY = "COPY ({sql}) TO STDOUT WITH (FORMAT binary)"
_COPY_START = 11 + 4
"""Bytes of its signature and flags; then comes how long the rest of its head is."""
_COPY_LENGTH = struct.Struct("!i")
_COPY_ROW = struct.Struct("!hi")
"""How many columns follow, and how long the first one is."""
_COPY_END = struct.Struct("!h").pack(-1)


class Readers:
    """Up to `size` connections, each for one thread at a time; made when first needed."""

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

    async def _in_turn(self, work: Callable[[Cursor], Awaitable[T]]) -> T:
        await self._turns.acquire()
        reader = None
        try:
            if self._closed:
                raise StoreUnavailable("The database is closed.")
            reader = self._idle.pop() if self._idle else _Reader()
            parameters = {} if reader.open else await self._address.resolved(self._reactor)
            pool = self._reactor.getThreadPool()
            run = deferToThreadPool(self._reactor, pool, self._run, reader, parameters, work)
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
            cursor = CopyingCursor(reader.connection.cursor())
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
        connection.set_client_encoding("UTF8")  # as it is copied
        psycopg2.extras.register_uuid(conn_or_curs=connection)
        CopyingCursor(connection.cursor()).run(SETTINGS, (self._milliseconds,))
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


class CopyingCursor(Cursor):
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

    def copied(self, sql: str, params: Parameters = None) -> Sequence[memoryview]:
        """Run one query of one column of texts, and return them in UTF-8.

        Neither the server nor this process looks at what is in them, as both do in results.

        Raises:
            StoreUnavailable: the connection is gone, or the server is.
            StoreError: the server refuses it.
        """
        copy = io.BytesIO()
        try:
            query = self._last.mogrify(sql, params).decode()
            self._last.copy_expert(_COPY.format(sql=query), copy)
        except (psycopg2.Error, ValueError) as e:
            raise refusal(e) from e
        return _values(copy.getbuffer())


def _finished(work: Awaitable[T]) -> T:
    """Return what a coroutine returns that never has to wait."""
    try:
        cast("Coroutine[Any, Any, T]", work).send(None)
    except StopIteration as e:
        return cast("T", e.value)
    raise StoreError("A transaction in a thread waited for something else than its cursor.")


def _values(copy: memoryview) -> list[memoryview]:
    """Return the values of the one column of what was copied.

    Raises:
        StoreError: there are other columns, or NULL.
    """
    at = _COPY_START
    at += _COPY_LENGTH.size + _COPY_LENGTH.unpack_from(copy, at)[0]
    values = []
    end = len(copy) - len(_COPY_END)
    while at < end:
        columns, length = _COPY_ROW.unpack_from(copy, at)
        if columns != 1 or length < 0:
            raise StoreError("A statement gave something else than one text.")
        at += _COPY_ROW.size
        values.append(copy[at : at + length])
        at += length
    if copy[at:] != _COPY_END:
        raise StoreError("A copy was not whole.")
    return values
