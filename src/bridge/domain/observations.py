"""What a tap saw go past in one leg: tokens, tool calls, thoughts. No ids of ours, no time."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import msgspec


class UsageSource(StrEnum):
    """How good a token count is."""

    PROVIDER_FINAL = "provider_final"
    """The provider's own count in an answer that ended normally."""
    PROVIDER_PARTIAL = "provider_partial"
    """The provider's last count before the answer was cut."""
    DRAINED = "drained"
    """The provider's final count, read on after the client had gone."""
    ESTIMATED = "estimated"
    """Ours, by a rule kept in the metadata."""


class TokenUsage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens of one leg; `input_tokens` excludes cache reads and writes, as Anthropic counts."""

    response_id: str
    input_tokens: int
    output_tokens: int
    cache_read_input_tokens: int
    cache_write_input_tokens: int
    source: UsageSource
    extra: Mapping[str, int] = msgspec.field(default_factory=dict)
    """Further counts by name, e.g. `cache_ephemeral_1h_input`."""
    metadata: Mapping[str, object] = msgspec.field(default_factory=dict)
    """Other things the provider said about usage, e.g. `service_tier`."""


class ToolUsage(msgspec.Struct, frozen=True, kw_only=True):
    """A tool call that the model asked for."""

    response_id: str
    tool_call_id: str
    tool: str
    input: str
    """The arguments as JSON text, byte for byte as the provider sent them (joined deltas)."""
    item_id: str | None = None
    server_url: str | None = None
    injected: bool = False
    invocation_error: str | None = None
    metadata: Mapping[str, object] = msgspec.field(default_factory=dict)


class ModelThought(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of the model's reasoning that it showed."""

    content: str
    source: str
    """`thinking`, `reasoning_summary` or `commentary`."""


Observation = TokenUsage | ToolUsage | ModelThought
