"""Sessions and facets: recomputed from the rows by one follower, never incremented.

Whoever changes an interception marks its session in the same transaction (`writes`, `lineage`,
`purge`), so the mark is seen only together with the change. Late records, replays, corrected
threads, retention and erasure need nothing else.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Protocol, TypeVar
from uuid import UUID

from structlog.typing import FilteringBoundLogger
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from bridge.deferreds import run_in_background
from bridge.store.connection import Cursor
from bridge.store.errors import StoreError, StoreUnavailable
from bridge.store.partitions import day_literal, uuid_array
from bridge.store.rows import many, none, one
from bridge.store.sessions_sql import RECOMPUTE

T = TypeVar("T")

FOLLOW_SECONDS = 1.0
BUSY_FACTOR = 2.0
"""After a pass it rests at least this many times as long as that took: requests come first."""
MARKS_AT_ONCE = 2000
PASS_SECONDS = 300.0
"""Limit of one statement: a client may put a whole day's requests into one session."""
_RETRY_SECONDS = 5.0

_LOCK_NUMBER = 0x6169_6264_0004  # "aibd"; any number that nobody else uses
_TRY_LOCK = "SELECT pg_try_advisory_xact_lock(%s)"
# A session's rows are looked for between the first and the last day that it is known to have, so
# that no statement meets more partitions than it must.
_TAKE = """
WITH taken AS (
    DELETE FROM aibridge_session_marks
    WHERE ctid = ANY(ARRAY(SELECT ctid FROM aibridge_session_marks LIMIT %s))
    RETURNING initiator_id, session_id, day
), marked AS (
    SELECT initiator_id, session_id, min(day) AS first_day, max(day) AS last_day, count(*) AS marks
    FROM taken GROUP BY initiator_id, session_id
)
SELECT m.initiator_id, m.session_id, least(m.first_day, s.first_day),
       greatest(m.last_day, s.last_day), m.marks
FROM marked m
LEFT JOIN aibridge_sessions s USING (session_id, initiator_id)
"""


class Transactions(Protocol):
    """Where SQL is run."""

    async def transaction(
        self, work: Callable[[Cursor], Awaitable[T]], *, statement_seconds: float | None = None
    ) -> T:
        """Run `work` in one transaction; raises StoreError."""


@dataclass(frozen=True, slots=True)
class Pass:
    """What one pass of the follower did."""

    marks: int = 0
    sessions: int = 0


async def follow(cursor: Cursor, *, marks: int = MARKS_AT_ONCE) -> Pass:
    """Recompute the sessions of up to `marks` marks; nothing while somebody else does.

    Raises:
        StoreError: the marks stay.
    """
    (free,) = await one(cursor, _TRY_LOCK, (_LOCK_NUMBER,))
    if not free:
        return Pass()
    spans: dict[tuple[date, date], list[tuple[UUID, str]]] = defaultdict(list)
    taken = 0
    for initiator, session, first, last, count in await many(cursor, _TAKE, (marks,)):
        spans[first, last].append((initiator, session))
        taken += count
    for (first, last), sessions in sorted(spans.items()):
        await _recompute(cursor, first, last, sessions)
    return Pass(taken, sum(len(sessions) for sessions in spans.values()))


class SessionsFollower:
    """Keeps sessions and facets within a second or so of the records."""

    def __init__(self, *, pool: Transactions, reactor: Any, log: FilteringBoundLogger) -> None:
        """Follow nothing yet.

        Args:
            pool: where the records are.
            reactor: gives the time.
            log: bound logger.
        """
        self._pool = pool
        self._clock: IReactorTime = reactor
        self._log = log
        self._resting: Deferred[None] | None = None
        self._running: Deferred[object] | None = None
        self._stopped = False
        self._behind = False

    def start(self) -> None:
        """Begin."""
        if self._running is None:
            self._running = run_in_background("follow sessions", self._run())

    async def stop(self) -> None:
        """Follow no more; wait for a pass that is under way."""
        self._stopped = True
        if self._resting is not None:
            self._resting.cancel()
        if self._running is not None:
            await self._running

    async def _run(self) -> None:
        while not self._stopped:
            began = self._clock.seconds()
            try:
                done = await self._pool.transaction(follow, statement_seconds=PASS_SECONDS)
            except CancelledError:
                raise
            except StoreUnavailable as error:
                self._complain("sessions cannot be followed now", error)
                seconds = _RETRY_SECONDS
            except StoreError as error:
                self._complain("sessions cannot be followed", error)
                seconds = _RETRY_SECONDS
            else:
                self._behind = False
                took = max(0.0, self._clock.seconds() - began)
                seconds = BUSY_FACTOR * took
                if done.marks < MARKS_AT_ONCE:
                    seconds = max(FOLLOW_SECONDS, seconds)
            await self._rest(seconds)

    async def _rest(self, seconds: float) -> None:
        if self._stopped:
            return
        self._resting = deferLater(self._clock, seconds)
        try:
            await self._resting
        except CancelledError:
            pass  # by `stop`
        finally:
            self._resting = None

    def _complain(self, event: str, error: StoreError) -> None:
        if not self._behind:
            self._behind = True
            self._log.warning(event, reason=str(error))


async def _recompute(
    cursor: Cursor, first: date, last: date, sessions: Sequence[tuple[UUID, str]]
) -> None:
    """Write the rows of `sessions` anew from what lies between two days."""
    days = {"first": day_literal(first), "last": day_literal(last)}
    params = {
        "initiators": uuid_array(initiator for initiator, _ in sessions),
        "sessions": [session for _, session in sessions],
    }
    await none(cursor, RECOMPUTE.format(**days), params)
