"""Giving up old days: what may go, and making it go.

What decides is the database's clock, and how far the last pass went: a pass that would go much
further than that (the clock has jumped, the period was shortened) waits for an operator.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Protocol, TypeVar

from bridge.store import siem
from bridge.store.connection import Cursor, Parameters
from bridge.store.partitions import (
    INTERCEPTIONS,
    Attachment,
    Partition,
    ensure_days,
    partitions,
)
from bridge.store.rows import many, maybe, none, one

T = TypeVar("T")

CHANNEL = "aibridge_retention"
"""NOTIFY channel of confirmations."""
MOST_DAYS = 2
"""More days beyond the last pass than this are not given up without a confirmation."""
LEASE_SECONDS = 540
"""A bridge that died at it is forgotten by then; shorter than the time between passes."""
DETACH_SECONDS = 60.0
"""How long detaching waits for the transactions that look at a day; the next pass goes on."""

WORK_SECONDS = 120.0
"""Limit of a statement that counts, drops or forgets; a day may be large."""

_COUNTED_ROWS = 20_000  # a larger partition is not read through only to tell its size
_SESSIONS_AT_ONCE = 5000
_LOCK_NUMBER = 0x6169_6264_0005  # "aibd"; any number that nobody else uses

_TRY_LOCK = "SELECT pg_try_advisory_xact_lock(%s)"
_STATE = """
SELECT now(), last_pass_at, first_kept_day, pending_day, pending_since, confirmed_day,
       working_until
FROM aibridge_retention
"""
_BEGIN = """
UPDATE aibridge_retention
SET pending_day = %(pending)s,
    pending_since = CASE WHEN %(pending)s::date IS NULL THEN NULL
                         WHEN pending_since IS NULL THEN now() ELSE pending_since END,
    working_until = now() + %(lease)s * interval '1 second'
"""
_END = """
UPDATE aibridge_retention
SET last_pass_at = now(), working_until = NULL,
    first_kept_day = greatest(first_kept_day, %(day)s::date),
    confirmed_day = CASE WHEN confirmed_day > %(day)s::date THEN confirmed_day END
"""
_FORGET_FACETS = "DELETE FROM aibridge_facets WHERE last_day < %s"
_FORGET_SESSIONS = """
DELETE FROM aibridge_sessions
WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM aibridge_sessions WHERE first_day < %s AND last_day < %s LIMIT %s))
"""
_MARK_SESSIONS = """
INSERT INTO aibridge_session_marks (initiator_id, session_id, day)
SELECT initiator_id, session_id, last_day FROM aibridge_sessions WHERE first_day < %s
"""
_CONFIRM = """
UPDATE aibridge_retention SET confirmed_day = pending_day
WHERE pending_day IS NOT NULL RETURNING pending_day
"""
_NOTIFY = "SELECT pg_notify(%s, '')"


class Database(Protocol):
    """Where the days are."""

    async def transaction(
        self, work: Callable[[Cursor], Awaitable[T]], *, statement_seconds: float | None = None
    ) -> T:
        """Run `work` in one transaction; raises StoreError."""

    async def outside_transaction(
        self, sql: str, params: Parameters = None, *, statement_seconds: float = 0.0
    ) -> None:
        """Run one statement in no transaction; raises StoreError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """How far the passes have come; times and days are the database's."""

    now: datetime
    last_pass_at: datetime | None = None
    first_kept_day: date | None = None
    """All days before it have been given up."""
    pending_day: date | None = None
    """All days before it wait for a confirmation."""
    pending_since: datetime | None = None
    confirmed_day: date | None = None
    """All days before it may be given up."""
    working_until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What a pass does."""

    cutoff: datetime
    """What is older is to be seen nowhere."""
    first_kept_day: date
    """All stored days before it are given up."""
    waiting: tuple[date, ...] = ()
    """Stored days that would go too, were it confirmed."""
    pending_day: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A pass that was begun."""

    decision: Decision | None
    """None when everything is kept."""
    leaving: tuple[Partition, ...] = ()
    """What this process is to drop."""
    mine: bool = False
    """Whether it is this process's pass, and `end` must be called."""


def decide(state: State, retention_seconds: float, stored: Sequence[date]) -> Decision:
    """Return what a pass at `state.now` does; `stored` are the days there are."""
    wanted = state.now.astimezone(UTC) - timedelta(seconds=retention_seconds)
    wanted_day = wanted.date()
    known = [day for day in (state.first_kept_day, state.confirmed_day) if day is not None]
    # Before the very first pass, whatever there is counts as kept by the last one.
    agreed = max(known) if known else min([*stored, wanted_day])
    beyond = tuple(sorted({day for day in stored if agreed <= day < wanted_day}))
    still_pending = state.pending_day is not None and wanted_day >= state.pending_day
    everything = bool(beyond) and all(day < wanted_day for day in stored)
    if len(beyond) > MOST_DAYS or (beyond and (still_pending or everything)):
        return Decision(
            cutoff=datetime.combine(agreed, time(), UTC),
            first_kept_day=agreed,
            waiting=beyond,
            pending_day=wanted_day,
        )
    return Decision(cutoff=wanted, first_kept_day=wanted_day)


async def read_state(cursor: Cursor) -> State:
    """Return how far the passes have come."""
    (now, last_pass_at, first_kept, pending, since, confirmed, until) = await one(cursor, _STATE)
    return State(
        now=now,
        last_pass_at=last_pass_at,
        first_kept_day=first_kept,
        pending_day=pending,
        pending_since=since,
        confirmed_day=confirmed,
        working_until=until,
    )


async def begin(cursor: Cursor, retention_seconds: float) -> Begun:
    """Begin a pass, unless somebody else is at it; either way say what is decided.

    Also makes room for today and tomorrow.
    """
    (free,) = await one(cursor, _TRY_LOCK, (_LOCK_NUMBER,))
    state = await read_state(cursor)
    free = free and (state.working_until is None or state.working_until <= state.now)
    found = await partitions(cursor)
    decision = None
    leaving: tuple[Partition, ...] = ()
    if retention_seconds > 0:
        decision = decide(state, retention_seconds, sorted({each.day for each in found}))
        leaving = tuple(each for each in found if each.day < decision.first_kept_day)
    if not free:
        return Begun(decision=decision)
    today = state.now.astimezone(UTC).date()
    await ensure_days(cursor, (today, today + timedelta(days=1)))
    pending = decision.pending_day if decision is not None else None
    await none(cursor, _BEGIN, {"pending": pending, "lease": LEASE_SECONDS})
    return Begun(decision=decision, leaving=leaving, mine=True)


async def drop(database: Database, partition: Partition) -> int:
    """Drop a partition without blocking readers or writers of others, and return how many rows.

    Raises:
        StoreUnavailable: not now; the next pass goes on where this one stopped.
        StoreError: the database refuses it.
    """
    rows = await database.transaction(
        lambda cursor: _rows(cursor, partition), statement_seconds=WORK_SECONDS
    )
    if partition.attachment is Attachment.ATTACHED:
        await database.outside_transaction(
            f"ALTER TABLE {partition.table} DETACH PARTITION {partition.name} CONCURRENTLY",
            statement_seconds=DETACH_SECONDS,
        )
    elif partition.attachment is Attachment.PENDING:
        await database.outside_transaction(
            f"ALTER TABLE {partition.table} DETACH PARTITION {partition.name} FINALIZE",
            statement_seconds=DETACH_SECONDS,
        )
    await database.transaction(
        lambda cursor: none(cursor, f"DROP TABLE IF EXISTS {partition.name}"),
        statement_seconds=WORK_SECONDS,
    )
    return rows


async def end(cursor: Cursor, decision: Decision | None) -> int:
    """End a pass: forget what was derived from the days that are gone.

    Returns:
        How many sessions had nothing else, and are gone too.
    """
    day = decision.first_kept_day if decision is not None else None
    sessions = 0
    if day is not None:
        await none(cursor, _FORGET_FACETS, (day,))
        while gone := await none(cursor, _FORGET_SESSIONS, (day, day, _SESSIONS_AT_ONCE)):
            sessions += gone
        await none(cursor, _MARK_SESSIONS, (day,))
    await siem.forget(cursor, day)
    await none(cursor, _END, {"day": day})
    return sessions


async def confirm(cursor: Cursor) -> date | None:
    """Let the next pass give up what waits; None when nothing does.

    Returns:
        The first day that will be kept.
    """
    row = await maybe(cursor, _CONFIRM)
    if row is None:
        return None
    await none(cursor, _NOTIFY, (CHANNEL,))
    day: date = row[0]
    return day


async def stored(cursor: Cursor) -> list[Partition]:
    """Return the partitions of interceptions, oldest first."""
    return [each for each in await partitions(cursor) if each.table == INTERCEPTIONS]


async def _rows(cursor: Cursor, partition: Partition) -> int:
    if partition.rows > _COUNTED_ROWS:
        return partition.rows
    found = await many(cursor, f"SELECT count(*) FROM {partition.name}")  # noqa: S608  # ours
    return int(found[0][0])
