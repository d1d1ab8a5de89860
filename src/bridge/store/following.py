"""Following: derived tables are recomputed behind the writer, pass by pass, at a bounded price.

Whoever changes a record leaves a mark in the same transaction; a follower takes marks and computes
anew what they stand for. A pass that fails leaves its marks.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from structlog.typing import FilteringBoundLogger
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from bridge.deferreds import run_in_background
from bridge.store.connection import Cursor
from bridge.store.errors import StoreError, StoreUnavailable

T = TypeVar("T")

PASS_SECONDS = 300.0
"""Limit of one statement: a client may put a whole day's requests into one session."""
_RETRY_SECONDS = 5.0


class Transactions(Protocol):
    """Where SQL is run."""

    async def transaction(
        self, work: Callable[[Cursor], Awaitable[T]], *, statement_seconds: float | None = None
    ) -> T:
        """Run `work` in one transaction; raises StoreError."""


class Done(Protocol):
    """What a pass did."""

    @property
    def more(self) -> bool:
        """Whether as much was done as one pass may, so that more is likely to wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How often a follower looks."""

    seconds: float
    """After a pass that left nothing it rests so long."""
    busy_factor: float
    """After any pass it rests at least this many times as long as that took: requests come
    first."""


class Follower:
    """Runs passes for as long as it is not stopped."""

    def __init__(
        self,
        *,
        name: str,
        work: Callable[[Cursor], Awaitable[Done]],
        pace: Pace,
        pool: Transactions,
        reactor: Any,
        log: FilteringBoundLogger,
    ) -> None:
        """Follow nothing yet.

        Args:
            name: what is followed, for the log.
            work: one pass.
            pace: how often.
            pool: where the records are.
            reactor: gives the time.
            log: bound logger.
        """
        self._name = name
        self._work = work
        self._pace = pace
        self._pool = pool
        self._clock: IReactorTime = reactor
        self._log = log
        self._resting: Deferred[None] | None = None
        self._running: Deferred[object] | None = None
        self._stopped = False
        self._behind = False

    def start(self) -> None:
        """Begin."""
        if self._running is None:
            self._running = run_in_background(f"follow {self._name}", self._run())

    async def stop(self) -> None:
        """Follow no more; wait for a pass that is under way."""
        self._stopped = True
        if self._resting is not None:
            self._resting.cancel()
        if self._running is not None:
            await self._running

    async def _run(self) -> None:
        while not self._stopped:
            began = self._clock.seconds()
            try:
                done = await self._pool.transaction(self._work, statement_seconds=PASS_SECONDS)
            except CancelledError:
                raise
            except StoreUnavailable as error:
                self._complain(f"{self._name} cannot be followed now", error)
                seconds = _RETRY_SECONDS
            except StoreError as error:
                self._complain(f"{self._name} cannot be followed", error)
                seconds = _RETRY_SECONDS
            else:
                self._behind = False
                took = max(0.0, self._clock.seconds() - began)
                seconds = self._pace.busy_factor * took
                if not done.more:
                    seconds = max(self._pace.seconds, seconds)
            await self._rest(seconds)

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

    def _complain(self, event: str, error: StoreError) -> None:
        if not self._behind:
            self._behind = True
            self._log.warning(event, reason=str(error))
