"""Records of made-up interceptions, appended to a journal and sent on to a database.

Of each interception there is what the recorder writes of a blocking answer: its start, with a
prompt of 2 kB, and later its tokens, its leg and its end, in one append.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import structlog

from bridge.domain.ids import day_of, timestamp_of, uuid7
from bridge.domain.records import (
    InterceptionEnded,
    InterceptionStarted,
    LegRecorded,
    Record,
    TokenUsageRecorded,
)
from bridge.journal.appender import Journal, open_journal
from bridge.recording.writer import Writer
from bridge.store.pool import Pool
from bridge.store.writes import write_batch

RECORDS = 4
"""Of an interception."""
PROMPT_BYTES = 2000
_USERS = 200
_WORDS = 20_000
_SEGMENT_BYTES = 16 << 20
_MOST_BYTES = 1 << 40
_PATIENCE_SECONDS = 600.0

Fsync = Literal["before_end", "group", "never"]
Appends = Sequence[tuple[Sequence[Record], bool]]
"""What is appended at a time, and whether it holds an end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast records went somewhere."""

    records: int
    seconds: float
    bytes: int

    @property
    def per_second(self) -> float:
        """Records."""
        return self.records / self.seconds


class Maker:
    """Makes records that are the same in every run, but for their ids and times."""

    def __init__(self, seed: int = 1) -> None:
        self._random = random.Random(seed)
        draw = self._random.getrandbits
        self._words = [f"{draw(24):x}"[: 2 + draw(3)] for _ in range(_WORDS)]
        self._users = [UUID(int=7 << 76 | 2 << 62 | n) for n in range(_USERS)]

    def interceptions(self, count: int, now: float) -> Appends:
        """Return the appends of `count` interceptions that began in the second before `now`."""
        found: list[tuple[Sequence[Record], bool]] = []
        for number in range(count):
            start = self._started(uuid7(now - 1 + number / count))
            found.append(([start], False))
            found.append((self._rest(start), True))
        return found

    def _started(self, identifier: UUID) -> InterceptionStarted:
        choose = self._random
        # The square: few people ask most.
        user = int(_USERS * choose.random() ** 2)
        return InterceptionStarted(
            id=identifier,
            day=day_of(identifier),
            at=timestamp_of(identifier),
            interception_id=identifier,
            traffic="intercepted",
            initiator_id=self._users[user],
            username=f"user{user}",
            api_key_id="tokenoneabcd",
            provider="anthropic",
            provider_name="anthropic",
            api="messages",
            method="POST",
            route="/v1/messages",
            model="claude-sonnet-4-5",
            streaming=False,
            client="Claude Code",
            client_session_id=f"session-{user}-{choose.randrange(20)}",
            user_agent="claude-cli/2.0 (external, cli)",
            correlating_tool_call_id=None,
            credential_kind="centralized",
            credential_hint="sk-a...wxyz",
            prompt=" ".join(choose.choices(self._words, k=PROMPT_BYTES // 2))[:PROMPT_BYTES],
            bytes_in=2100,
            partially_observed=False,
            metadata={"request_user_agent": "claude-cli/2.0 (external, cli)"},
        )

    def _rest(self, start: InterceptionStarted) -> Sequence[Record]:
        ended_at: datetime = start.at + timedelta(seconds=1)
        own = {"day": start.day, "at": ended_at, "interception_id": start.id}
        response = f"msg_{start.id.hex}"
        return (
            TokenUsageRecorded(
                id=uuid7(ended_at.timestamp()),
                n=1,
                provider_response_id=response,
                input_tokens=self._random.randrange(5000),
                output_tokens=self._random.randrange(900),
                cache_read_input_tokens=self._random.randrange(70_000),
                cache_write_input_tokens=0,
                usage_source="provider_final",
                metadata={"service_tier": "standard"},
                **own,  # type: ignore[arg-type]
            ),
            LegRecorded(
                id=uuid7(ended_at.timestamp()),
                n=1,
                provider_name="anthropic",
                model="claude-sonnet-4-5",
                hint="sk-a...wxyz",
                status=200,
                started_at=start.at,
                ttfb_ms=300,
                duration_ms=1000,
                outcome="completed",
                **own,  # type: ignore[arg-type]
            ),
            InterceptionEnded(
                id=uuid7(ended_at.timestamp()),
                status="completed",
                http_status=200,
                ttfb_ms=300,
                duration_ms=1000,
                bytes_out=1000,
                response_sha256=f"{self._random.getrandbits(256):064x}",
                client_sha256=None,
                response_id=response,
                stop_reason="end_turn",
                error_type=None,
                error_message=None,
                credential_hint=None,
                partially_observed=False,
                redactions=0,
                **own,  # type: ignore[arg-type]
            ),
        )


def opened(root: Path, reactor: Any, fsync: Fsync = "before_end") -> Journal:
    """Return a journal below `root`, as a bridge opens it; to be closed."""
    return open_journal(
        root=root,
        fsync=fsync,
        max_bytes=_MOST_BYTES,
        segment_bytes=_SEGMENT_BYTES,
        keep_seconds=0.0,
        reactor=reactor,
        log=structlog.get_logger("benchmark"),
    )


async def append(journal: Journal, appends: Appends) -> Pace:
    """Append everything, and come back when it is on disk."""
    before = journal.status().bytes
    began = time.perf_counter()
    for records, final in appends:
        journal.append(records, final=final)
    await journal.on_disk()
    seconds = time.perf_counter() - began
    return Pace(
        records=sum(len(records) for records, _ in appends),
        seconds=seconds,
        bytes=journal.status().bytes - before,
    )


async def store(journal: Journal, records: int, pool: Pool, reactor: Any) -> Pace:
    """Send all that is in a journal, so many records, to the database with a writer of its own."""
    writer = Writer(
        journal_root=journal.directory.parent,
        pool=pool,
        write_batch=write_batch,
        reactor=reactor,
        log=structlog.get_logger("benchmark"),
        cutoff=lambda: None,
        keep_seconds=0.0,
    )
    writer.store_after(journal.on_disk)
    before = writer.status().behind_bytes
    began = time.perf_counter()
    writer.start()
    try:
        await writer.flush(limit_seconds=_PATIENCE_SECONDS)
        seconds = time.perf_counter() - began
        after = writer.status().behind_bytes
    finally:
        await writer.stop()
    return Pace(records=records, seconds=seconds, bytes=before - after)
