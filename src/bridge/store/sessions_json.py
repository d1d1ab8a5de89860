"""What reads of sessions give back; encoded by msgspec they are the JSON of the management API.

Names, nesting and types are those of the established API; what it does not have comes after.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec


class SessionInitiator(msgspec.Struct, frozen=True, kw_only=True):
    """Who asked."""

    id: UUID
    username: str
    name: str
    """The username: the bridge knows no other."""
    avatar_url: str = ""
    """Always empty."""


class TokenSums(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens of many legs, summed."""

    input_tokens: int = 0
    """Without cache reads and writes."""
    output_tokens: int = 0
    cache_read_input_tokens: int = 0
    cache_write_input_tokens: int = 0


class TokenSumsByType(TokenSums, frozen=True, kw_only=True):
    """The same, with the extra types that providers name."""

    metadata: dict[str, int] = {}
    """Extra token type to count."""


class SessionFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a session as a whole."""

    id: str
    """As the client named it, else the thread's, else the interception's; unique only together
    with the initiator."""
    initiator: SessionInitiator
    providers: tuple[str, ...]
    """Wire families used."""
    models: tuple[str, ...]
    client: str | None
    """Of the first interception."""
    metadata: dict[str, object]
    """Of the first interception."""
    started_at: datetime
    ended_at: datetime
    last_prompt: str | None
    """The latest prompt, in lists of the API its first 20 000 characters; null when none was
    recorded."""
    last_active_at: datetime
    """When that was, else the start; lists are in this order."""
    interceptions: int
    provider_names: tuple[str, ...]
    """Configured instances used."""


class Session(SessionFacts, frozen=True, kw_only=True):
    """One of a list."""

    threads: int
    """How many."""
    token_usage_summary: TokenSums


class SessionList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A page of a list."""

    count: int
    """Of all pages together."""
    sessions: tuple[Session, ...]
    count_capped: bool = False
    """There are more than `count`; how many was not counted."""


class Thinking(msgspec.Struct, frozen=True, kw_only=True):
    """Reasoning that the model showed."""

    text: str
    source: str | None = None
    """thinking, reasoning_summary or commentary."""


class CallResult(msgspec.Struct, frozen=True, kw_only=True):
    """What the tool gave back, as a later request of the same initiator told the model."""

    interception_id: UUID
    """Of that request."""
    size_bytes: int
    is_error: bool | None
    content: str | None
    """Null when not recorded, which is the default."""
    created_at: datetime
    duration_ms: int
    """From the call to that request."""


class SessionToolCall(msgspec.Struct, frozen=True, kw_only=True):
    """A tool call that the model asked for."""

    id: UUID
    interception_id: UUID
    provider_response_id: str
    server_url: str | None
    tool: str
    injected: bool
    input: str
    """Arguments as JSON text; empty when not recorded."""
    metadata: dict[str, object]
    created_at: datetime
    provider_tool_call_id: str | None
    invocation_error: str | None
    result: CallResult | None
    """Null when no later request brought it."""


class Agent(msgspec.Struct, frozen=True, kw_only=True):
    """The main agent of a session, or one that another agent began."""

    id: str | None
    """As the client names it; null for the main one."""
    kind: str | None
    """As the client names it."""
    models: tuple[str, ...]
    interceptions: int
    """Its own."""
    started_at: datetime | None
    """Of its first interception; null for a main agent that asked nothing itself."""
    ended_at: datetime | None
    sub_agents: tuple[Agent, ...]
    """Those that it began, in the order in which they did."""


class AgenticAction(msgspec.Struct, frozen=True, kw_only=True):
    """One interception of a thread: what the model was asked and did."""

    model: str
    token_usage: TokenSumsByType
    thinking: tuple[Thinking, ...]
    tool_calls: tuple[SessionToolCall, ...]
    id: UUID
    """The interception's."""
    parent_id: UUID | None
    """The interception whose tool call's result this one brought."""
    agent_id: str | None
    """Which of the session's agents asked; null for the main one."""
    prompt: str | None
    """What the human wrote, where this request brought it."""
    provider: str
    provider_name: str
    api: str | None
    client: str | None
    started_at: datetime
    ended_at: datetime | None
    duration_ms: int | None
    ttfb_ms: int | None
    status: str
    http_status: int | None
    stop_reason: str | None
    error_type: str | None
    error_message: str | None
    credential_kind: str
    credential_hint: str
    partially_observed: bool


class Thread(msgspec.Struct, frozen=True, kw_only=True):
    """Interceptions of which each brings the result of a tool call of one before."""

    id: UUID
    """Of the interception that began it."""
    prompt: str | None
    """The first in it."""
    model: str
    """Of its first interception on this page; likewise the next four."""
    provider: str
    credential_kind: str
    credential_hint: str
    started_at: datetime
    ended_at: datetime | None
    """Of the last."""
    token_usage: TokenSumsByType
    error_type: str | None
    """Of the last interception; null when that went well."""
    error_message: str | None
    agentic_actions: tuple[AgenticAction, ...]
    """In the order in which they began."""
    provider_name: str
    status: str
    """End state of the last."""


class SessionDetail(SessionFacts, frozen=True, kw_only=True):
    """A session with a page of its threads."""

    token_usage_summary: TokenSumsByType
    """Of the session; the extra types are those of the page."""
    page_started_at: datetime | None
    """Of the first thread on the page."""
    page_ended_at: datetime | None
    threads: tuple[Thread, ...]
    """Oldest first."""
    agent: Agent
    """The main agent, with those below it."""
    thread_count: int
    """Of the session."""
    has_more: bool
    """Whether threads follow in the direction of paging."""
    truncated: bool
    """The page has more interceptions than are shown at once; the rest comes after the last one
    that is shown: `after_action_id`."""
