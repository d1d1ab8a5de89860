"""What the audit log's entries of reading are about: an interception, a session, or neither."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from uuid import UUID

from bridge.domain.errors import InvalidRequest
from bridge.domain.ids import day_of
from bridge.store.audit import AuditEntry
from bridge.store.connection import Cursor
from bridge.store.filters import page_id
from bridge.store.partitions import text_array, uuid_array
from bridge.store.rows import many

_INTERCEPTIONS = """
SELECT id FROM aibridge_interceptions WHERE day = ANY(%s::date[]) AND id = ANY(%s::uuid[])
"""
_SESSIONS = """
SELECT session_id, username, initiator_id FROM aibridge_sessions WHERE session_id = ANY(%s::text[])
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """What there is of what entries are about."""

    interceptions: frozenset[str]
    """Their ids."""
    sessions: Mapping[tuple[str, str], UUID]
    """Whose each is, by its id and the user's name: clients name sessions, and may alike."""

    def session_of(self, entry: AuditEntry) -> UUID | None:
        """Return whose session `entry` is about; None when it is about none."""
        users = entry.detail.get("users")
        for user in users if isinstance(users, list) else ():
            found = self.sessions.get((entry.target, user))
            if found is not None:
                return found
        return None


async def targets_of(cursor: Cursor, entries: Iterable[AuditEntry]) -> Targets:
    """Return what there is of what was read by `entries`."""
    texts = {each.target for each in entries if each.action == "content.read"}
    # An id that we could not have made is no interception's, and has no day.
    ids = [each for each in map(_id, texts) if each is not None]
    interceptions, sessions = [], []
    if ids:
        days = {day_of(each).isoformat() for each in ids}
        interceptions = await many(cursor, _INTERCEPTIONS, (text_array(days), uuid_array(ids)))
    if texts:
        sessions = await many(cursor, _SESSIONS, (text_array(texts),))
    return Targets(
        interceptions=frozenset(str(identifier) for (identifier,) in interceptions),
        sessions={(session, user): UUID(str(whose)) for session, user, whose in sessions},
    )


def _id(text: str) -> UUID | None:
    try:
        return page_id(text)
    except InvalidRequest:
        return None
