"""Everything derived, marked to be computed anew: after a restore, a repair or a bulk load."""

from __future__ import annotations

from datetime import date

from bridge.store.connection import Cursor
from bridge.store.partitions import day_literal
from bridge.store.rows import none

_MARK_DAY = """
INSERT INTO aibridge_session_marks (initiator_id, session_id, day)
SELECT DISTINCT i.initiator_id, i.session_id, {day}
FROM aibridge_interceptions i
WHERE i.day = {day} AND i.kind = 'intercepted' AND i.ended_at IS NOT NULL
"""
_MARK_SEARCH = """
INSERT INTO aibridge_search_marks (day, interceptions)
SELECT {day}, array_agg(p.id)
FROM (
    SELECT i.id, row_number() OVER (ORDER BY i.id DESC) / 500 AS piece
    FROM aibridge_interceptions i
    WHERE i.day = {day} AND i.kind = 'intercepted' AND i.ended_at IS NOT NULL
) p
GROUP BY p.piece
"""


async def mark_day(cursor: Cursor, day: date) -> int:
    """Let the followers compute anew what is derived from a stored day.

    Returns:
        How many sessions have interceptions on it.
    """
    await none(cursor, _MARK_SEARCH.format(day=day_literal(day)))
    return await none(cursor, _MARK_DAY.format(day=day_literal(day)))
