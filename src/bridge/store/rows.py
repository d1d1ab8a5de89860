"""The four cardinalities of a statement; one function for each, so that a reader knows which."""

from __future__ import annotations

from typing import Any

from bridge.store.connection import Cursor, Parameters
from bridge.store.errors import StoreError

Row = tuple[Any, ...]


async def one(cursor: Cursor, sql: str, params: Parameters = None) -> Row:
    """Return the one row there must be.

    Raises:
        StoreError: there is none, or there are several.
    """
    row = await maybe(cursor, sql, params)
    if row is None:
        raise StoreError("A statement gave no row where one was expected.")
    return row


async def maybe(cursor: Cursor, sql: str, params: Parameters = None) -> Row | None:
    """Return the row, or None when there is none.

    Raises:
        StoreError: there are several.
    """
    rows = await many(cursor, sql, params)
    if len(rows) > 1:
        raise StoreError(f"A statement gave {len(rows)} rows where one was expected.")
    return rows[0] if rows else None


async def many(cursor: Cursor, sql: str, params: Parameters = None) -> list[Row]:
    """Return all rows."""
    await cursor.execute(sql, params)
    return cursor.fetchall()


async def none(cursor: Cursor, sql: str, params: Parameters = None) -> int:
    """Run a statement for its effect, and return how many rows it touched."""
    await cursor.execute(sql, params)
    return cursor.rowcount
