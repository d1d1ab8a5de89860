"""What reads give back; encoded by msgspec they are the JSON of the management API.

Names, nesting and types are those of the established API; what it does not have comes after.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from bridge.store.filters import RUNNING
from bridge.store.sessions_json import CallResult


class Initiator(msgspec.Struct, frozen=True, kw_only=True):
    """Who asked."""

    id: UUID
    username: str


class TokenUsage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens of leg `n`."""

    id: UUID
    interception_id: UUID
    provider_response_id: str
    input_tokens: int
    """Without cache reads and writes."""
    output_tokens: int
    cache_read_input_tokens: int
    cache_write_input_tokens: int
    metadata: dict[str, object]
    created_at: datetime
    n: int
    usage_source: str


class UserPrompt(msgspec.Struct, frozen=True, kw_only=True):
    """What the human wrote."""

    id: UUID
    interception_id: UUID
    provider_response_id: str
    prompt: str
    metadata: dict[str, object]
    created_at: datetime


class ToolUsage(msgspec.Struct, frozen=True, kw_only=True):
    """The n-th tool call."""

    id: UUID
    interception_id: UUID
    provider_response_id: str
    server_url: str | None
    tool: str
    input: str
    injected: bool
    invocation_error: str | None
    metadata: dict[str, object]
    created_at: datetime
    n: int
    provider_tool_call_id: str | None
    provider_item_id: str | None


class ToolResult(msgspec.Struct, frozen=True, kw_only=True):
    """The n-th result of a tool that the request brought."""

    interception_id: UUID
    n: int
    tool_call_id: str
    """`provider_tool_call_id` of the call, which an earlier answer made."""
    size_bytes: int
    """Of its text in UTF-8; where it is more than text, of its JSON."""
    is_error: bool | None
    """Whether it says that the call failed; null where the API cannot say it."""
    content: str | None
    """Text, or JSON; null when not recorded, which is the default."""
    created_at: datetime


class ModelThought(msgspec.Struct, frozen=True, kw_only=True):
    """The n-th thought."""

    id: UUID
    interception_id: UUID
    content: str
    metadata: dict[str, object]
    created_at: datetime
    n: int


class Leg(msgspec.Struct, frozen=True, kw_only=True):
    """Upstream round trip `n`."""

    id: UUID
    interception_id: UUID
    n: int
    provider_name: str
    model: str
    hint: str
    status: int | None
    started_at: datetime
    ended_at: datetime
    ttfb_ms: int | None
    duration_ms: int
    outcome: str


class Interception(msgspec.Struct, frozen=True, kw_only=True):
    """One request and its answer, with what was observed in it."""

    id: UUID
    api_key_id: str | None
    initiator: Initiator
    provider: str
    model: str
    client: str | None
    metadata: dict[str, object]
    started_at: datetime
    ended_at: datetime | None
    token_usages: tuple[TokenUsage, ...] = ()
    user_prompts: tuple[UserPrompt, ...] = ()
    tool_usages: tuple[ToolUsage, ...] = ()
    model_thoughts: tuple[ModelThought, ...] = ()
    kind: str
    provider_name: str
    api: str | None
    method: str
    route: str
    streaming: bool
    user_agent: str
    session_id: str
    client_session_id: str | None
    correlating_tool_call_id: str | None
    thread_parent_id: UUID | None
    thread_root_id: UUID | None
    credential_kind: str
    credential_hint: str
    status: str
    """The end state, or `running`."""
    http_status: int | None
    error_type: str | None
    error_message: str | None
    response_id: str | None
    stop_reason: str | None
    ttfb_ms: int | None
    duration_ms: int | None
    bytes_in: int
    bytes_out: int | None
    response_sha256: str | None
    client_sha256: str | None
    partially_observed: bool
    redactions: int | None
    """Secrets that were taken out of what was recorded."""
    content_blanked_at: datetime | None
    """Since when its content is blank; None while it is as recorded."""
    tool_results: tuple[ToolResult, ...] = ()

    def with_details(
        self,
        *,
        token_usages: tuple[TokenUsage, ...],
        user_prompts: tuple[UserPrompt, ...],
        tool_usages: tuple[ToolUsage, ...],
        model_thoughts: tuple[ModelThought, ...],
        tool_results: tuple[ToolResult, ...],
    ) -> Interception:
        """Return the same with what was observed in it."""
        return msgspec.structs.replace(
            self,
            token_usages=token_usages,
            user_prompts=user_prompts,
            tool_usages=tool_usages,
            model_thoughts=model_thoughts,
            tool_results=tool_results,
        )


class InterceptionWithLegs(Interception, frozen=True, kw_only=True):
    """One interception read by itself."""

    legs: tuple[Leg, ...] = ()

    @classmethod
    def of(cls, interception: Interception, *, legs: tuple[Leg, ...]) -> InterceptionWithLegs:
        """Return `interception` with its legs."""
        members = {name: getattr(interception, name) for name in interception.__struct_fields__}
        return cls(**members, legs=legs)


class PairedResult(CallResult, frozen=True, kw_only=True):
    """What a tool gave back, beside its call."""

    tool_usage_id: UUID
    """`id` of the call, which is one of `tool_usages`."""


class InterceptionDetail(InterceptionWithLegs, frozen=True, kw_only=True):
    """The same with what later requests told of the tools that were called in it."""

    call_results: tuple[PairedResult, ...] = ()
    """In the order of the calls; a call without one was not answered within a week."""


class InterceptionList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A page of a list."""

    count: int
    """Of all pages together."""
    results: tuple[Interception, ...]
    count_capped: bool = False
    """There are more than `count`; how many was not counted."""


_DETAILS = frozenset(
    {"token_usages", "user_prompts", "tool_usages", "model_thoughts", "tool_results"}
)
_COLUMNS = tuple(
    column
    for name in Interception.__struct_fields__
    if name not in _DETAILS
    for column in (("initiator_id", "username") if name == "initiator" else (name,))
)


def interception_columns(alias: str) -> str:
    """Return the columns that `interception_from` wants, of the table called `alias`."""
    return ", ".join(f"{alias}.{name}" for name in _COLUMNS)


def interception_from(row: Sequence[Any]) -> Interception:
    """Make an interception of a row, without details."""
    members = dict(zip(_COLUMNS, row, strict=True))
    initiator = Initiator(id=members.pop("initiator_id"), username=members.pop("username"))
    members["status"] = members["status"] or RUNNING
    return Interception(initiator=initiator, **members)
