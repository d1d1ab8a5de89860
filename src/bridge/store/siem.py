"""What a SIEM is still to be told: marks made with the records, taken by one follower at a time.

The writer leaves a mark of what it stores, in the same transaction (`MARKED_KINDS`). A mark is
deleted only after what it stands for is safe with the SIEM, so every record is told at least once,
in whatever order transactions commit and however late a record comes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from bridge.store.connection import Cursor
from bridge.store.partitions import day_literal
from bridge.store.rows import Row, many, none, one
from bridge.store.siem_sql import LINES, LINES_WITHOUT_CONTENT

MARKED_KINDS = frozenset(LINES)
"""Kinds of records that are told."""
LEASE_SECONDS = 30.0
"""How long a follower may take to write one load before another takes over."""
LAPSE = timedelta(days=7)
"""After so long without a follower no marks are made, and those there are may go."""
MARKS_AT_ONCE = 100
RECORDS_AT_ONCE = 1000
"""Of a load; one mark holds as many as one batch of the writer."""

MARK = """
INSERT INTO aibridge_siem_marks (day, kinds, records, interceptions)
SELECT {day}, %s::text[], %s::uuid[], %s::uuid[]
WHERE EXISTS (SELECT FROM aibridge_siem WHERE seen_at > now() - interval '7 days')
"""
"""Leaves a mark, unless nobody has followed for LAPSE; part of the writer's transaction."""

_STATE = "SELECT now(), seen_at, holder, held_until FROM aibridge_siem FOR UPDATE"
_HOLD = """
UPDATE aibridge_siem
SET holder = %s::uuid, seen_at = now(), held_until = now() + %s * interval '1 second'
"""
_RELEASE = "UPDATE aibridge_siem SET holder = NULL, held_until = NULL WHERE holder = %s::uuid"
_TAKE = """
SELECT id, day, kinds, records::text[], interceptions::text[]
FROM aibridge_siem_marks ORDER BY id LIMIT %s
"""
_TOLD = "DELETE FROM aibridge_siem_marks WHERE id = ANY(%s)"
_BACKLOG = """
SELECT coalesce(sum(cardinality(records)), 0)::bigint, min(marked_at) FROM aibridge_siem_marks
"""
_FORGET = """
DELETE FROM aibridge_siem_marks WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM aibridge_siem_marks
    WHERE day < coalesce(%s, '-infinity'::date)
       OR NOT EXISTS (SELECT FROM aibridge_siem WHERE seen_at > now() - interval '7 days')
    LIMIT %s))
"""
_FORGOTTEN_AT_ONCE = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What a follower tells next."""

    marks: tuple[int, ...]
    """To be given to `told`."""
    lines: str
    """JSON, one object a line, each ended by a line feed; "" when everything was given up."""
    more: bool
    """Whether there is more at once."""
    unmarked_since: datetime | None = None
    """From then until now nobody followed for too long, and records have no marks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What has not been told."""

    records: int
    oldest_at: datetime | None
    """When the first of them was stored."""


async def take(cursor: Cursor, holder: UUID, *, content: bool) -> Load | None:
    """Become or stay the one follower, and return what is to be told; None while another is.

    Args:
        cursor: in a transaction.
        holder: the follower's own random id.
        content: whether prompts, tool arguments, results and thoughts are told.
    """
    now, seen_at, held_by, held_until = await one(cursor, _STATE)
    if held_by is not None and UUID(str(held_by)) != holder and held_until > now:
        return None
    await none(cursor, _HOLD, (str(holder), LEASE_SECONDS))
    found = await many(cursor, _TAKE, (MARKS_AT_ONCE,))
    taken = _bounded(found)
    return Load(
        marks=tuple(row[0] for row in taken),
        lines=await _lines(cursor, taken, LINES if content else LINES_WITHOUT_CONTENT),
        more=len(taken) < len(found) or len(found) == MARKS_AT_ONCE,
        unmarked_since=seen_at if seen_at is not None and now - seen_at > LAPSE else None,
    )


async def told(cursor: Cursor, marks: Sequence[int]) -> None:
    """Forget marks whose records are safe with the SIEM."""
    await none(cursor, _TOLD, (list(marks),))


async def release(cursor: Cursor, holder: UUID) -> None:
    """Let another follower take over at once."""
    await none(cursor, _RELEASE, (str(holder),))


async def backlog(cursor: Cursor) -> Backlog:
    """Return how much has not been told."""
    records, oldest = await one(cursor, _BACKLOG)
    return Backlog(records=records, oldest_at=oldest)


async def forget(cursor: Cursor, first_kept_day: date | None) -> int:
    """Drop marks of days that were given up, and all of them when nobody follows any more.

    Args:
        cursor: in a transaction.
        first_kept_day: earlier days are gone; None when none is.

    Returns:
        How many marks went.
    """
    count = 0
    while gone := await none(cursor, _FORGET, (first_kept_day, _FORGOTTEN_AT_ONCE)):
        count += gone
    return count


def _bounded(rows: Sequence[Row]) -> Sequence[Row]:
    """Return as many of the marks as make a load, at least one."""
    records = 0
    for number, row in enumerate(rows):
        records += len(row[2])
        if number and records > RECORDS_AT_ONCE:
            return rows[:number]
    return rows


async def _lines(cursor: Cursor, marks: Sequence[Row], sql: Mapping[str, Sequence[str]]) -> str:
    """Return the lines of all records that are still there, in the order of time."""
    wanted: dict[tuple[date, str], tuple[set[str], set[str]]] = defaultdict(lambda: (set(), set()))
    for _, day, kinds, records, interceptions in marks:
        for kind, record, interception in zip(kinds, records, interceptions, strict=True):
            ids = wanted[day, kind]
            ids[0].add(record)
            if interception is not None:
                ids[1].add(interception)
    found: list[tuple[datetime, float, str]] = []
    for (day, kind), (records, interceptions) in wanted.items():
        params = {"records": _array(records), "interceptions": _array(interceptions)}
        for rank, statement in enumerate(sql.get(kind, ())):
            order = list(sql).index(kind) + rank / 10
            rows = await many(cursor, statement.format(day=day_literal(day)), params)
            found += [(at, order, line) for at, line in rows]
    found.sort(key=lambda each: each[:2])
    return "".join(f"{line}\n" for _, _, line in found)


def _array(identifiers: set[str]) -> str:
    return "{" + ",".join(sorted(identifiers)) + "}"
