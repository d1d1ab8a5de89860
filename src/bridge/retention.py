"""Retention: every ten minutes, whole UTC days that are over their time are given up."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar, assert_never

from structlog.typing import FilteringBoundLogger
from twisted.internet.defer import Deferred

from bridge.content_passes import ContentPasses
from bridge.deferreds import run_in_background
from bridge.periodic import Periodic
from bridge.store import holds, purge
from bridge.store.connection import Cursor, Parameters
from bridge.store.errors import StoreError, StoreUnavailable
from bridge.store.holds import Held
from bridge.store.partitions import INTERCEPTIONS, Partition

T = TypeVar("T")

PASS_SECONDS = 600.0


class Database(Protocol):
    """Where the records are."""

    async def transaction(
        self, work: Callable[[Cursor], Awaitable[T]], *, statement_seconds: float | None = None
    ) -> T:
        """Run `work` in one transaction; raises StoreError."""

    async def outside_transaction(
        self, sql: str, params: Parameters = None, *, statement_seconds: float = 0.0
    ) -> None:
        """Run one statement in no transaction; raises StoreError."""

    def listen(self, channel: str, callback: Callable[[], object]) -> None:
        """Call `callback` at every NOTIFY, and whenever one may have been missed."""


class Retention:
    """Gives up old days, and says what is too old to be shown or stored."""

    def __init__(
        self,
        *,
        pool: Database,
        retention_seconds: float,
        reactor: Any,
        log: FilteringBoundLogger,
        journal_purge: Callable[[datetime], Awaitable[object]],
        content: ContentPasses | None = None,
    ) -> None:
        """Do nothing yet.

        Args:
            pool: where the records are.
            retention_seconds: how long they are kept; 0 is for ever.
            reactor: gives the time between passes; how old a record is, the database's clock says.
            log: bound logger.
            journal_purge: deletes what journals and quarantine hold from before a time.
            content: blanks what must go before its row does.
        """
        self._pool = pool
        self._seconds = retention_seconds
        self._reactor = reactor
        self._log = log
        self._journal_purge = journal_purge
        self._content = content
        self._cutoff: datetime | None = None
        self._decided_at = 0.0
        self._waiting = False
        self._told: Deferred[object] | None = None
        self._passing = False
        self._again = False
        self._listening = False
        self._stopped = False
        self._periodic = Periodic(
            name="retention", seconds=PASS_SECONDS, work=self._look, clock=reactor
        )

    def start(self) -> None:
        """Make a pass at once, and then every ten minutes and after a confirmation."""
        if not self._listening:
            self._listening = True
            self._pool.listen(purge.CHANNEL, self._confirmed)
        self._periodic.start()

    async def stop(self) -> None:
        """Make no more passes; wait for one that is under way."""
        self._stopped = True
        await self._periodic.stop()
        if self._told is not None:
            await self._told

    def cutoff(self) -> datetime | None:
        """Return since when records are kept; None while that is not known, or for ever.

        It moves on with time, but never further than to the next pass: a clock that jumps must
        hide nothing, and the writer of the journal must not throw away what nobody has decided on.
        """
        if self._cutoff is None or self._waiting:
            return self._cutoff
        since = self._reactor.seconds() - self._decided_at
        return self._cutoff + timedelta(seconds=min(max(since, 0.0), PASS_SECONDS))

    def follow(self, cutoff: datetime | None) -> None:
        """Take over what the process that makes the passes has decided."""
        self._cutoff = cutoff
        self._decided_at = self._reactor.seconds()

    async def pass_once(self) -> None:
        """Make one pass.

        Raises:
            StoreError: it was broken off; the next one goes on from there.
        """
        begun = await self._pool.transaction(lambda cursor: purge.begin(cursor, self._seconds))
        decision = begun.decision
        if decision is not None:
            self._cutoff = decision.cutoff
            self._decided_at = self._reactor.seconds()
            self._waiting = bool(decision.waiting)
            if decision.waiting:
                self._warn(decision)
            await self._purge_journals(decision.cutoff)
        if self._content is not None:
            await self._content.scrub_once()
        if not begun.mine:
            return
        days, rows = await self._drop(begun.leaving)
        sessions = await self._pool.transaction(
            lambda cursor: purge.end(cursor, decision), statement_seconds=purge.WORK_SECONDS
        )
        if self._content is not None:
            await self._content.pass_once(
                stopped=lambda: self._stopped, certain=decision is None or not decision.waiting
            )
        if rows.get(INTERCEPTIONS) or sessions or days:
            self._log.info(
                "old records deleted",
                days=[day.isoformat() for day in sorted(days)],
                rows=rows.get(INTERCEPTIONS, 0),
                rows_by_table=rows,
                sessions=sessions,
            )

    async def _purge_journals(self, cutoff: datetime) -> None:
        try:
            await self._journal_purge(cutoff)
        except OSError as error:
            # The database's days must go all the same.
            self._log.error("journal could not be purged", reason=str(error))

    async def _drop(self, leaving: tuple[Partition, ...]) -> tuple[set[Any], dict[str, int]]:
        days = set()
        rows: dict[str, int] = {}
        for partition in leaving:
            if self._stopped:
                break
            held = await self._pool.transaction(
                lambda cursor, each=partition: holds.held_of(cursor, each),  # type: ignore[misc]
                statement_seconds=purge.WORK_SECONDS,
            )
            match held:
                case Held.NOTHING:
                    gone = await purge.drop(self._pool, partition)
                    days.add(partition.day)
                case Held.SOME:
                    gone = await self._delete_beside(partition)
                case Held.ALL:
                    continue
                case _:
                    assert_never(held)
            rows[partition.table] = rows.get(partition.table, 0) + gone
        return days, rows

    async def _delete_beside(self, partition: Partition) -> int:
        """Delete what is not held of a partition of which something is."""
        total = 0
        while not self._stopped:
            gone = await self._pool.transaction(
                lambda cursor: holds.delete_others(cursor, partition),
                statement_seconds=purge.WORK_SECONDS,
            )
            total += gone
            if gone < holds.AT_ONCE:
                break
        return total

    def _warn(self, decision: purge.Decision) -> None:
        self._log.warning(
            "deleting old records waits for a confirmation",
            days=len(decision.waiting),
            from_day=decision.waiting[0].isoformat(),
            to_day=decision.waiting[-1].isoformat(),
            advice="It would go further than usual: the clock jumped, the period was shortened, "
            "or the bridge was off. If this is right, run `aibridge retention confirm`.",
        )

    async def _look(self) -> None:
        """Make a pass; while one is under way, see to it that another follows."""
        if self._passing:
            self._again = True
            return
        self._passing = self._again = True
        try:
            while self._again and not self._stopped:
                self._again = False
                try:
                    await self.pass_once()
                except StoreUnavailable as error:
                    self._log.warning("retention could not be looked after", reason=str(error))
                except StoreError as error:
                    self._log.error("retention failed", reason=str(error))
        finally:
            self._passing = False

    def _confirmed(self) -> None:
        # Also after every new connection, when a pass may have failed for want of one.
        if not self._stopped:
            self._told = run_in_background("retention", self._look())
