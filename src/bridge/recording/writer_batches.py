"""Batches to the store: again and again while it is away, in ever smaller parts when it refuses."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

from structlog.typing import FilteringBoundLogger
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from bridge.journal.format import JournalLine
from bridge.recording.quarantine import QuarantineFull
from bridge.store.errors import (
    SchemaTooNew,
    ServerTooOld,
    StoreError,
    StoreUnavailable,
    WrongMajorVersion,
    WrongPassword,
)
from bridge.store.pool import Cursor

T = TypeVar("T")

FIRST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 5.0
SAMPLE_LINES = 8
"""Lines of a refused batch that are tried alone to learn whether lines or store are at fault."""
PATIENCE = 3
"""How often a batch smaller than the sample may be refused as a whole before it is put aside."""

_NOT_THE_LINES = (StoreUnavailable, SchemaTooNew, ServerTooOld, WrongMajorVersion, WrongPassword)

WriteBatch = Callable[[Cursor, Sequence[JournalLine]], Awaitable[object]]
Refused = Callable[[JournalLine, str], None]


class Transactions(Protocol):
    """Where work is done in transactions."""

    async def transaction(self, work: Callable[[Cursor], Awaitable[T]]) -> T:
        """Run `work` in one; raises StoreError."""


class Stopped(Exception):  # noqa: N818  # a state, not a mistake
    """The batch was given up because the writer stops; it is read again by the next one."""


class Batches:
    """Stores batches, one at a time."""

    def __init__(
        self,
        *,
        pool: Transactions,
        write_batch: WriteBatch,
        reactor: IReactorTime,
        log: FilteringBoundLogger,
    ) -> None:
        """Store with `write_batch` in transactions of `pool`."""
        self._pool = pool
        self._write_batch = write_batch
        self._reactor = reactor
        self._log = log
        self._pause_seconds = FIRST_PAUSE_SECONDS
        self._pausing: tuple[IDelayedCall, Deferred[None]] | None = None
        self._stopping = False
        self.problem: str | None = None
        """Why nothing is being stored; None when it is."""

    async def store(self, lines: Sequence[JournalLine], refused: Refused) -> None:
        """Return when every line is stored, or was given to `refused` with a reason.

        Raises:
            Stopped: `stop` was called first.
        """
        attempts = 0
        while True:
            error = await self._attempt(lines)
            if error is None:
                return
            attempts += 1
            try:
                if await self._sift(lines, error, refused, last=attempts > PATIENCE):
                    self._resume()
                    return
                await self._pause(error)
            except QuarantineFull:
                await self._pause("the quarantine is full")
            except OSError as e:
                await self._pause(f"the quarantine cannot be written: {e}")

    def stop(self) -> None:
        """Try no more: a pause ends at once, a transaction under way comes to its end."""
        self._stopping = True
        if self._pausing is not None:
            timer, over = self._pausing
            self._pausing = None
            timer.cancel()
            over.callback(None)

    async def _attempt(self, lines: Sequence[JournalLine]) -> str | None:
        """Store all of `lines`; wait while the store is away; return why it refuses them."""
        while True:
            if self._stopping:
                raise Stopped
            try:
                await self._pool.transaction(lambda cursor: self._write_batch(cursor, lines))
            except CancelledError:
                raise
            except _NOT_THE_LINES as e:
                await self._pause(str(e))
            except StoreError as e:
                return str(e)
            except Exception as e:  # noqa: BLE001  # the writer outlives it
                # A fault of ours in reading one line must not hold up all the others.
                self._log.exception("batch not written", lines=len(lines))
                return f"{type(e).__name__}: {e}"
            else:
                self._resume()
                return None

    async def _sift(
        self, lines: Sequence[JournalLine], error: str, refused: Refused, *, last: bool
    ) -> bool:
        """Store the good among `lines` and give up the bad; False when the store takes none."""
        if len(lines) > 1 and not await self._takes_some(lines):
            if len(lines) > SAMPLE_LINES or not last:
                return False
        elif len(lines) == 1 and not last:
            return False
        parts = [lines]
        reasons = {id(lines): error}
        while parts:
            part = parts.pop()
            reason = reasons.pop(id(part), None) or await self._attempt(part)
            if reason is None:
                continue
            if len(part) == 1:
                refused(part[0], reason)
                continue
            half = len(part) // 2
            parts += [part[half:], part[:half]]
        return True

    async def _takes_some(self, lines: Sequence[JournalLine]) -> bool:
        count = min(SAMPLE_LINES, len(lines))
        for index in range(count):
            line = lines[index * (len(lines) - 1) // max(1, count - 1)]
            if await self._attempt([line]) is None:
                return True
        return False

    async def _pause(self, problem: str) -> None:
        if self._stopping:
            raise Stopped
        if self.problem is None:
            self._log.warning("store takes no records, they wait in the journal", reason=problem)
        self.problem = problem
        over: Deferred[None] = Deferred()
        timer = self._reactor.callLater(self._pause_seconds, self._continue)
        self._pausing = (timer, over)
        self._pause_seconds = min(self._pause_seconds * 2, LONGEST_PAUSE_SECONDS)
        await over

    def _continue(self) -> None:
        if self._pausing is not None:
            over = self._pausing[1]
            self._pausing = None
            over.callback(None)

    def _resume(self) -> None:
        self._pause_seconds = FIRST_PAUSE_SECONDS
        if self.problem is not None:
            self.problem = None
            self._log.info("store takes records again")
