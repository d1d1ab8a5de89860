"""Page sessions: which browsers are signed in, by the digests of their cookies.

They are in the database, so that any bridge on it knows them, also after a restart.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from bridge.store.connection import Cursor
from bridge.store.rows import maybe, none

SESSIONS_PER_TOKEN = 10
"""Browsers signed in with one token; one more signs out the one that was quiet the longest."""
_NOTED_SECONDS = 60.0

_FORGET = "DELETE FROM aibridge_page_sessions WHERE seen_at < %s"
_FORGET_MORE = """
DELETE FROM aibridge_page_sessions WHERE digest IN (
    SELECT digest FROM aibridge_page_sessions WHERE token_id = %s
    ORDER BY seen_at DESC, digest OFFSET %s
)
"""
_BEGIN = """
INSERT INTO aibridge_page_sessions (digest, token_id, created_at, seen_at)
VALUES (%(digest)s, %(token_id)s, %(at)s, %(at)s)
"""
_FIND = "SELECT token_id, seen_at FROM aibridge_page_sessions WHERE digest = %s AND seen_at >= %s"
_SEEN = "UPDATE aibridge_page_sessions SET seen_at = %s WHERE digest = %s"
_END = "DELETE FROM aibridge_page_sessions WHERE digest = %s"


async def begin_page_session(
    cursor: Cursor, digest: bytes, token_id: str, *, at: datetime, idle: timedelta
) -> None:
    """Keep a session that begins at `at`; forget those that were quiet for `idle`."""
    await none(cursor, _FORGET, (at - idle,))
    await none(cursor, _FORGET_MORE, (token_id, SESSIONS_PER_TOKEN - 1))
    await none(cursor, _BEGIN, {"digest": digest, "token_id": token_id, "at": at})


async def find_page_session(
    cursor: Cursor, digest: bytes, *, at: datetime, idle: timedelta
) -> str | None:
    """Return the id of the token that a session was begun with, and note that it was used.

    None when there is no such session, or it was quiet for `idle`.
    """
    row = await maybe(cursor, _FIND, (digest, at - idle))
    if row is None:
        return None
    token_id, seen_at = row
    if (at - seen_at).total_seconds() >= _NOTED_SECONDS:
        await none(cursor, _SEEN, (at, digest))
    return str(token_id)


async def end_page_session(cursor: Cursor, digest: bytes) -> None:
    """Forget a session."""
    await none(cursor, _END, (digest,))
