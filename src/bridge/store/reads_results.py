"""Results of tool calls, each beside the call that a later request answered with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from uuid import UUID

from bridge.domain.ids import day_of
from bridge.store.connection import Cursor
from bridge.store.partitions import day_literal, text_array, uuid_array
from bridge.store.reads import read_interception
from bridge.store.reads_json import (
    Interception,
    InterceptionDetail,
    InterceptionWithLegs,
    PairedResult,
    ToolUsage,
)
from bridge.store.rows import Row, many
from bridge.store.sessions_json import CallResult

_MOST_OF_A_CALL = 50
# Upstreams that number their calls in every answer anew make many results of one id.
LOOKED_FOR = timedelta(days=7)
"""How long after a call, or a page of calls, their results are looked for."""
_ALL_CHARACTERS = 2**31 - 1

# `OFFSET 0` keeps the planner to the index, call by call.
_RESULTS = f"""
SELECT k.call, r.interception_id, r.size_bytes, r.is_error, left(r.content, %(longest)s),
       r.created_at,
       i.thread_parent_id
FROM unnest(%(calls)s::text[], %(makers)s::uuid[]) AS k(call, maker)
CROSS JOIN LATERAL (
    SELECT r.*
    FROM aibridge_tool_results r
    WHERE r.tool_call_id = k.call AND r.initiator_id = %(initiator)s::uuid
      AND r.day BETWEEN {{first}} AND {{last}} AND r.interception_id > k.maker
      AND (%(cutoff)s::timestamptz IS NULL OR r.created_at >= %(cutoff)s)
    ORDER BY r.interception_id
    LIMIT {_MOST_OF_A_CALL}
) r
LEFT JOIN LATERAL (
    SELECT i.thread_parent_id
    FROM aibridge_interceptions i
    WHERE i.id = r.interception_id AND i.day = r.day AND i.day BETWEEN {{first}} AND {{last}}
    OFFSET 0
) i ON true
ORDER BY r.interception_id
"""  # noqa: S608  # constants only


async def read_detail(
    cursor: Cursor,
    identifier: UUID,
    *,
    visible_to: UUID | None,
    cutoff: datetime | None,
    longest: int | None = None,
) -> InterceptionDetail | None:
    """Return an interception with everything that belongs to it; None when it is not there.

    Args:
        cursor: of a read-only transaction.
        identifier: its id.
        visible_to: whose may be seen; None for everybody's.
        cutoff: what began before it is not there any more; None for none.
        longest: characters that are given of each recorded text; None for all.
    """
    found = await read_interception(
        cursor, identifier, visible_to=visible_to, cutoff=cutoff, longest=longest
    )
    if found is None:
        return None
    day = day_of(identifier)
    results = await call_results(
        cursor,
        [found],
        params={
            "initiator": str(found.initiator.id),
            "cutoff": cutoff,
            "longest": longest or _ALL_CHARACTERS,
        },
        first=day,
        last=min(day, date.max - LOOKED_FOR) + LOOKED_FOR,
    )
    paired = [
        PairedResult(
            tool_usage_id=call.id,
            **{name: getattr(result, name) for name in CallResult.__struct_fields__},
        )
        for call in found.tool_usages
        if (result := results.get(call.id)) is not None
    ]
    members = {name: getattr(found, name) for name in InterceptionWithLegs.__struct_fields__}
    return InterceptionDetail(**members, call_results=tuple(paired))


async def call_results(
    cursor: Cursor,
    interceptions: Sequence[Interception],
    *,
    params: Mapping[str, object],
    first: date,
    last: date,
) -> dict[UUID, CallResult]:
    """Return what came back of the tool calls of these interceptions, by the calls' ids.

    That is the first result of the call's id that a later request of the same initiator brought;
    of several, one by a request that goes on from the very answer that made the call.

    Args:
        cursor: of a read-only transaction.
        interceptions: of one initiator.
        params: `initiator`, `cutoff` and `longest`.
        first: no result is looked for before this day.
        last: nor after this one.
    """
    calls = [call for each in interceptions for call in each.tool_usages]
    named = {
        (call.provider_tool_call_id, call.interception_id): None
        for call in calls
        if call.provider_tool_call_id
    }
    if not named:
        return {}
    sql = _RESULTS.format(first=day_literal(first), last=day_literal(last))
    wanted = {
        **params,
        "calls": text_array(call for call, _ in named),
        "makers": uuid_array(maker for _, maker in named),
    }
    by_call: dict[str, list[Row]] = {}
    for row in await many(cursor, sql, wanted):
        by_call.setdefault(row[0], []).append(row)
    found = {}
    for call in calls:
        result = _of(call, by_call.get(call.provider_tool_call_id or "", ()))
        if result is not None:
            found[call.id] = result
    return found


def _of(call: ToolUsage, rows: Sequence[Row]) -> CallResult | None:
    later = [row for row in rows if row[1] > call.interception_id]
    chosen = next((row for row in later if row[6] == call.interception_id), None)
    if chosen is None:
        if not later:
            return None
        chosen = later[0]
    _, interception_id, size_bytes, is_error, content, created_at, _ = chosen
    took = created_at - call.created_at
    return CallResult(
        interception_id=interception_id,
        size_bytes=size_bytes,
        is_error=is_error,
        content=content,
        created_at=created_at,
        duration_ms=max(0, round(took.total_seconds() * 1000)),
    )
