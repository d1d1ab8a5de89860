"""How many people asked on each day, and of which models, from the sums that usage keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from uuid import UUID

import msgspec

from bridge.store.connection import Cursor
from bridge.store.filters import Filter
from bridge.store.partitions import day_literal
from bridge.store.reads_usage import check, usage_conditions
from bridge.store.rows import many

_TRENDS = """
SELECT u.day, count(DISTINCT u.initiator_id)::bigint{models}
FROM aibridge_usage_daily u
WHERE u.day BETWEEN {first} AND {last} AND {conditions}
GROUP BY u.day
"""
_OF_MODEL = ", coalesce(sum(u.interceptions) FILTER (WHERE u.model = %({name})s), 0)::bigint"


class Trend(msgspec.Struct, frozen=True, kw_only=True):
    """A day."""

    users: int
    """Who asked at least once."""
    models: tuple[int, ...]
    """Interceptions, of each of the models that were given."""


async def read_trends(
    cursor: Cursor,
    wanted: Filter,
    *,
    models: Sequence[str],
    first: date,
    last: date,
    visible_to: UUID | None,
    cutoff: datetime | None,
) -> Mapping[date, Trend]:
    """Return each day on which somebody asked.

    Args:
        cursor: of a read-only transaction.
        wanted: whose and of what; see `reads_usage.check`.
        models: whose interceptions are told apart.
        first: the first day.
        last: the last day, inclusive.
        visible_to: whose usage may be seen; None for everybody's.
        cutoff: days before its day are not there any more; None for none.

    Raises:
        InvalidFilter: usage is not kept by something that `wanted` asks for.
        StoreUnavailable: not now.
    """
    check(wanted)
    conditions, params = await usage_conditions(cursor, wanted, visible_to)
    begin = max(first, cutoff.date()) if cutoff is not None else first
    names = {f"model_{number}": model for number, model in enumerate(models)}
    sql = _TRENDS.format(
        models="".join(_OF_MODEL.format(name=name) for name in names),
        first=day_literal(begin),
        last=day_literal(last),
        conditions=conditions,
    )
    rows = await many(cursor, sql, {**params, **names})
    return {day: Trend(users=users, models=tuple(counts)) for day, users, *counts in rows}
