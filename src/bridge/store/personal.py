"""Everything that is recorded of one person, in pieces."""

from __future__ import annotations

from datetime import date
from typing import Any
from uuid import UUID

from bridge.store.audit_about import ABOUT, NAMED
from bridge.store.connection import Cursor
from bridge.store.partitions import day_literal
from bridge.store.rows import many

AT_ONCE = 500

_USER = """
SELECT to_jsonb(u) FROM users u WHERE u.id = %s::uuid
"""
_TOKENS = """
SELECT to_jsonb(t) - 'digest' FROM api_tokens t WHERE t.user_id = %s::uuid
ORDER BY t.created_at, t.id
"""
_SESSIONS = """
SELECT to_jsonb(s) - 'terms' - 'span' - 'outline'
FROM aibridge_sessions s WHERE s.initiator_id = %s::uuid
ORDER BY s.started_at, s.session_id
"""
_HOLDS = "SELECT to_jsonb(h) FROM aibridge_holds h WHERE h.user_id = %s::uuid ORDER BY h.id"
_INTERCEPTIONS = """
SELECT i.id FROM aibridge_interceptions i
WHERE i.day = {day} AND i.initiator_id = %s::uuid AND i.id > %s::uuid ORDER BY i.id LIMIT %s
"""
_OBJECTS = """
SELECT to_jsonb(o) || '{{"type": "stored_object"}}' FROM aibridge_stored_objects o
WHERE o.day = {day} AND o.initiator_id = %s::uuid ORDER BY o.id
"""
_AUDIT = f"""
WITH u AS MATERIALIZED ({NAMED} WHERE u.id = %s::uuid)
SELECT to_jsonb(a) || '{{{{"type": "audit"}}}}' FROM audit_log a, u
WHERE a.day = {{day}} AND (a.actor_id = u.id OR {ABOUT})
ORDER BY a.id
"""  # noqa: S608  # constants only

Rows = list[dict[str, Any]]


async def identity_rows(cursor: Cursor, user: UUID) -> list[tuple[str, Rows]]:
    """Return the user, its tokens without their digests, its sessions and holds: name and rows."""
    found = []
    for kind, sql in (
        ("user", _USER),
        ("token", _TOKENS),
        ("session", _SESSIONS),
        ("hold", _HOLDS),
    ):
        rows = await many(cursor, sql, (str(user),))
        found.append((kind, [row for (row,) in rows]))
    return found


async def interceptions_of(cursor: Cursor, day: date, user: UUID, after: UUID | None) -> list[UUID]:
    """Return the next interceptions of a user on a day, at most AT_ONCE."""
    params = (str(user), str(after or UUID(int=0)), AT_ONCE)
    rows = await many(cursor, _INTERCEPTIONS.format(day=day_literal(day)), params)
    return [identifier for (identifier,) in rows]


async def other_rows(cursor: Cursor, day: date, user: UUID) -> Rows:
    """Return what else a day holds of a user: stored objects, and rows of the audit log."""
    literal = day_literal(day)
    objects = await many(cursor, _OBJECTS.format(day=literal), (str(user),))
    audit = await many(cursor, _AUDIT.format(day=literal), (str(user),))
    return [row for (row,) in (*objects, *audit)]
