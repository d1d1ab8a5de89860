"""Legal holds: records that are kept as they are, whatever retention and erasure say."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime
from uuid import UUID

import msgspec

from bridge.store import blanking
from bridge.store.connection import Cursor
from bridge.store.partitions import INTERCEPTIONS, Partition, day_literal
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
_ERASING = "SELECT EXISTS (SELECT FROM aibridge_erasures WHERE initiator_id = %s)"
_LAST_RELEASE = "SELECT max(released_at) FROM aibridge_holds"
_ALL_HELD = """
SELECT EXISTS (
    SELECT FROM aibridge_holds WHERE released_at IS NULL AND user_id IS NULL
      AND (from_day IS NULL OR from_day <= {day}) AND (to_day IS NULL OR {day} <= to_day))
"""
_SOME_HELD = f"""
SELECT EXISTS (
    SELECT FROM aibridge_interceptions i WHERE i.day = {{day}} AND {blanking.HELD})
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
DELETE FROM {{name}} WHERE ctid = ANY(ARRAY(
    SELECT a.ctid FROM {{name}} a WHERE NOT EXISTS (
        SELECT FROM aibridge_holds h WHERE h.released_at IS NULL AND h.user_id = a.actor_id
          AND (h.from_day IS NULL OR h.from_day <= a.day) AND (h.to_day IS NULL OR a.day <= h.to_day))
    LIMIT {AT_ONCE}))
"""  # noqa: S608, E501  # constants only
_BY_INITIATOR = f"""
DELETE FROM {{name}} WHERE ctid = ANY(ARRAY(
    SELECT i.ctid FROM {{name}} i WHERE NOT {blanking.HELD} LIMIT {AT_ONCE}))
"""  # noqa: S608  # constants only


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
    """Keep `hold`; False when its user is being erased already.

    No erasure begins and no content is given up while it is written.
    """
    await blanking.deciding(cursor)
    if hold.user_id is not None:
        (erasing,) = await one(cursor, _ERASING, (str(hold.user_id),))
        if erasing:
            return False
    user = str(hold.user_id) if hold.user_id is not None else None
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


async def held_days(cursor: Cursor, days: Collection[date]) -> dict[date, bool]:
    """Return those of `days` of which something is held, and whether that is all of it."""
    found: dict[date, bool] = {}
    if not await many(cursor, "SELECT FROM aibridge_holds WHERE released_at IS NULL LIMIT 1"):
        return found
    for day in sorted(days):
        literal = day_literal(day)
        (everything,) = await one(cursor, _ALL_HELD.format(day=literal))
        (something,) = (True,) if everything else await one(cursor, _SOME_HELD.format(day=literal))
        if something:
            found[day] = bool(everything)
    return found


async def delete_others(cursor: Cursor, partition: Partition) -> int:
    """Delete the next rows of a partition that are not held, and return how many those were."""
    if partition.table == INTERCEPTIONS:
        sql = _INTERCEPTIONS
    elif partition.table == "audit_log":
        sql = _AUDIT
    elif partition.table == "aibridge_usage_daily":
        sql = _BY_INITIATOR
    else:
        sql = _CHILDREN
    return await none(cursor, sql.format(name=partition.name, day=day_literal(partition.day)))
