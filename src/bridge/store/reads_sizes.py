"""Sizes: how much there is to read of interceptions, known before it is read."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from bridge.store.connection import Cursor
from bridge.store.partitions import day_literal, uuid_array
from bridge.store.rows import Row, many

MOST_BYTES = 32 * 1024 * 1024
"""Texts that are read at once, unless one interception alone has more; in memory it is several
times that."""

_TEXTS = {
    "aibridge_user_prompts": "prompt",
    "aibridge_tool_usages": "input",
    "aibridge_model_thoughts": "content",
    "aibridge_tool_results": "content",
}
# PostgreSQL knows the size of a text without reading it.
_SIZE = """
SELECT d.interception_id, octet_length(d.{column}) AS size
FROM {table} d
WHERE d.day IN ({{days}}) AND d.interception_id = ANY(%(these)s::uuid[])
"""
_ALL = " UNION ALL ".join(_SIZE.format(table=t, column=c) for t, c in _TEXTS.items())
_SUMS = f"SELECT s.interception_id, sum(s.size)::bigint FROM ({_ALL}) s GROUP BY 1"  # noqa: S608  # constants only


async def room_for(cursor: Cursor, rows: Sequence[Row], most_bytes: int) -> int:
    """Return how many interceptions of `rows` may be read at once; at least the first.

    Args:
        cursor: in a transaction.
        rows: each begins with the day and the id.
        most_bytes: of their texts together.
    """
    if len(rows) < 2:
        return len(rows)
    days = ", ".join(day_literal(day) for day in sorted({row[0] for row in rows}))
    these = {"these": uuid_array(row[1] for row in rows)}
    found = await many(cursor, _SUMS.format(days=days), these)
    sizes: dict[UUID, int | None] = dict(found)
    left = most_bytes
    for count, row in enumerate(rows):
        left -= sizes.get(row[1]) or 0
        if left < 0:
            return max(1, count)
    return len(rows)
