"""Records as log lines: the message is exactly `interception log`, `record_type` says what it is.

Off unless `structured_logging` is set, because prompts and tool arguments are in it. Message,
record types and field names are those of the established gateway; ours beside them are
provider_name, username, status, http_status, duration_ms and what else an ending says.
"""

from __future__ import annotations

from typing import Protocol

from bridge.domain.interception import Interception
from bridge.domain.records import (
    InterceptionEnded,
    InterceptionStarted,
    ModelThoughtRecorded,
    Record,
    TokenUsageRecorded,
    ToolResultBrought,
    ToolUsageRecorded,
)

MESSAGE = "interception log"
"""Part of the public contract: never changed."""

Fields = dict[str, object]


class Log(Protocol):
    """What writes a line; a structlog logger is one."""

    def info(self, event: str, **fields: object) -> object:
        """Write `event` with its `fields` at level info."""


class StructuredLog:
    """Writes each record of an interception as one line."""

    def __init__(self, *, log: Log) -> None:
        """Write to `log`, the same that everything else is said to."""
        self._log = log

    def write(self, record: Record, interception: Interception) -> None:
        """Write `record`, which belongs to `interception`; legs and audit rows have no line.

        A start that holds a prompt makes two lines, `interception_start` and `prompt_usage`, and
        one more for each result of a tool that the request brought, `tool_result`.
        """
        match record:
            case InterceptionStarted():
                self._say("interception_start", interception, _start(record))
                if record.prompt is not None:
                    self._say("prompt_usage", interception, _prompt(record))
                for n, each in enumerate(record.tool_results, 1):
                    self._say("tool_result", interception, _result(record, n, each))
            case InterceptionEnded():
                self._say("interception_end", interception, _end(record, interception))
            case TokenUsageRecorded():
                self._say("token_usage", interception, _tokens(record))
            case ToolUsageRecorded():
                self._say("tool_usage", interception, _tool(record))
            case ModelThoughtRecorded():
                self._say("model_thought", interception, _thought(record))
            case _:
                pass

    def _say(self, record_type: str, interception: Interception, fields: Fields) -> None:
        self._log.info(
            MESSAGE,
            record_type=record_type,
            interception_id=interception.id,
            initiator_id=interception.actor.id,
            username=interception.actor.username,
            provider=interception.provider,
            provider_name=interception.provider_name,
            model=interception.model,
            client=interception.client,
            **fields,
        )


def _start(record: InterceptionStarted) -> Fields:
    return {
        "api_key_id": record.api_key_id,
        "api": record.api,
        "kind": record.traffic,
        "method": record.method,
        "route": record.route,
        "streaming": record.streaming,
        "client_session_id": record.client_session_id,
        "correlating_tool_call_id": record.correlating_tool_call_id,
        "credential_kind": record.credential_kind,
        "credential_hint": record.credential_hint,
        "bytes_in": record.bytes_in,
        "started_at": record.at,
        "metadata": record.metadata,
    }


def _prompt(record: InterceptionStarted) -> Fields:
    # The answer's id is not known yet when the prompt is written down.
    return {"msg_id": "", "prompt": record.prompt, "created_at": record.at, "metadata": {}}


def _result(record: InterceptionStarted, n: int, result: ToolResultBrought) -> Fields:
    return {
        "tool_call_id": result.tool_call_id,
        "n": n,
        "size_bytes": result.size_bytes,
        "is_error": result.is_error,
        "content": result.content,
        "created_at": record.at,
    }


def _end(record: InterceptionEnded, interception: Interception) -> Fields:
    return {
        "started_at": interception.started_at,
        "ended_at": record.at,
        "status": record.status,
        "http_status": record.http_status,
        "duration_ms": record.duration_ms,
        "ttfb_ms": record.ttfb_ms,
        "bytes_out": record.bytes_out,
        "msg_id": record.response_id,
        "stop_reason": record.stop_reason,
        "error_type": record.error_type,
        "error_message": record.error_message,
        "credential_kind": interception.credential_kind.value,
        "credential_hint": record.credential_hint or interception.credential_hint,
        "partially_observed": record.partially_observed,
    }


def _tokens(record: TokenUsageRecorded) -> Fields:
    return {
        "msg_id": record.provider_response_id,
        "input_tokens": record.input_tokens,
        "output_tokens": record.output_tokens,
        "cache_read_input_tokens": record.cache_read_input_tokens,
        "cache_write_input_tokens": record.cache_write_input_tokens,
        "usage_source": record.usage_source,
        "created_at": record.at,
        "metadata": record.metadata,
    }


def _tool(record: ToolUsageRecorded) -> Fields:
    return {
        "msg_id": record.provider_response_id,
        "tool_call_id": record.provider_tool_call_id,
        "item_id": record.provider_item_id,
        "tool": record.tool,
        "input": record.input,
        "server_url": record.server_url,
        "injected": record.injected,
        "invocation_error": record.invocation_error,
        "created_at": record.at,
        "metadata": record.metadata,
    }


def _thought(record: ModelThoughtRecorded) -> Fields:
    return {"content": record.content, "created_at": record.at, "metadata": record.metadata}
