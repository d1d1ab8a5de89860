"""The partitions: one per UTC day and table, made when first needed, given up by whole days.

Neither blocks readers or writers: a new day is made as a table of its own and then attached, an old
one detached concurrently and then dropped. There is no default partition, beside which attaching
would have to lock everybody out.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from uuid import UUID

from bridge.store.connection import Cursor
from bridge.store.rows import many, none, one

INTERCEPTIONS = "aibridge_interceptions"
AUDIT_LOG = "audit_log"
RECORDED = (
    "aibridge_user_prompts",
    "aibridge_token_usages",
    "aibridge_tool_usages",
    "aibridge_tool_results",
    "aibridge_model_thoughts",
    "aibridge_legs",
    "aibridge_stored_objects",
    AUDIT_LOG,
    INTERCEPTIONS,
)
"""Partitioned tables that the writer fills."""
DERIVED = ("aibridge_usage_daily", "aibridge_search")
"""Partitioned tables that followers compute from them."""
TABLES = (*DERIVED, *RECORDED)
"""All partitioned tables; interceptions last, so that a day is given up details first."""

_LOCK_NUMBER = 0x6169_6264_0002  # "aibd"; any number that nobody else uses
# An end is written into the row of its start, minutes later. Room left in the page spares the
# indexes, and costs nothing: the old version of the row would take it anyway.
OPTIONS = {
    INTERCEPTIONS: " WITH (fillfactor = 55)",
    "aibridge_user_prompts": " WITH (fillfactor = 70)",
}
"""What is said of a partition's storage when it is made."""
_NAME = re.compile(rf"({'|'.join(TABLES)})_p(\d{{8}})")

_SCHEMA = "(SELECT relnamespace FROM pg_class WHERE oid = 'aibridge_interceptions'::regclass)"
_ATTACHED = f"""
SELECT count(*)
FROM pg_class c JOIN pg_inherits i ON i.inhrelid = c.oid
WHERE c.relname = ANY(%s) AND c.relnamespace = {_SCHEMA} AND NOT i.inhdetachpending
"""  # noqa: S608  # constants only
_FOUND = f"""
SELECT c.relname, i.inhdetachpending, c.reltuples::bigint, pg_total_relation_size(c.oid)
FROM pg_class c LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
WHERE c.relname ~ '_p[0-9]{{8}}$' AND c.relkind = 'r' AND c.relnamespace = {_SCHEMA}
"""  # noqa: S608  # constants only
_DAYS = """
SELECT c.relname
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = ANY(%s::regclass[]) AND NOT i.inhdetachpending
"""
_LOCK = "SELECT pg_advisory_xact_lock(%s)"


class Attachment(StrEnum):
    """How far a partition belongs to its table."""

    ATTACHED = "attached"
    PENDING = "pending"
    """Its detaching was begun and not finished."""
    LOOSE = "loose"
    """Detached and not yet dropped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """One day of one table."""

    table: str
    day: date
    attachment: Attachment
    rows: int
    """As the database estimates; -1 when it does not yet."""
    size_bytes: int
    """With its indexes."""

    @property
    def name(self) -> str:
        """The table's own name."""
        return partition_name(self.table, self.day)


def partition_name(table: str, day: date) -> str:
    """Return the name of the partition of `table` for `day`."""
    return f"{table}_p{day.year:04d}{day.month:02d}{day.day:02d}"


def day_literal(day: date) -> str:
    """Return `day` as SQL: a literal, so that the planner leaves all other partitions alone."""
    return f"DATE '{day.isoformat()}'"


def uuid_array(identifiers: Iterable[UUID]) -> str:
    """Return the text of a uuid[] parameter."""
    return "{" + ",".join(str(each) for each in identifiers) + "}"


def text_array(texts: Iterable[str]) -> str:
    """Return the text of a text[] parameter: read by the server far sooner than a list of many."""
    quoted = (text.replace("\\", "\\\\").replace('"', '\\"') for text in texts)
    return "{" + ",".join(f'"{text}"' for text in quoted) + "}"


async def ensure_days(cursor: Cursor, days: Collection[date]) -> int:
    """Make what is missing for `days`, in all tables, and return how many partitions that were.

    Whoever comes second waits until the first has committed. The database is asked each time (it is
    one probe of an index per table), because another process may have given a day up.
    """
    if not days:
        return 0
    names = [partition_name(table, day) for day in days for table in TABLES]
    (count,) = await one(cursor, _ATTACHED, (names,))
    if count == len(names):
        return 0
    await none(cursor, _LOCK, (_LOCK_NUMBER,))
    known = {each.name: each for each in await partitions(cursor)}
    made = 0
    for day in sorted(days):
        for table in TABLES:
            left = known.get(partition_name(table, day))
            if left is None or left.attachment is not Attachment.ATTACHED:
                await _make(cursor, table, day, left)
                made += 1
    return made


async def partitions(cursor: Cursor) -> list[Partition]:
    """Return all partitions there are, those on their way out included, by day."""
    found = []
    for name, pending, rows, size in await many(cursor, _FOUND):
        match = _NAME.fullmatch(name)
        day = _day(match.group(2)) if match else None
        if match is None or day is None:
            continue  # not ours
        attachment = Attachment.LOOSE
        if pending is not None:
            attachment = Attachment.PENDING if pending else Attachment.ATTACHED
        found.append(
            Partition(
                table=match.group(1), day=day, attachment=attachment, rows=rows, size_bytes=size
            )
        )
    return sorted(found, key=lambda each: (each.day, TABLES.index(each.table)))


async def stored_days(cursor: Cursor) -> list[date]:
    """Return the days that have interceptions, or room for them, newest first."""
    return await _days_of(cursor, INTERCEPTIONS)


async def audited_days(cursor: Cursor) -> list[date]:
    """Return the days that have interceptions or, held for longer, entries of the audit log."""
    return await _days_of(cursor, INTERCEPTIONS, AUDIT_LOG)


def neighbours(days: Iterable[date], *, before: int, after: int) -> tuple[date, date]:
    """Return the first and the last day of `days` widened by so many days on each side."""
    known = sorted(days)
    first, last = known[0], known[-1]
    try:
        first -= timedelta(days=before)
    except OverflowError:
        first = date.min
    try:
        last += timedelta(days=after)
    except OverflowError:
        last = date.max
    return first, last


async def _make(cursor: Cursor, table: str, day: date, left: Partition | None) -> None:
    name = partition_name(table, day)
    if left is not None:
        if left.attachment is Attachment.PENDING:
            await none(cursor, f"ALTER TABLE {table} DETACH PARTITION {name} FINALIZE")
        # Given up, but not dropped yet: what was in it is over its time.
        await none(cursor, f"DROP TABLE {name}")
    after = day + timedelta(days=1)
    await none(cursor, f"CREATE TABLE {name} (LIKE {table} INCLUDING ALL){OPTIONS.get(table, '')}")
    await none(
        cursor,
        f"ALTER TABLE {table} ATTACH PARTITION {name} "
        f"FOR VALUES FROM ('{day.isoformat()}') TO ('{after.isoformat()}')",
    )


async def _days_of(cursor: Cursor, *tables: str) -> list[date]:
    """Return the days of which one of `tables` has a partition, newest first."""
    days = set()
    for (name,) in await many(cursor, _DAYS, (list(tables),)):
        match = _NAME.fullmatch(name)
        day = _day(match.group(2)) if match else None
        if day is not None:
            days.add(day)
    return sorted(days, reverse=True)


def _day(digits: str) -> date | None:
    try:
        return datetime.strptime(digits + "+0000", "%Y%m%d%z").date()
    except ValueError:
        return None
