"""Export: interceptions with everything that belongs to them, oldest first, page by page, as text.

The server writes the lines, JSON or CSV; here they are only counted. Ids are in the order of time:
an export goes on behind the last id that somebody has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from bridge.domain.ids import day_of
from bridge.store.connection import Cursor
from bridge.store.export_sql import (
    ARRAY,
    CSV_HEADER,
    CSV_LINES,
    JSON_LINES,
    MERGE,
    OLD_SCALAR,
    RANGE,
    SCALAR,
    SCALAR_VERSION,
)
from bridge.store.filters import Filter
from bridge.store.partitions import day_literal, stored_days
from bridge.store.reads import Conditions, conditions_for, days_of
from bridge.store.rows import Row, many, none, one
from bridge.store.threaded import RawCursor

PAGE_ROWS = 500
PAGE_BYTES = 32 << 20
"""A page ends when its requests and answers were together so large; what is recorded of them is
far smaller, as a rule. A line that is longer than 1 GiB the server cannot make."""

_IDS = """
SELECT i.id::text, i.bytes_in + coalesce(i.bytes_out, 0)
FROM aibridge_interceptions i
WHERE i.day = {day} AND i.id > %(after_id)s::uuid AND {conditions}
ORDER BY i.id
LIMIT %(limit)s
"""
_VERSION = "SELECT current_setting('server_version_num')::integer"
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
class Piece:
    """What one page is going to hold: some of the interceptions of a day."""

    day: date
    ids: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A piece of an export."""

    data: bytes
    """Whole lines, each ended, in UTF-8."""
    rows: int
    last_id: UUID
    """To go on behind."""


class Export:
    """One export, read page by page; each page is a transaction of its own.

    Pieces are found one after the other; what they hold can be read in any order.
    """

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
        self.cutoff = cutoff
        """May be moved on between two pages."""
        self._wanted = wanted
        self._format = format
        self._after = after_id or _BEGINNING
        self._visible_to = visible_to
        self._where: Conditions | None = None
        self._scalar = OLD_SCALAR
        self._days: list[date] = []
        self._unread: Piece | None = None
        # Nothing but time and end decides: what lies between two ids is theirs.
        self._dense = visible_to is None and wanted == Filter(
            started_after=wanted.started_after, started_before=wanted.started_before
        )

    async def next(self, cursor: Cursor, *, rows: int = PAGE_ROWS) -> Page | None:
        """Return the next page; None when there is nothing more.

        Args:
            cursor: of a read-only transaction.
            rows: interceptions at most.

        Raises:
            StoreUnavailable: not now; ask again.
        """
        piece = self._unread = self._unread or await self.piece(cursor, rows=rows)
        if piece is None:
            return None
        page = await self.page(cursor, piece)
        self._unread = None
        return page

    async def piece(self, cursor: Cursor, *, rows: int = PAGE_ROWS) -> Piece | None:
        """Return what the next page holds, and go on behind it; None when there is nothing more.

        Raises:
            StoreUnavailable: not now; ask again.
        """
        where = self._where
        if where is None:
            where = await conditions_for(cursor, self._wanted, self._visible_to, None)
            if where is None:
                return None
            self._where = where
            (version,) = await one(cursor, _VERSION)
            self._scalar = SCALAR if version >= SCALAR_VERSION else OLD_SCALAR
        where = where.since(self.cutoff)
        if self._days:
            found = await self._found(cursor, where, rows)
            if found is not None:
                return found
        # Others may have come meanwhile.
        days = days_of(await stored_days(cursor), self._wanted, self.cutoff)
        first = day_of(self._after) if self._after != _BEGINNING else date.min
        self._days = [day for day in days if day >= first]
        return await self._found(cursor, where, rows)

    async def page(self, cursor: Cursor, piece: Piece) -> Page:
        """Return what a piece holds.

        Raises:
            StoreUnavailable: not now; ask again.
        """
        these, params = ARRAY, {"ids": "{" + ",".join(piece.ids) + "}"}
        where = Conditions()
        if self._dense and self._where is not None:
            these, params = RANGE, {"first": piece.ids[0], "last": piece.ids[-1]}
            where = self._where.since(self.cutoff)
        sql = _LINES[self._format].format(
            day=day_literal(piece.day),
            these=these,
            conditions=where.sql,
            scalar=self._scalar,
        )
        await none(cursor, MERGE)
        if isinstance(cursor, RawCursor):
            lines = cursor.texts(sql, where.params, params)
        else:
            rows = await many(cursor, sql, {**where.params, **params})
            lines = [text.encode() for (text,) in rows]
        # There are fewer where some have been erased meanwhile.
        return Page(data=b"".join(lines), rows=len(lines), last_id=UUID(piece.ids[-1]))

    async def _found(self, cursor: Cursor, where: Conditions, rows: int) -> Piece | None:
        """Return the first piece of the days that are left."""
        while self._days:
            day = self._days[-1]
            sql = _IDS.format(day=day_literal(day), conditions=where.sql)
            params = {**where.params, "after_id": str(self._after), "limit": rows}
            found = _bounded(await many(cursor, sql, params))
            if found:
                ids = [row[0] for row in found]
                self._after = UUID(ids[-1])
                return Piece(day=day, ids=ids)
            self._days.pop()
        return None


def _bounded(rows: Sequence[Row]) -> Sequence[Row]:
    """Return as many rows as make a page, at least one."""
    size = 0
    for number, (_, more) in enumerate(rows):
        size += more
        if number and size > PAGE_BYTES:
            return rows[:number]
    return rows
