"""Interceptions read back: newest first, page by page, or one with all that belongs to it.

A list looks through the partitions from the newest on, a few days at a time and more the further
back it goes, so that the usual first page touches two of them however many there are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import TypeVar
from uuid import UUID

from bridge.domain.errors import InvalidRequest, Validation
from bridge.domain.ids import day_of, least_id
from bridge.store.connection import Cursor
from bridge.store.filters import ENDED_WITHIN, RUNNING, Filter
from bridge.store.partitions import day_literal, stored_days, uuid_array
from bridge.store.reads_json import (
    Interception,
    InterceptionList,
    InterceptionWithLegs,
    Leg,
    ModelThought,
    TokenUsage,
    ToolResult,
    ToolUsage,
    UserPrompt,
    interception_columns,
    interception_from,
)
from bridge.store.reads_sizes import MOST_BYTES, TEXTS, TooMuch, room_for, too_much
from bridge.store.reads_usage import count_summed_up, problems
from bridge.store.rows import Row, many, maybe, one

DEFAULT_LIMIT = 100
MAX_LIMIT = 1000
MAX_COUNT = 10_000
"""Counting stops there."""

_TEXTS = frozenset({"prompt", "input", "content", "invocation_error"})
# Columns that can be as long as a request.
_FIRST_DAYS = 2
_TIMES_MORE = 4

_IDS_OF_NAME = "SELECT id FROM users WHERE username = %s"
_LIST = f"""
SELECT i.day, {interception_columns("i")}
FROM aibridge_interceptions i
WHERE i.day BETWEEN {{first}} AND {{last}} AND {{conditions}}
ORDER BY i.id DESC
LIMIT %(limit)s
"""  # noqa: S608  # constants only
_COUNT = """
SELECT count(*)
FROM (
    SELECT FROM aibridge_interceptions i
    WHERE i.day IN ({days}) AND {conditions}
    LIMIT %(limit)s
) counted
"""
_ONE = f"""
SELECT i.day, {interception_columns("i")}
FROM aibridge_interceptions i
WHERE i.day = {{day}} AND i.id = %(id)s::uuid AND i.kind <> 'unknown' AND {{conditions}}
"""  # noqa: S608  # constants only
_DETAILS = """
SELECT {columns}
FROM {table} d
WHERE d.day IN ({days}) AND d.interception_id = ANY(%s::uuid[])
ORDER BY d.interception_id, d.n
"""
_Detail = TypeVar("_Detail", TokenUsage, UserPrompt, ToolUsage, ModelThought, ToolResult, Leg)


@dataclass(slots=True)
class Conditions:
    """Conditions and their values."""

    conditions: list[str] = field(default_factory=lambda: ["true"])
    params: dict[str, object] = field(default_factory=dict)

    def add(self, condition: str, name: str, value: object) -> None:
        """Add `condition`, in which `value` is called `name`."""
        self.conditions.append(condition)
        self.params[name] = value

    def since(self, cutoff: datetime | None) -> Conditions:
        """Return these, and that nothing began before `cutoff`; None is no condition."""
        both = Conditions([*self.conditions], {**self.params})
        if cutoff is not None:
            both.add("i.started_at >= %(cutoff)s", "cutoff", cutoff)
        return both

    @property
    def sql(self) -> str:
        """All of them."""
        return " AND ".join(self.conditions)


async def list_interceptions(
    cursor: Cursor,
    wanted: Filter,
    *,
    limit: int,
    after_id: UUID | None,
    visible_to: UUID | None,
    cutoff: datetime | None,
    longest: int | None = None,
    most_bytes: int = MOST_BYTES,
) -> InterceptionList:
    """Return the newest interceptions, and how many there are in all.

    Args:
        cursor: of a read-only transaction.
        wanted: which ones.
        limit: at most so many, from 1 to MAX_LIMIT.
        after_id: only those older than this one, which need not exist; see `filters.page_id`.
        visible_to: whose interceptions may be seen; None for everybody's.
        cutoff: older ones are not there any more; None for none.
        longest: characters that are given of each recorded text; None for all.
        most_bytes: of all texts together, unless one interception alone has more.

    Raises:
        InvalidRequest: the texts of so many are more than that.
        StoreUnavailable: not now, or the search takes too long.
    """
    where = await conditions_for(cursor, wanted, visible_to, cutoff)
    if where is None:
        return InterceptionList(count=0, results=())
    days = days_of(await stored_days(cursor), wanted, cutoff)
    count = await _count_all(cursor, wanted, where, days, visible_to, cutoff)
    if after_id is not None:
        where.add("i.id < %(after_id)s::uuid", "after_id", str(after_id))
        days = [day for day in days if day <= day_of(after_id)]
    found: list[Row] = []
    for piece in _pieces(days):
        first, last = day_literal(piece[-1]), day_literal(piece[0])
        sql = _LIST.format(first=first, last=last, conditions=where.sql)
        found += await many(cursor, sql, {**where.params, "limit": limit - len(found)})
        if len(found) >= limit:
            break
    try:
        results = await with_details(cursor, found, longest, most_bytes)
    except TooMuch:
        _must_have_room(found, await room_for(cursor, found, most_bytes))
        raise
    return InterceptionList(
        count=min(count, MAX_COUNT), count_capped=count > MAX_COUNT, results=results
    )


def _must_have_room(rows: Sequence[Row], room: int) -> None:
    """Refuse what cannot be answered at once: no list is shorter than it says."""
    if room < len(rows):
        detail = f"must be at most {room}: more texts than those are too large for one answer"
        raise InvalidRequest(
            "What is recorded of these is too large for one answer; ask for fewer, or export it.",
            [Validation(field="limit", detail=detail)],
        )


async def read_interception(
    cursor: Cursor,
    identifier: UUID,
    *,
    visible_to: UUID | None,
    cutoff: datetime | None,
    longest: int | None = None,
) -> InterceptionWithLegs | None:
    """Return one interception, running or passed through ones too; None when it is not there.

    Args:
        cursor: of a read-only transaction.
        identifier: its id.
        visible_to: whose interceptions may be seen; None for everybody's.
        cutoff: older ones are not there any more; None for none.
        longest: characters that are given of each recorded text; None for all.
    """
    try:
        day = day_of(identifier)
    except (ValueError, OverflowError):
        return None  # no id that we made
    where = _visible(visible_to, cutoff)
    sql = _ONE.format(day=day_literal(day), conditions=where.sql)
    row = await maybe(cursor, sql, {**where.params, "id": str(identifier)})
    if row is None:
        return None
    (found,) = await with_details(cursor, [row], longest)
    legs = await _details(cursor, "aibridge_legs", Leg, uuid_array([identifier]), [day])
    return InterceptionWithLegs.of(found, legs=tuple(legs[identifier]))


async def conditions_for(
    cursor: Cursor, wanted: Filter, visible_to: UUID | None, cutoff: datetime | None
) -> Conditions | None:
    """Return the conditions; None when nothing can meet them."""
    where = _visible(visible_to, cutoff)
    where.add("i.kind = %(kind)s", "kind", wanted.kind)
    if wanted.initiator_name is not None:
        ids = [row[0] for row in await many(cursor, _IDS_OF_NAME, (wanted.initiator_name,))]
        if not ids:
            return None
        where.add("i.initiator_id = ANY(%(named)s::uuid[])", "named", uuid_array(ids))
    if wanted.initiator_id is not None:
        where.add("i.initiator_id = %(initiator)s::uuid", "initiator", str(wanted.initiator_id))
    for name in ("provider", "provider_name", "model", "session_id"):
        value = getattr(wanted, name)
        if value is not None:
            where.add(f"i.{name} = %({name})s", name, value)
    if wanted.client is not None:
        unknown = " OR i.client IS NULL" if wanted.client == "Unknown" else ""
        where.add(f"(i.client = %(client)s{unknown})", "client", wanted.client)
    _when_and_how(where, wanted)
    return where


def _when_and_how(where: Conditions, wanted: Filter) -> None:
    """Add the conditions on start and end."""
    if wanted.started_after is not None:
        where.add("i.started_at >= %(after)s", "after", wanted.started_after)
    if wanted.started_before is not None:
        where.add("i.started_at < %(before)s", "before", wanted.started_before)
    if wanted.ended_after is not None:
        where.add("i.ended_at >= %(ended_after)s", "ended_after", wanted.ended_after)
        least = least_id(wanted.ended_after - ENDED_WITHIN)
        where.add("i.id >= %(least_id)s::uuid", "least_id", str(least))
    if wanted.status == RUNNING:
        where.conditions.append("i.ended_at IS NULL")
    else:
        where.conditions.append("i.ended_at IS NOT NULL")
        if wanted.status is not None:
            where.add("i.status = %(status)s", "status", wanted.status)


def _visible(visible_to: UUID | None, cutoff: datetime | None) -> Conditions:
    where = Conditions()
    if visible_to is not None:
        where.add("i.initiator_id = %(visible_to)s::uuid", "visible_to", str(visible_to))
    return where.since(cutoff)


def days_of(stored: Sequence[date], wanted: Filter, cutoff: datetime | None) -> list[date]:
    """Return those of the days that can hold what is wanted, newest first."""
    # A day more on each side: an id's time is cut to the millisecond.
    slack = timedelta(days=1)
    ended = wanted.ended_after
    began = ended - ENDED_WITHIN if ended is not None else None
    bounds = [
        moment.date() for moment in (wanted.started_after, began, cutoff) if moment is not None
    ]
    first = max(bounds, default=date.min)
    last = wanted.started_before.date() if wanted.started_before is not None else date.max
    return [
        day
        for day in stored
        if (first == date.min or day >= first - slack) and (last == date.max or day <= last)
    ]


def _pieces(days: Sequence[date]) -> Iterator[Sequence[date]]:
    """Yield ever longer pieces of `days`."""
    begin, length = 0, _FIRST_DAYS
    while begin < len(days):
        yield days[begin : begin + length]
        begin += length
        length *= _TIMES_MORE


async def _count_all(
    cursor: Cursor,
    wanted: Filter,
    where: Conditions,
    days: Sequence[date],
    visible_to: UUID | None,
    cutoff: datetime | None,
) -> int:
    """Count up to MAX_COUNT + 1 or a little more, of a user from the sums of all but new days.

    A user's rows of one day lie far apart, and each would have to be looked at.
    """
    somebodys = (visible_to, wanted.initiator_id, wanted.initiator_name) != (None, None, None)
    if not somebodys or problems(wanted):
        return await _count(cursor, where, days)
    old = [day for day in days[_FIRST_DAYS:] if cutoff is None or day > cutoff.date()]
    count, changed = await count_summed_up(cursor, wanted, days=old, visible_to=visible_to)
    if count > MAX_COUNT:
        return count
    known = set(old) - set(changed)
    rest = [day for day in days if day not in known]
    return count + await _count(cursor, where, rest)


async def _count(cursor: Cursor, where: Conditions, days: Sequence[date]) -> int:
    """Count up to MAX_COUNT + 1."""
    count = 0
    for piece in _pieces(days):
        listed = ", ".join(day_literal(day) for day in piece)
        sql = _COUNT.format(days=listed, conditions=where.sql)
        limit = MAX_COUNT + 1 - count
        (more,) = await one(cursor, sql, {**where.params, "limit": limit})
        count += more
        if count > MAX_COUNT:
            break
    return count


async def with_details(
    cursor: Cursor,
    rows: Sequence[Row],
    longest: int | None = None,
    most_bytes: int | None = None,
) -> tuple[Interception, ...]:
    """Return the interceptions in `rows`, which begin with the day, with what belongs to them.

    Raises:
        TooMuch: their texts of one kind, which are not cut, are more than `most_bytes`; never of
            one interception alone.
    """
    if not rows:
        return ()
    found = [interception_from(row[1:]) for row in rows]
    identifiers = uuid_array(each.id for each in found)
    most = most_bytes if len(rows) > 1 and not longest else None
    wanted = (identifiers, sorted({row[0] for row in rows}), longest, most)
    tokens = await _details(cursor, "aibridge_token_usages", TokenUsage, *wanted)
    prompts = await _details(cursor, "aibridge_user_prompts", UserPrompt, *wanted)
    tools = await _details(cursor, "aibridge_tool_usages", ToolUsage, *wanted)
    thoughts = await _details(cursor, "aibridge_model_thoughts", ModelThought, *wanted)
    results = await _details(cursor, "aibridge_tool_results", ToolResult, *wanted)
    return tuple(
        each.with_details(
            token_usages=tuple(tokens[each.id]),
            user_prompts=tuple(prompts[each.id]),
            tool_usages=tuple(tools[each.id]),
            model_thoughts=tuple(thoughts[each.id]),
            tool_results=tuple(results[each.id]),
        )
        for each in found
    )


async def _details(
    cursor: Cursor,
    table: str,
    kind: type[_Detail],
    identifiers: str,
    days: Sequence[date],
    longest: int | None = None,
    most_bytes: int | None = None,
) -> dict[UUID, list[_Detail]]:
    """Return the rows of `table` by interception, in the order in which they happened.

    Raises:
        TooMuch: there are more than `most_bytes` of texts.
    """
    names = kind.__struct_fields__
    columns = [_column(name, longest) for name in names]
    if most_bytes is not None and table in TEXTS:
        over, text = too_much(table, most_bytes), TEXTS[table]
        columns[names.index(text)] = f"CASE WHEN NOT {over} THEN d.{text} END"
        columns.append(over)
    sql = _DETAILS.format(
        columns=", ".join(columns),
        table=table,
        days=", ".join(day_literal(day) for day in days),
    )
    found: dict[UUID, list[_Detail]] = defaultdict(list)
    for row in await many(cursor, sql, (identifiers,)):
        if len(row) > len(names) and row[-1]:
            raise TooMuch
        detail = kind(**dict(zip(names, row, strict=False)))
        found[detail.interception_id].append(detail)
    return found


def _column(name: str, longest: int | None) -> str:
    return f"left(d.{name}, {longest:d})" if longest and name in _TEXTS else f"d.{name}"
