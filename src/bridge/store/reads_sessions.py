"""Sessions listed: last active first, page by page.

Whatever is searched for, matches are counted first, up to MAX_COUNT, by an index that takes all
conditions together. When that finds all of them they are sorted; when there are more, the page is
looked for in the order of the list, from its beginning on, and that is given up for sorting when
it does not find one soon (all that matches may be old). Left to itself the planner would walk
through every session for the ten that match.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import md5
from typing import Any
from uuid import UUID

from bridge.domain.errors import InvalidRequest, Validation
from bridge.domain.interception import Traffic
from bridge.store.connection import Cursor
from bridge.store.filters import RUNNING, Filter, InvalidFilter
from bridge.store.partitions import uuid_array
from bridge.store.rows import Row, many, none, one
from bridge.store.sessions_json import Session, SessionInitiator, SessionList, TokenSums

DEFAULT_LIMIT = 100
MAX_LIMIT = 1000
MAX_COUNT = 10_000
"""Counting stops there."""
LONGEST_TERM = 200
"""Characters of a value that is a term as it is; see `sessions_sql`."""

WALK_ROWS = 20_000
"""Read in a few hundredths of a second; a page of what is not rare is found within them."""

_SNAPSHOT = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SET LOCAL jit = off"
_BY_TERMS = (
    "SET LOCAL enable_seqscan = off; SET LOCAL enable_indexscan = off;"
    "SET LOCAL enable_indexonlyscan = off; SET LOCAL enable_bitmapscan = on"
)
_BY_ORDER = (
    "SET LOCAL enable_seqscan = off; SET LOCAL enable_indexscan = on;"
    "SET LOCAL enable_indexonlyscan = on; SET LOCAL enable_bitmapscan = off"
)
_ORDER = "ORDER BY s.last_active_at DESC, s.session_id DESC, s.initiator_id DESC"
_SHOWN = (
    "session_id", "initiator_id", "username", "providers", "provider_names", "models", "client",
    "metadata", "started_at", "ended_at", "threads", "interceptions", "input_tokens",
    "output_tokens", "cache_read_input_tokens", "cache_write_input_tokens", "last_active_at",
)  # fmt: skip
# A prompt from before the cut-off is not there any more, though the session is.
COLUMNS = ", ".join(f"s.{name}" for name in _SHOWN) + (
    ", CASE WHEN %(cutoff)s::timestamptz > s.last_active_at THEN NULL"
    " ELSE left(s.last_prompt, %(longest)s) END"
)
"""Of `aibridge_sessions s`, as `facts_from` takes them; wants `cutoff` and `longest`."""
ALL = 2**31 - 1
"""More characters than any text has."""
_COUNT = """
SELECT count(*) FROM (
    SELECT FROM aibridge_session_terms s WHERE {where} LIMIT %(most)s
) counted
"""
_IN_ORDER = """
SELECT s.* FROM aibridge_session_terms s WHERE {bounds} ORDER BY s.last_active_at DESC,
    s.session_id DESC, s.initiator_id DESC LIMIT %(walk)s
"""
_FOUND_BY_ORDER = "(SELECT s.* FROM ({walked}) s WHERE {where})"
_FOUND_BY_TERMS = "(SELECT s.* FROM aibridge_session_terms s WHERE {where} OFFSET 0)"
_PAGE = f"""
WITH page AS MATERIALIZED (
    SELECT s.session_id, s.initiator_id FROM {{found}} s
    {_ORDER} LIMIT %(limit)s OFFSET %(offset)s
)
SELECT {COLUMNS}
FROM page p
CROSS JOIN LATERAL (
    SELECT * FROM aibridge_sessions s
    WHERE s.session_id = p.session_id AND s.initiator_id = p.initiator_id
    OFFSET 0
) s
{_ORDER}
"""  # noqa: S608  # constants only
_IDS_OF_NAME = "SELECT id FROM users WHERE username = %s"
_CURSOR = """
SELECT s.initiator_id, s.last_active_at
FROM aibridge_session_terms s
WHERE s.session_id = %(session)s
  AND (%(initiator)s::uuid IS NULL OR s.initiator_id = %(initiator)s::uuid)
  AND (%(visible_to)s::uuid IS NULL OR s.initiator_id = %(visible_to)s::uuid)
"""


class AmbiguousSession(InvalidRequest):
    """Several users have a session of this id."""

    status = 409
    code = "conflict"


@dataclass(frozen=True, slots=True, kw_only=True)
class After:
    """The last session of the page before."""

    session_id: str
    initiator_id: UUID | None = None
    """Needed only where several users have sessions of the same id."""


@dataclass(slots=True)
class _Where:
    """Conditions on `aibridge_session_terms s`, and their values."""

    bounds: list[str] = field(default_factory=list)
    """Those that bound the list's own order: initiator and page."""
    others: list[str] = field(default_factory=list)
    params: dict[str, object] = field(default_factory=dict)

    @property
    def sql(self) -> str:
        """All of them."""
        return " AND ".join([*self.bounds, *self.others]) or "true"


async def list_sessions(
    cursor: Cursor,
    wanted: Filter,
    *,
    limit: int,
    offset: int = 0,
    after: After | None = None,
    visible_to: UUID | None,
    cutoff: datetime | None,
    longest: int = ALL,
    count_to: int = MAX_COUNT,
    walk_rows: int = WALK_ROWS,
) -> SessionList:
    """Return a page of sessions, last active first, and how many there are in all.

    A session is found when each condition is met by one of its interceptions, not necessarily the
    same; `started_after` and `started_before` by those that began between its first and its last.

    Args:
        cursor: of a read-only transaction in which nothing was asked yet.
        wanted: which ones.
        limit: at most so many, from 1 to MAX_LIMIT.
        offset: so many are left out before.
        after: only those behind this one; not together with `offset`.
        visible_to: whose sessions may be seen; None for everybody's.
        cutoff: what began before it is not there any more; None for none.
        longest: characters that are given of each prompt.
        count_to: more than so many are not counted.
        walk_rows: how far a page of more than that is looked for before they are all sorted.

    Raises:
        InvalidFilter: `after` is no session that may be seen, or `wanted` makes no sense here.
        AmbiguousSession: `after` might be several.
        StoreUnavailable: not now.
    """
    _check(wanted)
    await none(cursor, _SNAPSHOT)
    where = await _where(cursor, wanted, visible_to, cutoff)
    behind = await _behind(cursor, after, visible_to) if after is not None else None
    if where is None:
        return SessionList(count=0, sessions=())
    searched = bool(where.bounds or len(where.others) > (cutoff is not None))
    await none(cursor, _BY_TERMS if searched else _BY_ORDER)
    sql = _COUNT.format(where=where.sql)
    (count,) = await one(cursor, sql, {**where.params, "most": count_to + 1})
    if behind is not None:
        _add_bound(where, behind)
    page: dict[str, object] = {
        "limit": limit,
        "offset": offset,
        "cutoff": cutoff,
        "longest": longest,
    }
    rows: list[Row] = []
    if count > count_to:
        await none(cursor, _BY_ORDER)
        # Without a search every row that is walked past is found.
        walk = (walk_rows if searched else 0) + 2 * (offset + limit)
        sql = _PAGE.format(found=_walked(where, wanted.started_before))
        rows = await many(cursor, sql, {**where.params, **page, "walk": walk})
        if len(rows) < limit:
            await none(cursor, _BY_TERMS)
    if len(rows) < min(limit, count):
        sql = _PAGE.format(found=_FOUND_BY_TERMS.format(where=where.sql))
        rows = await many(cursor, sql, {**where.params, **page})
    return SessionList(
        count=min(count, count_to),
        count_capped=count > count_to,
        sessions=tuple(_session(row) for row in rows),
    )


def term(facet: str, value: str) -> str:
    """Return how a session says that it has `value`: as `sessions_sql` does."""
    if len(value) > LONGEST_TERM:
        value = md5(value.encode(), usedforsecurity=False).hexdigest()
    return f"{facet}:{value}"


def facts_from(row: Sequence[Any]) -> tuple[dict[str, Any], TokenSums]:
    """Return the members of `SessionFacts` and `threads`, and the sums, from a row of COLUMNS."""
    members = dict(zip((*_SHOWN, "last_prompt"), row, strict=True))
    sums = TokenSums(**{name: members.pop(name) for name in TokenSums.__struct_fields__})
    initiator = SessionInitiator(
        id=members.pop("initiator_id"),
        username=members["username"],
        name=members.pop("username"),
    )
    members["id"] = members.pop("session_id")
    return {**members, "initiator": initiator}, sums


async def initiators(cursor: Cursor, wanted: Filter) -> list[UUID] | None:
    """Return whose sessions are wanted; None for everybody's."""
    if wanted.initiator_id is not None:
        return [wanted.initiator_id]
    if wanted.initiator_name is None:
        return None
    return [row[0] for row in await many(cursor, _IDS_OF_NAME, (wanted.initiator_name,))]


def _session(row: Sequence[Any]) -> Session:
    members, sums = facts_from(row)
    return Session(**members, token_usage_summary=sums)


def _check(wanted: Filter) -> None:
    problems = []
    if wanted.kind != Traffic.INTERCEPTED:
        problems.append(Validation(field="kind", detail="sessions are of intercepted ones only"))
    if wanted.status == RUNNING:
        problems.append(Validation(field="status", detail="sessions are of what has ended only"))
    if wanted.ended_after is not None:
        problems.append(Validation(field="ended_after", detail="is of single interceptions only"))
    if problems:
        raise InvalidFilter(tuple(problems))


async def _where(
    cursor: Cursor, wanted: Filter, visible_to: UUID | None, cutoff: datetime | None
) -> _Where | None:
    """Return the conditions; None when nothing can meet them."""
    where = _Where()
    whose = await initiators(cursor, wanted)
    if visible_to is not None:
        whose = [visible_to] if whose is None or visible_to in whose else []
    if whose is not None:
        if not whose:
            return None
        # One alone is compared with `=`, so that the index gives the order too.
        single = len(whose) == 1
        where.bounds.append(
            "s.initiator_id = %(whose)s::uuid" if single
            else "s.initiator_id = ANY(%(whose)s::uuid[])"
        )  # fmt: skip
        where.params["whose"] = str(whose[0]) if single else uuid_array(whose)
    if wanted.session_id is not None:
        where.bounds.append("s.session_id = %(session)s")
        where.params["session"] = wanted.session_id
    terms = [
        term(facet, value)
        for facet in ("model", "client", "provider", "provider_name", "status")
        if (value := getattr(wanted, facet)) is not None
    ]
    if terms:
        where.others.append("s.terms @> %(terms)s::text[]")
        where.params["terms"] = terms
    if wanted.started_after is not None or wanted.started_before is not None:
        where.others.append("s.span && tstzrange(%(after)s, %(before)s)")
        where.params.update(after=wanted.started_after, before=wanted.started_before)
    if cutoff is not None:
        where.others.append("upper(s.span) >= %(cutoff)s")
    where.params["cutoff"] = cutoff
    return where


async def _behind(
    cursor: Cursor, after: After, visible_to: UUID | None
) -> tuple[datetime, str, UUID]:
    """Return the place of `after` in the order of the list."""
    rows = await many(
        cursor,
        _CURSOR,
        {
            "session": after.session_id,
            "initiator": str(after.initiator_id) if after.initiator_id else None,
            "visible_to": str(visible_to) if visible_to else None,
        },
    )
    if not rows:
        detail = f"{after.session_id[:64]!r} is not the id of a session"
        raise InvalidFilter((Validation(field="after_session_id", detail=detail),))
    if len(rows) > 1:
        detail = f"needed: {len(rows)} users have a session of this id"
        problem = Validation(field="after_initiator_id", detail=detail)
        raise AmbiguousSession("Several users have a session of this id.", (problem,))
    ((initiator, active),) = rows
    return active, after.session_id, initiator


def _add_bound(where: _Where, behind: tuple[datetime, str, UUID]) -> None:
    where.bounds.append(
        "(s.last_active_at, s.session_id, s.initiator_id) "
        "< (%(active)s, %(last)s, %(last_initiator)s::uuid)"
    )
    where.params.update(active=behind[0], last=behind[1], last_initiator=str(behind[2]))


def _walked(where: _Where, started_before: datetime | None) -> str:
    """Return where a page is looked for in the order of the list."""
    bounds = " AND ".join(where.bounds) or "true"
    if started_before is None:
        walked = _IN_ORDER.format(bounds=bounds)
    else:
        # Those that have been active since then are few; the others are not before them.
        since = "s.last_active_at >= %(before)s AND s.span @> %(before)s::timestamptz"
        until = "s.last_active_at < %(before)s"
        walked = " UNION ALL ".join(
            f"({_IN_ORDER.format(bounds=f'{bounds} AND {more}')})" for more in (since, until)
        )
    return _FOUND_BY_ORDER.format(walked=walked, where=where.sql)
