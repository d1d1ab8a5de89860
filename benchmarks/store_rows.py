"""The statements that make up records on the server, a day at a time.

What a row holds follows from its number alone, by hashing, so that two fills of one size are the
same. Few users, clients and models have most of the rows, session sizes fall off like Zipf's, and
some values are held by RARE_ROWS rows of all.
"""

from __future__ import annotations

from uuid import UUID

RARE_ROWS = 10
RARE_MODEL = "rare-model"
RARE_CLIENT = "Rare Client"
RARE_PROVIDER = "rare-provider"
RARE_WORD = "xylophonist"
COMMON_WORD = "deployment"
"""In about every second prompt."""
SENTENCES = 5000
_LONG_SESSIONS = 5
_THREAD_LENGTH = 7


def _draw(number: str, seed: int) -> str:
    """Return SQL of a value from 0 to 1 that follows from the bigint `number`."""
    return f"((hashint8extended({number}, {seed}) & 1048575) / 1048576.0)"


def _one_of(count: str, draw: str, skew: float) -> str:
    """Return SQL of a number from 0 to `count` - 1; with a skew above 1 small ones are frequent."""
    return f"floor({count} * power({draw}, {skew}))::bigint"


USERS = """
INSERT INTO users (id, username, roles, created_at)
SELECT {user_id}, 'user' || n, '{{member}}', TIMESTAMPTZ '2026-01-01 00:00Z'
FROM generate_series(0, %(users)s - 1) n
ON CONFLICT DO NOTHING
"""
_USER_ID = "('01900000-0000-7000-8000-' || lpad(to_hex({n}), 12, '0'))::uuid"
USERS = USERS.format(user_id=_USER_ID.format(n="n"))


def user_id(number: int) -> UUID:
    """Return the id of a user; small numbers ask most."""
    return UUID(f"01900000-0000-7000-8000-{number:012x}")


VOCABULARY = f"""
CREATE UNLOGGED TABLE bench_sentences AS
SELECT s AS n, string_agg(
    CASE WHEN w = 0 AND s % 4 = 0 THEN '{COMMON_WORD}' ELSE
        substr('babebibobudadedidodufafefifofugagegigogukakekikokulalelilolu',
            1 + 2 * (hashint8extended(v, 1) & 15)::int, 4)
        || substr('manbedcitdosfunganhenjikkoslumnatpenrisottuvevwixyan',
            1 + 3 * (hashint8extended(v, 2) & 15)::int, 3)
        || CASE WHEN v > 200 THEN to_hex(v) ELSE '' END
    END, ' ' ORDER BY w) AS text
FROM generate_series(0, {SENTENCES - 1}) s
CROSS JOIN generate_series(0, 14) w
CROSS JOIN LATERAL (SELECT {_one_of("20000", _draw("s * 100 + w", 3), 3.0)} AS v) drawn
GROUP BY s
"""  # constants only

_IDENTIFIER = (
    "(lpad(to_hex((extract(epoch FROM {at}) * 1000)::bigint), 12, '0') || '7' "
    "|| substr(md5({n}), 1, 3) || '8' || substr(md5({n}), 5, 15))::uuid"
)

DAY = f"""
CREATE UNLOGGED TABLE bench_day AS
WITH drawn AS (
    SELECT g, {{day}}::timestamp AT TIME ZONE 'UTC'
               + (g - {{first}} + {_draw("g", 11)}) / {{count}} * interval '86399 seconds' AS at,
           {_one_of("({count} / 8 + 1)", _draw("g", 12), 2.5)} AS session_n
    FROM generate_series({{first}}::bigint, {{first}}::bigint + {{count}} - 1) g
), placed AS (
    -- The largest session of a day goes on over others, and has most of the rows.
    SELECT *, CASE WHEN session_n = 0 THEN {{day_number}} % {_LONG_SESSIONS}
                   ELSE {{day_number}} * 1000000 + session_n END::bigint AS session,
           {_IDENTIFIER.format(at="at", n="g::text")} AS id,
           CASE WHEN g % {{rare_every}} = 7 THEN (g / {{rare_every}}) END AS rare
    FROM drawn
), asked AS (
    SELECT *, {_one_of("{users}", _draw("session", 13), 2.0)} AS user_n FROM placed
), equipped AS (
    -- A user has two clients, and three models of which one is used now and then only.
    SELECT *, {_one_of("{clients}", _draw("user_n * 16 + session % 2", 14), 2.0)} AS client_n,
           {_one_of("{models}", _draw("user_n * 16 + CASE WHEN g % 5 = 0 THEN 2 ELSE session % 2 END", 16), 2.0)}
               AS model_n
    FROM asked
), told AS (
    SELECT *, {_one_of("{providers}", _draw("client_n * 2 + user_n % 2", 15), 2.0)} AS provider_n,
           row_number() OVER (PARTITION BY session ORDER BY g) AS position,
           {_draw("g", 17)} AS fate, {_draw("g", 18)} AS pace
    FROM equipped
)
SELECT g, at, id, session, user_n, client_n, provider_n, model_n, rare, fate,
       (200 * exp(pace * 5))::bigint AS duration_ms,
       first_value(id) OVER (PARTITION BY session, position / {_THREAD_LENGTH} ORDER BY g) AS root,
       lag(id) OVER (PARTITION BY session, position / {_THREAD_LENGTH} ORDER BY g) AS parent
FROM told
"""  # noqa: E501  # constants only

INTERCEPTIONS = f"""
INSERT INTO aibridge_interceptions
    (id, day, kind, initiator_id, username, api_key_id, provider, provider_name, api, method, route,
     model, streaming, client, client_session_id, user_agent, correlating_tool_call_id,
     thread_parent_id, thread_root_id, credential_kind, credential_hint, metadata, started_at,
     ended_at, status, http_status, ttfb_ms, duration_ms, bytes_in, bytes_out, response_sha256,
     response_id, stop_reason, error_type, error_message, partially_observed)
SELECT b.id, {{day}}, 'intercepted', {_USER_ID.format(n="b.user_n")}, 'user' || b.user_n,
       'tokenoneabcd', CASE WHEN b.provider_n % 2 = 0 THEN 'anthropic' ELSE 'openai' END,
       CASE WHEN b.rare IS NOT NULL THEN '{RARE_PROVIDER}' ELSE 'provider' || b.provider_n END,
       CASE WHEN b.provider_n % 2 = 0 THEN 'messages' ELSE 'responses' END, 'POST', '/v1/messages',
       CASE WHEN b.rare IS NOT NULL THEN '{RARE_MODEL}' ELSE 'model-' || b.model_n END, true,
       CASE WHEN b.rare IS NOT NULL THEN '{RARE_CLIENT}' ELSE 'Client ' || b.client_n END,
       CASE WHEN b.session % 10 < 7 THEN md5('session' || b.session)::uuid::text END,
       'claude-cli/2.0 (external, cli)', 'call-' || b.parent || '-1', b.parent,
       nullif(b.root, b.id), 'centralized', 'sk-a...wxyz',
       '{{{{"request_user_agent": "claude-cli/2.0 (external, cli)"}}}}', b.at,
       b.at + b.duration_ms * interval '1 millisecond',
       CASE WHEN b.fate < 0.94 THEN 'completed' WHEN b.fate < 0.97 THEN 'upstream_error'
            WHEN b.fate < 0.99 THEN 'client_abort' ELSE 'gateway_abort' END,
       CASE WHEN b.fate < 0.94 THEN 200 ELSE 502 END, b.duration_ms / 3, b.duration_ms, 12000, 9000,
       md5(b.g::text) || md5('more' || b.g), 'msg_' || b.id, 'end_turn',
       CASE WHEN b.fate >= 0.94 THEN 'server_error' END,
       CASE WHEN b.fate >= 0.94 THEN 'The upstream broke off.' END, b.fate > 0.999
FROM bench_day b
"""  # constants only

PROMPTS = f"""
INSERT INTO aibridge_user_prompts
    (id, interception_id, n, day, provider_response_id, prompt, metadata, created_at)
SELECT b.id, b.id, 1, {{day}}, 'msg_' || b.id,
       one.text || ' in src/bridge/file' || b.g % 9973 || '.py' || E'\\n' || two.text || '. '
       || left(md5('x' || b.g), 10)
       || CASE WHEN b.rare IS NOT NULL THEN ' {RARE_WORD}' ELSE '' END, '{{{{}}}}', b.at
FROM bench_day b
JOIN bench_sentences one ON one.n = {_one_of(str(SENTENCES), _draw("b.g", 21), 1.0)}
JOIN bench_sentences two ON two.n = {_one_of(str(SENTENCES), _draw("b.g", 22), 2.0)}
"""  # constants only

TOKENS = f"""
INSERT INTO aibridge_token_usages
    (id, interception_id, n, day, provider_response_id, input_tokens, output_tokens,
     cache_read_input_tokens, cache_write_input_tokens, usage_source, metadata, created_at)
SELECT {_IDENTIFIER.format(at="b.at", n="'t' || b.g || '.' || k")}, b.id, k, {{day}},
       'msg_' || b.id, b.g % 5000, b.g % 900, b.g % 70000, b.g % 3000, 'provider_final',
       '{{{{"service_tier": "standard"}}}}', b.at
FROM bench_day b
CROSS JOIN LATERAL generate_series(1, 1 + (b.g % 2)::int) k
"""  # constants only

LEGS = f"""
INSERT INTO aibridge_legs
    (id, interception_id, n, day, provider_name, model, hint, status, started_at, ended_at, ttfb_ms,
     duration_ms, outcome)
SELECT {_IDENTIFIER.format(at="b.at", n="'l' || b.g || '.' || k")}, b.id, k, {{day}},
       'provider' || b.provider_n, 'model-' || b.model_n, 'sk-a...wxyz', 200, b.at,
       b.at + b.duration_ms * interval '1 millisecond', b.duration_ms / 3, b.duration_ms,
       'completed'
FROM bench_day b
CROSS JOIN LATERAL generate_series(1, 1 + (b.g % 2)::int) k
"""  # constants only

TOOLS = f"""
INSERT INTO aibridge_tool_usages
    (id, interception_id, n, day, provider_response_id, provider_tool_call_id, tool, input,
     injected, metadata, created_at)
SELECT {_IDENTIFIER.format(at="b.at", n="'u' || b.g || '.' || k")}, b.id, k, {{day}},
       'msg_' || b.id, 'call-' || b.id || '-' || k,
       (ARRAY['Bash', 'Read', 'Edit', 'Grep', 'TodoWrite', 'WebFetch'])[1 + (b.g + k) % 6],
       '{{{{"command": "' || s.text || '", "path": "/srv/src/m' || (b.g + k) % 997 || '.py"}}}}',
       false, '{{{{}}}}', b.at
FROM bench_day b
CROSS JOIN LATERAL generate_series(1, (b.g % 7)::int) k
JOIN bench_sentences s ON s.n = {_one_of(str(SENTENCES), _draw("b.g * 8 + k", 23), 2.0)}
"""  # constants only

THOUGHTS = f"""
INSERT INTO aibridge_model_thoughts
    (id, interception_id, n, day, content, metadata, created_at)
SELECT {_IDENTIFIER.format(at="b.at", n="'m' || b.g")}, b.id, 1, {{day}},
       'Let me see. ' || s.text || ', then.', '{{{{"source": "thinking"}}}}', b.at
FROM bench_day b
JOIN bench_sentences s ON s.n = {_one_of(str(SENTENCES), _draw("b.g", 24), 2.0)}
WHERE b.g % 2 = 0
"""  # constants only

RECORDS = (INTERCEPTIONS, PROMPTS, TOKENS, LEGS, TOOLS, THOUGHTS)
