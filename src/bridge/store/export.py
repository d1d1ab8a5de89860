"""Export: interceptions with everything that belongs to them, oldest first, page by page, as text.

The server writes the lines, JSON or CSV, so that a page costs this process next to nothing. Ids
are in the order of time: an export goes on behind the last id that somebody has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from bridge.domain.ids import day_of
from bridge.store.connection import Cursor
from bridge.store.export_sql import CSV_HEADER, CSV_LINES, JSON_LINES
from bridge.store.filters import Filter
from bridge.store.partitions import day_literal, stored_days, uuid_array
from bridge.store.reads import conditions_for, days_of
from bridge.store.rows import Row, many, one

PAGE_ROWS = 1000
PAGE_BYTES = 8 << 20
"""A page ends when its requests and answers were together so large; what is recorded of them is
smaller, as a rule."""

_IDS = """
SELECT i.id, i.bytes_in + coalesce(i.bytes_out, 0)
FROM aibridge_interceptions i
WHERE i.day = {day} AND i.id > %(after_id)s::uuid AND {conditions}
ORDER BY i.id
LIMIT %(limit)s
"""
_BEGINNING = UUID(int=0)


class Format(StrEnum):
    """How an interception is written."""

    JSONL = "jsonl"
    """One JSON object a line, in the shape of the API's, legs included."""
    CSV = "csv"
    """RFC 4180: a heading, then one record for each interception, its details summed up."""


HEADINGS = {Format.JSONL: "", Format.CSV: CSV_HEADER}
"""What an export begins with."""
_LINES = {Format.JSONL: JSON_LINES, Format.CSV: CSV_LINES}


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A piece of an export."""

    text: str
    """Whole lines, each ended."""
    rows: int
    last_id: UUID
    """To go on behind."""


class Export:
    """One export, read page by page; each page is a transaction of its own."""

    def __init__(
        self,
        wanted: Filter,
        *,
        format: Format,  # noqa: A002 - what it is called everywhere
        after_id: UUID | None = None,
        visible_to: UUID | None,
        cutoff: datetime | None,
    ) -> None:
        """Read nothing yet.

        Args:
            wanted: which interceptions; only ended ones are exported.
            format: how they are written.
            after_id: only those behind this one.
            visible_to: whose may be seen; None for everybody's.
            cutoff: older ones are not there any more; None for none.
        """
        self._wanted = wanted
        self._format = format
        self._after = after_id or _BEGINNING
        self._visible_to = visible_to
        self._cutoff = cutoff

    async def next(self, cursor: Cursor, *, rows: int = PAGE_ROWS) -> Page | None:
        """Return the next page; None when there is nothing more.

        Args:
            cursor: of a read-only transaction.
            rows: interceptions at most.

        Raises:
            StoreUnavailable: not now; ask again.
        """
        where = await conditions_for(cursor, self._wanted, self._visible_to, self._cutoff)
        if where is None:
            return None
        begun = self._after != _BEGINNING
        first = day_of(self._after) if begun else date.min
        days = sorted(days_of(await stored_days(cursor), self._wanted, self._cutoff))
        for day in days:
            if day < first:
                continue
            sql = _IDS.format(day=day_literal(day), conditions=where.sql)
            params = {**where.params, "after_id": str(self._after), "limit": rows}
            found = _bounded(await many(cursor, sql, params))
            if found:
                ids = [row[0] for row in found]
                text = await self._text(cursor, day, ids)
                self._after = UUID(str(ids[-1]))
                return Page(text=text, rows=len(ids), last_id=self._after)
        return None

    async def _text(self, cursor: Cursor, day: date, ids: Sequence[UUID]) -> str:
        sql = _LINES[self._format].format(day=day_literal(day))
        (text,) = await one(cursor, sql, {"ids": uuid_array(ids)})
        return text or ""  # they may have been erased meanwhile


def _bounded(rows: Sequence[Row]) -> Sequence[Row]:
    """Return as many rows as make a page, at least one."""
    size = 0
    for number, (_, more) in enumerate(rows):
        size += more
        if number and size > PAGE_BYTES:
            return rows[:number]
    return rows
