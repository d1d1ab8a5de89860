"""The search index: words of what was asked, thought and done, behind the writer.

Making words of a text costs several times what storing it does, so the writer only marks what it
has stored; a follower reads it again and computes its words anew. What has been erased has none.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from structlog.typing import FilteringBoundLogger

from bridge.store.connection import Cursor
from bridge.store.following import Follower, Pace, Transactions
from bridge.store.partitions import day_literal, ensure_days, stored_days, uuid_array
from bridge.store.rows import many, none, one

FOLLOW_SECONDS = 1.0
BUSY_FACTOR = 2.0
MARKS_AT_ONCE = 4
"""One mark holds as many interceptions as one batch of the writer."""
MAX_CHARACTERS = 100_000
"""Of the prompt, of all thoughts and of all tool calls; what comes behind cannot be found."""

_LOCK_NUMBER = 0x6169_6264_0007  # "aibd"; any number that nobody else uses
_TRY_LOCK = "SELECT pg_try_advisory_xact_lock(%s)"
_TAKE = """
DELETE FROM aibridge_search_marks
WHERE ctid = ANY(ARRAY(SELECT ctid FROM aibridge_search_marks LIMIT %s))
RETURNING day, interceptions
"""
_PENDING = "SELECT coalesce(sum(cardinality(interceptions)), 0)::bigint FROM aibridge_search_marks"
_CLEAR = "DELETE FROM aibridge_search WHERE day = {day} AND interception_id = ANY(%s::uuid[])"
# A tsvector holds 1 MiB. Half a megabyte of text fits always; of more than that, in alphabets of
# several bytes, half as many characters are taken. `OFFSET 0`: see `sessions_sql`.
_SURE_BYTES = 500_000
_THESE = "SELECT DISTINCT unnest(%s::uuid[]) AS id"
_ALL_OF_DAY = "SELECT a.id FROM aibridge_interceptions a WHERE a.day = {day}"
_CLEAR_DAY = "DELETE FROM aibridge_search WHERE day = {day}"
_UNMARK_DAY = "DELETE FROM aibridge_search_marks WHERE day = {day}"
_INDEX = f"""
INSERT INTO aibridge_search (interception_id, day, initiator_id, started_at, words)
SELECT f.id, {{day}}, f.initiator_id, f.started_at, v.words
FROM (
    SELECT i.id, i.initiator_id, i.started_at, left(p.text, {MAX_CHARACTERS}) AS prompt,
           left(m.text, {MAX_CHARACTERS}) AS thoughts, left(u.text, {MAX_CHARACTERS}) AS tools
    FROM ({{wanted}}) w
    CROSS JOIN LATERAL (
        SELECT i.id, i.initiator_id, i.started_at
        FROM aibridge_interceptions i
        WHERE i.id = w.id AND i.day = {{day}} AND i.kind = 'intercepted'
          AND i.ended_at IS NOT NULL
        OFFSET 0
    ) i
    CROSS JOIN LATERAL (
        SELECT string_agg(left(p.prompt, {MAX_CHARACTERS}), ' ' ORDER BY p.n) AS text
        FROM aibridge_user_prompts p
        WHERE p.interception_id = i.id AND p.day = {{day}}
        OFFSET 0
    ) p
    CROSS JOIN LATERAL (
        SELECT string_agg(left(m.content, {MAX_CHARACTERS}), ' ' ORDER BY m.n) AS text
        FROM aibridge_model_thoughts m
        WHERE m.interception_id = i.id AND m.day = {{day}}
        OFFSET 0
    ) m
    CROSS JOIN LATERAL (
        SELECT string_agg(
            u.tool || ' ' || aibridge_unescaped(left(u.input, {MAX_CHARACTERS})), ' ' ORDER BY u.n
        ) AS text
        FROM aibridge_tool_usages u
        WHERE u.interception_id = i.id AND u.day = {{day}}
        OFFSET 0
    ) u
) f
CROSS JOIN LATERAL (
    SELECT CASE
        WHEN octet_length(concat(f.prompt, f.thoughts, f.tools)) > {_SURE_BYTES}
        THEN {MAX_CHARACTERS // 2} ELSE {MAX_CHARACTERS} END AS length
) c
CROSS JOIN LATERAL (
    SELECT setweight(aibridge_words(aibridge_plain(left(coalesce(f.prompt, ''), c.length))), 'A')
        || setweight(aibridge_words(aibridge_plain(left(coalesce(f.thoughts, ''), c.length))), 'B')
        || setweight(aibridge_words(aibridge_plain(left(coalesce(f.tools, ''), c.length))), 'C')
        AS words
    OFFSET 0
) v
WHERE v.words <> ''
"""  # noqa: S608  # constants only


@dataclass(frozen=True, slots=True)
class Pass:
    """What one pass of the follower did."""

    marks: int = 0
    interceptions: int = 0
    pending: int | None = None
    """How many interceptions are marked still; None when somebody else follows."""

    @property
    def more(self) -> bool:
        """Whether more marks wait."""
        return bool(self.pending)


async def follow(cursor: Cursor, *, marks: int = MARKS_AT_ONCE) -> Pass:
    """Compute the words of up to `marks` marks; nothing while somebody else does.

    Raises:
        StoreError: the marks stay.
    """
    (free,) = await one(cursor, _TRY_LOCK, (_LOCK_NUMBER,))
    if not free:
        return Pass()
    days: dict[date, list[UUID]] = defaultdict(list)
    taken = await many(cursor, _TAKE, (marks,))
    for day, interceptions in taken:
        days[day] += interceptions
    # A day that has been given up since must not come back.
    kept = days.keys() & set(await stored_days(cursor)) if days else ()
    await ensure_days(cursor, kept)
    for day in sorted(kept):
        literal, identifiers = day_literal(day), uuid_array(days[day])
        await none(cursor, _CLEAR.format(day=literal), (identifiers,))
        await none(cursor, _INDEX.format(day=literal, wanted=_THESE), (identifiers,))
    (pending,) = await one(cursor, _PENDING)
    return Pass(len(taken), sum(len(some) for some in days.values()), pending)


async def index_day(cursor: Cursor, day: date) -> int:
    """Compute the words of a whole stored day anew, marked or not.

    Returns:
        How many interceptions have words.
    """
    literal = day_literal(day)
    await ensure_days(cursor, [day])
    for sql in (_UNMARK_DAY, _CLEAR_DAY):
        await none(cursor, sql.format(day=literal))
    return await none(cursor, _INDEX.format(day=literal, wanted=_ALL_OF_DAY.format(day=literal)))


class SearchFollower(Follower):
    """Keeps the search index within some seconds of the records."""

    def __init__(self, *, pool: Transactions, reactor: Any, log: FilteringBoundLogger) -> None:
        """Follow nothing yet.

        Args:
            pool: where the records are.
            reactor: gives the time.
            log: bound logger.
        """
        super().__init__(
            name="search",
            work=self._follow,
            pace=Pace(seconds=FOLLOW_SECONDS, busy_factor=BUSY_FACTOR),
            pool=pool,
            reactor=reactor,
            log=log,
        )
        self.pending = 0
        """How many interceptions waited to be found, when it last looked."""

    async def _follow(self, cursor: Cursor) -> Pass:
        done = await follow(cursor)
        if done.pending is not None:
            self.pending = done.pending
        return done
