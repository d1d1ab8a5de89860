"""The statements of `store.export`, which give a line for each interception of a range of ids.

`{day}` is the day as a literal, `{these}` what says which ids, `{scalar}` the function that makes a
value JSON. The members of the JSON are those of the API's (`reads_json`), so that there is one
shape only. They are put together as text: row_to_json looks up the type of every column of every
row again, which takes three times as long.
"""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

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

RANGE = "BETWEEN %(first)s::uuid AND %(last)s::uuid"
"""`{these}`, of all there are between two ids."""
ARRAY = "= ANY(%(ids)s::uuid[])"
"""`{these}`, of ids that lie apart."""

SCALAR = "JSON_SCALAR"
"""`{scalar}`; it knows from the plan what to_json looks up for every value."""
OLD_SCALAR = "to_json"
"""`{scalar}`, of servers before `SCALAR_VERSION`."""
SCALAR_VERSION = 170000

# Details lie in the order of their interceptions. For a few hundred of them the planner would
# rather hash or loop, sorting what is wide already; and it would think so for every page again.
MERGE = """
SET LOCAL enable_nestloop = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_bitmapscan = off;
SET LOCAL plan_cache_mode = force_generic_plan
"""

_LITERAL = re.compile("'[^']*''[^']*'")
_MOST_ARGUMENTS = 90
"""PostgreSQL takes 100."""
DETAILS: dict[str, tuple[str, type[msgspec.Struct]]] = {
    "token_usages": ("aibridge_token_usages", TokenUsage),
    "user_prompts": ("aibridge_user_prompts", UserPrompt),
    "tool_usages": ("aibridge_tool_usages", ToolUsage),
    "tool_results": ("aibridge_tool_results", ToolResult),
    "model_thoughts": ("aibridge_model_thoughts", ModelThought),
    "legs": ("aibridge_legs", Leg),
}


def _concat(parts: Sequence[str]) -> str:
    """Return the parts as one text; unlike ||, it takes NULL for nothing, and copies once."""
    parts = _fewer(parts)
    while len(parts) > _MOST_ARGUMENTS:
        pieces = [parts[at : at + _MOST_ARGUMENTS] for at in range(0, len(parts), _MOST_ARGUMENTS)]
        parts = [_concat(piece) for piece in pieces]
    return f"concat({', '.join(parts)})"


def _fewer(parts: Sequence[str]) -> Sequence[str]:
    """Put literals together that follow each other."""
    fewer: list[str] = []
    for part in parts:
        if fewer and part.startswith("'") and _LITERAL.fullmatch(fewer[-1] + part):
            fewer[-1] = fewer[-1][:-1] + part[1:]
        else:
            fewer.append(part)
    return fewer


def _json(column: str, hint: object) -> str:
    """Return a column as JSON text."""
    kinds = set(typing.get_args(hint)) if isinstance(hint, types.UnionType) else {hint}
    nullable = types.NoneType in kinds
    (kind,) = kinds - {types.NoneType}
    if kind is bool:
        return f"CASE WHEN {column} THEN 'true' WHEN NOT {column} THEN 'false' ELSE 'null' END"
    if kind in (str, datetime, UUID):
        # As text it would be copied once more.
        text = f"{{scalar}}({column})"
        return f"coalesce({text}, 'null'::json)" if nullable else text
    # It is a number, or JSON.
    return f"coalesce({column}::text, 'null')" if nullable else column


_EXPRESSIONS = {
    "initiator": _concat(
        ["""'{{"id":'""", "{scalar}(i.initiator_id)", """',"username":'""",
         "{scalar}(i.username)", "'}}'"]
    ),
    "status": f"{{scalar}}(coalesce(i.status, '{RUNNING}'))",
}  # fmt: skip


def _members(kind: type[msgspec.Struct], alias: str) -> list[str]:
    """Return the parts of an object, without its end."""
    hints = typing.get_type_hints(kind)
    parts: list[str] = []
    for name in kind.__struct_fields__:
        if kind is not InterceptionWithLegs:
            value = _json(f"{alias}.{name}", hints[name])
        elif name in DETAILS:
            continue
        else:
            value = _EXPRESSIONS.get(name) or _json(f"{alias}.{name}", hints[name])
        key = f"""{"," if parts else "{{"}"{name}":"""
        if hints[name] is UUID:  # nothing in it means anything
            parts += [f"""'{key}"'""", f"{alias}.{name}", """'"'"""]
        else:
            parts += [f"'{key}'", value]
    return parts


def _gathered(name: str, table: str, row: str, columns: str) -> str:
    """Return the join that brings what `columns` make of an interception's rows of `table`.

    The rows come in their order from the index; aggregates that ask for it sort them again. Of a
    group its first row is copied, so that `row` has no more than it takes.
    """
    return f"""
LEFT JOIN (
    SELECT d.interception_id, {columns}
    FROM (
        SELECT d.interception_id, {row} FROM {table} d
        WHERE d.day = {{day}} AND d.interception_id {{these}}
        ORDER BY d.interception_id, d.n
    ) d
    GROUP BY d.interception_id
) {name} ON {name}.interception_id = i.id"""  # noqa: S608  # constants only


def _objects(name: str, table: str, kind: type[msgspec.Struct]) -> str:
    row = _concat([*_members(kind, "d"), "'}}'"])
    return _gathered(name, table, f"{row} AS object", "string_agg(d.object, ',') AS objects")


_LINE = _concat(
    [
        *_members(InterceptionWithLegs, "i"),
        *[part for name in DETAILS for part in (f"""',"{name}":['""", f"{name}.objects", "']'")],
        r"E'}}\n'",
    ]
)
JSON_LINES = f"""
SELECT {_LINE}
FROM aibridge_interceptions i {"".join(_objects(name, *of) for name, of in DETAILS.items())}
WHERE i.day = {{day}} AND i.id {{these}} AND {{conditions}}
ORDER BY i.id
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


def _plain(expression: str) -> str:
    """Return a field, in quotes, of which is known that nothing in it means anything."""
    return f"""'"' || coalesce({expression}, '') || '"'"""


def _number(expression: str) -> str:
    return f"({expression})::text"


_COLUMNS: tuple[tuple[str, str], ...] = (
    ("id", _plain("i.id::text")),
    ("started_at", _plain(_moment("i.started_at"))),
    ("ended_at", _plain(_moment("i.ended_at"))),
    ("initiator_id", _plain("i.initiator_id::text")),
    ("username", _text("i.username")),
    ("api_key_id", _text("i.api_key_id")),
    ("client", _text("coalesce(i.client, 'Unknown')")),
    ("session_id", _text("i.session_id")),
    ("thread_root_id", _plain("i.thread_root_id::text")),
    ("kind", _text("i.kind")),
    ("provider", _text("i.provider")),
    ("provider_name", _text("i.provider_name")),
    ("api", _text("i.api")),
    ("method", _text("i.method")),
    ("route", _text("i.route")),
    ("model", _text("i.model")),
    ("streaming", _plain("i.streaming::text")),
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


CSV_HEADER = ",".join(name for name, _ in _COLUMNS) + "\r\n"
_SUMS = (
    _gathered(
        "tokens",
        "aibridge_token_usages",
        "d.input_tokens, d.output_tokens, d.cache_read_input_tokens, d.cache_write_input_tokens",
        "sum(d.input_tokens) AS input, sum(d.output_tokens) AS output, "
        "sum(d.cache_read_input_tokens) AS cache_read, "
        "sum(d.cache_write_input_tokens) AS cache_write",
    ),
    _gathered("tools", "aibridge_tool_usages", "d.tool", "string_agg(d.tool, ' ') AS names"),
    _gathered("thoughts", "aibridge_model_thoughts", "d.n", "count(*) AS count"),
    _gathered(
        "prompts", "aibridge_user_prompts", "d.prompt", r"string_agg(d.prompt, E'\n') AS text"
    ),
)
_FIELDS = [part for _, expression in _COLUMNS for part in ("','", expression)][1:]
_RECORD = _concat([*_FIELDS, r"E'\r\n'"])
CSV_LINES = f"""
SELECT {_RECORD}
FROM aibridge_interceptions i {"".join(_SUMS)}
WHERE i.day = {{day}} AND i.id {{these}} AND {{conditions}}
ORDER BY i.id
"""  # noqa: S608  # constants only
