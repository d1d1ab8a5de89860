"""Legal holds: records that are kept as they are, whatever retention and erasure say."""

from __future__ import annotations

from datetime import date, datetime
from enum import Enum
from uuid import UUID

import msgspec

from bridge.store import blanking
from bridge.store.audit_about import ABOUT, UNTIL
from bridge.store.connection import Cursor
from bridge.store.partitions import AUDIT_LOG, INTERCEPTIONS, Partition, day_literal
from bridge.store.rows import many, maybe, none, one

AT_ONCE = 1000
"""Rows that are deleted in one transaction beside those that are held."""

_COLUMNS = """
h.id, h.user_id, u.username, h.from_day, h.to_day, h.reason, h.created_by, h.created_at,
h.released_at
"""
_LIST = f"""
SELECT {_COLUMNS} FROM aibridge_holds h LEFT JOIN users u ON u.id = h.user_id
WHERE %s OR h.released_at IS NULL ORDER BY h.id
"""  # noqa: S608  # constants only
_CREATE = """
INSERT INTO aibridge_holds (id, user_id, from_day, to_day, reason, created_by, created_at)
VALUES (%s, %s, %s, %s, %s, %s, %s)
"""
_RELEASE = """
UPDATE aibridge_holds SET released_at = %s WHERE id = %s AND released_at IS NULL RETURNING id
"""
_ERASING = """
SELECT EXISTS (
    SELECT FROM aibridge_erasures
    WHERE CASE WHEN %(user)s::uuid IS NULL THEN finished_at IS NULL
          ELSE initiator_id = %(user)s::uuid END)
"""
_LAST_RELEASE = "SELECT max(released_at) FROM aibridge_holds"
_HELD = """
SELECT count(*) > 0, coalesce(bool_or(user_id IS NULL), false) FROM aibridge_holds
WHERE released_at IS NULL
  AND (from_day IS NULL OR from_day <= {day}) AND (to_day IS NULL OR {day} <= to_day)
"""
_SOME_HELD = f"""
SELECT EXISTS (
    SELECT FROM aibridge_interceptions i WHERE i.day = {{day}} AND {blanking.HELD})
"""  # noqa: S608  # constants only
# What was done to them or read of them, too; what was read of everybody may have been of them.
_AUDIT_HELD = f"""
EXISTS (
    SELECT FROM held u WHERE u.id IS NULL OR a.actor_id = u.id OR {ABOUT}
      OR (a.action = 'content.read' AND a.detail -> 'users' = '[]' AND a.created_at >= u.since))
"""  # constants only
_HOLDERS = f"""
WITH held AS MATERIALIZED (
    SELECT h.user_id AS id, u.username AS name, u.created_at AS since, {UNTIL} AS until
    FROM aibridge_holds h LEFT JOIN users u ON u.id = h.user_id
    WHERE h.released_at IS NULL AND (h.from_day IS NULL OR h.from_day <= {{day}})
      AND (h.to_day IS NULL OR {{day}} <= h.to_day))
"""  # noqa: S608  # constants only
_SOME_AUDIT_HELD = f"""
{_HOLDERS} SELECT EXISTS (SELECT FROM audit_log a WHERE a.day = {{day}} AND {_AUDIT_HELD})
"""  # noqa: S608  # constants only
_CHILDREN = f"""
DELETE FROM {{name}} WHERE ctid = ANY(ARRAY(
    SELECT c.ctid FROM {{name}} c WHERE NOT EXISTS (
        SELECT FROM aibridge_interceptions i
        WHERE i.day = {{day}} AND i.id = c.interception_id AND {blanking.HELD})
    LIMIT {AT_ONCE}))
"""  # noqa: S608  # constants only
_INTERCEPTIONS = f"""
DELETE FROM {{name}} WHERE ctid = ANY(ARRAY(
    SELECT i.ctid FROM {{name}} i WHERE NOT {blanking.HELD} LIMIT {AT_ONCE}))
"""  # noqa: S608  # constants only
_AUDIT = f"""
{_HOLDERS} DELETE FROM {{name}} WHERE ctid = ANY(ARRAY(
    SELECT a.ctid FROM {{name}} a WHERE NOT {_AUDIT_HELD} LIMIT {AT_ONCE}))
"""  # noqa: S608  # constants only
_BY_INITIATOR = f"""
DELETE FROM {{name}} WHERE ctid = ANY(ARRAY(
    SELECT i.ctid FROM {{name}} i WHERE NOT {blanking.HELD} LIMIT {AT_ONCE}))
"""  # noqa: S608  # constants only


class Held(Enum):
    """How much of a partition is held."""

    NOTHING = "nothing"
    SOME = "some"
    ALL = "all"


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """A legal hold."""

    id: UUID
    user_id: UUID | None
    """None for everybody's records."""
    username: str | None
    from_day: date | None
    to_day: date | None
    """The last day that is held."""
    reason: str
    created_by: str
    created_at: datetime
    released_at: datetime | None


async def create(cursor: Cursor, hold: Hold) -> bool:
    """Keep `hold`; False when an erasure is in its way.

    That is one of its user; or, of a hold of everybody's days, any that is under way: it may blank
    records of these days yet, and what it has begun it brings to its end. No erasure begins and no
    content is given up while the hold is written.
    """
    await blanking.deciding(cursor)
    user = str(hold.user_id) if hold.user_id is not None else None
    (erasing,) = await one(cursor, _ERASING, {"user": user})
    if erasing:
        return False
    values = (str(hold.id), user, hold.from_day, hold.to_day)
    await none(cursor, _CREATE, (*values, hold.reason, hold.created_by, hold.created_at))
    return True


async def holds(cursor: Cursor, *, released_too: bool = False) -> tuple[Hold, ...]:
    """Return the holds, oldest first."""
    names = Hold.__struct_fields__
    rows = await many(cursor, _LIST, (released_too,))
    return tuple(Hold(**dict(zip(names, row, strict=True))) for row in rows)


async def release(cursor: Cursor, identifier: UUID, at: datetime) -> bool:
    """Release a hold; False when there is none of that id that holds anything."""
    return await maybe(cursor, _RELEASE, (at, str(identifier))) is not None


async def last_release(cursor: Cursor) -> datetime | None:
    """Return when a hold was released last: from then on more may go than before."""
    (at,) = await one(cursor, _LAST_RELEASE)
    return at if isinstance(at, datetime) else None


async def held_of(cursor: Cursor, partition: Partition) -> Held:
    """Return how much of a partition is held.

    While nothing holds its day no row is looked at, so that it goes as fast as ever.
    """
    literal = day_literal(partition.day)
    something, everything = await one(cursor, _HELD.format(day=literal))
    if everything:
        return Held.ALL
    if something:
        sql = _SOME_AUDIT_HELD if partition.table == AUDIT_LOG else _SOME_HELD
        (something,) = await one(cursor, sql.format(day=literal))
    return Held.SOME if something else Held.NOTHING


async def delete_others(cursor: Cursor, partition: Partition) -> int:
    """Delete the next rows of a partition that are not held, and return how many those were."""
    if partition.table == INTERCEPTIONS:
        sql = _INTERCEPTIONS
    elif partition.table == AUDIT_LOG:
        sql = _AUDIT
    elif partition.table == "aibridge_usage_daily":
        sql = _BY_INITIATOR
    else:
        sql = _CHILDREN
    return await none(cursor, sql.format(name=partition.name, day=day_literal(partition.day)))
