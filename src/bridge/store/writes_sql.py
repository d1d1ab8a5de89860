"""The statements of `store.writes`; `{day}` is the day as a literal, `%s` a JSON array of records.

In each of them the order in which records come does not matter, nor whether one comes again: a row
is made of the best of what has come so far, by rules that do not ask when it came.
"""

from __future__ import annotations

_STARTED = (
    ("kind", "traffic", "text"),
    ("initiator_id", "initiator_id", "uuid"),
    ("username", "username", "text"),
    ("api_key_id", "api_key_id", "text"),
    ("provider", "provider", "text"),
    ("provider_name", "provider_name", "text"),
    ("api", "api", "text"),
    ("method", "method", "text"),
    ("route", "route", "text"),
    ("model", "model", "text"),
    ("streaming", "streaming", "boolean"),
    ("client", "client", "text"),
    ("client_session_id", "client_session_id", "text"),
    ("user_agent", "user_agent", "text"),
    ("correlating_tool_call_id", "correlating_tool_call_id", "text"),
    ("credential_kind", "credential_kind", "text"),
    ("metadata", "metadata", "jsonb"),
    ("started_at", "at", "timestamptz"),
    ("bytes_in", "bytes_in", "bigint"),
)
"""Columns that a start fills: name, member of the record, type."""

_ENDED = (
    ("ended_at", "at", "timestamptz"),
    ("status", "status", "text"),
    ("http_status", "http_status", "integer"),
    ("ttfb_ms", "ttfb_ms", "bigint"),
    ("duration_ms", "duration_ms", "bigint"),
    ("bytes_out", "bytes_out", "bigint"),
    ("response_sha256", "response_sha256", "text"),
    ("client_sha256", "client_sha256", "text"),
    ("response_id", "response_id", "text"),
    ("stop_reason", "stop_reason", "text"),
    ("error_type", "error_type", "text"),
    ("error_message", "error_message", "text"),
    ("redactions", "redactions", "integer"),
)
"""Columns that an end fills."""

_UNTIL_STARTED = {
    "kind": "'unknown'",
    "initiator_id": "'00000000-0000-0000-0000-000000000000'",
    "streaming": "false",
    "metadata": "'{{}}'",
    "bytes_in": "0",
    # The milliseconds in the first 48 bits of a UUIDv7.
    "started_at": (
        "to_timestamp(('x' || translate(left(e.interception_id::text, 13), '-', ''))"
        "::bit(48)::bigint / 1000.0)"
    ),
}
"""What stands in a row of which only the end has come; for the other texts it is ''."""

_NULLABLE = frozenset({"api_key_id", "api", "client", "client_session_id",
                       "correlating_tool_call_id"})  # fmt: skip
_STARTS_NOW = "(i.kind = 'unknown' AND excluded.kind <> 'unknown')"
# A real end replaces a lost one, of two alike the earlier stays; compared as rows, false < true.
_ENDS_NOW = (
    "(excluded.ended_at IS NOT NULL AND (i.ended_at IS NULL OR "
    "(i.status = 'lost', i.ended_at) > (excluded.status = 'lost', excluded.ended_at)))"
)


def _recordset(columns: tuple[tuple[str, str, str], ...], alias: str, more: str) -> str:
    members = ", ".join(f"{member} {kind}" for _, member, kind in columns)
    return f"json_to_recordset(%s::json) AS {alias}({more}, {members})"


def _interceptions() -> str:
    names = [name for name, _, _ in (*_STARTED, *_ENDED)]
    values = []
    for name, member, _ in _STARTED:
        default = None if name in _NULLABLE else _UNTIL_STARTED.get(name, "''")
        values.append(f"s.{member}" if default is None else f"coalesce(s.{member}, {default})")
    values += [f"e.{member}" for _, member, _ in _ENDED]
    updates = [
        f"{name} = CASE WHEN {_STARTS_NOW} THEN excluded.{name} ELSE i.{name} END"
        for name, _, _ in _STARTED
    ]
    updates += [
        f"{name} = CASE WHEN {_ENDS_NOW} THEN excluded.{name} ELSE i.{name} END"
        for name, _, _ in _ENDED
    ]
    return f"""
WITH s AS MATERIALIZED (
    SELECT DISTINCT ON (s.id) *
    FROM {
        _recordset(
            _STARTED,
            "s",
            "id uuid, credential_hint text, prompt text, partially_observed boolean, "
            "tool_results jsonb",
        )
    }
), e AS MATERIALIZED (
    SELECT DISTINCT ON (e.interception_id) *,
           bool_or(e.partially_observed) OVER (PARTITION BY e.interception_id) AS partial
    FROM {
        _recordset(
            _ENDED, "e", "interception_id uuid, credential_hint text, partially_observed boolean"
        )
    }
    ORDER BY e.interception_id, e.status = 'lost', e.at
), written AS (
    INSERT INTO aibridge_interceptions AS i
        (id, day, credential_hint, partially_observed, {", ".join(names)})
    SELECT coalesce(s.id, e.interception_id), {{day}},
           coalesce(e.credential_hint, s.credential_hint, ''),
           coalesce(s.partially_observed, false) OR coalesce(e.partial, false),
           {", ".join(values)}
    FROM s FULL JOIN e ON e.interception_id = s.id
    ON CONFLICT (id, day) DO UPDATE SET
        credential_hint = CASE
            WHEN {_ENDS_NOW} AND excluded.credential_hint <> '' THEN excluded.credential_hint
            WHEN i.credential_hint <> '' THEN i.credential_hint
            ELSE excluded.credential_hint END,
        partially_observed = i.partially_observed OR excluded.partially_observed,
        {", ".join(updates)}
    WHERE {_STARTS_NOW} OR {_ENDS_NOW}
       OR (excluded.partially_observed AND NOT i.partially_observed)
    RETURNING i.id, i.response_id
), prompted AS (
    INSERT INTO aibridge_user_prompts
        (id, interception_id, n, day, provider_response_id, prompt, metadata, created_at)
    SELECT s.id, s.id, 1, {{day}}, coalesce(w.response_id, ''), s.prompt, '{{{{}}}}', s.at
    FROM s LEFT JOIN written w ON w.id = s.id
    WHERE s.prompt IS NOT NULL
    ON CONFLICT DO NOTHING
), brought AS (
    INSERT INTO aibridge_tool_results
        (interception_id, n, day, initiator_id, tool_call_id, size_bytes, is_error, content,
         created_at)
    SELECT s.id, r.n, {{day}}, s.initiator_id, r.tool_call_id, r.size_bytes, r.is_error, r.content,
           s.at
    FROM s
    CROSS JOIN LATERAL ROWS FROM (
        jsonb_to_recordset(s.tool_results)
            AS (tool_call_id text, size_bytes bigint, is_error boolean, content text)
    ) WITH ORDINALITY AS r(tool_call_id, size_bytes, is_error, content, n)
    ON CONFLICT DO NOTHING
)
UPDATE aibridge_user_prompts p SET provider_response_id = w.response_id
FROM written w
WHERE p.day = {{day}} AND p.interception_id = w.id AND p.provider_response_id <> w.response_id
"""  # noqa: S608  # constants only


INTERCEPTIONS = _interceptions()
"""Takes the starts, then the ends; writes the prompts and the tools' results too."""


def _details(table: str, columns: tuple[tuple[str, str, str], ...]) -> str:
    names = ", ".join(name for name, _, _ in columns)
    members = ", ".join(f"r.{member}" for _, member, _ in columns)
    key = "id uuid, interception_id uuid, n integer"
    return f"""
INSERT INTO {table} (id, interception_id, n, day, {names})
SELECT r.id, r.interception_id, r.n, {{day}}, {members}
FROM {_recordset(columns, "r", key)}
ON CONFLICT DO NOTHING
"""  # noqa: S608  # constants only


_RANK = "coalesce(array_position(ARRAY['provider_partial', 'estimated', 'drained', 'provider_final'], {}), 0)"  # noqa: E501

TOKEN_USAGES = f"""
INSERT INTO aibridge_token_usages AS t
    (id, interception_id, n, day, provider_response_id, input_tokens, output_tokens,
     cache_read_input_tokens, cache_write_input_tokens, usage_source, metadata, created_at)
SELECT DISTINCT ON (r.interception_id, r.n)
       r.id, r.interception_id, r.n, {{day}}, r.provider_response_id, r.input_tokens,
       r.output_tokens, r.cache_read_input_tokens, r.cache_write_input_tokens, r.usage_source,
       r.metadata, r.at
FROM json_to_recordset(%s::json) AS r(
    id uuid, interception_id uuid, n integer, provider_response_id text, input_tokens bigint,
    output_tokens bigint, cache_read_input_tokens bigint, cache_write_input_tokens bigint,
    usage_source text, metadata jsonb, at timestamptz)
ORDER BY r.interception_id, r.n, {_RANK.format("r.usage_source")} DESC, r.at DESC, r.id DESC
ON CONFLICT (interception_id, n, day) DO UPDATE SET
    id = excluded.id, provider_response_id = excluded.provider_response_id,
    input_tokens = excluded.input_tokens, output_tokens = excluded.output_tokens,
    cache_read_input_tokens = excluded.cache_read_input_tokens,
    cache_write_input_tokens = excluded.cache_write_input_tokens,
    usage_source = excluded.usage_source, metadata = excluded.metadata,
    created_at = excluded.created_at
WHERE ({_RANK.format("excluded.usage_source")}, excluded.created_at, excluded.id)
    > ({_RANK.format("t.usage_source")}, t.created_at, t.id)
"""  # noqa: S608  # constants only

TOOL_USAGES = _details(
    "aibridge_tool_usages",
    (
        ("provider_response_id", "provider_response_id", "text"),
        ("provider_tool_call_id", "provider_tool_call_id", "text"),
        ("provider_item_id", "provider_item_id", "text"),
        ("tool", "tool", "text"),
        ("input", "input", "text"),
        ("server_url", "server_url", "text"),
        ("injected", "injected", "boolean"),
        ("invocation_error", "invocation_error", "text"),
        ("metadata", "metadata", "jsonb"),
        ("created_at", "at", "timestamptz"),
    ),
)

MODEL_THOUGHTS = _details(
    "aibridge_model_thoughts",
    (
        ("content", "content", "text"),
        ("metadata", "metadata", "jsonb"),
        ("created_at", "at", "timestamptz"),
    ),
)

LEGS = _details(
    "aibridge_legs",
    (
        ("provider_name", "provider_name", "text"),
        ("model", "model", "text"),
        ("hint", "hint", "text"),
        ("status", "status", "integer"),
        ("started_at", "started_at", "timestamptz"),
        ("ended_at", "at", "timestamptz"),
        ("ttfb_ms", "ttfb_ms", "bigint"),
        ("duration_ms", "duration_ms", "bigint"),
        ("outcome", "outcome", "text"),
    ),
)

STORED_OBJECTS = """
INSERT INTO aibridge_stored_objects
    (id, interception_id, day, object_id, provider_name, initiator_id, created_at)
SELECT r.id, r.interception_id, {day}, r.object_id, r.provider_name, r.initiator_id, r.at
FROM json_to_recordset(%s::json) AS r(
    id uuid, interception_id uuid, object_id text, provider_name text, initiator_id uuid,
    at timestamptz)
ON CONFLICT DO NOTHING
"""

AUDIT = """
INSERT INTO audit_log (id, day, created_at, action, actor_id, actor_name, token_id, target, status,
                       reason, source, detail, count)
SELECT r.id, {day}, r.at, r.action, r.actor_id, r.actor_name, r.token_id, r.target, r.status,
       r.reason, r.source, r.detail, coalesce(r.count, 1)
FROM json_to_recordset(%s::json) AS r(
    id uuid, at timestamptz, action text, actor_id uuid, actor_name text, token_id text,
    target text, status integer, reason text, source text, detail jsonb, count bigint)
ON CONFLICT DO NOTHING
"""

MARK = """
WITH ended AS MATERIALIZED (
    SELECT i.id, i.initiator_id, i.session_id
    FROM aibridge_interceptions i
    WHERE i.day = {day} AND i.id = ANY(%s::uuid[]) AND i.kind = 'intercepted'
      AND i.ended_at IS NOT NULL
), searched AS (
    INSERT INTO aibridge_search_marks (day, interceptions)
    SELECT {day}, array_agg(e.id) FROM ended e HAVING count(*) > 0
)
INSERT INTO aibridge_session_marks (initiator_id, session_id, day)
SELECT DISTINCT e.initiator_id, e.session_id, {day} FROM ended e
"""

EARLY_CALLS = """
SELECT t.provider_tool_call_id
FROM aibridge_tool_usages t
WHERE t.day = {day} AND t.interception_id = ANY(%s::uuid[]) AND t.provider_tool_call_id <> ''
"""
"""Tool calls that may have come before the start of their interception."""
