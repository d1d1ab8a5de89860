"""The statements of `store.siem`: records as lines of JSON; `{day}` is the day as a literal.

The server writes the JSON, so that a busy bridge spends next to nothing on it. Record types and the
names of their members are those of the structured log (`recording/structured_log.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

Members = Sequence[tuple[str, str]]
"""Name and SQL expression of each."""


def _moment(expression: str) -> str:
    return f"""to_char({expression} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""


def _object(members: Iterable[tuple[str, str]]) -> str:
    pairs = ", ".join(f"'{name}', {expression}" for name, expression in members)
    return f"json_build_object({pairs})::text"


_OF_INTERCEPTION: Members = (
    ("initiator_id", "i.initiator_id"),
    ("username", "i.username"),
    ("provider", "i.provider"),
    ("provider_name", "i.provider_name"),
    ("model", "i.model"),
    ("client", "i.client"),
)


def _line(record_type: str, key: str, at: str, identifier: str, members: Members) -> str:
    """Return the expression of one line.

    Args:
        record_type: what it is.
        key: expression that tells this event from all others of its type.
        at: expression of its time.
        identifier: expression of the interception's id.
        members: what else is said.
    """
    return _object(
        (
            ("ts", _moment(at)),
            ("level", "'info'"),
            ("event", "'interception log'"),
            ("record_type", f"'{record_type}'"),
            ("event_id", f"'{record_type}/' || {key}"),
            ("interception_id", identifier),
            *_OF_INTERCEPTION,
            *members,
        )
    )


_START = _line(
    "interception_start", "i.id", "i.started_at", "i.id",
    (
        ("api_key_id", "i.api_key_id"),
        ("api", "i.api"),
        ("kind", "i.kind"),
        ("method", "i.method"),
        ("route", "i.route"),
        ("streaming", "i.streaming"),
        ("client_session_id", "i.client_session_id"),
        ("session_id", "i.session_id"),
        ("thread_parent_id", "i.thread_parent_id"),
        ("thread_root_id", "i.thread_root_id"),
        ("correlating_tool_call_id", "i.correlating_tool_call_id"),
        ("credential_kind", "i.credential_kind"),
        ("credential_hint", "i.credential_hint"),
        ("bytes_in", "i.bytes_in"),
        ("started_at", _moment("i.started_at")),
        ("metadata", "i.metadata"),
    ),
)  # fmt: skip
# A real end replaces that of a request which was taken for lost: another event, so another key.
_END = _line(
    "interception_end", "i.id || '/' || i.status", "i.ended_at", "i.id",
    (
        ("started_at", _moment("i.started_at")),
        ("ended_at", _moment("i.ended_at")),
        ("status", "i.status"),
        ("http_status", "i.http_status"),
        ("duration_ms", "i.duration_ms"),
        ("ttfb_ms", "i.ttfb_ms"),
        ("bytes_out", "i.bytes_out"),
        ("msg_id", "i.response_id"),
        ("stop_reason", "i.stop_reason"),
        ("error_type", "i.error_type"),
        ("error_message", "i.error_message"),
        ("credential_kind", "i.credential_kind"),
        ("credential_hint", "i.credential_hint"),
        ("partially_observed", "i.partially_observed"),
    ),
)  # fmt: skip
_PROMPT = _line(
    "prompt_usage", "d.interception_id", "d.created_at", "d.interception_id",
    (
        ("msg_id", "d.provider_response_id"),
        ("prompt", "d.prompt"),
        ("created_at", _moment("d.created_at")),
        ("metadata", "d.metadata"),
    ),
)  # fmt: skip
_TOKENS = _line(
    "token_usage", "d.id", "d.created_at", "d.interception_id",
    (
        ("msg_id", "d.provider_response_id"),
        ("input_tokens", "d.input_tokens"),
        ("output_tokens", "d.output_tokens"),
        ("cache_read_input_tokens", "d.cache_read_input_tokens"),
        ("cache_write_input_tokens", "d.cache_write_input_tokens"),
        ("usage_source", "d.usage_source"),
        ("created_at", _moment("d.created_at")),
        ("metadata", "d.metadata"),
    ),
)  # fmt: skip
_TOOL_NAMED: Members = (
    ("msg_id", "d.provider_response_id"),
    ("tool_call_id", "d.provider_tool_call_id"),
    ("item_id", "d.provider_item_id"),
    ("tool", "d.tool"),
)
_TOOL_RUN: Members = (
    ("server_url", "d.server_url"),
    ("injected", "d.injected"),
    ("invocation_error", "d.invocation_error"),
    ("created_at", _moment("d.created_at")),
    ("metadata", "d.metadata"),
)
_TOOL = _line(
    "tool_usage", "d.id", "d.created_at", "d.interception_id",
    (*_TOOL_NAMED, ("input", "d.input"), *_TOOL_RUN),
)  # fmt: skip
_TOOL_WITHOUT_INPUT = _line(
    "tool_usage", "d.id", "d.created_at", "d.interception_id", (*_TOOL_NAMED, *_TOOL_RUN)
)
_RESULT_NAMED: Members = (
    ("tool_call_id", "d.tool_call_id"),
    ("n", "d.n"),
    ("size_bytes", "d.size_bytes"),
    ("is_error", "d.is_error"),
)
_RESULT = _line(
    "tool_result", "d.interception_id || '/' || d.n", "d.created_at", "d.interception_id",
    (*_RESULT_NAMED, ("content", "d.content"), ("created_at", _moment("d.created_at"))),
)  # fmt: skip
_RESULT_WITHOUT_CONTENT = _line(
    "tool_result", "d.interception_id || '/' || d.n", "d.created_at", "d.interception_id",
    (*_RESULT_NAMED, ("created_at", _moment("d.created_at"))),
)  # fmt: skip
_THOUGHT = _line(
    "model_thought", "d.id", "d.created_at", "d.interception_id",
    (
        ("content", "d.content"),
        ("created_at", _moment("d.created_at")),
        ("metadata", "d.metadata"),
    ),
)  # fmt: skip
_AUDIT = _object(
    (
        ("ts", _moment("a.created_at")),
        ("level", "'info'"),
        ("event", "'audit log'"),
        ("record_type", "'audit'"),
        ("event_id", "'audit/' || a.id"),
        ("action", "a.action"),
        ("actor_id", "a.actor_id"),
        ("actor_name", "a.actor_name"),
        ("token_id", "a.token_id"),
        ("target", "a.target"),
        ("status", "a.status"),
        ("reason", "a.reason"),
        ("source", "a.source"),
        ("detail", "a.detail"),
        ("count", "a.count"),
        ("created_at", _moment("a.created_at")),
    )
)


def _of_interceptions(line: str, at: str, condition: str) -> str:
    return f"""
SELECT {at}, {line}
FROM aibridge_interceptions i
WHERE i.day = {{day}} AND i.id = ANY(%(interceptions)s::uuid[]) AND {condition}
"""  # noqa: S608  # constants only


def _of_details(table: str, line: str, condition: str) -> str:
    # A detail may be there before its interception's row.
    return f"""
SELECT d.created_at, {line}
FROM {table} d
LEFT JOIN aibridge_interceptions i ON i.day = {{day}} AND i.id = d.interception_id
WHERE d.day = {{day}} AND d.interception_id = ANY(%(interceptions)s::uuid[]) AND {condition}
"""  # noqa: S608  # constants only


_THE_RECORD = "d.id = ANY(%(records)s::uuid[])"
_STARTS = _of_interceptions(_START, "i.started_at", "i.kind <> 'unknown'")
_ENDS = _of_interceptions(_END, "i.ended_at", "i.ended_at IS NOT NULL")
_USAGES = _of_details("aibridge_token_usages", _TOKENS, _THE_RECORD)
_AUDITED = f"""
SELECT a.created_at, {_AUDIT}
FROM audit_log a
WHERE a.day = {{day}} AND a.id = ANY(%(records)s::uuid[])
"""  # noqa: S608  # constants only

LINES: Mapping[str, Sequence[str]] = {
    "interception_started": (
        _STARTS,
        _of_details("aibridge_user_prompts", _PROMPT, "true"),
        _of_details("aibridge_tool_results", _RESULT, "true"),
    ),
    "model_thought": (_of_details("aibridge_model_thoughts", _THOUGHT, _THE_RECORD),),
    "tool_usage": (_of_details("aibridge_tool_usages", _TOOL, _THE_RECORD),),
    "token_usage": (_USAGES,),
    "interception_ended": (_ENDS,),
    "audit": (_AUDITED,),
}
"""Statements by the kind of the record, in the order in which records of one moment come."""

LINES_WITHOUT_CONTENT: Mapping[str, Sequence[str]] = {
    "interception_started": (
        _STARTS,
        _of_details("aibridge_tool_results", _RESULT_WITHOUT_CONTENT, "true"),
    ),
    "tool_usage": (_of_details("aibridge_tool_usages", _TOOL_WITHOUT_INPUT, _THE_RECORD),),
    "token_usage": (_USAGES,),
    "interception_ended": (_ENDS,),
    "audit": (_AUDITED,),
}
"""The same without prompts, arguments, thoughts and what tools gave back."""
