"""Records of made-up interceptions, as the journal gives them to the store."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from bridge.domain.ids import day_of
from bridge.domain.records import (
    AuditRecorded,
    InterceptionEnded,
    InterceptionStarted,
    LegRecorded,
    ModelThoughtRecorded,
    Record,
    StoredObjectRecorded,
    TokenUsageRecorded,
    ToolResultBrought,
    ToolUsageRecorded,
)
from bridge.journal.format import DamagedLine, JournalLine, decode_line, encode_line

ALICE = UUID("01890000-0000-7000-8000-00000000000a")
BOB = UUID("01890000-0000-7000-8000-00000000000b")
START = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def lines(*records: Record) -> list[JournalLine]:
    """Return the lines of `records`, as a reader of the journal finds them."""
    found = []
    for number, record in enumerate(records, 1):
        line = decode_line(encode_line(record, number).rstrip(b"\n"), 1, number)
        assert not isinstance(line, DamagedLine)
        found.append(line)
    return found


class Maker:
    """Makes records with ids that are the same in every run."""

    def __init__(self, seed: int = 1) -> None:
        self._random = random.Random(seed)

    def id(self, at: datetime) -> UUID:
        """Return a UUIDv7 of the time `at`."""
        milliseconds = int(at.timestamp() * 1000)
        low = self._random.getrandbits(62) | 2 << 62
        high = milliseconds << 80 | 7 << 76 | self._random.getrandbits(12) << 64
        return UUID(int=high | low)

    def started(self, at: datetime = START, **members: object) -> InterceptionStarted:
        """Return a start; `members` replace what is made up."""
        identifier = self.id(at)
        values: dict[str, object] = {
            "id": identifier,
            "day": day_of(identifier),
            "at": at,
            "interception_id": identifier,
            "traffic": "intercepted",
            "initiator_id": ALICE,
            "username": "alice",
            "api_key_id": "tokenoneabcd",
            "provider": "anthropic",
            "provider_name": "anthropic",
            "api": "messages",
            "method": "POST",
            "route": "/v1/messages",
            "model": "claude-sonnet-4-5",
            "streaming": True,
            "client": "Claude Code",
            "client_session_id": None,
            "user_agent": "claude-cli/2.0",
            "correlating_tool_call_id": None,
            "credential_kind": "centralized",
            "credential_hint": "sk-a...wxyz",
            "prompt": "What is the time?",
            "bytes_in": 120,
            "partially_observed": False,
            "metadata": {"request_user_agent": "claude-cli/2.0"},
            "tool_results": [self.result("an-earlier-call")],
        }
        return InterceptionStarted(**(values | members))  # type: ignore[arg-type]

    def result(self, call: str, **members: object) -> ToolResultBrought:
        """Return what came back of a tool call."""
        values: dict[str, object] = {
            "tool_call_id": call, "size_bytes": 11, "is_error": False, "content": None
        }  # fmt: skip
        return ToolResultBrought(**(values | members))  # type: ignore[arg-type]

    def ended(self, start: InterceptionStarted, **members: object) -> InterceptionEnded:
        """Return the end of `start`, two seconds later."""
        at = start.at + timedelta(seconds=2)
        values: dict[str, object] = {
            "id": self.id(at),
            "day": start.day,
            "at": at,
            "interception_id": start.id,
            "status": "completed",
            "http_status": 200,
            "ttfb_ms": 150,
            "duration_ms": 2000,
            "bytes_out": 4096,
            "response_sha256": "ab" * 32,
            "client_sha256": None,
            "response_id": "msg_1",
            "stop_reason": "end_turn",
            "error_type": None,
            "error_message": None,
            "credential_hint": None,
            "partially_observed": False,
        }
        return InterceptionEnded(**(values | members))  # type: ignore[arg-type]

    def tokens(
        self, start: InterceptionStarted, n: int = 1, **members: object
    ) -> TokenUsageRecorded:
        """Return the tokens of a leg."""
        at = start.at + timedelta(seconds=1)
        values: dict[str, object] = {
            "id": self.id(at),
            "day": start.day,
            "at": at,
            "interception_id": start.id,
            "n": n,
            "provider_response_id": "msg_1",
            "input_tokens": 10,
            "output_tokens": 20,
            "cache_read_input_tokens": 3,
            "cache_write_input_tokens": 4,
            "usage_source": "provider_final",
            "metadata": {"service_tier": "standard"},
        }
        return TokenUsageRecorded(**(values | members))  # type: ignore[arg-type]

    def tool(self, start: InterceptionStarted, call: str, n: int = 1) -> ToolUsageRecorded:
        """Return a call of a tool."""
        at = start.at + timedelta(seconds=1)
        return ToolUsageRecorded(
            id=self.id(at),
            day=start.day,
            at=at,
            interception_id=start.id,
            n=n,
            provider_response_id="msg_1",
            provider_tool_call_id=call,
            provider_item_id=None,
            tool="get_time",
            input='{"zone": "UTC"}',
            server_url=None,
            injected=False,
            invocation_error=None,
            metadata={},
        )

    def thought(self, start: InterceptionStarted, n: int = 1) -> ModelThoughtRecorded:
        """Return a thought."""
        at = start.at + timedelta(seconds=1)
        return ModelThoughtRecorded(
            id=self.id(at),
            day=start.day,
            at=at,
            interception_id=start.id,
            n=n,
            content="Let me see.",
            metadata={"source": "thinking"},
        )

    def leg(self, start: InterceptionStarted, n: int = 1) -> LegRecorded:
        """Return an upstream round trip."""
        at = start.at + timedelta(seconds=2)
        return LegRecorded(
            id=self.id(at),
            day=start.day,
            at=at,
            interception_id=start.id,
            n=n,
            provider_name="anthropic",
            model="claude-sonnet-4-5",
            hint="sk-a...wxyz",
            status=200,
            started_at=start.at,
            ttfb_ms=150,
            duration_ms=1990,
            outcome="completed",
        )

    def stored(self, start: InterceptionStarted, object_id: str) -> StoredObjectRecorded:
        """Return that the provider keeps what it answered."""
        at = start.at + timedelta(seconds=2)
        return StoredObjectRecorded(
            id=self.id(at),
            day=start.day,
            at=at,
            interception_id=start.id,
            object_id=object_id,
            provider_name=start.provider_name,
            initiator_id=start.initiator_id,
        )

    def audit(self, at: datetime = START, **members: object) -> AuditRecorded:
        """Return a row of the audit log."""
        identifier = self.id(at)
        values: dict[str, object] = {
            "id": identifier,
            "day": day_of(identifier),
            "at": at,
            "action": "user.create",
            "actor_id": ALICE,
            "actor_name": "alice",
            "token_id": "tokenoneabcd",
            "target": "bob",
            "status": None,
            "reason": "",
            "source": "command line",
            "detail": {"roles": ["member"]},
        }
        return AuditRecorded(**(values | members))  # type: ignore[arg-type]

    def whole(self, at: datetime = START, **members: object) -> list[Record]:
        """Return all records of one ordinary interception, in the order in which they happen."""
        start = self.started(at, **members)
        return [
            start,
            self.thought(start),
            self.tool(start, f"call-{start.id}"),
            self.tokens(start),
            self.leg(start),
            self.stored(start, f"resp_{start.id}"),
            self.ended(start),
        ]

    def thread(
        self,
        length: int,
        at: datetime = START,
        apart: timedelta = timedelta(seconds=10),
        **members: object,
    ) -> list[Sequence[Record]]:
        """Return the records of interceptions of which each brings the result of the one before."""
        found: list[Sequence[Record]] = []
        call: str | None = None
        for number in range(length):
            records = self.whole(at + number * apart, correlating_tool_call_id=call, **members)
            call = f"call-{records[0].id}"
            found.append(records)
        return found


def days_of(records: Sequence[Record]) -> set[date]:
    """Return the days in which `records` live."""
    return {record.day for record in records}
