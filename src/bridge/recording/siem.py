"""The SIEM's follower: tells a file of every record that the store has, at least once.

It reads behind the store, never in the way of a request. Marks in the database say what is to be
told (`store/siem.py`); they go away after the lines are safe in the file. Of all bridges on one
database one writes at a time.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeVar
from uuid import uuid4

import msgspec
from structlog.typing import FilteringBoundLogger
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from bridge.deferreds import run_in_background
from bridge.domain.clock import utc
from bridge.store import siem
from bridge.store.connection import Cursor
from bridge.store.errors import StoreError

T = TypeVar("T")

POLL_SECONDS = 1.0
"""How often it looks for something to tell."""
BACKLOG_SECONDS = 15.0
"""How often it counts what waits."""
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0
"""While the file cannot be written, or the database is away."""


class Transactions(Protocol):
    """Where the records are."""

    async def transaction(self, work: Callable[[Cursor], Awaitable[T]]) -> T:
        """Run `work` in one transaction; raises StoreError."""


class Events(Protocol):
    """Where lines go; `EventFile` is one. Called in a thread, one call at a time."""

    def append(self, lines: bytes) -> None:
        """Append lines and come back when they are safe; raises OSError."""

    def reopen(self) -> None:
        """Open the file anew at the next line."""

    def close(self) -> None:
        """Close the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SiemStatus:
    """How far the SIEM is behind."""

    writing: bool
    """Whether this process is the one that writes."""
    waiting_records: int
    """Stored and not told, as last counted."""
    oldest_waiting_at: datetime | None
    problem: str | None
    """Why nothing is being told, a sentence; None when nothing is in the way."""


class SiemFollower:
    """Tells the file of the records, in the background."""

    def __init__(
        self,
        *,
        pool: Transactions,
        events: Events,
        content: bool,
        in_thread: Callable[[Callable[[], None]], Awaitable[None]],
        reactor: Any,
        log: FilteringBoundLogger,
    ) -> None:
        """Do nothing yet.

        Args:
            pool: where the records are.
            events: where they are told; ours to close.
            content: whether prompts, tool arguments, results and thoughts are told.
            in_thread: runs what waits for the disk.
            reactor: gives the time.
            log: bound logger.
        """
        self._pool = pool
        self._events = events
        self._content = content
        self._in_thread = in_thread
        self._clock: IReactorTime = reactor
        self._log = log
        self._id = uuid4()
        self._running: Deferred[object] | None = None
        self._resting: Deferred[None] | None = None
        self._stopped = False
        self._moved = False
        self._writing = False
        self._problem: str | None = None
        self._pause_seconds = FIRST_PAUSE_SECONDS
        self._counted_at = float("-inf")
        self._backlog = siem.Backlog(records=0, oldest_at=None)

    def start(self) -> None:
        """Begin."""
        if self._running is None:
            self._running = run_in_background("tell the SIEM", self._run())

    async def stop(self) -> None:
        """Tell no more; wait for lines that are being written."""
        self._stopped = True
        if self._resting is not None:
            self._resting.cancel()
        if self._running is not None:
            await self._running
        self._events.close()

    def reopen(self) -> None:
        """Have the file opened anew: somebody has moved it."""
        self._moved = True

    def status(self) -> SiemStatus:
        """Return how far the SIEM is behind."""
        return SiemStatus(
            writing=self._writing,
            waiting_records=self._backlog.records,
            oldest_waiting_at=self._backlog.oldest_at,
            problem=self._problem,
        )

    async def _run(self) -> None:
        while not self._stopped:
            try:
                more = await self._round()
                await self._count()
            except CancelledError:
                raise
            except StoreError as error:
                self._complain(str(error))
            except OSError as error:
                reason = os.strerror(error.errno) if error.errno else str(error)
                self._complain(f"{error.filename or 'The file'} cannot be written: {reason}.")
                await self._let_go()
            else:
                self._recovered()
                await self._rest(0.0 if more else POLL_SECONDS)
                continue
            await self._rest(self._pause_seconds)
            self._pause_seconds = min(2 * self._pause_seconds, LONGEST_PAUSE_SECONDS)
        await self._let_go()

    async def _round(self) -> bool:
        """Tell one load, and return whether there is more."""
        load = await self._pool.transaction(
            lambda cursor: siem.take(cursor, self._id, content=self._content)
        )
        self._writing = load is not None
        if load is None:
            return False
        lines = load.lines.encode()
        if load.unmarked_since is not None:
            lines = self._gap(load.unmarked_since) + lines
        if lines:
            await self._in_thread(lambda: self._write(lines))
        if load.marks:
            await self._pool.transaction(lambda cursor: siem.told(cursor, load.marks))
        return load.more

    def _write(self, lines: bytes) -> None:
        if self._moved:
            self._moved = False
            self._events.reopen()
        self._events.append(lines)

    def _gap(self, since: datetime) -> bytes:
        """Return the line that says that records may be missing."""
        now = utc(self._clock.seconds())
        self._log.warning("records were not kept for the SIEM, nobody asked for them", since=since)
        line = {
            "ts": now,
            "level": "warning",
            "event": "records missing",
            "record_type": "gap",
            "event_id": f"gap/{since.isoformat()}",
            "started_at": since,
            "ended_at": now,
        }
        return msgspec.json.encode(line) + b"\n"

    async def _count(self) -> None:
        now = self._clock.seconds()
        if now - self._counted_at >= BACKLOG_SECONDS:
            self._backlog = await self._pool.transaction(siem.backlog)
            self._counted_at = now

    async def _let_go(self) -> None:
        """Let another bridge write, whose file may be better off."""
        if not self._writing:
            return
        self._writing = False
        try:
            await self._pool.transaction(lambda cursor: siem.release(cursor, self._id))
        except StoreError as error:
            self._log.debug("lease of the SIEM's follower runs out by itself", reason=str(error))

    def _complain(self, problem: str) -> None:
        if self._problem is None:
            self._log.error("SIEM is not told, its records wait in the database", reason=problem)
        self._problem = problem

    def _recovered(self) -> None:
        self._pause_seconds = FIRST_PAUSE_SECONDS
        if self._problem is not None:
            self._problem = None
            self._log.info("SIEM is told again")

    async def _rest(self, seconds: float) -> None:
        if self._stopped:
            return
        self._resting = deferLater(self._clock, seconds)
        try:
            await self._resting
        except CancelledError:
            pass  # by `stop`
        finally:
            self._resting = None
