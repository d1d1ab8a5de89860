"""Blanking: content goes, its row and its numbers stay.

Whoever decides that content must go (the retention of content, an erasure) says so under the lock
of this module, and every batch that the journal brings is looked at under the same lock. So content
that comes late, again or by a replay is blank before anybody can see it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from bridge.store import audit_about
from bridge.store.connection import Cursor
from bridge.store.partitions import day_literal, uuid_array
from bridge.store.rows import many, none, one
from bridge.store.writes_sql import MARK

AT_ONCE = 500
"""Interceptions that are blanked in one transaction."""

_LOCK_NUMBER = 0x6169_6264_0009  # "aibd"; any number that nobody else uses
_SHARE = "SELECT pg_advisory_xact_lock_shared(%s)"
_CLAIM = "SELECT pg_advisory_xact_lock(%s)"
_DECIDED = """
SELECT content_kept_day, EXISTS (SELECT FROM aibridge_erasures) FROM aibridge_retention
"""
_CONTENT = (
    (
        "aibridge_user_prompts",
        "prompt = '', metadata = '{}'",
        "prompt <> ''",
    ),
    (
        "aibridge_tool_usages",
        "input = '', invocation_error = NULL, metadata = '{}'",
        "(input <> '' OR invocation_error IS NOT NULL OR metadata <> '{}')",
    ),
    ("aibridge_model_thoughts", "content = ''", "content <> ''"),
    ("aibridge_tool_results", "content = NULL", "content IS NOT NULL"),
)
"""Where content is: table, what blanks a row, and which rows are not blank yet."""
HELD = """
EXISTS (
    SELECT FROM aibridge_holds h
    WHERE h.released_at IS NULL AND (h.user_id IS NULL OR h.user_id = i.initiator_id)
      AND (h.from_day IS NULL OR h.from_day <= i.day) AND (h.to_day IS NULL OR i.day <= h.to_day)
)
"""
"""Whether the interception `i` is held."""
_NEXT = f"""
SELECT i.id FROM aibridge_interceptions i
WHERE i.day = {{day}} AND i.id > %s AND i.content_blanked_at IS NULL AND NOT {HELD}
ORDER BY i.id LIMIT {AT_ONCE}
"""  # noqa: S608  # constants only
_OVER = f"""
SELECT i.id FROM aibridge_interceptions i
WHERE i.day = {{day}} AND i.id = ANY(%s::uuid[]) AND NOT {HELD}
"""  # noqa: S608  # constants only
_BLANK = """
UPDATE aibridge_interceptions
SET error_message = NULL, content_blanked_at = coalesce(content_blanked_at, now())
WHERE day = {day} AND id = ANY(%s::uuid[])
"""
_NEXT_OF = """
SELECT i.id FROM aibridge_interceptions i
WHERE i.day = {day} AND i.initiator_id = %s::uuid AND i.id > %s
ORDER BY i.id LIMIT %s
"""
_ERASED = """
SELECT i.id FROM aibridge_interceptions i JOIN aibridge_erasures e USING (initiator_id)
WHERE i.day = {day} AND i.id = ANY(%s::uuid[])
"""
_ERASE = """
UPDATE aibridge_interceptions i
SET username = e.pseudonym, user_agent = '', metadata = '{{}}', client_session_id = NULL,
    error_message = NULL, content_blanked_at = coalesce(i.content_blanked_at, now())
FROM aibridge_erasures e
WHERE e.initiator_id = i.initiator_id AND i.day = {day} AND i.id = ANY(%s::uuid[])
"""
_ERASE_OBJECTS = """
DELETE FROM aibridge_stored_objects WHERE day = {day} AND interception_id = ANY(%s::uuid[])
"""
_FORGET_WORDS = """
DELETE FROM aibridge_search WHERE day = {day} AND interception_id = ANY(%s::uuid[])
"""
_FIRST = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Decided:
    """What must be blank."""

    content_kept_day: date | None
    """Of days before it; None for none."""
    erasures: bool
    """Whether anybody was ever erased."""


async def decided(cursor: Cursor) -> Decided:
    """Return what must be blank, and let nobody decide anything else until the transaction ends."""
    kept_day, erasures = await one(cursor, f"{_SHARE};{_DECIDED}", (_LOCK_NUMBER,))
    return Decided(kept_day, erasures)


async def deciding(cursor: Cursor) -> None:
    """Wait for all batches that are being stored; those after this transaction see its decision."""
    await none(cursor, _CLAIM, (_LOCK_NUMBER,))


async def blank_new(
    cursor: Cursor,
    known: Decided,
    touched: Mapping[date, Collection[UUID]],
    audited: Mapping[date, Collection[str]],
) -> None:
    """Blank what must be among the rows that this transaction has just written.

    Args:
        cursor: of the transaction.
        known: what was decided when it began.
        touched: interceptions of which something was written, by day.
        audited: ids of entries of the audit log that were written, by day.
    """
    for day, identifiers in sorted(touched.items()):
        literal, params = day_literal(day), (uuid_array(identifiers),)
        if known.content_kept_day is not None and day < known.content_kept_day:
            over = await many(cursor, _OVER.format(day=literal), params)
            await _blank(cursor, day, [identifier for (identifier,) in over])
        if known.erasures:
            erased = await many(cursor, _ERASED.format(day=literal), params)
            await erase_rows(cursor, day, [identifier for (identifier,) in erased])
    if known.erasures:
        for day, entries in sorted(audited.items()):
            await audit_about.rename_stored(cursor, day, entries)


async def blank_day(cursor: Cursor, day: date, after: UUID | None) -> tuple[UUID | None, int]:
    """Blank the next interceptions of `day` whose content is over its time and not held.

    Args:
        cursor: of a transaction of its own.
        day: the day.
        after: what the call before returned; None at first.

    Returns:
        Where to go on, None when all is done; and how many were blanked.
    """
    rows = await many(cursor, _NEXT.format(day=day_literal(day)), (str(after or _FIRST),))
    identifiers = [identifier for (identifier,) in rows]
    await _blank(cursor, day, identifiers)
    more = identifiers[-1] if len(identifiers) == AT_ONCE else None
    return more, len(identifiers)


async def erase_day(
    cursor: Cursor, day: date, initiator: UUID, after: UUID | None
) -> tuple[UUID | None, int]:
    """Erase the next interceptions of `initiator` on `day`; see `blank_day`."""
    rows = await many(
        cursor,
        _NEXT_OF.format(day=day_literal(day)),
        (str(initiator), str(after or _FIRST), AT_ONCE),
    )
    identifiers = [identifier for (identifier,) in rows]
    await erase_rows(cursor, day, identifiers)
    more = identifiers[-1] if len(identifiers) == AT_ONCE else None
    return more, len(identifiers)


async def erase_rows(cursor: Cursor, day: date, identifiers: Collection[UUID]) -> None:
    """Erase all content of interceptions of users who are erased, and what tells who they were."""
    if not identifiers:
        return
    literal, params = day_literal(day), (uuid_array(identifiers),)
    # The sessions in which they were lose them, those in which they are now get them.
    await none(cursor, MARK.format(day=literal), params)
    await _blank_content(cursor, literal, params)
    await none(cursor, _ERASE.format(day=literal), params)
    await none(cursor, _ERASE_OBJECTS.format(day=literal), params)
    await none(cursor, MARK.format(day=literal), params)


async def _blank(cursor: Cursor, day: date, identifiers: Collection[UUID]) -> None:
    if not identifiers:
        return
    literal, params = day_literal(day), (uuid_array(identifiers),)
    await _blank_content(cursor, literal, params)
    await none(cursor, _BLANK.format(day=literal), params)
    await none(cursor, MARK.format(day=literal), params)


async def _blank_content(cursor: Cursor, literal: str, params: tuple[str]) -> None:
    for table, blank, not_blank in _CONTENT:
        sql = (
            f"UPDATE {table} SET {blank} WHERE day = {literal} "  # noqa: S608  # constants only
            f"AND interception_id = ANY(%s::uuid[]) AND {not_blank}"
        )
        await none(cursor, sql, params)
    await none(cursor, _FORGET_WORDS.format(day=literal), params)
