"""Sizes: how much there is to read of interceptions, known before it is read.

That one kind of texts is too much is found out by the question for them, at no cost that counts;
how many interceptions would not be too much is asked only then.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from bridge.store.connection import Cursor
from bridge.store.partitions import day_literal, uuid_array
from bridge.store.rows import Row, many

MOST_BYTES = 32 * 1024 * 1024
"""Texts that are read at once, unless one interception alone has more; in memory it is several
times that."""

TEXTS = {
    "aibridge_user_prompts": "prompt",
    "aibridge_tool_usages": "input",
    "aibridge_model_thoughts": "content",
    "aibridge_tool_results": "content",
}
"""The column of each table in which long texts are."""
# PostgreSQL knows the size of a text without reading it.
_SIZE = """
SELECT d.interception_id, octet_length(d.{column}) AS size
FROM {table} d
WHERE d.day IN ({{days}}) AND d.interception_id = ANY(%(these)s::uuid[])
"""
_ALL = " UNION ALL ".join(_SIZE.format(table=t, column=c) for t, c in TEXTS.items())
_SUMS = f"SELECT s.interception_id, sum(s.size)::bigint FROM ({_ALL}) s GROUP BY 1"  # noqa: S608  # constants only


class TooMuch(Exception):  # noqa: N818  # whoever reads asks for less, or says so
    """There are more texts than may be read at once."""


def too_much(table: str, most_bytes: int) -> str:
    """Return whether the texts in the rows `d` of a table are more than `most_bytes`, in SQL."""
    return f"coalesce(sum(octet_length(d.{TEXTS[table]})) OVER (), 0) > {most_bytes:d}"


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
