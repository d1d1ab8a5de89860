"""A session's outline: what a page of it needs to know of the whole, without looking at all of it.

`sessions_sql` computes it with the session's row. The thread of a root is then known to be nowhere
but on the root's day and `days` more, and roots come in the order of their days; so a page looks at
the days that it is about, of a session of thousands of interceptions too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from bridge.domain.ids import day_of
from bridge.store.connection import Cursor
from bridge.store.partitions import day_literal, stored_days
from bridge.store.rows import many

_TIMES_MORE = 4
"""On so many times more days roots are looked for when there were none on those before."""

# Threads whose root is not of the session make it not `rooted`.
_ROOTS = """
SELECT i.id
{rows} AND i.thread_root_id IS NULL
  AND (%(edge)s::uuid IS NULL OR i.id {comparison}= %(edge)s::uuid)
ORDER BY i.id {direction}
LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """Of one session."""

    threads: int
    rooted: bool
    """Whether each thread's root is an interception of the session."""
    days: int
    """How many days after its root's a thread goes on at most."""
    agents: Sequence[Sequence[Any]]
    """As `reads_agents` asks for them."""


def outline_from(value: Mapping[str, Any] | None, session: Mapping[str, Any]) -> Outline | None:
    """Return the outline in a session's row; None when it is not of this very row.

    Versions that know nothing of outlines leave one behind that another had made.
    """
    if value is None or value["interceptions"] != session["interceptions"]:
        return None
    if _moment(value["ended_at"]) != session["ended_at"]:
        return None
    agents = [(*row[:5], _moment(row[5]), _moment(row[6])) for row in value["agents"]]
    return Outline(
        threads=value["threads"], rooted=value["rooted"], days=value["days"], agents=agents
    )


async def roots_of_page(
    cursor: Cursor,
    rows: str,
    params: Mapping[str, object],
    *,
    first: date,
    last: date,
    edge: UUID | None,
    ascending: bool,
    limit: int,
) -> list[UUID]:
    """Return the roots from `edge` on, itself included, of a session that is `rooted`.

    Args:
        cursor: of a read-only transaction.
        rows: SQL from FROM on: interceptions `i` of the session, between `{first}` and `{last}`.
        params: its parameters.
        first: day of the session.
        last: day of the session.
        edge: an interception of the session; None for its beginning or end.
        ascending: whether later ones follow, or earlier ones.
        limit: at most so many.
    """
    days = [day for day in await stored_days(cursor) if first <= day <= last]
    if ascending:
        days.reverse()
    if edge is not None:
        of_edge = day_inside(edge)
        if of_edge not in days:
            return []
        days = days[days.index(of_edge) :]
    comparison, direction = (">", "ASC") if ascending else ("<", "DESC")
    found: list[UUID] = []
    done, length = 0, 1
    while done < len(days) and len(found) < limit:
        piece = days[done : done + length]
        sql = _ROOTS.format(
            rows=rows.format(first=day_literal(min(piece)), last=day_literal(max(piece))),
            comparison=comparison,
            direction=direction,
        )
        wanted = {**params, "edge": str(edge) if edge else None, "limit": limit - len(found)}
        found += [row[0] for row in await many(cursor, sql, wanted)]
        done += len(piece)
        length = _TIMES_MORE * length if not found else done
    return found


def last_day_of(roots: Sequence[UUID], outline: Outline, last: date) -> date:
    """Return the last day on which threads of these roots can go on."""
    return min(last, max(day_of(root) for root in roots) + timedelta(days=outline.days))


def day_inside(identifier: UUID) -> date | None:
    """Return the day of an interception; None of what cannot be the id of one."""
    try:
        return day_of(identifier)
    except (ValueError, OverflowError):
        return None


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
