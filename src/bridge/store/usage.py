"""Usage by day: recomputed by a follower, a whole day of an initiator at a time.

The follower of sessions says which days of whom have changed. A busy day of one initiator is
summed up as often as it changes, so this follower rests far longer than it works.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from structlog.typing import FilteringBoundLogger

from bridge.store.connection import Cursor
from bridge.store.following import Follower, Pace, Transactions
from bridge.store.partitions import day_literal, ensure_days, stored_days, uuid_array
from bridge.store.rows import many, none, one

FOLLOW_SECONDS = 5.0
BUSY_FACTOR = 10.0
MARKS_AT_ONCE = 2000

UPPER_BOUNDS_MS: tuple[int, ...] = tuple(125 << power for power in range(12))
"""Of the buckets of the two histograms, inclusive, milliseconds; one more bucket has no bound."""
BUCKETS = (*(f"le_{bound}" for bound in UPPER_BOUNDS_MS), f"over_{UPPER_BOUNDS_MS[-1]}")
"""How the columns of the buckets end."""

_LOCK_NUMBER = 0x6169_6264_0006  # "aibd"; any number that nobody else uses
_TRY_LOCK = "SELECT pg_try_advisory_xact_lock(%s)"
_TAKE = """
WITH taken AS (
    DELETE FROM aibridge_usage_marks
    WHERE ctid = ANY(ARRAY(SELECT ctid FROM aibridge_usage_marks LIMIT %s))
    RETURNING initiator_id, day
)
SELECT initiator_id, day, count(*) FROM taken GROUP BY initiator_id, day
"""
_CLEAR = "DELETE FROM aibridge_usage_daily WHERE day = {day} AND initiator_id = ANY(%s::uuid[])"


def _buckets(column: str) -> str:
    """Return the counts of each bucket, as columns."""
    lower = 0
    counts = []
    for bound in UPPER_BOUNDS_MS:
        least = f"{column} > {lower} AND " if lower else ""
        counts.append(f"count(*) FILTER (WHERE {least}{column} <= {bound})")
        lower = bound
    counts.append(f"count(*) FILTER (WHERE {column} > {lower})")
    return ", ".join(counts)


_BUCKET_COLUMNS = ", ".join(f"{what}_{name}" for what in ("duration", "ttfb") for name in BUCKETS)
# `OFFSET 0`: see `sessions_sql`.
_SUM_UP = f"""
INSERT INTO aibridge_usage_daily
    (day, initiator_id, username, provider, provider_name, model, client, interceptions, errors,
     client_aborts, input_tokens, output_tokens, cache_read_input_tokens, cache_write_input_tokens,
     bytes_in, bytes_out, duration_ms, ttfb_ms, {_BUCKET_COLUMNS})
SELECT {{day}}, i.initiator_id, i.username, i.provider, i.provider_name, i.model,
       coalesce(i.client, 'Unknown'), count(*),
       count(*) FILTER (WHERE i.status NOT IN ('completed', 'client_abort')),
       count(*) FILTER (WHERE i.status = 'client_abort'),
       coalesce(sum(t.input), 0), coalesce(sum(t.output), 0), coalesce(sum(t.cache_read), 0),
       coalesce(sum(t.cache_write), 0), coalesce(sum(i.bytes_in), 0), coalesce(sum(i.bytes_out), 0),
       coalesce(sum(i.duration_ms), 0), coalesce(sum(i.ttfb_ms), 0), {_buckets("i.duration_ms")},
       {_buckets("i.ttfb_ms")}
FROM aibridge_interceptions i
LEFT JOIN LATERAL (
    SELECT sum(t.input_tokens) AS input, sum(t.output_tokens) AS output,
           sum(t.cache_read_input_tokens) AS cache_read,
           sum(t.cache_write_input_tokens) AS cache_write
    FROM aibridge_token_usages t
    WHERE t.interception_id = i.id AND t.day = {{day}}
    OFFSET 0
) t ON true
WHERE i.day = {{day}} AND i.initiator_id = ANY(%s::uuid[]) AND i.kind = 'intercepted'
  AND i.ended_at IS NOT NULL
GROUP BY i.initiator_id, i.username, i.provider, i.provider_name, i.model,
         coalesce(i.client, 'Unknown')
"""  # noqa: S608  # constants only


@dataclass(frozen=True, slots=True)
class Pass:
    """What one pass of the follower did."""

    marks: int = 0

    @property
    def more(self) -> bool:
        """Whether more marks are likely to wait."""
        return self.marks >= MARKS_AT_ONCE


async def follow(cursor: Cursor, *, marks: int = MARKS_AT_ONCE) -> Pass:
    """Recompute what up to `marks` marks stand for; nothing while somebody else does.

    Raises:
        StoreError: the marks stay.
    """
    (free,) = await one(cursor, _TRY_LOCK, (_LOCK_NUMBER,))
    if not free:
        return Pass()
    days: dict[date, list[UUID]] = defaultdict(list)
    taken = 0
    for initiator, day, count in await many(cursor, _TAKE, (marks,)):
        days[day].append(initiator)
        taken += count
    # A day that has been given up since must not come back.
    kept = days.keys() & set(await stored_days(cursor)) if days else ()
    await ensure_days(cursor, kept)
    for day in sorted(kept):
        literal, initiators = day_literal(day), uuid_array(days[day])
        await none(cursor, _CLEAR.format(day=literal), (initiators,))
        await none(cursor, _SUM_UP.format(day=literal), (initiators,))
    return Pass(taken)


class UsageFollower(Follower):
    """Keeps usage within some seconds of the records."""

    def __init__(self, *, pool: Transactions, reactor: Any, log: FilteringBoundLogger) -> None:
        """Follow nothing yet.

        Args:
            pool: where the records are.
            reactor: gives the time.
            log: bound logger.
        """
        super().__init__(
            name="usage",
            work=follow,
            pace=Pace(seconds=FOLLOW_SECONDS, busy_factor=BUSY_FACTOR),
            pool=pool,
            reactor=reactor,
            log=log,
        )
