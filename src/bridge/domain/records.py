"""What the journal holds and Postgres gets: one flat JSON object per record.

Field names are the store's column names wherever there is a column. The journal adds `v` (format
version) and `seq` to each object when it writes the line.
"""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

import msgspec


class Record(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    """What every record has."""

    id: UUID
    """Ours, UUIDv7; the idempotency key."""
    day: date
    """The partition: UTC day of the interception's id, of its own id where there is none."""
    at: datetime
    """When it happened, UTC."""


class ToolResultBrought(msgspec.Struct, frozen=True, kw_only=True):
    """What a tool gave back, in the request that told the model."""

    tool_call_id: str
    size_bytes: int
    is_error: bool | None
    content: str | None
    """None when results are not recorded."""


class InterceptionStarted(Record, frozen=True, kw_only=True, tag="interception_started"):
    """A request was accepted; `id` equals `interception_id`, `at` is `started_at`."""

    interception_id: UUID
    traffic: str
    initiator_id: UUID
    username: str
    api_key_id: str
    provider: str
    provider_name: str
    api: str | None
    method: str
    route: str
    model: str
    streaming: bool
    client: str
    client_session_id: str | None
    user_agent: str
    correlating_tool_call_id: str | None
    credential_kind: str
    credential_hint: str
    prompt: str | None
    """None also when prompts are not recorded."""
    bytes_in: int
    partially_observed: bool
    metadata: dict[str, object]
    tool_results: list[ToolResultBrought] = []
    """Of the last turn, in order."""


class InterceptionEnded(Record, frozen=True, kw_only=True, tag="interception_ended"):
    """The one end of an interception; `at` is `ended_at`."""

    interception_id: UUID
    status: str
    http_status: int | None
    ttfb_ms: int | None
    duration_ms: int | None
    bytes_out: int
    response_sha256: str | None
    client_sha256: str | None
    response_id: str | None
    stop_reason: str | None
    error_type: str | None
    error_message: str | None
    credential_hint: str | None
    partially_observed: bool
    redactions: int | None = None
    """Secrets that were taken out of its records; None when nobody counted."""


class TokenUsageRecorded(Record, frozen=True, kw_only=True, tag="token_usage"):
    """Tokens of leg `n`; a later record of the same leg replaces an earlier one."""

    interception_id: UUID
    n: int
    provider_response_id: str
    input_tokens: int
    output_tokens: int
    cache_read_input_tokens: int
    cache_write_input_tokens: int
    usage_source: str
    metadata: dict[str, object]
    """Extra token types (name → count) and what else the provider said about usage."""


class ToolUsageRecorded(Record, frozen=True, kw_only=True, tag="tool_usage"):
    """The n-th tool call of an interception (n counts from 1 over all its legs)."""

    interception_id: UUID
    n: int
    provider_response_id: str
    provider_tool_call_id: str
    provider_item_id: str | None
    tool: str
    input: str
    server_url: str | None
    injected: bool
    invocation_error: str | None
    metadata: dict[str, object]


class ModelThoughtRecorded(Record, frozen=True, kw_only=True, tag="model_thought"):
    """The n-th thought of an interception (n counts from 1 over all its legs)."""

    interception_id: UUID
    n: int
    content: str
    metadata: dict[str, object]
    """`{"source": "thinking" | "reasoning_summary" | "commentary"}`."""


class LegRecorded(Record, frozen=True, kw_only=True, tag="leg"):
    """Upstream round trip `n` of an interception; `at` is when it ended."""

    interception_id: UUID
    n: int
    provider_name: str
    model: str
    hint: str
    status: int | None
    started_at: datetime
    ttfb_ms: int | None
    duration_ms: int
    outcome: str


class StoredObjectRecorded(Record, frozen=True, kw_only=True, tag="stored_object"):
    """The provider was asked to keep an object; only who made it may fetch it."""

    interception_id: UUID
    object_id: str
    provider_name: str
    initiator_id: UUID


class AuditRecorded(Record, frozen=True, kw_only=True, tag="audit"):
    """Somebody was refused, read another's content, or changed something; `day` is of `id`."""

    action: str
    """`refusal`, `content.read`, `user.create`, `token.revoke`, `retention.confirm`, …"""
    actor_id: UUID | None
    actor_name: str | None
    token_id: str | None
    target: str
    """What it was about: a user's name, a token id, an interception id, a path."""
    status: int | None
    """HTTP status answered, for refusals."""
    reason: str
    source: str
    """Client address, or `command line`."""
    detail: dict[str, object]
    count: int = 1
    """How many alike were folded into this row (refusals are rate-bounded)."""


AnyRecord = (
    InterceptionStarted
    | InterceptionEnded
    | TokenUsageRecorded
    | ToolUsageRecorded
    | ModelThoughtRecorded
    | LegRecorded
    | StoredObjectRecorded
    | AuditRecorded
)
