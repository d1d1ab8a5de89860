"""Threads: which interception made the tool call whose result another one brings.

The parent of an interception is the latest earlier interception of the same initiator that made the
tool call it correlates to; the root is the first of the chain. Either side may come first, so both
are looked for whenever one comes; the outcome does not depend on the order.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import date
from uuid import UUID

from bridge.store.connection import Cursor
from bridge.store.partitions import day_literal, neighbours, uuid_array
from bridge.store.rows import many, none

NEAR_DAYS = 1
"""Where a parent nearly always is."""
FAR_DAYS = 31
"""A conversation taken up again after longer than this is a new thread: each day costs a search."""

_LOCK = "SELECT pg_advisory_xact_lock(%s)"
_LOCK_NUMBER = 0x6169_6264_0003  # "aibd"; any number that nobody else uses

# A parent must have begun before its child, so that no chain can bite its tail. A parent may become
# a later one, never an earlier one.
_LINK = """
UPDATE aibridge_interceptions i SET thread_parent_id = f.parent
FROM (
    SELECT DISTINCT ON (c.id) c.id, c.day, p.id AS parent
    FROM aibridge_tool_usages t
    JOIN aibridge_interceptions p
      ON p.id = t.interception_id AND p.day = t.day AND p.kind = 'intercepted'
     AND p.day BETWEEN {first} AND {last}
    JOIN aibridge_interceptions c
      ON c.correlating_tool_call_id = t.provider_tool_call_id AND c.initiator_id = p.initiator_id
     AND c.id > p.id AND c.kind = 'intercepted'
     AND c.day BETWEEN {first} AND {last}
    WHERE t.day BETWEEN {first} AND {last}
      AND t.provider_tool_call_id = ANY(%(calls)s::text[])
      AND c.correlating_tool_call_id = ANY(%(calls)s::text[])
    ORDER BY c.id, p.id DESC
) f
WHERE i.id = f.id AND i.day = f.day AND i.day BETWEEN {first} AND {last}
  AND (i.thread_parent_id IS NULL OR i.thread_parent_id < f.parent)
RETURNING i.id, i.day
"""

_UNRESOLVED = """
SELECT DISTINCT i.correlating_tool_call_id
FROM aibridge_interceptions i
WHERE i.day = {day} AND i.id = ANY(%s::uuid[]) AND i.thread_parent_id IS NULL
"""

# Of several changed ones above an interception the topmost has the root that is right.
_ROOTS = """
WITH RECURSIVE walk(id, day, root, top) AS (
    SELECT c.id, c.day, coalesce(p.thread_root_id, p.id), c.id
    FROM aibridge_interceptions c
    JOIN aibridge_interceptions p
      ON p.id = c.thread_parent_id AND p.day BETWEEN {first} AND {last}
    WHERE c.id = ANY(%(changed)s::uuid[]) AND c.day BETWEEN {first} AND {last}
      AND NOT c.thread_parent_id = ANY(%(changed)s::uuid[])
    UNION ALL
    SELECT k.id, k.day, w.root, w.top
    FROM walk w
    JOIN aibridge_interceptions k
      ON k.thread_parent_id = w.id AND k.day BETWEEN {changed_first} AND {open_end}
), found AS (
    SELECT DISTINCT ON (w.id) w.id, w.day, w.root FROM walk w ORDER BY w.id, w.top
), moved AS (
    SELECT i.id, i.day, i.session_id, f.root
    FROM found f
    JOIN aibridge_interceptions i
      ON i.id = f.id AND i.day = f.day AND i.day BETWEEN {changed_first} AND {open_end}
    WHERE i.thread_root_id IS DISTINCT FROM f.root
), written AS (
    UPDATE aibridge_interceptions i SET thread_root_id = m.root
    FROM moved m
    WHERE i.id = m.id AND i.day = m.day AND i.day BETWEEN {changed_first} AND {open_end}
    RETURNING i.initiator_id, m.session_id AS before, i.session_id AS after, i.day, i.ended_at
)
INSERT INTO aibridge_session_marks (initiator_id, session_id, day)
SELECT w.initiator_id, w.before, w.day FROM written w WHERE w.ended_at IS NOT NULL
UNION
SELECT w.initiator_id, w.after, w.day FROM written w WHERE w.ended_at IS NOT NULL
"""


async def lock(cursor: Cursor) -> None:
    """Let one transaction at a time link, until it ends.

    Otherwise of two that bring a parent and its child at once neither would see the other's. To be
    called first, before any row is locked.
    """
    await none(cursor, _LOCK, (_LOCK_NUMBER,))


async def link(
    cursor: Cursor,
    *,
    calls: Collection[str],
    days: Iterable[date],
    children: Mapping[date, Collection[UUID]],
) -> None:
    """Resolve the threads in which `calls` take part.

    Args:
        cursor: of the transaction that has stored both what made the calls and what brings results.
        calls: tool calls, of which a side has come.
        days: in which that was.
        children: those interceptions, by day, that bring results and have just come.
    """
    known = tuple(days)
    changed = await _find(cursor, calls, known, before=NEAR_DAYS)
    unresolved: set[str] = set()
    for day, identifiers in children.items():
        sql = _UNRESOLVED.format(day=day_literal(day))
        unresolved.update(call for (call,) in await many(cursor, sql, (uuid_array(identifiers),)))
    if unresolved:
        changed |= await _find(cursor, unresolved, known, before=FAR_DAYS)
    if changed:
        await _correct_roots(cursor, changed)


async def _find(
    cursor: Cursor, calls: Collection[str], days: Collection[date], *, before: int
) -> dict[UUID, date]:
    """Give the children of `calls` their parents, and return those that got another one."""
    first, last = neighbours(days, before=before, after=FAR_DAYS)
    sql = _LINK.format(first=day_literal(first), last=day_literal(last))
    return dict(await many(cursor, sql, {"calls": sorted(calls)}))


async def _correct_roots(cursor: Cursor, changed: Mapping[UUID, date]) -> None:
    """Write the root into `changed` and all that descend from them, and mark their sessions."""
    first, last = neighbours(changed.values(), before=FAR_DAYS, after=0)
    sql = _ROOTS.format(
        first=day_literal(first),
        last=day_literal(last),
        changed_first=day_literal(min(changed.values())),
        open_end=day_literal(date.max),
    )
    await none(cursor, sql, {"changed": uuid_array(changed)})
