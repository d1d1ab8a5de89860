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
    return f"((hashint8extended({number}, {seed}) & 1048575) / 1048576.0::float8)"


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
CREATE AGGREGATE bench_joined(tsvector) (SFUNC = tsvector_concat, STYPE = tsvector, INITCOND = '');
CREATE UNLOGGED TABLE bench_sentences AS
SELECT n, text, aibridge_words(text) AS words
FROM (SELECT s AS n, string_agg(
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
GROUP BY s) s;
ANALYZE bench_sentences
"""  # constants only
FORGET = "DROP TABLE bench_sentences; DROP AGGREGATE bench_joined(tsvector)"
"""Gives up what VOCABULARY made."""

_IDENTIFIER = (
    "(lpad(to_hex((extract(epoch FROM {at}) * 1000)::bigint), 12, '0') || '7' "
    "|| substr(md5({n}), 1, 3) || '8' || substr(md5({n}), 5, 15))::uuid"
)

DAY = f"""
CREATE TEMPORARY TABLE bench_day ON COMMIT DROP AS
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
ORDER BY g
"""  # noqa: E501  # constants only

INTERCEPTIONS = f"""
INSERT INTO {{into}}
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

_PROMPTED = f"""
FROM bench_day b
CROSS JOIN LATERAL generate_series(1, 1 + (b.g % 3)::int) k
JOIN bench_sentences one ON one.n = {_one_of(str(SENTENCES), _draw("b.g * 4 + k", 21), 1.0)}
JOIN bench_sentences two ON two.n = {_one_of(str(SENTENCES), _draw("b.g * 4 + k", 22), 2.0)}
"""
_RARE = f"CASE WHEN b.rare IS NOT NULL AND k = 1 THEN ' {RARE_WORD}' ELSE '' END"
PROMPTS = f"""
INSERT INTO {{into}}
    (id, interception_id, n, day, provider_response_id, prompt, metadata, created_at)
SELECT CASE WHEN k = 1 THEN b.id ELSE {_IDENTIFIER.format(at="b.at", n="'p' || b.g || '.' || k")} END,
       b.id, k, {{day}}, 'msg_' || b.id,
       one.text || ' in src/bridge/file' || b.g % 9973 || '.py' || E'\\n' || two.text || '. '
       || left(md5('x' || b.g || k), 10) || {_RARE}, '{{{{}}}}', b.at
{_PROMPTED}
"""  # noqa: E501  # constants only

TOKENS = f"""
INSERT INTO {{into}}
    (id, interception_id, n, day, provider_response_id, input_tokens, output_tokens,
     cache_read_input_tokens, cache_write_input_tokens, usage_source, metadata, created_at)
SELECT {_IDENTIFIER.format(at="b.at", n="'t' || b.g || '.' || k")}, b.id, k, {{day}},
       'msg_' || b.id, b.g % 5000, b.g % 900, b.g % 70000, b.g % 3000, 'provider_final',
       '{{{{"service_tier": "standard"}}}}', b.at
FROM bench_day b
CROSS JOIN LATERAL generate_series(1, 1 + (b.g % 2)::int) k
"""  # constants only

LEGS = f"""
INSERT INTO {{into}}
    (id, interception_id, n, day, provider_name, model, hint, status, started_at, ended_at, ttfb_ms,
     duration_ms, outcome)
SELECT {_IDENTIFIER.format(at="b.at", n="'l' || b.g || '.' || k")}, b.id, k, {{day}},
       'provider' || b.provider_n, 'model-' || b.model_n, 'sk-a...wxyz', 200, b.at,
       b.at + b.duration_ms * interval '1 millisecond', b.duration_ms / 3, b.duration_ms,
       'completed'
FROM bench_day b
CROSS JOIN LATERAL generate_series(1, 1 + (b.g % 2)::int) k
"""  # constants only

_TOOL = "(ARRAY['Bash', 'Read', 'Edit', 'Grep', 'TodoWrite', 'WebFetch'])[1 + (b.g + k) % 6]"
_CALLED = f"""
FROM bench_day b
CROSS JOIN LATERAL generate_series(1, (b.g % 7)::int) k
JOIN bench_sentences s ON s.n = {_one_of(str(SENTENCES), _draw("b.g * 8 + k", 23), 2.0)}
"""
TOOLS = f"""
INSERT INTO {{into}}
    (id, interception_id, n, day, provider_response_id, provider_tool_call_id, tool, input,
     injected, metadata, created_at)
SELECT {_IDENTIFIER.format(at="b.at", n="'u' || b.g || '.' || k")}, b.id, k, {{day}},
       'msg_' || b.id, 'call-' || b.id || '-' || k,
       {_TOOL},
       '{{{{"command": "' || s.text || '", "path": "/srv/src/m' || (b.g + k) % 997 || '.py"}}}}',
       false, '{{{{}}}}', b.at
{_CALLED}
"""  # constants only

_THOUGHT = f"""
FROM bench_day b
JOIN bench_sentences s ON s.n = {_one_of(str(SENTENCES), _draw("b.g", 24), 2.0)}
WHERE b.g % 2 = 0
"""
THOUGHTS = f"""
INSERT INTO {{into}}
    (id, interception_id, n, day, content, metadata, created_at)
SELECT {_IDENTIFIER.format(at="b.at", n="'m' || b.g")}, b.id, 1, {{day}},
       'Let me see. ' || s.text || ', then.', '{{{{"source": "thinking"}}}}', b.at
{_THOUGHT}
"""  # constants only

# What `search.index_day` computes: of a text, the words of its parts one behind the other, which
# takes a fraction of the time.
WORDS = f"""
INSERT INTO {{into}} (interception_id, day, initiator_id, started_at, words)
SELECT b.id, {{day}}, {_USER_ID.format(n="b.user_n")}, b.at,
       setweight(p.words, 'A') || setweight(coalesce(m.words, ''), 'B')
       || setweight(coalesce(u.words, ''), 'C')
FROM bench_day b
JOIN (
    SELECT b.g, bench_joined(
        one.words || ('in:1 src:2 bridge:3 file' || b.g % 9973 || ':4 py:5')::tsvector || two.words
        || aibridge_words(left(md5('x' || b.g || k), 10) || {_RARE}) ORDER BY k) AS words
    {_PROMPTED}
    GROUP BY b.g
) p USING (g)
LEFT JOIN (
    SELECT b.g, 'let:1 me:2 see:3'::tsvector || s.words || 'then:1'::tsvector AS words {_THOUGHT}
) m USING (g)
LEFT JOIN (
    SELECT b.g, bench_joined(
        (lower({_TOOL}) || ':1 command:2')::tsvector || s.words
        || ('path:1 srv:2 src:3 m' || (b.g + k) % 997 || ':4 py:5')::tsvector ORDER BY k) AS words
    {_CALLED}
    GROUP BY b.g
) u USING (g)
"""  # constants only

RECORDS = {
    "aibridge_interceptions": INTERCEPTIONS,
    "aibridge_user_prompts": PROMPTS,
    "aibridge_token_usages": TOKENS,
    "aibridge_legs": LEGS,
    "aibridge_tool_usages": TOOLS,
    "aibridge_model_thoughts": THOUGHTS,
}
"""By table; `{into}` is the partition, `{day}` its day."""
