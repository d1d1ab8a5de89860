"""What people and programs ask the store, timed, with the plans of the statements that it took."""

from __future__ import annotations

import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from uuid import UUID

from benchmarks.store_rows import (
    COMMON_WORD,
    RARE_CLIENT,
    RARE_MODEL,
    RARE_PROVIDER,
    RARE_WORD,
    user_id,
)
from bridge.store.connection import Cursor, Parameters
from bridge.store.filters import parse
from bridge.store.pool import Pool
from bridge.store.reads import list_interceptions, read_interception
from bridge.store.reads_facets import list_values
from bridge.store.reads_search import search
from bridge.store.reads_session import read_session
from bridge.store.reads_sessions import After, list_sessions
from bridge.store.reads_usage import Dimension, read_usage
from bridge.store.rows import many
from bridge.store.search_words import Part, parse_words

_PAGE = 100
_FAR_PAGES = 999
_LATEST = (
    "SELECT session_id, initiator_id, started_at::text FROM aibridge_sessions "
    "ORDER BY last_active_at DESC, session_id DESC OFFSET %s LIMIT 1"
)
_LARGEST = (
    "SELECT session_id, initiator_id FROM aibridge_sessions ORDER BY interceptions DESC LIMIT 1"
)
_FAR_ID = "SELECT id FROM aibridge_interceptions ORDER BY id DESC OFFSET %s LIMIT 1"
_NO_BOUNDS: dict[str, Any] = {"visible_to": None, "cutoff": None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Something that is asked, and how soon it must be answered."""

    name: str
    ask: Callable[[Cursor], Awaitable[object]]
    limit_ms: float
    """Of the 95th percentile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """How long a question took."""

    question: Question
    cold_ms: float
    """The first time after the server's start."""
    warm_ms: Sequence[float]
    server_cpu_ms: float
    """Of the server's process, the least of the warm runs: what it takes when nobody disturbs."""
    our_cpu_ms: float
    """Of this process, likewise."""

    @property
    def p50(self) -> float:
        """Of the warm runs."""
        return statistics.median(self.warm_ms)

    @property
    def p95(self) -> float:
        """Of the warm runs."""
        return statistics.quantiles(self.warm_ms, n=20, method="inclusive")[-1]

    @property
    def in_time(self) -> bool:
        """Whether it is as fast as it must be."""
        return self.p95 <= self.question.limit_ms


async def questions(pool: Pool) -> Sequence[Question]:
    """Return everything that is asked; what is in the database decides some of it."""
    ((session_id, initiator_id, started_at),) = await _rows(pool, _LATEST, (50,))
    far = await _rows(pool, _LATEST, (_FAR_PAGES * _PAGE,))
    far_session, far_initiator = far[0][:2] if far else (session_id, initiator_id)
    ((largest, largest_of),) = await _rows(pool, _LARGEST)
    far_ids = await _rows(pool, _FAR_ID, (_FAR_PAGES * _PAGE,))
    after_id = far_ids[0][0] if far_ids else None
    after = After(session_id=far_session, initiator_id=far_initiator)
    frequent, rare = user_id(0), user_id(499)
    return (
        *_sessions(frequent, rare, str(session_id), str(started_at)),
        *_far_sessions(frequent, after),
        _detail("session, one like most", session_id, initiator_id),
        _detail("session, the largest", largest, largest_of),
        *_interceptions(after_id),
        *_searches(frequent, rare, after_id),
        *_usage(frequent),
        Question(
            name="models, of all users",
            ask=lambda cursor: list_values(cursor, "model", limit=100, **_NO_BOUNDS),
            limit_ms=100,
        ),
    )


async def ask(pool: Pool, question: Question, *, times: int) -> Answered:
    """Ask it so many times after the first; the pool has one connection."""
    ((backend,),) = await _rows(pool, "SELECT pg_backend_pid()")
    took, served, ours = [], [], []
    for _ in range(times + 1):
        before = (time.perf_counter(), cpu_seconds(backend), time.process_time())
        await pool.transaction(question.ask, read_only=True)
        after = (time.perf_counter(), cpu_seconds(backend), time.process_time())
        for found, begun, ended in zip((took, served, ours), before, after, strict=True):
            found.append((ended - begun) * 1000)
    return Answered(
        question=question,
        cold_ms=took[0],
        warm_ms=took[1:],
        server_cpu_ms=min(served[1:]),
        our_cpu_ms=min(ours[1:]),
    )


def cpu_seconds(process: int) -> float:
    """Return how long a process of this machine has run; 0 where that is not told."""
    try:
        return int(Path(f"/proc/{process}/schedstat").read_text().split()[0]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0


async def explain(pool: Pool, question: Question) -> str:
    """Return the statements that it took, each with its plan."""

    async def work(cursor: Cursor) -> str:
        listening = _Listening(cursor)
        await question.ask(cast("Cursor", listening))
        told = [f"=== {question.name}"]
        for sql, params in listening.heard:
            if not sql.lstrip(" (\n").upper().startswith(("SELECT", "WITH")):
                continue
            plan = await many(cursor, f"EXPLAIN (ANALYZE, BUFFERS) {sql}", params)
            told += [f"--- {' '.join(sql.split())}", *(line for (line,) in plan)]
        return "\n".join(told)

    return await pool.transaction(work, read_only=True)


class _Listening:
    """A cursor that remembers what it was asked."""

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor
        self.heard: list[tuple[str, Parameters]] = []

    async def execute(self, sql: str, params: Parameters = None) -> None:
        """Remember a statement, and run it."""
        self.heard.append((sql, params))
        await self._cursor.execute(sql, params)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)


def _sessions(frequent: UUID, rare: UUID, session_id: str, moment: str) -> list[Question]:
    moment = moment.replace(" ", "T").replace("+00", "Z")
    filters = {
        "sessions, all": ("", None),
        "sessions, a frequent user": (f"initiator:{frequent}", None),
        "sessions, a rare user": (f"initiator:{rare}", None),
        "sessions, a user's name": ("user3", None),
        "sessions, provider": ("provider:anthropic", None),
        "sessions, provider_name": ("provider_name:provider5", None),
        "sessions, rare provider_name": (f"provider_name:{RARE_PROVIDER}", None),
        "sessions, model": ("model:model-1", None),
        "sessions, rare model": (f"model:{RARE_MODEL}", None),
        "sessions, client": ('client:"Client 2"', None),
        "sessions, rare client": (f'client:"{RARE_CLIENT}"', None),
        "sessions, status": ("status:gateway_abort", None),
        "sessions, session_id": (f"session_id:{session_id}", None),
        "sessions, started_before": (f'started_before:"{moment}"', None),
        "sessions, started_after": (f'started_after:"{moment}"', None),
        "sessions, three filters": ('model:model-3 client:"Client 1" provider:openai', None),
        "sessions, rare and frequent": (f"model:{RARE_MODEL} provider:anthropic", None),
        "sessions, a member's own": ("", rare),
        "sessions, a member's own of a model": ("model:model-1", rare),
    }
    return [
        Question(
            name=name,
            ask=lambda cursor, q=q, whose=whose: list_sessions(  # type: ignore[misc]  # bound at once
                cursor, parse(q), limit=_PAGE, visible_to=whose, cutoff=None
            ),
            limit_ms=100,
        )
        for name, (q, whose) in filters.items()
    ]


def _far_sessions(frequent: UUID, after: After) -> list[Question]:
    filters = {
        "by key": "",
        "of a frequent user": f"initiator:{frequent}",
        "of a provider": "provider:anthropic",
        "of a model": "model:model-1",
        "of a rare model": f"model:{RARE_MODEL}",
        "of a client": 'client:"Client 2"',
        "of a status": "status:gateway_abort",
        "with three filters": 'model:model-1 client:"Client 2" provider:anthropic',
    }
    return [
        Question(
            name=f"sessions, page 1000 {name}",
            ask=lambda cursor, q=q: list_sessions(  # type: ignore[misc]  # bound at once
                cursor, parse(q), limit=_PAGE, after=after, **_NO_BOUNDS
            ),
            limit_ms=100,
        )
        for name, q in filters.items()
    ]


def _detail(name: str, session_id: str, initiator_id: UUID) -> Question:
    whose = parse(f"initiator:{initiator_id}")
    return Question(
        name=name,
        ask=lambda cursor: read_session(cursor, session_id, whose=whose, **_NO_BOUNDS),
        limit_ms=100,
    )


def _interceptions(after_id: UUID | None) -> list[Question]:
    asked = {
        "interceptions, all": ("", None),
        "interceptions, page 1000 by key": ("", after_id),
        "interceptions, rare model": (f"model:{RARE_MODEL}", None),
        "interceptions, rare client": (f'client:"{RARE_CLIENT}"', None),
        "interceptions, a user": (f"initiator:{user_id(7)}", None),
    }
    found = [
        Question(
            name=name,
            ask=lambda cursor, q=q, after=after: list_interceptions(  # type: ignore[misc]  # bound at once
                cursor, parse(q), limit=_PAGE, after_id=after, **_NO_BOUNDS
            ),
            limit_ms=100,
        )
        for name, (q, after) in asked.items()
    ]
    if after_id is not None:
        found.append(
            Question(
                name="interception, one",
                ask=lambda cursor: read_interception(cursor, after_id, **_NO_BOUNDS),
                limit_ms=100,
            )
        )
    return found


def _searches(frequent: UUID, rare: UUID, after_id: UUID | None) -> list[Question]:
    asked: dict[str, tuple[str, str, UUID | None, UUID | None]] = {
        "search, a word in every second": (COMMON_WORD, "", None, None),
        "search, that on page 1000": (COMMON_WORD, "", None, after_id),
        "search, a word in 10": (RARE_WORD, "", None, None),
        "search, a word in none": ("nowhereatall", "", None, None),
        "search, two words": (f"{COMMON_WORD} TodoWrite", "", None, None),
        "search, rare and frequent": (f"{COMMON_WORD} {RARE_WORD}", "", None, None),
        "search, alternatives": (f"{RARE_WORD} OR nowhereatall", "", None, None),
        "search, without": (f"{COMMON_WORD} -Bash", "", None, None),
        "search, a path": ("src/bridge/file77.py", "", None, None),
        "search, a phrase in none": (f'"{COMMON_WORD} xylophonist nothing"', "", None, None),
        "search, beginnings": ("xylo*", "", None, None),
        "search, with rare model": (COMMON_WORD, f"model:{RARE_MODEL}", None, None),
        "search, with client": (COMMON_WORD, 'client:"Client 3"', None, None),
        "search, a member's own": (COMMON_WORD, "", rare, None),
        "search, a member's own rare": (RARE_WORD, "", frequent, None),
    }
    found = [
        Question(
            name=name,
            ask=lambda cursor, words=words, q=q, whose=whose, after=after: search(  # type: ignore[misc]  # bound at once
                cursor,
                parse_words(words),
                parse(q),
                limit=50,
                after_id=after,
                visible_to=whose,
                cutoff=None,
            ),
            limit_ms=500,
        )
        for name, (words, q, whose, after) in asked.items()
    ]
    in_thoughts = parse_words(COMMON_WORD, parts=[Part.THOUGHT])
    found.append(
        Question(
            name="search, in thoughts only",
            ask=lambda cursor: search(
                cursor, in_thoughts, parse(""), limit=50, after_id=None, **_NO_BOUNDS
            ),
            limit_ms=500,
        )
    )
    return found


def _usage(frequent: UUID) -> list[Question]:
    asked: dict[str, tuple[Sequence[Dimension], str, UUID | None]] = {
        "usage, total": ((), "", None),
        "usage by day": ((Dimension.DAY,), "", None),
        "usage by day and model": ((Dimension.DAY, Dimension.MODEL), "", None),
        "usage by initiator": ((Dimension.INITIATOR,), "", None),
        "usage by everything": (tuple(Dimension), "", None),
        "usage by day of a model": ((Dimension.DAY,), "model:model-1", None),
        "usage by day, a member's own": ((Dimension.DAY,), "", frequent),
    }
    return [
        Question(
            name=name,
            ask=lambda cursor, by=by, q=q, whose=whose: read_usage(  # type: ignore[misc]  # bound at once
                cursor,
                parse(q),
                by=by,
                first=None,
                last=None,
                limit=1000,
                visible_to=whose,
                cutoff=None,
            ),
            limit_ms=300,
        )
        for name, (by, q, whose) in asked.items()
    ]


async def _rows(pool: Pool, sql: str, params: Parameters = None) -> Sequence[Any]:
    return await pool.transaction(lambda cursor: many(cursor, sql, params), read_only=True)
