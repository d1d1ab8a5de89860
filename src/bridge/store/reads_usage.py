"""Usage read back: sums over days, by any of what they are kept by."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from itertools import accumulate
from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from bridge.domain.errors import Validation
from bridge.store.connection import Cursor
from bridge.store.filters import Filter, InvalidFilter
from bridge.store.partitions import day_literal, stored_days, uuid_array
from bridge.store.reads_json import Initiator
from bridge.store.rows import Row, many, none, one
from bridge.store.usage import BUCKETS, UPPER_BOUNDS_MS

DEFAULT_LIMIT = 1000
MAX_LIMIT = 10_000

_IDS_OF_NAME = "SELECT id FROM users WHERE username = %s"
_SUMMED = (
    "interceptions", "errors", "client_aborts", "input_tokens", "output_tokens",
    "cache_read_input_tokens", "cache_write_input_tokens", "bytes_in", "bytes_out",
)  # fmt: skip
_TIMED = ("duration", "ttfb")
_COLUMNS = (*_SUMMED, *(f"{what}_{name}" for what in _TIMED for name in ("ms", *BUCKETS)))
_COUNT_OF_SUMS = len(_COLUMNS)
_SUMS = ", ".join(f"coalesce(sum(u.{name}), 0)::bigint" for name in _COLUMNS)
# Of groups the planner expects far too many: it would sort all rows by them, or read them all in
# the order of an index. `OFFSET 0` keeps the order of the groups from them.
_SNAPSHOT = (
    "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SET LOCAL jit = off;"
    "SET LOCAL enable_sort = off; SET LOCAL enable_indexscan = off"
)
_GROUPS = """
SELECT *
FROM (
    SELECT {shown}, {sums}
    FROM aibridge_usage_daily u
    WHERE u.day BETWEEN {first} AND {last} AND {conditions}
    GROUP BY {by}
    OFFSET 0
) g
ORDER BY {order}
LIMIT %(limit)s
"""
_TOTAL = """
SELECT {sums}
FROM aibridge_usage_daily u
WHERE u.day BETWEEN {first} AND {last} AND {conditions}
"""
_COUNTED = """
SELECT coalesce(sum(u.interceptions), 0)::bigint
FROM aibridge_usage_daily u
WHERE u.day IN ({days}) AND {conditions}
"""
_CHANGED = """
SELECT DISTINCT day FROM aibridge_session_marks
UNION
SELECT DISTINCT day FROM aibridge_usage_marks
"""
_TIMES_MORE = 4
"""On so many times more days groups are looked for when there were none on those before."""


class Dimension(StrEnum):
    """What usage can be told apart by."""

    DAY = "day"
    INITIATOR = "initiator"
    PROVIDER = "provider"
    PROVIDER_NAME = "provider_name"
    MODEL = "model"
    CLIENT = "client"

    @property
    def column(self) -> str:
        """The column of it."""
        return "u.initiator_id" if self is Dimension.INITIATOR else f"u.{self.value}"


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """How long something took; percentiles are estimated from a histogram, None without any."""

    count: int
    """Of how many it is known."""
    sum_ms: int
    p50_ms: int | None
    p95_ms: int | None
    p99_ms: int | None


class Sums(msgspec.Struct, frozen=True, kw_only=True):
    """Sums over ended intercepted interceptions."""

    interceptions: int
    errors: int
    """Ended as upstream_error, gateway_abort or lost."""
    client_aborts: int
    input_tokens: int
    """Without cache reads and writes."""
    output_tokens: int
    cache_read_input_tokens: int
    cache_write_input_tokens: int
    bytes_in: int
    bytes_out: int
    duration: Timing
    """From the start to the end."""
    ttfb: Timing
    """From having the request to the first body byte from upstream."""


class UsageRow(Sums, frozen=True, kw_only=True):
    """The sums of one group; what was not grouped by is not there."""

    day: date | UnsetType = UNSET
    """UTC."""
    initiator: Initiator | UnsetType = UNSET
    provider: str | UnsetType = UNSET
    provider_name: str | UnsetType = UNSET
    model: str | UnsetType = UNSET
    """What clients asked for; empty when they named none."""
    client: str | UnsetType = UNSET


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a question about usage."""

    total: Sums
    """Of everything asked for, also of what is not in `results`."""
    results: tuple[UsageRow, ...]
    """In the order of what they are grouped by; none when that is nothing."""
    truncated: bool = False
    """There are more groups than the limit."""


@dataclass(slots=True)
class _Where:
    conditions: list[str] = field(default_factory=lambda: ["true"])
    params: dict[str, object] = field(default_factory=dict)

    def add(self, condition: str, name: str, value: object) -> None:
        self.conditions.append(condition)
        self.params[name] = value


async def read_usage(
    cursor: Cursor,
    wanted: Filter,
    *,
    by: Sequence[Dimension],
    first: date | None,
    last: date | None,
    limit: int,
    visible_to: UUID | None,
    cutoff: datetime | None,
) -> Usage:
    """Return usage, summed up.

    Args:
        cursor: of a read-only transaction in which nothing but usage was asked yet.
        wanted: whose and of what; see `check`.
        by: what to tell apart, in this order; nothing gives the total only.
        first: the first day; None for the first that is kept.
        last: the last day, inclusive; None for the latest.
        limit: groups at most, from 1 to MAX_LIMIT.
        visible_to: whose usage may be seen; None for everybody's.
        cutoff: days before its day are not there any more; None for none.

    Raises:
        InvalidFilter: usage is not kept by something that `wanted` asks for.
        StoreUnavailable: not now.
    """
    check(wanted)
    if by:
        await none(cursor, _SNAPSHOT)
    where = await _where(cursor, wanted, visible_to)
    begin = max([day for day in (first, cutoff.date() if cutoff else None) if day is not None],
                default=date.min)  # fmt: skip
    span = (begin, last or date.max)
    conditions = " AND ".join(where.conditions)
    if not by:
        return Usage(total=await _total(cursor, span, conditions, where.params), results=())
    if by[0] is Dimension.DAY:
        rows = await _from_day_to_day(cursor, span, by, conditions, where.params, limit + 1)
    else:
        sql = _groups(by, span, conditions)
        rows = await many(cursor, sql, {**where.params, "limit": limit + 1})
    groups = [(row[:-_COUNT_OF_SUMS], row[-_COUNT_OF_SUMS:]) for row in rows]
    truncated = len(groups) > limit
    if truncated:
        total = await _total(cursor, span, conditions, where.params)
    else:
        sums = [sum(column) for column in zip(*(values for _, values in groups), strict=True)]
        total = Sums(**_sums(sums or [0] * _COUNT_OF_SUMS))
    results = [UsageRow(**_group(by, key), **_sums(values)) for key, values in groups[:limit]]
    return Usage(total=total, results=tuple(results), truncated=truncated)


async def count_summed_up(
    cursor: Cursor, wanted: Filter, *, days: Sequence[date], visible_to: UUID | None
) -> tuple[int, Sequence[date]]:
    """Return how many interceptions there are on those of the days whose sums are up to date.

    Args:
        cursor: of a read-only transaction.
        wanted: whose and of what; see `problems`.
        days: which; they are stored.
        visible_to: whose may be seen; None for everybody's.

    Returns:
        The number, and the days that are not in it.
    """
    changed = {day for (day,) in await many(cursor, _CHANGED)}
    settled = [day for day in days if day not in changed]
    if not settled:
        return 0, days
    where = await _where(cursor, wanted, visible_to)
    listed = ", ".join(day_literal(day) for day in settled)
    sql = _COUNTED.format(days=listed, conditions=" AND ".join(where.conditions))
    (count,) = await one(cursor, sql, where.params)
    return count, [day for day in days if day in changed]


async def usage_conditions(
    cursor: Cursor, wanted: Filter, visible_to: UUID | None
) -> tuple[str, Mapping[str, object]]:
    """Return the conditions on `aibridge_usage_daily u` as SQL, and their values."""
    where = await _where(cursor, wanted, visible_to)
    return " AND ".join(where.conditions), where.params


async def _where(cursor: Cursor, wanted: Filter, visible_to: UUID | None) -> _Where:
    """Return the conditions on `aibridge_usage_daily u`."""
    where = _Where()
    if visible_to is not None:
        where.add("u.initiator_id = %(visible_to)s::uuid", "visible_to", str(visible_to))
    if wanted.initiator_id is not None:
        where.add("u.initiator_id = %(initiator)s::uuid", "initiator", str(wanted.initiator_id))
    if wanted.initiator_name is not None:
        ids = [row[0] for row in await many(cursor, _IDS_OF_NAME, (wanted.initiator_name,))]
        where.add("u.initiator_id = ANY(%(named)s::uuid[])", "named", uuid_array(ids))
    for name in ("provider", "provider_name", "model", "client"):
        value = getattr(wanted, name)
        if value is not None:
            where.add(f"u.{name} = %({name})s", name, value)
    return where


async def _total(
    cursor: Cursor, span: tuple[date, date], conditions: str, params: Mapping[str, object]
) -> Sums:
    """Return the sums of everything between two days."""
    first, last = (day_literal(day) for day in span)
    sql = _TOTAL.format(sums=_SUMS, first=first, last=last, conditions=conditions)
    return Sums(**_sums(await one(cursor, sql, params)))


def _groups(by: Sequence[Dimension], span: tuple[date, date], conditions: str) -> str:
    """Return the statement of the groups between two days: what they are by, then their sums."""
    shown = [each.column for each in by]
    if Dimension.INITIATOR in by:
        shown.append("max(u.username)")
    first, last = (day_literal(day) for day in span)
    return _GROUPS.format(
        shown=", ".join(shown),
        sums=_SUMS,
        by=", ".join(each.column for each in by),
        order=", ".join(str(place + 1) for place in range(len(by))),
        first=first,
        last=last,
        conditions=conditions,
    )


async def _from_day_to_day(
    cursor: Cursor,
    span: tuple[date, date],
    by: Sequence[Dimension],
    conditions: str,
    params: Mapping[str, object],
    limit: int,
) -> list[Row]:
    """Return the first groups where they begin with the day, without looking at all days.

    On how many days they are is guessed from those before.
    """
    days = [day for day in reversed(await stored_days(cursor)) if span[0] <= day <= span[1]]
    rows: list[Row] = []
    done, length = 0, 1
    while done < len(days) and len(rows) < limit:
        piece = days[done : done + length]
        sql = _groups(by, (piece[0], piece[-1]), conditions)
        rows += await many(cursor, sql, {**params, "limit": limit - len(rows)})
        done += len(piece)
        length = (limit - len(rows)) * done // len(rows) + 1 if rows else _TIMES_MORE * length
    return rows


def check(wanted: Filter) -> None:
    """Refuse what usage is not kept by.

    Raises:
        InvalidFilter: with all of it.
    """
    found = problems(wanted)
    if found:
        raise InvalidFilter(found)


def problems(wanted: Filter) -> tuple[Validation, ...]:
    """Return what is wanted that usage is not kept by."""
    reason = "usage is not kept by it"
    found = [
        Validation(field=name, detail=reason)
        for name in ("session_id", "status")
        if getattr(wanted, name) is not None
    ]
    found += [
        Validation(field=name, detail="usage is kept by day: give from and to")
        for name in ("started_after", "started_before", "ended_after")
        if getattr(wanted, name) is not None
    ]
    if wanted.kind != Filter().kind:
        found.append(Validation(field="kind", detail=reason))
    return tuple(found)


def percentile(up_to: Sequence[int], share: float) -> int | None:
    """Return the value below which `share` of what is counted lies, milliseconds.

    Within a bucket values are taken to be spread evenly; of the last one its lower bound is told.

    Args:
        up_to: how many are in each bucket and all before it.
        share: from 0 to 1.
    """
    wanted = share * up_to[-1]
    if wanted == 0:
        return None
    bucket = bisect_left(up_to, wanted)
    lower = UPPER_BOUNDS_MS[bucket - 1] if bucket else 0
    if bucket == len(UPPER_BOUNDS_MS):
        return lower
    below = up_to[bucket - 1] if bucket else 0
    within = (wanted - below) / (up_to[bucket] - below)
    return round(lower + (UPPER_BOUNDS_MS[bucket] - lower) * within)


def _group(by: Sequence[Dimension], key: Row) -> dict[str, Any]:
    found: dict[str, Any] = {each.value: value for each, value in zip(by, key, strict=False)}
    if Dimension.INITIATOR in by:
        found["initiator"] = Initiator(id=found["initiator"], username=key[-1])
    return found


def _sums(values: Sequence[int]) -> dict[str, Any]:
    found: dict[str, Any] = dict(zip(_SUMMED, values, strict=False))
    at = len(_SUMMED)
    for what in _TIMED:
        sum_ms, *counts = values[at : at + 1 + len(BUCKETS)]
        at += 1 + len(BUCKETS)
        up_to = tuple(accumulate(counts))
        found[what] = Timing(
            count=up_to[-1],
            sum_ms=sum_ms,
            p50_ms=percentile(up_to, 0.50),
            p95_ms=percentile(up_to, 0.95),
            p99_ms=percentile(up_to, 0.99),
        )
    return found
