"""Records made of what is known of an interception, field by field."""

from __future__ import annotations

from bridge.domain.clock import utc
from bridge.domain.ids import day_of, uuid7
from bridge.domain.interception import Ending, Interception, Leg
from bridge.domain.observations import ModelThought, TokenUsage, ToolUsage
from bridge.domain.records import (
    InterceptionEnded,
    InterceptionStarted,
    LegRecorded,
    ModelThoughtRecorded,
    StoredObjectRecorded,
    TokenUsageRecorded,
    ToolResultBrought,
    ToolUsageRecorded,
)
from bridge.journal.format import LONGEST_KEY


def started_of(interception: Interception) -> InterceptionStarted:
    """Return the record that `interception` was accepted."""
    return InterceptionStarted(
        id=interception.id,
        day=day_of(interception.id),
        at=interception.started_at,
        interception_id=interception.id,
        traffic=interception.traffic._value_,  # what `value` looks up with two calls of its own
        initiator_id=interception.actor.id,
        username=interception.actor.username,
        api_key_id=interception.actor.token_id,
        provider=interception.provider,
        provider_name=interception.provider_name,
        api=interception.api._value_ if interception.api is not None else None,
        method=interception.method,
        route=interception.route,
        model=interception.model,
        streaming=interception.streaming,
        client=interception.client,
        client_session_id=interception.client_session_id,
        user_agent=interception.user_agent,
        correlating_tool_call_id=interception.correlating_tool_call_id,
        credential_kind=interception.credential_kind._value_,
        credential_hint=interception.credential_hint,
        prompt=interception.prompt,
        bytes_in=interception.bytes_in,
        partially_observed=interception.partially_observed,
        metadata={"request_user_agent": interception.user_agent, **interception.metadata},
        tool_results=[
            ToolResultBrought(
                tool_call_id=each.call_id[:LONGEST_KEY],
                size_bytes=each.size_bytes,
                is_error=each.is_error,
                content=each.content,
            )
            for each in interception.tool_results
        ],
    )


def leg_of(interception: Interception, leg: Leg, now: float) -> LegRecorded:
    """Return the record of one round trip, which is over."""
    return LegRecorded(
        id=uuid7(now),
        day=day_of(interception.id),
        at=utc(now),
        interception_id=interception.id,
        n=leg.n,
        provider_name=leg.provider_name,
        model=leg.model,
        hint=leg.credential_hint,
        status=leg.status,
        started_at=leg.started_at,
        ttfb_ms=leg.ttfb_ms,
        duration_ms=leg.duration_ms,
        outcome=leg.outcome,
    )


def stored_of(interception: Interception, object_id: str, now: float) -> StoredObjectRecorded:
    """Return the record that the provider keeps an object of this interception's."""
    return StoredObjectRecorded(
        id=uuid7(now),
        day=day_of(interception.id),
        at=utc(now),
        interception_id=interception.id,
        object_id=object_id,
        provider_name=interception.provider_name,
        initiator_id=interception.actor.id,
    )


def ended_of(interception: Interception, ending: Ending, now: float) -> InterceptionEnded:
    """Return the record of the end, as far as the ending itself knows it."""
    return InterceptionEnded(
        id=uuid7(now),
        day=day_of(interception.id),
        at=ending.at,
        interception_id=interception.id,
        status=ending.state.value,
        http_status=ending.http_status,
        ttfb_ms=ending.ttfb_ms,
        duration_ms=ending.duration_ms,
        bytes_out=ending.bytes_out,
        response_sha256=ending.response_sha256,
        client_sha256=ending.client_sha256,
        response_id=ending.response_id,
        stop_reason=ending.stop_reason,
        error_type=ending.error_type,
        error_message=ending.error_message,
        credential_hint=ending.credential_hint,
        partially_observed=ending.partially_observed,
    )


def usage_of(
    interception: Interception, usage: TokenUsage, now: float, *, leg: int
) -> TokenUsageRecorded:
    """Return the record of tokens that were counted in a leg."""
    return TokenUsageRecorded(
        id=uuid7(now),
        day=day_of(interception.id),
        at=utc(now),
        interception_id=interception.id,
        n=leg,
        provider_response_id=usage.response_id,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_input_tokens=usage.cache_read_input_tokens,
        cache_write_input_tokens=usage.cache_write_input_tokens,
        usage_source=usage.source.value,
        metadata={**usage.metadata, **usage.extra},
    )


def tool_of(
    interception: Interception, tool: ToolUsage, now: float, *, n: int, kept: bool
) -> ToolUsageRecorded:
    """Return the record of an interception's `n`th tool call, with its arguments if `kept`."""
    return ToolUsageRecorded(
        id=uuid7(now),
        day=day_of(interception.id),
        at=utc(now),
        interception_id=interception.id,
        n=n,
        provider_response_id=tool.response_id,
        provider_tool_call_id=tool.tool_call_id,
        provider_item_id=tool.item_id,
        tool=tool.tool,
        input=tool.input if kept else "",
        server_url=tool.server_url,
        injected=tool.injected,
        invocation_error=tool.invocation_error,
        metadata=dict(tool.metadata),
    )


def thought_of(
    interception: Interception, thought: ModelThought, now: float, *, n: int
) -> ModelThoughtRecorded:
    """Return the record of an interception's `n`th thought."""
    return ModelThoughtRecorded(
        id=uuid7(now),
        day=day_of(interception.id),
        at=utc(now),
        interception_id=interception.id,
        n=n,
        content=thought.content,
        metadata={"source": thought.source},
    )
