"""Sessions and facets: recomputed from the rows by one follower, never incremented.

Whoever changes an interception marks its session in the same transaction (`writes`, `lineage`,
`purge`), so the mark is seen only together with the change. Late records, replays, corrected
threads, retention and erasure need nothing else.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from structlog.typing import FilteringBoundLogger

from bridge.store.connection import Cursor
from bridge.store.following import Follower, Pace, Transactions
from bridge.store.partitions import day_literal, uuid_array
from bridge.store.reads_agents import MAX_AGENTS
from bridge.store.rows import many, none, one
from bridge.store.sessions_sql import RECOMPUTE

FOLLOW_SECONDS = 1.0
BUSY_FACTOR = 2.0
MARKS_AT_ONCE = 2000

_LOCK_NUMBER = 0x6169_6264_0004  # "aibd"; any number that nobody else uses
_TRY_LOCK = "SELECT pg_try_advisory_xact_lock(%s)"
# A session's rows are looked for between the first and the last day that it is known to have, so
# that no statement meets more partitions than it must.
_TAKE = """
WITH taken AS (
    DELETE FROM aibridge_session_marks
    WHERE ctid = ANY(ARRAY(SELECT ctid FROM aibridge_session_marks LIMIT %s))
    RETURNING initiator_id, session_id, day
), used AS (
    INSERT INTO aibridge_usage_marks (initiator_id, day)
    SELECT DISTINCT initiator_id, day FROM taken
), marked AS (
    SELECT initiator_id, session_id, min(day) AS first_day, max(day) AS last_day, count(*) AS marks
    FROM taken GROUP BY initiator_id, session_id
)
SELECT m.initiator_id, m.session_id, least(m.first_day, s.first_day),
       greatest(m.last_day, s.last_day), m.marks
FROM marked m
LEFT JOIN aibridge_sessions s USING (session_id, initiator_id)
"""


@dataclass(frozen=True, slots=True)
class Pass:
    """What one pass of the follower did."""

    marks: int = 0
    sessions: int = 0

    @property
    def more(self) -> bool:
        """Whether more marks are likely to wait."""
        return self.marks >= MARKS_AT_ONCE


async def follow(cursor: Cursor, *, marks: int = MARKS_AT_ONCE) -> Pass:
    """Recompute the sessions of up to `marks` marks; nothing while somebody else does.

    What these sessions used is marked for `store.usage`.

    Raises:
        StoreError: the marks stay.
    """
    (free,) = await one(cursor, _TRY_LOCK, (_LOCK_NUMBER,))
    if not free:
        return Pass()
    spans: dict[tuple[date, date], list[tuple[UUID, str]]] = defaultdict(list)
    taken = 0
    for initiator, session, first, last, count in await many(cursor, _TAKE, (marks,)):
        spans[first, last].append((initiator, session))
        taken += count
    for (first, last), sessions in sorted(spans.items()):
        await _recompute(cursor, first, last, sessions)
    return Pass(taken, sum(len(sessions) for sessions in spans.values()))


class SessionsFollower(Follower):
    """Keeps sessions and facets within a second or so of the records."""

    def __init__(self, *, pool: Transactions, reactor: Any, log: FilteringBoundLogger) -> None:
        """Follow nothing yet.

        Args:
            pool: where the records are.
            reactor: gives the time.
            log: bound logger.
        """
        super().__init__(
            name="sessions",
            work=follow,
            pace=Pace(seconds=FOLLOW_SECONDS, busy_factor=BUSY_FACTOR),
            pool=pool,
            reactor=reactor,
            log=log,
        )


async def _recompute(
    cursor: Cursor, first: date, last: date, sessions: Sequence[tuple[UUID, str]]
) -> None:
    """Write the rows of `sessions` anew from what lies between two days."""
    days = {"first": day_literal(first), "last": day_literal(last)}
    params = {
        "initiators": uuid_array(initiator for initiator, _ in sessions),
        "sessions": [session for _, session in sessions],
    }
    await none(cursor, RECOMPUTE.format(**days, most_agents=MAX_AGENTS), params)
