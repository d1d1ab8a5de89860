"""The bridge's database, embedded or not: made ready in the background, away when it is gone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

from structlog.typing import FilteringBoundLogger
from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore
from twisted.internet.task import deferLater

from bridge.deferreds import limited, shielded
from bridge.domain.identity import Secret
from bridge.store.connection import Cursor, Parameters
from bridge.store.embedded.server import EmbeddedServer
from bridge.store.errors import StoreUnavailable
from bridge.store.migrations import migrate
from bridge.store.pool import Pool

T = TypeVar("T")

EMBEDDED = "embedded"
_CONNECTIONS, _FOR_QUESTIONS = 8, 4
# One writes, three follow; one more listens. However many questions come, what was recorded is
# stored, and tokens are followed.
_FEW_CONNECTIONS, _FEW_FOR_QUESTIONS = 3, 2
_FIRST_RETRY_SECONDS = 0.5
_LONGEST_RETRY_SECONDS = 15.0
STARTING_SECONDS = 30.0
"""After a process has begun; until then those wait who would rather do so than be refused."""


class Server(Protocol):
    """A server that is ours, or that somebody tells us of."""

    async def start(self) -> str:
        """Return the address once it can be connected to."""

    async def stop(self) -> None:
        """Stop what is ours."""


class Database:
    """What everything that needs SQL talks to; before `start` has come back it is unavailable."""

    def __init__(
        self,
        *,
        address: Secret,
        data_dir: Path,
        run_as: str,
        statement_seconds: float,
        reactor: Any,
        log: FilteringBoundLogger,
        server: Server | None = None,
    ) -> None:
        """Connect to nothing yet.

        Args:
            address: `embedded`, or a postgresql:// URL.
            data_dir: where the embedded database lives.
            run_as: system user of the embedded database when we are root; "" chooses.
            statement_seconds: limit of one statement.
            reactor: processes, connections and time.
            log: bound logger.
            server: whom to ask for the address instead; then there is little to do, for which
                fewer connections suffice.
        """
        self.embedded = address.reveal() == EMBEDDED
        self._address = address
        self._statement_seconds = statement_seconds
        self._reactor = reactor
        self._log = log
        self._size = _CONNECTIONS if server is None else _FEW_CONNECTIONS
        self._questions = DeferredSemaphore(
            _FOR_QUESTIONS if server is None else _FEW_FOR_QUESTIONS
        )
        self._server = server
        if server is None and self.embedded:
            self._server = EmbeddedServer(
                data_dir=data_dir, run_as=run_as, reactor=reactor, log=log
            )
        self.address = ""
        """Where it is, once it could be reached; a secret."""
        self._pool: Pool | None = None
        self._listeners: list[tuple[str, Callable[[], object]]] = []
        self._waiting: Deferred[None] | None = None
        self._stopping = False
        self._problem: str | None = "it is still being started"
        self._tried = False
        """Whether the first attempt has ended, well or not."""
        self._waits_until = reactor.seconds() + STARTING_SECONDS
        self._waiting_for_it: list[Deferred[None]] = []

    async def start(self) -> None:
        """Come back when the database can be used; try again for as long as it is merely away.

        Raises:
            StoreError: trying again cannot help; the message says what to do.
        """
        delay = _FIRST_RETRY_SECONDS
        while not self._stopping:
            try:
                await self._open()
                return
            except StoreUnavailable as error:
                self._problem = str(error)
                self._log.warning("database not available", reason=str(error), retry_seconds=delay)
            finally:
                self._over()
            self._waiting = deferLater(self._reactor, delay)
            try:
                await self._waiting
            except CancelledError:
                return
            delay = min(delay * 2, _LONGEST_RETRY_SECONDS)

    async def stop(self) -> None:
        """Close the connections, then stop a server of ours."""
        self._stopping = True
        if self._waiting is not None:
            self._waiting.cancel()
        pool, self._pool = self._pool, None
        self._problem = "the bridge is stopping"
        self._over()
        if pool is not None:
            await pool.close()
        if self._server is not None:
            await self._server.stop()

    async def tried(self) -> None:
        """Come back when it can be used, cannot, or has been too slow to start."""
        left = self._waits_until - self._reactor.seconds()
        if self._tried or left <= 0:
            return
        waiting: Deferred[None] = Deferred()
        self._waiting_for_it.append(waiting)
        try:
            await limited(waiting, left, self._reactor, TimeoutError)
        except TimeoutError:
            return  # too slow

    @property
    def connected(self) -> bool:
        """Whether it could be used a moment ago."""
        return self._pool is not None and self._pool.connected

    @property
    def problem(self) -> str | None:
        """Why it cannot be used, a sentence; None when it can."""
        return self._problem if self._pool is None else self._pool.problem

    async def transaction(
        self,
        work: Callable[[Cursor], Awaitable[T]],
        *,
        read_only: bool = False,
        statement_seconds: float | None = None,
    ) -> T:
        """Run `work` in one transaction; see Pool.

        Raises:
            StoreUnavailable: not started yet, or the server is away.
            StoreError: the server refused a statement.
        """
        return await self._ready_pool().transaction(
            work, read_only=read_only, statement_seconds=statement_seconds
        )

    async def question(
        self, work: Callable[[Cursor], Awaitable[T]], *, read_only: bool = False
    ) -> T:
        """Run `work` in one transaction, on one of the few connections that there are for this.

        Raises:
            StoreUnavailable: not started yet, the server is away, or others ask too much.
            StoreError: the server refused a statement.
        """
        seconds = self._statement_seconds
        await limited(self._questions.acquire(), seconds, self._reactor, _too_much)

        async def turn() -> T:
            try:
                return await self.transaction(work, read_only=read_only)
            finally:
                self._questions.release()

        # Somebody who asks no longer has the turn all the same: so has the connection.
        return await shielded(Deferred.fromCoroutine(turn()))

    async def outside_transaction(
        self, sql: str, params: Parameters = None, *, statement_seconds: float = 0.0
    ) -> None:
        """Run one statement that refuses to be in a transaction, as those on partitions do.

        Raises:
            StoreUnavailable: not started yet, or the server is away.
            StoreError: the server refused it.
        """
        await self._ready_pool().outside_transaction(
            sql, params, statement_seconds=statement_seconds
        )

    def listen(self, channel: str, callback: Callable[[], object]) -> None:
        """Call `callback` at every NOTIFY on `channel`, and whenever one may have been missed."""
        self._listeners.append((channel, callback))
        if self._pool is not None:
            self._pool.listen(channel, callback)

    def _over(self) -> None:
        self._tried = True
        waiting, self._waiting_for_it = self._waiting_for_it, []
        for each in waiting:
            each.callback(None)

    def _ready_pool(self) -> Pool:
        if self._pool is None:
            msg = f"The database cannot be used: {self._problem}."
            raise StoreUnavailable(msg)
        return self._pool

    async def _open(self) -> None:
        dsn = self._address.reveal() if self._server is None else await self._server.start()
        pool = Pool(
            dsn=dsn,
            reactor=self._reactor,
            size=self._size,
            statement_seconds=self._statement_seconds,
            log=self._log,
        )
        try:
            await pool.start()
            await migrate(pool)
        except BaseException:
            await pool.close()
            raise
        if self._stopping:
            await pool.close()
            return
        self._pool, self._problem, self.address = pool, None, dsn
        for channel, callback in self._listeners:
            pool.listen(channel, callback)


class Patient:
    """A database for who would rather wait a moment, while the bridge starts, than be refused.

    Clients are served before the database is there: at a start, and when a worker replaces another.
    """

    def __init__(self, database: Database, *, questions: bool = False) -> None:
        """Ask `database`.

        Args:
            database: when it has started.
            questions: what is asked takes time, and may be asked by many: see Database.question.
        """
        self._database = database
        self._run = database.question if questions else database.transaction

    async def transaction(
        self, work: Callable[[Cursor], Awaitable[T]], *, read_only: bool = False
    ) -> T:
        """Run `work` in one transaction; see Pool.

        Raises:
            StoreUnavailable: not now, or not there STARTING_SECONDS after our start.
            StoreError: the server refused a statement.
        """
        await self._database.tried()
        return await self._run(work, read_only=read_only)


def _too_much() -> Exception:
    return StoreUnavailable("More is asked of the database than it can answer.")
