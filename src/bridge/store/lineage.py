"""Threads: which interception made the tool call whose result another one brings.

The parent of an interception is the latest earlier interception of the same initiator that made the
tool call it correlates to; the root is the first of the chain. Either side may come first, so both
are looked for whenever one comes; the outcome does not depend on the order.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date
from typing import NamedTuple
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

# `OFFSET 0` and the CTEs keep the planner to the indexes, call by call: it knows little of a
# partition that has just been filled. A parent must have begun before its child, so that no chain
# can bite its tail; it may give way to a later one, never to an earlier one. Upstreams that number
# their calls (`call_0`) make many pairs of one call: only the latest of each side are looked at,
# more than a batch holds.
_MOST_OF_A_CALL = 500
_FIND = """
WITH k AS (SELECT unnest(%(calls)s::text[]) AS call),
p AS MATERIALIZED (
    SELECT k.call, p.id, p.day, p.initiator_id
    FROM k
    CROSS JOIN LATERAL (
        SELECT t.interception_id, t.day
        FROM aibridge_tool_usages t
        WHERE t.provider_tool_call_id = k.call AND t.day BETWEEN {first} AND {last}
        ORDER BY t.interception_id DESC
        LIMIT {most}
    ) t
    CROSS JOIN LATERAL (
        SELECT p.id, p.day, p.initiator_id
        FROM aibridge_interceptions p
        WHERE p.id = t.interception_id AND p.day = t.day AND p.day BETWEEN {first} AND {last}
          AND p.kind = 'intercepted'
        OFFSET 0
    ) p
), c AS MATERIALIZED (
    SELECT k.call, c.id, c.day, c.initiator_id, c.thread_parent_id
    FROM k
    CROSS JOIN LATERAL (
        SELECT c.id, c.day, c.initiator_id, c.thread_parent_id
        FROM aibridge_interceptions c
        WHERE c.correlating_tool_call_id = k.call AND c.day BETWEEN {first} AND {last}
          AND c.kind = 'intercepted'
        ORDER BY c.id DESC
        LIMIT {most}
    ) c
)
SELECT DISTINCT ON (c.id) c.id, c.day, p.id, p.day
FROM c
JOIN p ON p.call = c.call AND p.initiator_id = c.initiator_id AND p.id < c.id
WHERE c.thread_parent_id IS NULL OR c.thread_parent_id < p.id
ORDER BY c.id, p.id DESC
"""

_UNRESOLVED = """
SELECT DISTINCT i.correlating_tool_call_id
FROM aibridge_interceptions i
WHERE i.day = {day} AND i.id = ANY(%s::uuid[]) AND i.thread_parent_id IS NULL
"""

_ADOPT = """
UPDATE aibridge_interceptions i SET thread_parent_id = f.parent
FROM unnest(%s::uuid[], %s::uuid[]) AS f(id, parent)
WHERE i.day = {day} AND i.id = f.id
"""

# Of several changed ones above an interception the topmost has the root that is right.
_WALK = """
WITH RECURSIVE walk(id, day, root, top) AS (
    SELECT c.id, c.day, coalesce(p.thread_root_id, p.id), c.id
    FROM unnest(%(ids)s::uuid[], %(days)s::date[], %(parents)s::uuid[], %(parent_days)s::date[])
        AS c(id, day, parent, parent_day)
    CROSS JOIN LATERAL (
        SELECT p.id, p.thread_root_id
        FROM aibridge_interceptions p
        WHERE p.id = c.parent AND p.day = c.parent_day AND p.day BETWEEN {first} AND {last}
        OFFSET 0
    ) p
    UNION ALL
    SELECT k.id, k.day, w.root, w.top
    FROM walk w
    CROSS JOIN LATERAL (
        SELECT k.id, k.day
        FROM aibridge_interceptions k
        WHERE k.thread_parent_id = w.id AND k.day >= {first_changed}
        OFFSET 0
    ) k
), found AS (
    SELECT DISTINCT ON (w.id) w.id, w.day, w.root FROM walk w ORDER BY w.id, w.top
)
SELECT f.id, f.day, f.root, i.session_id
FROM found f
CROSS JOIN LATERAL (
    SELECT i.session_id, i.thread_root_id
    FROM aibridge_interceptions i
    WHERE i.id = f.id AND i.day = f.day AND i.day >= {first_changed}
    OFFSET 0
) i
WHERE i.thread_root_id IS DISTINCT FROM f.root
"""

_MOVE = """
WITH moved AS (
    UPDATE aibridge_interceptions i SET thread_root_id = f.root
    FROM unnest(%s::uuid[], %s::uuid[], %s::text[]) AS f(id, root, before)
    WHERE i.day = {day} AND i.id = f.id
    RETURNING i.initiator_id, f.before, i.session_id AS after, i.ended_at
)
INSERT INTO aibridge_session_marks (initiator_id, session_id, day)
SELECT m.initiator_id, m.before, {day} FROM moved m WHERE m.ended_at IS NOT NULL
UNION
SELECT m.initiator_id, m.after, {day} FROM moved m WHERE m.ended_at IS NOT NULL
"""


class _Link(NamedTuple):
    """A child and its parent."""

    child: UUID
    day: date
    parent: UUID
    parent_day: date


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
    await _link(cursor, calls, known, before=NEAR_DAYS)
    unresolved: set[str] = set()
    for day, identifiers in children.items():
        sql = _UNRESOLVED.format(day=day_literal(day))
        unresolved.update(call for (call,) in await many(cursor, sql, (uuid_array(identifiers),)))
    if unresolved:
        await _link(cursor, unresolved, known, before=FAR_DAYS)


async def _link(
    cursor: Cursor, calls: Collection[str], days: Collection[date], *, before: int
) -> None:
    """Give the children of `calls` their parents, and all below them their roots."""
    first, last = neighbours(days, before=before, after=FAR_DAYS)
    sql = _FIND.format(first=day_literal(first), last=day_literal(last), most=_MOST_OF_A_CALL)
    links = [_Link(*row) for row in await many(cursor, sql, {"calls": sorted(calls)})]
    if not links:
        return
    for day, some in _by_day(links).items():
        children = uuid_array(each.child for each in some)
        parents = uuid_array(each.parent for each in some)
        await none(cursor, _ADOPT.format(day=day_literal(day)), (children, parents))
    await _correct_roots(cursor, links, first, last)


async def _correct_roots(cursor: Cursor, links: Sequence[_Link], first: date, last: date) -> None:
    """Write the root into the children and all that descend from them, and mark their sessions."""
    changed = {each.child for each in links}
    # Where the parent has changed too, the walk from there comes by.
    tops = [each for each in links if each.parent not in changed]
    sql = _WALK.format(
        first=day_literal(first),
        last=day_literal(last),
        first_changed=day_literal(min(each.day for each in links)),
    )
    params = {
        "ids": uuid_array(each.child for each in tops),
        "days": [each.day for each in tops],
        "parents": uuid_array(each.parent for each in tops),
        "parent_days": [each.parent_day for each in tops],
    }
    moves: dict[date, list[tuple[UUID, UUID, str]]] = defaultdict(list)
    for identifier, day, root, session in await many(cursor, sql, params):
        moves[day].append((identifier, root, session))
    for day, some in moves.items():
        children, roots, sessions = zip(*some, strict=True)
        values = (uuid_array(children), uuid_array(roots), list(sessions))
        await none(cursor, _MOVE.format(day=day_literal(day)), values)


def _by_day(links: Iterable[_Link]) -> dict[date, list[_Link]]:
    found: dict[date, list[_Link]] = defaultdict(list)
    for each in links:
        found[each.day].append(each)
    return found
