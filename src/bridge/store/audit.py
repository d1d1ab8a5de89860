"""The audit log read back: who was refused, read another's content, or changed something."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from bridge.store.connection import Cursor
from bridge.store.rows import many

DEFAULT_LIMIT = 100
MAX_LIMIT = 1000

# Ids are UUIDv7, so their order is that of time, and each partition's key is in that order.
_NEWEST = """
SELECT id, created_at, action, actor_id, actor_name, token_id, target, status, reason, source,
       detail, count
FROM audit_log
WHERE (%(action)s::text IS NULL OR action = %(action)s OR starts_with(action, %(action)s || '.'))
  AND (%(actor)s::text IS NULL OR actor_name = %(actor)s)
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


async def newest_audit(
    cursor: Cursor,
    *,
    limit: int,
    action: str | None = None,
    actor: str | None = None,
    after_id: UUID | None = None,
) -> tuple[AuditEntry, ...]:
    """Return the newest entries, newest first.

    Args:
        cursor: in a transaction.
        limit: how many at most.
        action: `user.create`, or `user` for all that begin with `user.`; None for all.
        actor: name of who did it; None for everybody.
        after_id: only entries older than this one: the last of the page before.
    """
    params = {
        "action": action,
        "actor": actor,
        "after_id": str(after_id) if after_id is not None else None,
        "limit": limit,
    }
    return tuple(_entry_from(row) for row in await many(cursor, _NEWEST, params))


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
