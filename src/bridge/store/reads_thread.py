"""A thread of a session, made of its interceptions: what was asked, thought and called."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from uuid import UUID

from bridge.store.reads_json import Interception, TokenUsage
from bridge.store.sessions_json import (
    AgenticAction,
    CallResult,
    SessionToolCall,
    Thinking,
    Thread,
    TokenSums,
    TokenSumsByType,
)

_OF_CALL = tuple(name for name in SessionToolCall.__struct_fields__ if name != "result")
_OF_ACTION = (
    "provider", "provider_name", "api", "client", "started_at", "ended_at", "duration_ms",
    "ttfb_ms", "status", "http_status", "stop_reason", "error_type", "error_message",
    "credential_kind", "credential_hint", "partially_observed",
)  # fmt: skip
_members_of_call, _members_of_action = attrgetter(*_OF_CALL), attrgetter(*_OF_ACTION)


def thread_of(
    root: UUID, interceptions: Sequence[Interception], results: Mapping[UUID, CallResult]
) -> Thread:
    """Return a thread.

    Args:
        root: its first interception's id.
        interceptions: those to show, oldest first; at least one.
        results: of tool calls, by the call's id here.
    """
    first, last = interceptions[0], interceptions[-1]
    actions = tuple(_action(each, results) for each in interceptions)
    sums = _summed(usage for each in interceptions for usage in each.token_usages)
    return Thread(
        id=root,
        prompt=next((each.prompt for each in actions if each.prompt is not None), None),
        model=first.model,
        provider=first.provider,
        provider_name=first.provider_name,
        credential_kind=first.credential_kind,
        credential_hint=first.credential_hint,
        started_at=first.started_at,
        ended_at=max((each.ended_at for each in actions if each.ended_at), default=None),
        token_usage=sums,
        error_type=last.error_type,
        error_message=last.error_message,
        status=last.status,
        agentic_actions=actions,
    )


def _action(each: Interception, results: Mapping[UUID, CallResult]) -> AgenticAction:
    prompt = next((found.prompt for found in each.user_prompts), None)
    return AgenticAction(
        id=each.id,
        parent_id=each.thread_parent_id,
        model=each.model,
        token_usage=_summed(each.token_usages),
        thinking=tuple(
            Thinking(text=thought.content, source=_text(thought.metadata.get("source")))
            for thought in each.model_thoughts
        ),
        tool_calls=tuple(
            SessionToolCall(
                result=results.get(call.id),
                **dict(zip(_OF_CALL, _members_of_call(call), strict=True)),
            )
            for call in each.tool_usages
        ),
        prompt=prompt,
        agent_id=_text(each.metadata.get("agent_id")),
        **dict(zip(_OF_ACTION, _members_of_action(each), strict=True)),
    )


def _summed(usages: Iterable[TokenUsage]) -> TokenSumsByType:
    given = tuple(usages)
    extra: dict[str, int] = {}
    for usage in given:
        for name, count in usage.metadata.items():
            if isinstance(count, int) and not isinstance(count, bool):
                extra[name] = extra.get(name, 0) + count
    return TokenSumsByType(
        input_tokens=sum(usage.input_tokens for usage in given),
        output_tokens=sum(usage.output_tokens for usage in given),
        cache_read_input_tokens=sum(usage.cache_read_input_tokens for usage in given),
        cache_write_input_tokens=sum(usage.cache_write_input_tokens for usage in given),
        metadata=extra,
    )


def sums_by_type(sums: TokenSums, extra: Counter[str]) -> TokenSumsByType:
    """Return a session's sums, with counts of the provider's own types of tokens."""
    members = {name: getattr(sums, name) for name in TokenSums.__struct_fields__}
    return TokenSumsByType(**members, metadata=dict(extra))


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
