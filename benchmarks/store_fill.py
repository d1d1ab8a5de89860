"""Fills a database with made-up records, and has our own followers derive the rest."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from twisted.internet.defer import Deferred, gatherResults

from benchmarks import store_rows
from bridge.store import search, sessions, usage
from bridge.store.connection import Cursor
from bridge.store.partitions import (
    OPTIONS,
    day_literal,
    ensure_days,
    partition_name,
    stored_days,
)
from bridge.store.pool import Pool
from bridge.store.rebuild import mark_day
from bridge.store.rows import many, none

_MARKS_AT_ONCE = 20_000
"""A session of many days is then computed a few times only."""
_AT_ONCE = 2
_INDEXED = "SELECT DISTINCT day FROM aibridge_search"
_SEARCH = "aibridge_search"
_USAGE = "aibridge_usage_daily"
_WHOLE = ("users", "aibridge_sessions", "aibridge_session_terms", "aibridge_facets")
_FIRST = "aibridge_interceptions"
# Of a sample of the usual size, looking at every word takes longer than making the index.
_ANALYZE_WORDS = "SET LOCAL default_statistics_target = 10; ANALYZE {into}"
_MADE = "SELECT relname FROM pg_class WHERE relkind = 'r'"
# What a check says of all rows need not be looked up in them when the table is attached.
_CREATE = """
CREATE TABLE {into} (
    LIKE {table} INCLUDING ALL EXCLUDING INDEXES,
    CONSTRAINT of_day CHECK (day >= '{day}' AND day < '{after}')
) {options}
"""
_ATTACH = """
ALTER TABLE {table} ATTACH PARTITION {into} FOR VALUES FROM ('{day}') TO ('{after}');
ALTER TABLE {into} DROP CONSTRAINT of_day
"""
_DEFINITIONS = """
SELECT CASE WHEN i.indisprimary
    THEN 'ALTER TABLE ' || %(into)s || ' ADD ' || pg_get_constraintdef(c.oid)
    ELSE regexp_replace(
        pg_get_indexdef(i.indexrelid), 'INDEX .* ON (ONLY )?[^ ]+ ', 'INDEX ON ' || %(into)s || ' ')
    END
FROM pg_index i
LEFT JOIN pg_constraint c ON c.conindid = i.indexrelid AND c.contype = 'p'
WHERE i.indrelid = %(table)s::regclass
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much there is to be.

    For each interception there are 2 prompts, 1.5 token rows and legs, 3 tool calls and half a
    thought, on average.
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

    Days are filled two at a time into tables of their own, whose indexes are made afterwards. A
    fill that was interrupted is gone on with.

    Args:
        pool: on a migrated database.
        size: how much.
        last: the last of the days.
        say: told how far it is.
    """
    began = time.monotonic()
    days = [last - timedelta(days=back) for back in reversed(range(size.days))]
    await pool.transaction(lambda cursor: _prepare(cursor, size), statement_seconds=0)
    made = {name for (name,) in await pool.transaction(lambda cursor: many(cursor, _MADE))}
    waiting = [
        (number, day)
        for number, day in reversed(tuple(enumerate(days)))
        if partition_name(_FIRST, day) not in made
    ]

    async def work() -> None:
        while waiting:
            number, day = waiting.pop()
            await pool.transaction(
                lambda cursor, number=number, day=day: _day(cursor, size, number, day),  # type: ignore[misc]  # bound at once
                statement_seconds=0,
            )
            for table in store_rows.RECORDS:
                await pool.outside_transaction(f"VACUUM ANALYZE {partition_name(table, day)}")
            say(f"{day}: recorded, {time.monotonic() - began:.0f} s")

    await _several(work)
    for day in days:
        await pool.transaction(lambda cursor, day=day: _attach(cursor, day), statement_seconds=0)  # type: ignore[misc]  # bound at once
    await pool.transaction(lambda cursor: none(cursor, store_rows.FORGET))
    say(f"attached, {time.monotonic() - began:.0f} s")
    await derive(pool, searchable=size.searchable_days, say=say)
    await tidy(pool)
    say(f"all derived, {time.monotonic() - began:.0f} s")


async def _several(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run so many at once as there are processors for."""
    await gatherResults([Deferred.fromCoroutine(work()) for _ in range(_AT_ONCE)])


async def tidy(pool: Pool) -> None:
    """Do what autovacuum would do with what has been derived."""
    await pool.outside_transaction(f"VACUUM ANALYZE {', '.join(_WHOLE)}")
    for day in await pool.transaction(stored_days):
        await pool.outside_transaction(f"VACUUM ANALYZE {partition_name(_USAGE, day)}")


async def derive(
    pool: Pool, *, searchable: int, say: Callable[[str], None] = lambda _: None
) -> None:
    """Let the followers work until nothing is marked any more, and make content searchable.

    Args:
        pool: of the database.
        searchable: how many days' content, the newest ones.
        say: told how far it is.
    """
    await gatherResults(
        [
            Deferred.fromCoroutine(_follow(pool, say)),
            Deferred.fromCoroutine(_index(pool, searchable, say)),
        ]
    )


async def _follow(pool: Pool, say: Callable[[str], None]) -> None:
    """Compute sessions, facets and usage."""
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


async def _index(pool: Pool, searchable: int, say: Callable[[str], None]) -> None:
    """Compute the words of days that have none, and index them day by day.

    An index over a day's words is made in a fraction of the time that it takes to grow.
    """
    began = time.monotonic()
    days = await pool.transaction(stored_days)
    await pool.transaction(lambda cursor: ensure_days(cursor, days), statement_seconds=0)
    indexed = {day for (day,) in await pool.transaction(lambda cursor: many(cursor, _INDEXED))}
    unindexed = [day for day in reversed(days[:searchable]) if day not in indexed]
    for day in unindexed:
        await pool.transaction(
            lambda cursor, day=day: search.index_day(cursor, day),  # type: ignore[misc]  # bound at once
            statement_seconds=0,
        )
        say(f"search: {day}, {time.monotonic() - began:.0f} s")


async def _prepare(cursor: Cursor, size: Size) -> None:
    if not await many(cursor, "SELECT 1 FROM pg_class WHERE relname = 'bench_sentences'"):
        await none(cursor, store_rows.USERS, {"users": size.users})
        await none(cursor, store_rows.VOCABULARY)


async def _day(cursor: Cursor, size: Size, number: int, day: date) -> None:
    first = size.interceptions * number // size.days
    count = size.interceptions * (number + 1) // size.days - first
    made = store_rows.DAY.format(
        day=day_literal(day),
        day_number=number,
        first=first,
        count=count,
        rare_every=max(size.interceptions // store_rows.RARE_ROWS, 8),
        users=size.users,
        clients=size.clients,
        providers=size.providers,
        models=size.models,
    )
    await none(
        cursor, f"SET LOCAL work_mem = '64MB'; SET LOCAL maintenance_work_mem = '256MB'; {made}"
    )
    statements = dict(store_rows.RECORDS)
    if number >= size.days - size.searchable_days:
        statements[_SEARCH] = store_rows.WORDS
    for table, sql in statements.items():
        # Made in this transaction: a server without replicas then writes no log of the rows.
        into = partition_name(table, day)
        options = OPTIONS.get(table, "")
        await none(cursor, _CREATE.format(into=into, table=table, options=options, **_span(day)))
        await none(cursor, sql.format(into=into, day=day_literal(day)))
        for (made,) in await many(cursor, _DEFINITIONS, {"table": table, "into": into}):
            await none(cursor, made)
        if table == _SEARCH:
            await none(cursor, _ANALYZE_WORDS.format(into=into))


async def _attach(cursor: Cursor, day: date) -> None:
    """Make the tables of a day partitions; their indexes become parts of the partitioned ones."""
    for table in (*store_rows.RECORDS, _SEARCH):
        into = partition_name(table, day)
        if await many(cursor, "SELECT 1 FROM pg_class WHERE relname = %s", (into,)):
            await none(cursor, _ATTACH.format(into=into, table=table, **_span(day)))
    await ensure_days(cursor, [day])
    await mark_day(cursor, day)


def _span(day: date) -> dict[str, date]:
    return {"day": day, "after": day + timedelta(days=1)}
