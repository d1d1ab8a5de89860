"""One session: a page of its threads, and in them what was asked, thought and called."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from bridge.domain.errors import Validation
from bridge.domain.ids import day_of
from bridge.store.connection import Cursor
from bridge.store.filters import Filter, InvalidFilter
from bridge.store.partitions import day_literal, uuid_array
from bridge.store.reads import with_details
from bridge.store.reads_agents import agent_tree, read_agents
from bridge.store.reads_json import Interception, interception_columns, interception_from
from bridge.store.reads_outline import (
    Outline,
    day_inside,
    last_day_of,
    outline_from,
    roots_of_page,
)
from bridge.store.reads_results import LOOKED_FOR, call_results
from bridge.store.reads_sessions import ALL, COLUMNS, AmbiguousSession, facts_from, initiators
from bridge.store.reads_sizes import MOST_BYTES, TooMuch, room_for
from bridge.store.reads_thread import sums_by_type, thread_of
from bridge.store.rows import many, maybe, none
from bridge.store.sessions_json import SessionDetail

DEFAULT_THREADS = 50
MAX_THREADS = 200
MAX_ACTIONS = 150
"""Interceptions on one page, however few threads they are in: nobody else is served meanwhile."""

_SNAPSHOT = (
    "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;"
    # Of a partition that has just been filled the planner knows little.
    "SET LOCAL jit = off; SET LOCAL enable_seqscan = off"
)
_SESSION = f"""
SELECT s.first_day, s.last_day, s.outline, {COLUMNS}
FROM aibridge_sessions s
WHERE s.session_id = %(session)s
  AND (%(whose)s::uuid[] IS NULL OR s.initiator_id = ANY(%(whose)s::uuid[]))
  AND (%(cutoff)s::timestamptz IS NULL OR s.last_started_at >= %(cutoff)s)
LIMIT 2
"""  # noqa: S608  # constants only
_ROWS = """
FROM aibridge_interceptions i
WHERE i.session_id = %(session)s AND i.initiator_id = %(initiator)s::uuid
  AND i.day BETWEEN {first} AND {last} AND i.kind = 'intercepted' AND i.ended_at IS NOT NULL
  AND (%(cutoff)s::timestamptz IS NULL OR i.started_at >= %(cutoff)s)
"""
_THREAD_OF = f"SELECT coalesce(i.thread_root_id, i.id) {_ROWS} AND i.id = %(action)s::uuid"
_ROOTS = f"""
WITH roots AS MATERIALIZED (
    SELECT coalesce(i.thread_root_id, i.id) AS root {_ROWS} GROUP BY 1
)
SELECT r.root, (SELECT count(*) FROM roots)
FROM roots r
WHERE %(edge)s::uuid IS NULL OR r.root {{comparison}}= %(edge)s::uuid
ORDER BY r.root {{direction}}
LIMIT %(limit)s
"""  # noqa: S608  # constants only
_ACTIONS = f"""
SELECT i.day, {interception_columns("i")} {_ROWS}
  AND coalesce(i.thread_root_id, i.id) = ANY(%(roots)s::uuid[])
  AND (%(action)s::uuid IS NULL
       OR (coalesce(i.thread_root_id, i.id), i.id) > (%(edge)s::uuid, %(action)s::uuid))
ORDER BY coalesce(i.thread_root_id, i.id) {{direction}}, i.id
LIMIT %(limit)s
"""


async def read_session(
    cursor: Cursor,
    session_id: str,
    *,
    whose: Filter,
    limit: int = DEFAULT_THREADS,
    after_id: UUID | None = None,
    before_id: UUID | None = None,
    after_action_id: UUID | None = None,
    visible_to: UUID | None,
    cutoff: datetime | None,
    longest: int = ALL,
    most_bytes: int = MOST_BYTES,
) -> SessionDetail | None:
    """Return a session with a page of its threads, oldest first; None when it is not there.

    Args:
        cursor: of a read-only transaction in which nothing was asked yet.
        session_id: its id.
        whose: the initiator in it decides between sessions of the same id; nothing else is read.
        limit: at most so many threads, from 1 to MAX_THREADS.
        after_id: only threads after this one of the session.
        before_id: only threads before this one of the session; the latest of them.
        after_action_id: only what comes after this interception in its thread, and the threads
            after it: the rest of a page that was truncated.
        visible_to: whose sessions may be seen; None for everybody's.
        cutoff: what began before it is not there any more; None for none.
        longest: characters that are given of each recorded text.
        most_bytes: of all texts together where they are given whole, unless one interception alone
            has more.

    Raises:
        AmbiguousSession: several users have a session of this id.
        InvalidFilter: one of the three is not of the session, or more than one is given.
        StoreUnavailable: not now.
    """
    edges = {"after_id": after_id, "before_id": before_id, "after_action_id": after_action_id}
    given = [name for name, edge in edges.items() if edge is not None]
    if len(given) > 1:
        raise _wrong(given[1], f"not together with {given[0]}")
    await none(cursor, _SNAPSHOT)
    users = await initiators(cursor, whose)
    if visible_to is not None:
        users = [visible_to] if users is None or visible_to in users else []
    params: dict[str, object] = {
        "session": session_id,
        "whose": None if users is None else uuid_array(users),
        "cutoff": cutoff,
        "longest": longest,
    }
    rows = await many(cursor, _SESSION, params)
    if not rows:
        return None
    if len(rows) > 1:
        detail = "say whose is meant, by id or name: several users have a session of this id"
        problem = Validation(field="initiator", detail=detail)
        raise AmbiguousSession("Several users have a session of this id.", (problem,))
    first, last, outlined, *columns = rows[0]
    members, sums = facts_from(columns)
    params["initiator"] = str(members["initiator"].id)
    whole = cutoff is None or members["started_at"] >= cutoff
    outline = outline_from(outlined, members) if whole else None
    edge = after_id or before_id
    if after_action_id is not None:
        edge = await _thread_of(cursor, params, after_action_id, first, last)
    page = _Page(
        first=first, last=last, edge=edge, given="".join(given), limit=limit,
        ascending=before_id is None, action=after_action_id,
    )  # fmt: skip
    if outline is not None and outline.rooted:
        found = await _roots_by_day(cursor, params, page, outline)
    else:
        found = await _roots(cursor, params, page)
    params["edge"] = str(edge) if edge else None
    params["action"] = str(after_action_id) if after_action_id else None
    days = {"first": day_literal(found.first), "last": day_literal(found.last)}
    actions, truncated = await _actions(
        cursor, params, page, days, found.shown, longest, most_bytes
    )
    shown = [each for thread in actions.values() for each in thread]
    latest = max((day_of(each.id) for each in shown), default=last)
    results = await call_results(
        cursor,
        shown,
        params=params,
        first=found.first,
        last=min(last, min(latest, date.max - LOOKED_FOR) + LOOKED_FOR),
    )
    threads = tuple(
        thread_of(root, actions[root], results) for root in found.shown if actions.get(root)
    )
    if outline is not None:
        agents: Sequence[Sequence[Any]] = outline.agents
    else:
        every = {"first": day_literal(first), "last": day_literal(last)}
        agents = await read_agents(cursor, _ROWS.format(**every), params)
    extra: Counter[str] = Counter()
    for each in threads:
        extra.update(each.token_usage.metadata)
    members.pop("threads")
    return SessionDetail(
        **members,
        token_usage_summary=sums_by_type(sums, extra),
        page_started_at=min((each.started_at for each in threads), default=None),
        page_ended_at=max((each.ended_at for each in threads if each.ended_at), default=None),
        threads=threads,
        agent=agent_tree(agents),
        thread_count=found.count,
        # Threads that had no room follow too; of the edge's own perhaps nothing is left.
        has_more=found.more
        or any(actions.get(root) is None and root != edge for root in found.shown),
        truncated=truncated,
    )


async def _thread_of(
    cursor: Cursor, params: dict[str, object], action: UUID, first: date, last: date
) -> UUID:
    """Return the thread of an interception of the session."""
    row = None
    day = day_inside(action)
    if day is not None and first <= day <= last:
        sql = _THREAD_OF.format(first=day_literal(day), last=day_literal(day))
        row = await maybe(cursor, sql, {**params, "action": str(action)})
    if row is None:
        raise _wrong("after_action_id", f"'{action}' is not an interception of this session")
    root: UUID = row[0]
    return root


@dataclass(frozen=True, slots=True, kw_only=True)
class _Page:
    """Which threads of a session are wanted."""

    first: date
    """Of the session, like the last."""
    last: date
    edge: UUID | None
    given: str
    """What the edge was called."""
    limit: int
    ascending: bool
    action: UUID | None
    """The edge is shown too, after this interception."""

    def roots(self, found: Sequence[UUID]) -> list[UUID]:
        """Return the roots that may be shown, of those found from the edge on."""
        if self.edge is not None and self.edge not in found[:1]:
            raise _wrong(self.given, f"'{self.edge}' is not a thread of this session")
        return [root for root in found if root != self.edge or self.action is not None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Roots:
    """The roots on a page, and the days on which their threads are."""

    shown: Sequence[UUID]
    """In their order."""
    more: bool
    count: int
    """Of the session."""
    first: date
    last: date


async def _roots(cursor: Cursor, params: dict[str, object], page: _Page) -> _Roots:
    """Look for roots in the whole session."""
    comparison, direction = (">", "ASC") if page.ascending else ("<", "DESC")
    sql = _ROOTS.format(
        first=day_literal(page.first),
        last=day_literal(page.last),
        comparison=comparison,
        direction=direction,
    )
    # One more on each side: the edge itself, and whether there are more.
    edge = str(page.edge) if page.edge else None
    found = await many(cursor, sql, {**params, "edge": edge, "limit": page.limit + 2})
    roots = page.roots([row[0] for row in found])
    return _Roots(
        shown=sorted(roots[: page.limit]),
        more=len(roots) > page.limit,
        count=found[0][1] if found else 0,
        first=page.first,
        last=page.last,
    )


async def _roots_by_day(
    cursor: Cursor, params: dict[str, object], page: _Page, outline: Outline
) -> _Roots:
    """Look for roots on the days that the page is about."""
    found = await roots_of_page(
        cursor,
        _ROWS,
        params,
        first=page.first,
        last=page.last,
        edge=page.edge,
        ascending=page.ascending,
        limit=page.limit + 2,
    )
    roots = page.roots(found)
    shown = sorted(roots[: page.limit])
    return _Roots(
        shown=shown,
        more=len(roots) > page.limit,
        count=outline.threads,
        first=day_of(shown[0]) if shown else page.first,
        last=last_day_of(shown, outline, page.last) if shown else page.last,
    )


async def _actions(
    cursor: Cursor,
    params: dict[str, object],
    page: _Page,
    days: dict[str, str],
    roots: Sequence[UUID],
    longest: int,
    most_bytes: int,
) -> tuple[dict[UUID, list[Interception]], bool]:
    """Return the interceptions of threads from the edge on, and whether some had no room.

    Those are whole threads, unless the first alone has more than a page shows.
    """
    by_root: dict[UUID, list[Interception]] = defaultdict(list)
    if not roots:
        return by_root, False
    wanted = {**params, "roots": uuid_array(roots), "limit": MAX_ACTIONS + 1}
    sql = _ACTIONS.format(**days, direction="ASC" if page.ascending else "DESC")
    rows = await many(cursor, sql, wanted)
    room = min(MAX_ACTIONS, len(rows))
    cut_at = longest if longest != ALL else None
    try:
        found = await with_details(cursor, rows[:room], cut_at, most_bytes)
    except TooMuch:
        room = await room_for(cursor, rows[:room], most_bytes)
        found = await with_details(cursor, rows[:room])
    for each in found:
        by_root[_root_of(each)].append(each)
    over = {_root_of(interception_from(row[1:])) for row in rows[room:]}
    if len(by_root) > 1:
        # Whoever goes on behind the last thread shown misses nothing of it.
        for root in over & by_root.keys():
            del by_root[root]
    return by_root, bool(over)


def _root_of(interception: Interception) -> UUID:
    return interception.thread_root_id or interception.id


def _wrong(field: str, detail: str) -> InvalidFilter:
    return InvalidFilter((Validation(field=field, detail=detail),))
