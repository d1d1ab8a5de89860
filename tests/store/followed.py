"""What is derived from the records, brought up to date at once."""

from __future__ import annotations

from bridge.store import search, sessions, usage
from bridge.store.pool import Pool


async def follow_everything(pool: Pool) -> None:
    """Run all followers until nothing is marked any more."""
    for follow in (sessions.follow, usage.follow, search.follow):
        while (await pool.transaction(follow)).marks:
            pass
