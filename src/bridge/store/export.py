"""Export: interceptions with everything that belongs to them, as JSON lines, oldest first.

The server makes the lines and sends them as one text for each page, so that a page costs Python
next to nothing. Pages are bounded in rows and in bytes, each is read by a transaction of its own,
and the id that a page ends with is where a later export can go on.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol, TypeVar
from uuid import UUID

from bridge.domain.ids import day_of
from bridge.store.connection import Cursor
from bridge.store.filters import RUNNING, Filter
from bridge.store.partitions import day_literal, stored_days
from bridge.store.reads import days_of, where_of
from bridge.store.reads_json import Leg, ModelThought, TokenUsage, ToolUsage, UserPrompt
from bridge.store.reads_json import interception_columns as columns_of
from bridge.store.rows import many, one

T = TypeVar("T")

PAGE_ROWS = 1000
PAGE_BYTES = 8 * 1024**2
"""Of content, roughly; a single interception may have more."""

_CHILDREN = (
    ("token_usages", "aibridge_token_usages", TokenUsage),
    ("user_prompts", "aibridge_user_prompts", UserPrompt),
    ("tool_usages", "aibridge_tool_usages", ToolUsage),
    ("model_thoughts", "aibridge_model_thoughts", ModelThought),
    ("legs", "aibridge_legs", Leg),
)
"""Member, table, and what is read of it."""
_CONTENT = (
    ("aibridge_user_prompts", "prompt"),
    ("aibridge_tool_usages", "input"),
    ("aibridge_model_thoughts", "content"),
)
_IDS = """
SELECT string_agg(f.id::text, ',' ORDER BY f.id), count(*)
FROM (
    SELECT i.id
    FROM aibridge_interceptions i
    WHERE i.day = {day} AND {conditions}
    ORDER BY i.id
    LIMIT %(limit)s
) f
"""
# A text's length is known without reading it.
_LENGTH = """(
    SELECT coalesce(sum(octet_length({1})), 0)
    FROM {0} WHERE day = {{day}} AND interception_id = ANY(%(ids)s::uuid[])
)"""
_BYTES = "SELECT ({})::bigint".format(" + ".join(_LENGTH.format(*each) for each in _CONTENT))


_JOIN = """
LEFT JOIN (
    SELECT d.interception_id, string_agg(row_to_json(d)::text, ',' ORDER BY d.n) AS items
    FROM (
        SELECT {columns} FROM {table}
        WHERE day = {{day}} AND interception_id = ANY(%(ids)s::uuid[])
    ) d
    GROUP BY d.interception_id
) c_{member} ON c_{member}.interception_id = r.id
"""


def _lines() -> str:
    """Return the statement that makes the lines of some interceptions of a day."""
    members = "".join(
        f""" || ',"{member}":[' || coalesce(c_{member}.items, '') || ']'"""
        for member, _, _ in _CHILDREN
    )
    joins = "".join(
        _JOIN.format(
            member=member,
            table=table,
            columns=", ".join(dict.fromkeys((*kind.__struct_fields__, "n"))),
        )
        for member, table, kind in _CHILDREN
    )
    return f"""
SELECT string_agg(left(row_to_json(r)::text, -1){members} || '}}}}' || chr(10), '' ORDER BY r.id)
FROM (
    SELECT {_columns()}
    FROM aibridge_interceptions i
    WHERE i.day = {{day}} AND i.id = ANY(%(ids)s::uuid[])
) r{joins}
"""  # noqa: S608  # constants only


def _columns() -> str:
    """Return the columns of an interception as they are shown."""
    initiator = "json_build_object('id', i.initiator_id, 'username', i.username) AS initiator"
    shown = []
    for column in columns_of("i").split(", "):
        match column:
            case "i.initiator_id":
                shown.append(initiator)
            case "i.username":
                pass
            case "i.status":
                shown.append(f"coalesce(i.status, '{RUNNING}') AS status")
            case _:
                shown.append(column)
    return ", ".join(shown)


_LINES = _lines()


class Transactions(Protocol):
    """Where statements run."""

    async def transaction(
        self, work: Callable[[Cursor], Awaitable[T]], *, read_only: bool = False
    ) -> T:
        """Run `work` in one transaction; raises StoreError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some interceptions."""

    lines: str
    """JSON like that of one interception in the management API, each ended by a line feed."""
    count: int
    last_id: UUID
    """What comes after it is on the next page."""


async def export_pages(
    pool: Transactions,
    *,
    wanted: Filter | None = None,
    first: date | None = None,
    last: date | None = None,
    after_id: UUID | None = None,
    visible_to: UUID | None = None,
    cutoff: datetime | None = None,
    page_rows: int = PAGE_ROWS,
    page_bytes: int = PAGE_BYTES,
) -> AsyncIterator[Page]:
    """Give everything that is asked for, page by page.

    What is stored behind the place that has been reached while it runs is not in it.

    Args:
        pool: where the records are.
        wanted: which interceptions; None for all that were intercepted and have ended.
        first: the first day, UTC; None for the first that is kept.
        last: the last day, inclusive; None for the latest.
        after_id: only those newer than this one, which need not exist.
        visible_to: whose interceptions may be seen; None for everybody's.
        cutoff: older ones are not there any more; None for none.
        page_rows: interceptions of a page at most.
        page_bytes: content of a page at most, as long as it has more than one interception.

    Raises:
        StoreUnavailable: not now; go on after the last id that came.
    """
    asked = wanted or Filter()
    days = sorted(days_of(await pool.transaction(stored_days, read_only=True), asked, cutoff))
    if after_id is not None:
        days = [day for day in days if day >= day_of(after_id)]
    for day in days:
        if (first is not None and day < first) or (last is not None and day > last):
            continue
        while True:
            reached = after_id

            async def read(
                cursor: Cursor, day: date = day, reached: UUID | None = reached
            ) -> Page | None:
                where = await where_of(cursor, asked, visible_to, cutoff)
                if where is None:
                    return None
                if reached is not None:
                    where.add("i.id > %(after_id)s::uuid", "after_id", str(reached))
                sql = _IDS.format(day=day_literal(day), conditions=where.sql)
                ids = (await one(cursor, sql, {**where.params, "limit": page_rows}))[0]
                return await _page(cursor, day, ids.split(","), page_bytes) if ids else None

            page = await pool.transaction(read, read_only=True)
            if page is None:
                break
            after_id = page.last_id
            yield page


async def _page(cursor: Cursor, day: date, ids: Sequence[str], page_bytes: int) -> Page:
    """Return the lines of as many of `ids` as fit, the first ones."""
    literal = day_literal(day)
    while len(ids) > 1:
        (length,) = await one(cursor, _BYTES.format(day=literal), {"ids": _array(ids)})
        if length <= page_bytes:
            break
        ids = ids[: max(1, min(len(ids) // 2, len(ids) * page_bytes // length))]
    ((lines,),) = await many(cursor, _LINES.format(day=literal), {"ids": _array(ids)})
    return Page(lines=lines, count=len(ids), last_id=UUID(ids[-1]))


def _array(ids: Sequence[str]) -> str:
    return "{" + ",".join(ids) + "}"
