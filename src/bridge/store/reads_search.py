"""Searching: interceptions whose content has the words that are looked for, newest first.

Days are looked through from the newest on, so that words that stand everywhere are found in the
latest days, and rare ones by the index of each day. A statement names a few days, later ones more,
each with a part of its own in which the day is a literal.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from uuid import UUID

import msgspec

from bridge.domain.ids import day_of
from bridge.store.connection import Cursor
from bridge.store.filters import RUNNING, Filter
from bridge.store.partitions import day_literal, stored_days, uuid_array
from bridge.store.reads import days_of
from bridge.store.reads_json import Initiator
from bridge.store.rows import Row, many
from bridge.store.search import MAX_CHARACTERS
from bridge.store.search_words import Wanted, plain, unescaped

DEFAULT_LIMIT = 50
MAX_LIMIT = 200
MOST_HIGHLIGHTS = 3
"""Of one interception."""

_FIRST_DAYS = 2
_TIMES_MORE = 4
_BEFORE = 80
_AFTER = 200
"""Characters around the first thing found in a text."""

_IDS_OF_NAME = "SELECT id FROM users WHERE username = %s"
_DAY = """
(SELECT s.interception_id
 FROM aibridge_search s {join}
 WHERE s.day = {day} AND s.words @@ to_tsquery('pg_catalog.simple', %(words)s) AND {conditions}
 ORDER BY s.interception_id DESC
 LIMIT %(limit)s)
"""
_JOIN = "JOIN aibridge_interceptions i ON i.id = s.interception_id AND i.day = {day}"
_FOUND = """
SELECT i.id, i.session_id, i.initiator_id, i.username, i.started_at, i.model, i.client, i.provider,
       i.provider_name, i.status
FROM aibridge_interceptions i
WHERE i.day IN ({days}) AND i.id = ANY(%s::uuid[])
ORDER BY i.id DESC
"""
_TEXTS = f"""
SELECT t.interception_id, t.part, t.n, greatest(h.at - {_BEFORE}, 1),
       substr(t.original, greatest(h.at - {_BEFORE}, 1), {_BEFORE + _AFTER}), length(t.original)
FROM (
    SELECT interception_id, 'prompt' AS part, n, prompt AS original, prompt AS readable
    FROM aibridge_user_prompts WHERE day IN ({{days}}) AND interception_id = ANY(%(ids)s::uuid[])
    UNION ALL
    SELECT interception_id, 'thought', n, content, content
    FROM aibridge_model_thoughts WHERE day IN ({{days}}) AND interception_id = ANY(%(ids)s::uuid[])
    UNION ALL
    SELECT interception_id, 'tool', n, tool || ' ' || input,
           tool || ' ' || aibridge_unescaped(left(input, {MAX_CHARACTERS}))
    FROM aibridge_tool_usages WHERE day IN ({{days}}) AND interception_id = ANY(%(ids)s::uuid[])
) t
CROSS JOIN LATERAL (
    SELECT strpos(p.plain, substring(p.plain FROM %(pattern)s)) AS at
    FROM (SELECT aibridge_plain(left(t.readable, {MAX_CHARACTERS})) AS plain OFFSET 0) p
    OFFSET 0
) h
WHERE h.at > 0
ORDER BY t.interception_id, t.part, t.n
"""  # noqa: S608  # constants only


class Fragment(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of text, to be escaped like any other."""

    text: str
    match: bool
    """Whether it is what was looked for."""


class Highlight(msgspec.Struct, frozen=True, kw_only=True):
    """Where something was found, and what stands around it."""

    part: str
    """prompt, thought, or tool: the tool's name, a space and its arguments."""
    n: int
    """Which thought or tool call of the interception, from 1."""
    fragments: tuple[Fragment, ...]
    """One after the other they are the text."""
    cut_before: bool
    """There is more text before it."""
    cut_after: bool


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    """An interception in which everything was found that was looked for."""

    interception_id: UUID
    session_id: str
    initiator: Initiator
    started_at: datetime
    model: str
    client: str | None
    provider: str
    provider_name: str
    status: str
    highlights: tuple[Highlight, ...]
    """The first few; none when only the index had room for what was found."""


class Hits(msgspec.Struct, frozen=True, kw_only=True):
    """A page of what was found, newest first."""

    results: tuple[Hit, ...]
    more: bool
    """Whether something older was found too: ask for what comes after the last one."""


@dataclass(slots=True)
class _Where:
    conditions: list[str] = field(default_factory=lambda: ["true"])
    params: dict[str, object] = field(default_factory=dict)
    joined: bool = False
    """Whether a condition is on `i`, the interception."""

    def add(self, condition: str, name: str, value: object) -> None:
        self.conditions.append(condition)
        self.params[name] = value
        self.joined = self.joined or "i." in condition


async def search(
    cursor: Cursor,
    words: Wanted,
    wanted: Filter,
    *,
    limit: int,
    after_id: UUID | None,
    visible_to: UUID | None,
    cutoff: datetime | None,
) -> Hits:
    """Return what has `words`, newest first.

    Args:
        cursor: of a read-only transaction.
        words: what is looked for.
        wanted: in which interceptions.
        limit: at most so many, from 1 to MAX_LIMIT.
        after_id: only those older than this one; see `filters.page_id`.
        visible_to: whose interceptions may be seen; None for everybody's.
        cutoff: older ones are not there any more; None for none.

    Raises:
        StoreUnavailable: not now, or it takes too long.
    """
    where = await _where(cursor, wanted, visible_to, cutoff)
    if where is None:
        return Hits(results=(), more=False)
    days = days_of(await stored_days(cursor), wanted, cutoff)
    if after_id is not None:
        where.add("s.interception_id < %(after_id)s::uuid", "after_id", str(after_id))
        days = [day for day in days if day <= day_of(after_id)]
    params = {**where.params, "words": words.tsquery, "limit": limit + 1}
    found: list[UUID] = []
    for some in _pieces(days):
        rows = await many(cursor, _statement(where, some), params)
        found += sorted((row[0] for row in rows), reverse=True)
        if len(found) > limit:
            break
    shown = found[:limit]
    return Hits(results=await _hits(cursor, words, shown), more=len(found) > limit)


def fragments(text: str, wanted: Wanted, *, json: bool = False) -> tuple[Fragment, ...]:
    """Return `text` in pieces, of which some are what was looked for.

    Args:
        text: what is shown.
        wanted: what is looked for.
        json: whether short escapes in it are spaces.
    """
    readable = plain(unescaped(text) if json else text)
    found: list[Fragment] = []
    at = 0
    for match in wanted.shown.finditer(readable):
        if match.end() == match.start():
            continue
        if match.start() > at:
            found.append(Fragment(text=text[at : match.start()], match=False))
        found.append(Fragment(text=text[match.start() : match.end()], match=True))
        at = match.end()
    if at < len(text):
        found.append(Fragment(text=text[at:], match=False))
    return tuple(found)


async def _where(
    cursor: Cursor, wanted: Filter, visible_to: UUID | None, cutoff: datetime | None
) -> _Where | None:
    """Return the conditions; None when nothing can meet them."""
    if wanted.kind != Filter().kind or wanted.status == RUNNING:
        return None  # only what has ended, and not what was passed through, can be found
    where = _Where()
    if not await _initiators(cursor, where, wanted, visible_to):
        return None
    for name, value, operator in (
        ("cutoff", cutoff, ">="),
        ("after", wanted.started_after, ">="),
        ("before", wanted.started_before, "<"),
    ):
        if value is not None:
            where.add(f"s.started_at {operator} %({name})s", name, value)
    if wanted.ended_after is not None:
        where.add("i.ended_at >= %(ended_after)s", "ended_after", wanted.ended_after)
    for name in ("provider", "provider_name", "model", "session_id", "status"):
        value = getattr(wanted, name)
        if value is not None:
            where.add(f"i.{name} = %({name})s", name, value)
    if wanted.client is not None:
        unknown = " OR i.client IS NULL" if wanted.client == "Unknown" else ""
        where.add(f"(i.client = %(client)s{unknown})", "client", wanted.client)
    return where


async def _initiators(
    cursor: Cursor, where: _Where, wanted: Filter, visible_to: UUID | None
) -> bool:
    """Add the conditions on who asked, and return whether there is anybody."""
    if visible_to is not None:
        where.add("s.initiator_id = %(visible_to)s::uuid", "visible_to", str(visible_to))
    if wanted.initiator_id is not None:
        where.add("s.initiator_id = %(initiator)s::uuid", "initiator", str(wanted.initiator_id))
    if wanted.initiator_name is None:
        return True
    ids = [row[0] for row in await many(cursor, _IDS_OF_NAME, (wanted.initiator_name,))]
    where.add("s.initiator_id = ANY(%(named)s::uuid[])", "named", uuid_array(ids))
    return bool(ids)


def _statement(where: _Where, days: Sequence[date]) -> str:
    parts = []
    for day in days:
        literal = day_literal(day)
        join = _JOIN.format(day=literal) if where.joined else ""
        conditions = " AND ".join(where.conditions)
        parts.append(_DAY.format(day=literal, join=join, conditions=conditions))
    return " UNION ALL ".join(parts)


def _pieces(days: Sequence[date]) -> Iterator[Sequence[date]]:
    """Yield ever longer pieces of `days`."""
    begin, length = 0, _FIRST_DAYS
    while begin < len(days):
        yield days[begin : begin + length]
        begin += length
        length *= _TIMES_MORE


async def _hits(cursor: Cursor, words: Wanted, found: Sequence[UUID]) -> tuple[Hit, ...]:
    if not found:
        return ()
    days = ", ".join(day_literal(day) for day in sorted({day_of(each) for each in found}))
    ids = uuid_array(found)
    rows = await many(cursor, _FOUND.format(days=days), (ids,))
    texts = await many(cursor, _TEXTS.format(days=days), {"ids": ids, "pattern": words.pattern})
    highlights: dict[UUID, list[Highlight]] = defaultdict(list)
    for identifier, *text in texts:
        if len(highlights[identifier]) < MOST_HIGHLIGHTS:
            highlights[identifier].append(_highlight(text, words))
    return tuple(_hit(row, highlights[row[0]]) for row in rows)


def _hit(row: Row, highlights: Sequence[Highlight]) -> Hit:
    (identifier, session_id, initiator_id, username, started_at, model, client, provider,
     provider_name, status) = row  # fmt: skip
    return Hit(
        interception_id=identifier,
        session_id=session_id,
        initiator=Initiator(id=initiator_id, username=username),
        started_at=started_at,
        model=model,
        client=client,
        provider=provider,
        provider_name=provider_name,
        status=status,
        highlights=tuple(highlights),
    )


def _highlight(row: Sequence[Any], words: Wanted) -> Highlight:
    part, n, at, snippet, length = row
    return Highlight(
        part=part,
        n=n,
        fragments=fragments(snippet, words, json=part == "tool"),
        cut_before=at > 1,
        cut_after=at - 1 + len(snippet) < length,
    )
