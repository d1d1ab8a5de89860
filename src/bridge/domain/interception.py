"""One client request and its answer: the frozen facts at its start, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from uuid import UUID

import msgspec

from bridge.domain.identity import Actor, CredentialKind


class Api(StrEnum):
    """An API family that a dialect reads."""

    MESSAGES = "messages"
    CHAT_COMPLETIONS = "chat_completions"
    RESPONSES = "responses"


class Traffic(StrEnum):
    """How much of a request is recorded; the column is called `kind`."""

    INTERCEPTED = "intercepted"
    PASSTHROUGH = "passthrough"
    """Metadata only; outside sessions, threads and the default list."""


class EndState(StrEnum):
    """The one way in which an interception ended; the column is called `status`."""

    COMPLETED = "completed"
    UPSTREAM_ERROR = "upstream_error"
    CLIENT_ABORT = "client_abort"
    GATEWAY_ABORT = "gateway_abort"
    LOST = "lost"
    """Found open after a crash."""


class ToolResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a tool gave back, as the client told the model in a later request."""

    call_id: str
    """The provider's id of the call."""
    size_bytes: int
    """Of its text in UTF-8; where it is more than text, of its JSON."""
    is_error: bool | None
    """Whether it says that the call failed; None where the API cannot say it."""
    content: str | None
    """Text, or JSON; None when results are not recorded."""
    perhaps_repeated: bool = False
    """Whether an earlier request may have brought it, too: the API does not tell which."""


class Interception(msgspec.Struct, frozen=True, kw_only=True):
    """Which exchange this is; nothing in it changes."""

    id: UUID
    """UUIDv7; its timestamp is `started_at`, its UTC day the partition."""
    started_at: datetime
    traffic: Traffic
    actor: Actor
    provider: str
    """Wire family: `anthropic`, `openai`, `copilot`."""
    provider_name: str
    """The configured instance."""
    api: Api | None
    method: str
    route: str
    """The route's pattern, e.g. `/v1/messages`; bounded, so fit for a metric label."""
    model: str
    """What the client asked for; "" when it named none."""
    streaming: bool
    client: str
    client_session_id: str | None
    user_agent: str
    correlating_tool_call_id: str | None
    credential_kind: CredentialKind
    credential_hint: str
    prompt: str | None
    bytes_in: int
    """Bytes of the client's request body as it came."""
    stores: bool = False
    """Whether the answer is an object that the provider keeps under the organisation's key."""
    partially_observed: bool = False
    metadata: Mapping[str, object] = msgspec.field(default_factory=dict)
    """`agent_id`, `parent_agent_id` and the like."""
    tool_results: Sequence[ToolResult] = ()
    """Of the last turn."""


class Leg(msgspec.Struct, frozen=True, kw_only=True):
    """One upstream round trip within an interception."""

    n: int
    """1 for the first."""
    provider_name: str
    model: str
    """What was sent upstream."""
    credential_hint: str
    status: int | None
    """Upstream's HTTP status; None when no answer came."""
    started_at: datetime
    ttfb_ms: int | None
    duration_ms: int
    outcome: str
    """`completed`, `error_status`, `unreachable`, `timeout`, `broke`, `aborted`."""


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """How an interception ended, as the client saw it."""

    at: datetime
    state: EndState
    http_status: int | None
    """Status sent to the client; None when nothing was sent."""
    ttfb_ms: int | None
    """From our having the request to the first body byte from upstream; None without one."""
    duration_ms: int
    bytes_out: int
    """Body bytes handed to the client's connection."""
    response_sha256: str | None
    """Hex digest of upstream's body bytes; None when there were none."""
    client_sha256: str | None
    """Hex digest of the bytes handed to the client, only when they differ from upstream's."""
    response_id: str | None = None
    stop_reason: str | None = None
    error_type: str | None = None
    """`bad_request unauthorized rate_limited overloaded server_error timeout unknown`, or None."""
    error_message: str | None = None
    credential_hint: str | None = None
    """Of the credential that answered, when it is not the one at the start."""
    partially_observed: bool = False
