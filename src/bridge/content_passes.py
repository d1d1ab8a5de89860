"""Passes over content: what is over its time is blanked, erasures are carried to their end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any, Protocol, TypeVar
from uuid import UUID

from structlog.typing import FilteringBoundLogger

from bridge.store import blanking, erasure
from bridge.store.connection import Cursor
from bridge.store.holds import last_release
from bridge.store.partitions import stored_days
from bridge.store.rows import none, one

T = TypeVar("T")

BUDGET_SECONDS = 240.0
"""A pass stops then, and the next goes on; shorter than the lease of retention's passes."""
SCRUBBED_SECONDS = 7 * 86400.0
"""For so long after an erasure a bridge that starts looks through its journals."""
SETTLED_SECONDS = 180.0
"""So long after an erasure the user's answers have been cut, and nothing more is written down."""

_NOW = "SELECT now()"
_KEEP_FROM = "UPDATE aibridge_retention SET content_kept_day = %(day)s"
_KEPT_FROM = "SELECT content_kept_day FROM aibridge_retention"

Scrub = Callable[[dict[UUID, str]], Awaitable[int]]


class Database(Protocol):
    """Where the records are."""

    async def transaction(
        self, work: Callable[[Cursor], Awaitable[T]], *, statement_seconds: float | None = None
    ) -> T:
        """Run `work` in one transaction; raises StoreError."""


class ContentPasses:
    """Blanks what must be, day by day and in small transactions."""

    def __init__(
        self,
        *,
        pool: Database,
        content_seconds: float,
        clock: Any,
        log: FilteringBoundLogger,
        scrub: Scrub | None = None,
        blanked: Callable[[int], object] = lambda count: None,  # noqa: ARG005 - nobody counts
    ) -> None:
        """Do nothing yet.

        Args:
            pool: where the records are.
            content_seconds: how long content is kept; 0 is as long as its row.
            clock: gives the length of a pass; how old a record is, the database's clock says.
            log: bound logger.
            scrub: takes what is left of erased users out of the journals of this machine.
            blanked: told of how many interceptions the content was blanked.
        """
        self._pool = pool
        self._seconds = content_seconds
        self._clock = clock
        self._log = log
        self._scrub = scrub
        self._blanked = blanked
        self._done: set[date] = set()
        self._scrubbed: set[UUID] = set()
        self._released_at: datetime | None = None

    async def pass_once(
        self, *, stopped: Callable[[], bool] = lambda: False, certain: bool = True
    ) -> None:
        """Make one pass.

        Args:
            stopped: says when to leave the rest to the next.
            certain: whether time can be trusted; if not, only erasures are carried on.

        Raises:
            StoreError: it was broken off; the next one goes on from there.
        """
        began = self._clock.seconds()

        def enough() -> bool:
            return stopped() or self._clock.seconds() - began > BUDGET_SECONDS

        for each in await self._pool.transaction(erasure.unfinished):
            done = await erasure.carry_out(self._pool, each)
            self._log.info(
                "erasure finished", user=each.pseudonym, interceptions=done.interceptions
            )
        first_kept = await self._decide() if certain else None
        if first_kept is not None:
            await self._blank_before(first_kept, enough)

    async def scrub_once(self) -> None:
        """Take what is left of erased users out of this machine's journals.

        Raises:
            StoreError: not now.
        """
        if self._scrub is None:
            return
        found = await self._pool.transaction(
            lambda cursor: erasure.recent(cursor, within_seconds=SCRUBBED_SECONDS)
        )
        found = [each for each in found if each.initiator_id not in self._scrubbed]
        if not found:
            return
        try:
            lines = await self._scrub({each.initiator_id: each.pseudonym for each in found})
        except OSError as error:
            self._log.error("journals not scrubbed", reason=str(error))
            return
        self._scrubbed |= {
            each.initiator_id for each in found if each.age_seconds > SETTLED_SECONDS
        }
        if lines:
            self._log.info("journals scrubbed of erased users", lines=lines)

    async def _decide(self) -> date | None:
        """Say from which day on content is kept, so that what comes late is blanked too."""

        async def decide(cursor: Cursor) -> date | None:
            (now,) = await one(cursor, _NOW)
            day = None
            if self._seconds > 0:
                day = (now.astimezone(UTC) - timedelta(seconds=self._seconds)).date()
            (known,) = await one(cursor, _KEPT_FROM)
            if known != day:
                await blanking.deciding(cursor)
                await none(cursor, _KEEP_FROM, {"day": day})
            return day

        return await self._pool.transaction(decide)

    async def _blank_before(self, first_kept: date, enough: Callable[[], bool]) -> None:
        released = await self._pool.transaction(last_release)
        if released != self._released_at:
            self._released_at = released
            self._done.clear()
        days = [day for day in await self._pool.transaction(stored_days) if day < first_kept]
        self._done &= set(days)
        count = 0
        for day in sorted(set(days) - self._done):
            after: UUID | None = None
            while not enough():
                after, blanked = await self._pool.transaction(
                    lambda cursor, day=day, after=after: blanking.blank_day(  # type: ignore[misc]
                        cursor, day, after
                    )
                )
                count += blanked
                if blanked:
                    self._blanked(blanked)
                if after is None:
                    self._done.add(day)
                    break
        if count:
            self._log.info(
                "old content blanked", interceptions=count, kept_since=first_kept.isoformat()
            )
