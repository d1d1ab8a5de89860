"""Sessions, facets and usage of a day, marked to be computed anew: after a repair or a bulk load.

For the search there is `search.index_day`, which computes at once.
"""

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


async def mark_day(cursor: Cursor, day: date) -> int:
    """Let the followers compute anew sessions, facets and usage of a stored day.

    Returns:
        How many sessions have interceptions on it.
    """
    return await none(cursor, _MARK_DAY.format(day=day_literal(day)))
