"""Texts: one recorded text, read piece by piece, however long it is."""

from __future__ import annotations

from enum import StrEnum
from uuid import UUID

from bridge.domain.ids import day_of
from bridge.store.connection import Cursor
from bridge.store.partitions import day_literal
from bridge.store.rows import maybe


class TextPlace(StrEnum):
    """Where a text is: table and column."""

    PROMPT = "aibridge_user_prompts.prompt"
    TOOL_INPUT = "aibridge_tool_usages.input"
    THOUGHT = "aibridge_model_thoughts.content"
    TOOL_RESULT = "aibridge_tool_results.content"


_PIECE = """
SELECT substr({column}, %(begin)s, %(length)s)
FROM {table}
WHERE day = {day} AND interception_id = %(id)s::uuid AND n = %(n)s
"""


async def read_text(
    cursor: Cursor, place: TextPlace, interception_id: UUID, n: int, *, begin: int, length: int
) -> str | None:
    """Return a piece of the n-th text of an interception; None when there is no such text.

    Args:
        cursor: in a transaction.
        place: which kind of text.
        interception_id: an id that we made.
        n: counts from 1.
        begin: characters before the piece.
        length: characters at most.
    """
    table, _, column = place.value.partition(".")
    sql = _PIECE.format(table=table, column=column, day=day_literal(day_of(interception_id)))
    params = {"begin": begin + 1, "length": length, "id": str(interception_id), "n": n}
    row = await maybe(cursor, sql, params)
    return row[0] if row is not None else None
