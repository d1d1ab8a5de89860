"""The statements of `store.export`; `{day}` is the day as a literal, `%(ids)s` a uuid[].

The members of the JSON are those of the API's (`reads_json`), so that there is one shape only.
"""

from __future__ import annotations

import msgspec

from bridge.store.filters import RUNNING
from bridge.store.reads_json import (
    InterceptionWithLegs,
    Leg,
    ModelThought,
    TokenUsage,
    ToolResult,
    ToolUsage,
    UserPrompt,
)

_DETAILS: dict[str, tuple[str, type[msgspec.Struct]]] = {
    "token_usages": ("aibridge_token_usages", TokenUsage),
    "user_prompts": ("aibridge_user_prompts", UserPrompt),
    "tool_usages": ("aibridge_tool_usages", ToolUsage),
    "tool_results": ("aibridge_tool_results", ToolResult),
    "model_thoughts": ("aibridge_model_thoughts", ModelThought),
    "legs": ("aibridge_legs", Leg),
}
_EXPRESSIONS = {
    "initiator": "json_build_object('id', i.initiator_id, 'username', i.username)",
    "status": f"coalesce(i.status, '{RUNNING}')",
}


def _joined(name: str) -> str:
    """Return the join that brings a detail as JSON text; json_agg would break the line."""
    table, kind = _DETAILS[name]
    columns = ", ".join(f"d.{each}" for each in kind.__struct_fields__)
    return f"""
LEFT JOIN (
    SELECT r.interception_id, '[' || string_agg(r.line, ',' ORDER BY r.n) || ']' AS found
    FROM (
        SELECT d.interception_id, d.n,
               row_to_json((SELECT x FROM (SELECT {columns}) x))::text AS line
        FROM {table} d
        WHERE d.day = {{day}} AND d.interception_id = ANY(%(ids)s::uuid[])
    ) r
    GROUP BY r.interception_id
) {name} ON {name}.interception_id = i.id"""  # noqa: S608  # constants only


_MEMBERS = ", ".join(
    f'{_EXPRESSIONS.get(name, f"i.{name}")} AS "{name}"'
    for name in InterceptionWithLegs.__struct_fields__
    if name not in _DETAILS
)
# Put together as text: as json they would be parsed once more.
_WITH_DETAILS = " || ".join(
    f"""',"{name}":' || coalesce({name}.found, '[]')""" for name in _DETAILS
)
JSON_LINES = f"""
SELECT string_agg(
    left(row_to_json((SELECT x FROM (SELECT {_MEMBERS}) x))::text, -1)
    || {_WITH_DETAILS} || '}}}}' || chr(10), '' ORDER BY i.id)
FROM aibridge_interceptions i {"".join(map(_joined, _DETAILS))}
WHERE i.day = {{day}} AND i.id = ANY(%(ids)s::uuid[])
"""  # noqa: S608  # constants only


def _moment(expression: str) -> str:
    return f"""to_char({expression} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""


def _text(expression: str) -> str:
    """Return a field that no spreadsheet takes for a formula, in quotes."""
    return (
        f"""'"' || replace(CASE WHEN left({expression}, 1) IN """
        f"""('=', '+', '-', '@', E'\\t', E'\\r', E'\\n') THEN '''' ELSE '' END"""
        f""" || coalesce({expression}, ''), '"', '""') || '"'"""
    )


def _number(expression: str) -> str:
    return f"coalesce(({expression})::text, '')"


_COLUMNS: tuple[tuple[str, str], ...] = (
    ("id", _text("i.id::text")),
    ("started_at", _text(_moment("i.started_at"))),
    ("ended_at", _text(_moment("i.ended_at"))),
    ("initiator_id", _text("i.initiator_id::text")),
    ("username", _text("i.username")),
    ("api_key_id", _text("i.api_key_id")),
    ("client", _text("coalesce(i.client, 'Unknown')")),
    ("session_id", _text("i.session_id")),
    ("thread_root_id", _text("coalesce(i.thread_root_id, i.id)::text")),
    ("kind", _text("i.kind")),
    ("provider", _text("i.provider")),
    ("provider_name", _text("i.provider_name")),
    ("api", _text("i.api")),
    ("method", _text("i.method")),
    ("route", _text("i.route")),
    ("model", _text("i.model")),
    ("streaming", _text("i.streaming::text")),
    ("status", _text(f"coalesce(i.status, '{RUNNING}')")),
    ("http_status", _number("i.http_status")),
    ("error_type", _text("i.error_type")),
    ("error_message", _text("i.error_message")),
    ("stop_reason", _text("i.stop_reason")),
    ("duration_ms", _number("i.duration_ms")),
    ("ttfb_ms", _number("i.ttfb_ms")),
    ("bytes_in", _number("i.bytes_in")),
    ("bytes_out", _number("i.bytes_out")),
    ("credential_kind", _text("i.credential_kind")),
    ("credential_hint", _text("i.credential_hint")),
    ("input_tokens", _number("tokens.input")),
    ("output_tokens", _number("tokens.output")),
    ("cache_read_input_tokens", _number("tokens.cache_read")),
    ("cache_write_input_tokens", _number("tokens.cache_write")),
    ("tools", _text("tools.names")),
    ("thoughts", _number("coalesce(thoughts.count, 0)")),
    ("prompt", _text("prompts.text")),
)


def _summed(name: str, table: str, columns: str) -> str:
    return f"""
LEFT JOIN (
    SELECT d.interception_id, {columns}
    FROM {table} d
    WHERE d.day = {{day}} AND d.interception_id = ANY(%(ids)s::uuid[])
    GROUP BY d.interception_id
) {name} ON {name}.interception_id = i.id"""  # noqa: S608  # constants only


CSV_HEADER = ",".join(name for name, _ in _COLUMNS) + "\r\n"
_TOKENS = _summed(
    "tokens",
    "aibridge_token_usages",
    "sum(d.input_tokens) AS input, sum(d.output_tokens) AS output, "
    "sum(d.cache_read_input_tokens) AS cache_read, "
    "sum(d.cache_write_input_tokens) AS cache_write",
)
_TOOLS = _summed("tools", "aibridge_tool_usages", "string_agg(d.tool, ' ' ORDER BY d.n) AS names")
_THOUGHTS = _summed("thoughts", "aibridge_model_thoughts", "count(*) AS count")
_PROMPTS = _summed(
    "prompts", "aibridge_user_prompts", "string_agg(d.prompt, E'\\n' ORDER BY d.n) AS text"
)
_FIELDS = " || ',' || ".join(expression for _, expression in _COLUMNS)
CSV_LINES = f"""
SELECT string_agg({_FIELDS} || E'\\r\\n', '' ORDER BY i.id)
FROM aibridge_interceptions i {_TOKENS} {_TOOLS} {_THOUGHTS} {_PROMPTS}
WHERE i.day = {{day}} AND i.id = ANY(%(ids)s::uuid[])
"""  # noqa: S608  # constants only
