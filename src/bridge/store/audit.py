"""The audit log read back: who was refused, read another's content, or changed something."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from bridge.store.connection import Cursor
from bridge.store.partitions import day_literal
from bridge.store.rows import many

DEFAULT_LIMIT = 100
MAX_LIMIT = 1000
_DAY = timedelta(days=1)
_FIRST, _LAST = date.min, date.max

# Ids are UUIDv7, so their order is that of time, and each partition's key is in that order.
_NEWEST = """
SELECT id, created_at, action, actor_id, actor_name, token_id, target, status, reason, source,
       detail, count
FROM audit_log
WHERE (%(action)s::text IS NULL OR action = %(action)s OR starts_with(action, %(action)s || '.'))
  AND (%(actor)s::text IS NULL OR actor_name = %(actor)s)
  AND (%(target)s::text IS NULL OR target = %(target)s)
  AND (%(user)s::text IS NULL OR %(user)s IN (target, detail ->> 'user')
       OR detail -> 'users' ? %(user)s
       OR (action = 'content.read' AND detail -> 'users' = '[]'))
  AND (%(since)s::timestamptz IS NULL OR created_at >= %(since)s)
  AND (%(until)s::timestamptz IS NULL OR created_at < %(until)s)
  AND day BETWEEN {first} AND {last}
  AND (%(after_id)s::uuid IS NULL OR id < %(after_id)s::uuid)
ORDER BY id DESC
LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """A row of the audit log."""

    id: UUID
    created_at: datetime
    action: str
    """`refusal`, `content.read`, `user.create`, …"""
    actor_id: UUID | None
    """The bridge's user; None when unknown, and for whoever runs the command line."""
    actor_name: str | None
    token_id: str | None
    target: str
    """What it was about: a user's name, a token's id, an interception's id, a path."""
    status: int | None
    """HTTP status answered; None outside HTTP."""
    reason: str
    source: str
    """The client's address, `command line` or `first start`."""
    detail: Mapping[str, object]
    count: int
    """How many alike were folded into this row."""

    @property
    def told(self) -> Mapping[str, object]:
        """What else belongs to it, for people: without the ids of users whose names it says."""
        known = {"whose"}
        if "user" in self.detail or self.action.startswith("user."):
            known.add("user_id")
        return {name: value for name, value in self.detail.items() if name not in known}


async def newest_audit(
    cursor: Cursor,
    *,
    limit: int,
    action: str | None = None,
    actor: str | None = None,
    target: str | None = None,
    user: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    after_id: UUID | None = None,
) -> tuple[AuditEntry, ...]:
    """Return the newest entries, newest first.

    Args:
        cursor: in a transaction.
        limit: how many at most.
        action: `user.create`, or `user` for all that begin with `user.`; None for all.
        actor: name of who did it; None for everybody.
        target: what it was about, as it was written down; None for anything.
        user: name of somebody whose content was read, or who was changed; what was read of
            everybody, as by an export, is found too, for it may have been of them. None for all.
        since: only entries of this time or later.
        until: only entries before this time.
        after_id: only entries older than this one: the last of the page before.
    """
    params = {
        "action": action,
        "actor": actor,
        "target": target,
        "user": user,
        "since": since,
        "until": until,
        "after_id": str(after_id) if after_id is not None else None,
        "limit": limit,
    }
    # A day more on each side: an id's time is cut to the millisecond, and is not created_at.
    sql = _NEWEST.format(
        first=day_literal(since.date() - _DAY)
        if since and since.date() > _FIRST
        else "'-infinity'",
        last=day_literal(until.date() + _DAY) if until and until.date() < _LAST else "'infinity'",
    )
    return tuple(_entry_from(row) for row in await many(cursor, sql, params))


def _entry_from(row: Sequence[Any]) -> AuditEntry:
    (identifier, created_at, action, actor_id, actor_name, token_id,
     target, status, reason, source, detail, count) = row  # fmt: skip
    return AuditEntry(
        id=UUID(str(identifier)),
        created_at=created_at,
        action=action,
        actor_id=UUID(str(actor_id)) if actor_id is not None else None,
        actor_name=actor_name,
        token_id=token_id,
        target=target,
        status=status,
        reason=reason,
        source=source,
        detail=detail,
        count=count,
    )
