"""Fills a database with made-up records, and has our own followers derive the rest."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta

from twisted.internet.defer import Deferred, gatherResults

from benchmarks import store_rows
from bridge.store import search, sessions, usage
from bridge.store.connection import Cursor
from bridge.store.partitions import day_literal, ensure_days, stored_days
from bridge.store.pool import Pool
from bridge.store.rebuild import mark_day
from bridge.store.rows import many, none

_MARKS_AT_ONCE = 5000
_AT_ONCE = 3
_INDEXED = "SELECT DISTINCT day FROM aibridge_search"
_DROP_INDEX = "DROP INDEX IF EXISTS aibridge_search_words"
# As in the schema.
_CREATE_INDEX = """
SET LOCAL maintenance_work_mem = '256MB';
CREATE INDEX aibridge_search_words ON aibridge_search USING gin (words)
    WITH (gin_pending_list_limit = 512)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much there is to be.

    There are as many prompts as interceptions, 1.5 token rows and legs for each, 3 tool calls and
    half a thought.
    """

    interceptions: int = 2_000_000
    days: int = 60
    searchable_days: int = 60
    """The newest ones; making content searchable takes most of the time."""
    users: int = 500
    models: int = 40
    clients: int = 12
    providers: int = 6


async def fill(
    pool: Pool, size: Size, *, last: date, say: Callable[[str], None] = lambda _: None
) -> None:
    """Store made-up records in a database that has none, and derive what follows from them.

    Args:
        pool: on a migrated database.
        size: how much.
        last: the last of the days.
        say: told how far it is.
    """
    began = time.monotonic()
    days = [last - timedelta(days=back) for back in reversed(range(size.days))]
    await pool.transaction(lambda cursor: _prepare(cursor, size), statement_seconds=0)
    for number, day in enumerate(days):
        await pool.transaction(
            lambda cursor, number=number, day=day: _day(cursor, size, number, day),  # type: ignore[misc]  # bound at once
            statement_seconds=0,
        )
        say(f"{day}: recorded, {time.monotonic() - began:.0f} s")
    await pool.transaction(lambda cursor: none(cursor, "DROP TABLE bench_sentences"))
    await pool.outside_transaction("ANALYZE")
    await derive(pool, searchable=size.searchable_days, say=say)
    await pool.outside_transaction("VACUUM ANALYZE")
    say(f"all derived, {time.monotonic() - began:.0f} s")


async def derive(
    pool: Pool, *, searchable: int, say: Callable[[str], None] = lambda _: None
) -> None:
    """Let the followers work until nothing is marked any more, and make content searchable.

    Args:
        pool: of the database.
        searchable: how many days' content, the newest ones.
        say: told how far it is.
    """
    for name, follow in (("sessions", sessions.follow), ("usage", usage.follow)):
        began = time.monotonic()
        count = 0
        while True:
            done = await pool.transaction(
                lambda cursor, follow=follow: follow(cursor, marks=_MARKS_AT_ONCE),  # type: ignore[misc]  # bound at once
                statement_seconds=0,
            )
            count += done.marks
            if not done.marks:
                break
            say(f"{name}: {count} marks, {time.monotonic() - began:.0f} s")
    await _index(pool, searchable, say)


async def _index(pool: Pool, searchable: int, say: Callable[[str], None]) -> None:
    """Compute the words of days that have none, on several connections at once.

    The index over them is made afterwards, which takes a fraction of the time.
    """
    began = time.monotonic()
    days = await pool.transaction(stored_days)
    await pool.transaction(lambda cursor: ensure_days(cursor, days), statement_seconds=0)
    indexed = {day for (day,) in await pool.transaction(lambda cursor: many(cursor, _INDEXED))}
    unindexed = [day for day in reversed(days[:searchable]) if day not in indexed]
    if not unindexed:
        return
    await pool.transaction(lambda cursor: none(cursor, _DROP_INDEX), statement_seconds=0)

    async def work() -> None:
        while unindexed:
            day = unindexed.pop()
            await pool.transaction(
                lambda cursor, day=day: search.index_day(cursor, day),  # type: ignore[misc]  # bound at once
                statement_seconds=0,
            )
            say(f"search: {day}, {time.monotonic() - began:.0f} s")

    await gatherResults([Deferred.fromCoroutine(work()) for _ in range(_AT_ONCE)])
    await pool.transaction(lambda cursor: none(cursor, _CREATE_INDEX), statement_seconds=0)
    say(f"search: indexed, {time.monotonic() - began:.0f} s")


async def _prepare(cursor: Cursor, size: Size) -> None:
    await none(cursor, store_rows.USERS, {"users": size.users})
    await none(cursor, store_rows.VOCABULARY)


async def _day(cursor: Cursor, size: Size, number: int, day: date) -> None:
    # In the same transaction: a server without replicas then writes no log of the rows.
    await ensure_days(cursor, [day])
    first = size.interceptions * number // size.days
    count = size.interceptions * (number + 1) // size.days - first
    await none(
        cursor,
        store_rows.DAY.format(
            day=day_literal(day),
            day_number=number,
            first=first,
            count=count,
            rare_every=max(size.interceptions // store_rows.RARE_ROWS, 8),
            users=size.users,
            clients=size.clients,
            providers=size.providers,
            models=size.models,
        ),
    )
    for sql in store_rows.RECORDS:
        await none(cursor, sql.format(day=day_literal(day)))
    await none(cursor, "DROP TABLE bench_day")
    await mark_day(cursor, day)
