"""The pool: transactions on connections that come back by themselves.

txpostgres is not to be cancelled, and its pool neither reconnects nor understands coroutines, so
nobody else calls it: work goes through `Pool.transaction`, whose waiter alone can be cancelled.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from structlog.typing import FilteringBoundLogger
from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore

from bridge.deferreds import limited, run_in_background, shielded
from bridge.store.address import Address
from bridge.store.connection import Connection, Cursor, Parameters, open_connection
from bridge.store.errors import StoreError, StoreUnavailable
from bridge.store.listener import Listener

__all__ = ["Cursor", "Pool"]

T = TypeVar("T")

FIRST_RETRY_SECONDS = 0.25
LAST_RETRY_SECONDS = 5.0
CLOSE_SECONDS = 5.0
"""How long `close` waits for transactions under way."""


class Pool:
    """Up to `size` connections, opened when needed, replaced when broken."""

    def __init__(
        self,
        *,
        dsn: str,
        reactor: Any,
        size: int,
        statement_seconds: float,
        log: FilteringBoundLogger,
    ) -> None:
        """Keep what to connect to; nothing is opened yet.

        Args:
            dsn: `postgresql://user:password@host/database`.
            reactor: time, sockets and names.
            size: connections at a time, the one that listens not counted.
            statement_seconds: how long one statement may take.
            log: bound logger.

        Raises:
            StoreError: `dsn` is no address.
        """
        self._address = Address(dsn)
        self._reactor = reactor
        self._size = size
        self._seconds = statement_seconds
        self._log = log
        self._idle: list[Connection] = []
        self._busy: set[Connection] = set()
        self._opening: set[Deferred[Connection]] = set()
        self._turns = DeferredSemaphore(size)
        self._listener: Listener | None = None
        self._started = False
        self._closed = False
        self._problem: str | None = None
        self._retry_seconds = FIRST_RETRY_SECONDS
        self._retry: Any = None
        self._reconnecting: Deferred[object] | None = None
        self._awaiting: list[Deferred[None]] = []

    def __repr__(self) -> str:
        return f"<Pool {self._address}>"

    @property
    def connected(self) -> bool:
        """Whether the database answered when it was last spoken to."""
        return self._started and not self._closed and self._problem is None

    @property
    def problem(self) -> str | None:
        """Why the database cannot be used at the moment; None when it can."""
        return self._problem

    @property
    def statement_seconds(self) -> float:
        """How long one statement may take."""
        return self._seconds

    async def start(self) -> None:
        """Connect.

        Raises:
            StoreUnavailable: it is out of reach; the pool goes on trying.
            StoreError: it is there, but not for us: WrongPassword, ServerTooOld; trying stops.
        """
        self._started = True
        try:
            self._idle.append(await self._open())
        except StoreUnavailable:
            self._reconnect_later()
            raise
        except StoreError:
            self._closed = True
            raise

    def when_connected(self) -> Deferred[None]:
        """Return a Deferred that fires when the database is there; at once when it is."""
        if self.connected:
            waiting: Deferred[None] = Deferred()
            waiting.callback(None)
            return waiting
        waiting = Deferred(self._awaiting.remove)
        self._awaiting.append(waiting)
        return waiting

    async def transaction(
        self,
        work: Callable[[Cursor], Awaitable[T]],
        *,
        read_only: bool = False,
        statement_seconds: float | None = None,
    ) -> T:
        """Run `work` in one transaction; nothing but its cursor may be awaited in it.

        Cancelling only detaches the waiter: the transaction goes on to its end.

        Args:
            work: is committed when it returns and undone when it raises.
            read_only: the server then refuses to write.
            statement_seconds: another limit for each statement; 0 for none.

        Raises:
            StoreUnavailable: not now; whether it was committed may be unknown.
            StoreError: the database refuses what it was given.
        """
        seconds = self._seconds if statement_seconds is None else statement_seconds
        begin = "BEGIN READ ONLY" if read_only else "BEGIN"
        if statement_seconds is not None:
            begin += f"; SET LOCAL statement_timeout = {round(seconds * 1000)}"
        return await shielded(Deferred.fromCoroutine(self._transaction(begin, work, seconds)))

    async def outside_transaction(
        self, sql: str, params: Parameters = None, *, statement_seconds: float = 0.0
    ) -> None:
        """Run one statement that refuses to be in a transaction, such as CREATE DATABASE.

        Raises:
            StoreUnavailable: not now.
            StoreError: the database refuses it.
        """

        async def alone() -> None:
            await self._turn()
            connection = None
            try:
                limit = f"SET statement_timeout = {round(statement_seconds * 1000)}"
                connection = await self._prepared(limit, statement_seconds)
                await connection.execute(sql, params, seconds=statement_seconds)
                usual = f"SET statement_timeout = {round(self._seconds * 1000)}"
                await connection.execute(usual, seconds=self._seconds)
            except StoreError:
                if connection is not None:
                    connection.close()  # it would keep the unusual limit
                raise
            finally:
                self._give_back(connection)

        await shielded(Deferred.fromCoroutine(alone()))

    def listen(self, channel: str, callback: Callable[[], object]) -> None:
        """Call `callback` at every NOTIFY on `channel`, and whenever some may have been missed.

        That is after every connection of the listener, the first included.
        """
        if self._listener is None:
            self._listener = Listener(address=self._address, reactor=self._reactor, log=self._log)
        self._listener.add(channel, callback)

    async def close(self) -> None:
        """Hang up, after what is under way; later calls fail with StoreUnavailable."""
        if self._closed:
            return
        self._closed = True
        if self._listener is not None:
            self._listener.close()
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        for opening in tuple(self._opening):
            opening.cancel()
        for waiting in tuple(self._awaiting):
            waiting.cancel()
        try:
            for _ in range(self._size):
                await limited(self._turns.acquire(), CLOSE_SECONDS, self._reactor, _still_busy)
        except StoreUnavailable as e:
            self._log.warning("database connections cut", reason=str(e), busy=len(self._busy))
        for connection in (*self._idle, *self._busy):
            connection.close()
        self._idle.clear()

    async def _transaction(
        self, begin: str, work: Callable[[Cursor], Awaitable[T]], seconds: float
    ) -> T:
        await self._turn()
        connection = None
        try:
            connection = await self._prepared(begin, seconds)
            cursor = Cursor(connection=connection, seconds=seconds)
            ended = False
            try:
                result = await work(cursor)
                await cursor.execute("COMMIT")
                ended = True
            finally:
                if not ended:
                    await _roll_back(connection)
            if cursor.status != "COMMIT":  # the server's way to say that a statement had failed
                raise StoreError("A failed statement was passed over; nothing was committed.")
            return result
        finally:
            self._give_back(connection)

    async def _turn(self) -> None:
        """Wait until one of the connections may be used."""
        if self._closed or not self._started:
            raise StoreUnavailable("The database is closed.")
        await limited(self._turns.acquire(), self._seconds, self._reactor, _all_busy)

    async def _prepared(self, first: str, seconds: float) -> Connection:
        """Return a connection on which the statement `first` has succeeded."""
        while self._idle:
            connection = self._idle.pop()
            self._busy.add(connection)
            try:
                await connection.execute(first, seconds=seconds)
            except StoreUnavailable:
                # It broke while nobody used it, which says nothing about the next one.
                self._busy.discard(connection)
                connection.close()
            else:
                return connection
        if self._problem is not None:
            raise StoreUnavailable(self._problem)
        try:
            connection = await self._open()
        except StoreUnavailable:
            self._reconnect_later()
            raise
        except StoreError as e:
            self._reconnect_later()
            raise StoreUnavailable(str(e)) from e
        self._busy.add(connection)
        await connection.execute(first, seconds=seconds)
        return connection

    def _give_back(self, connection: Connection | None) -> None:
        if connection is not None:
            self._busy.discard(connection)
            if connection.usable and not self._closed:
                self._idle.append(connection)
            else:
                connection.close()
        self._turns.release()

    async def _open(self) -> Connection:
        """Connect, and keep book of whether that works."""
        opening = Deferred.fromCoroutine(
            open_connection(
                self._address,
                reactor=self._reactor,
                statement_seconds=self._seconds,
                lost=self._lost,
            )
        )
        self._opening.add(opening)
        try:
            connection = await opening
        except CancelledError:
            raise StoreUnavailable("The database is closed.") from None
        except StoreError as e:
            if self._problem is None and not self._closed:
                self._log.warning("database not available", reason=str(e))
            self._problem = str(e)
            raise
        finally:
            self._opening.discard(opening)
        if self._closed:
            connection.close()
            raise StoreUnavailable("The database is closed.")
        if self._problem is not None:
            self._log.info("database available again")
        self._problem = None
        self._retry_seconds = FIRST_RETRY_SECONDS
        for waiting in tuple(self._awaiting):
            self._awaiting.remove(waiting)
            waiting.callback(None)
        return connection

    def _lost(self, connection: Connection) -> None:
        if connection in self._idle:
            self._idle.remove(connection)
        if not self._idle and not self._busy:
            self._reconnect_later()  # so that `connected` tells the truth while nobody asks

    def _reconnect_later(self) -> None:
        if self._closed or self._retry is not None or self._reconnecting is not None:
            return
        self._retry = self._reactor.callLater(self._retry_seconds, self._reconnect)
        self._retry_seconds = min(2 * self._retry_seconds, LAST_RETRY_SECONDS)

    def _reconnect(self) -> None:
        async def reconnect() -> None:
            try:
                connection = await self._open()
            except StoreError:
                return  # `_open` has told it
            self._idle.append(connection)

        def again(_: object) -> None:
            self._reconnecting = None
            if self._problem is not None:
                self._reconnect_later()

        self._retry = None
        self._reconnecting = run_in_background("reconnect to database", reconnect())
        self._reconnecting.addBoth(again)


async def _roll_back(connection: Connection) -> None:
    """Undo; a connection that cannot even do that is closed."""
    if connection.usable:
        return
    try:
        await connection.execute("ROLLBACK", seconds=CLOSE_SECONDS)
    except StoreError:
        connection.close()


def _all_busy() -> Exception:
    return StoreUnavailable("All connections to the database are busy.")


def _still_busy() -> Exception:
    return StoreUnavailable("A transaction did not end in time.")
