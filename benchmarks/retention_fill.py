"""Fills a database with very many interceptions, of which few have anything else.

Every tenth has a prompt, tokens and a leg, because what is measured is how much there is beside a
day, not what a day holds. Rows are made on the server; sessions are summed up in one statement
instead of by their follower.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import date, timedelta

from twisted.internet.defer import Deferred, gatherResults

from bridge.store.connection import Cursor
from bridge.store.partitions import day_literal, ensure_days, partition_name
from bridge.store.pool import Pool
from bridge.store.rows import none

DETAILED_EVERY = 10
_IN_SESSION = 50
_USERS = 500
_AT_ONCE = 2
"""One makes a day, which nobody else may meanwhile; the other vacuums the day before."""

_ID = (
    "(lpad(to_hex({milliseconds}), 12, '0') || '7' || substr({digest}, 1, 3) || '8' "
    "|| substr({digest}, 5, 15))::uuid"
)
_USER = f"('01900000-0000-7000-8000-' || lpad(to_hex(g / {_IN_SESSION} % {_USERS}), 12, '0'))::uuid"
_NUMBERS = f"""
SELECT g, {_ID.format(milliseconds="m", digest="md5(g::text)")} AS id,
       to_timestamp(m / 1000.0) AS at
FROM (
    SELECT g, extract(epoch FROM {{day}}::timestamp AT TIME ZONE 'UTC')::bigint * 1000
              + (g - {{first}}) * 86399000 / {{count}} AS m
    FROM generate_series({{first}}::bigint, {{first}}::bigint + {{count}} - 1) g
) drawn
"""  # constants only
_INTERCEPTIONS = f"""
INSERT INTO aibridge_interceptions
    (id, day, kind, initiator_id, username, api_key_id, provider, provider_name, api, method, route,
     model, streaming, client, client_session_id, user_agent, credential_kind, credential_hint,
     metadata, started_at, ended_at, status, http_status, ttfb_ms, duration_ms, bytes_in, bytes_out,
     response_sha256, response_id, stop_reason, partially_observed)
SELECT id, {{day}}, 'intercepted', {_USER}, 'user' || g / {_IN_SESSION} % {_USERS}, 'tokenoneabcd',
       'anthropic', 'anthropic', 'messages', 'POST', '/v1/messages', 'model-' || g % 7, true,
       'Claude Code', 'session-' || g / {_IN_SESSION}, 'claude-cli/2.0 (external, cli)',
       'centralized', 'sk-a...wxyz', '{{{{}}}}', at, at + interval '1 second', 'completed', 200,
       300, 1000, 12000, 9000, md5(g::text) || md5(g::text), 'msg_' || id, 'end_turn', false
FROM ({_NUMBERS}) n
"""  # constants only
_DETAILED = f"FROM ({_NUMBERS}) n WHERE g % {DETAILED_EVERY} = 0"
_PROMPTS = f"""
INSERT INTO aibridge_user_prompts
    (id, interception_id, n, day, provider_response_id, prompt, metadata, created_at)
SELECT id, id, 1, {{day}}, 'msg_' || id, 'What is ' || g || '?', '{{{{}}}}', at {_DETAILED}
"""
_TOKENS = f"""
INSERT INTO aibridge_token_usages
    (id, interception_id, n, day, provider_response_id, input_tokens, output_tokens,
     cache_read_input_tokens, cache_write_input_tokens, usage_source, metadata, created_at)
SELECT id, id, 1, {{day}}, 'msg_' || id, 10, 20, 0, 0, 'provider_final', '{{{{}}}}', at {_DETAILED}
"""
_LEGS = f"""
INSERT INTO aibridge_legs
    (id, interception_id, n, day, provider_name, model, hint, status, started_at, ended_at, ttfb_ms,
     duration_ms, outcome)
SELECT id, id, 1, {{day}}, 'anthropic', 'model-' || g % 7, 'sk-a...wxyz', 200, at,
       at + interval '1 second', 300, 1000, 'completed' {_DETAILED}
"""
_SESSIONS = """
INSERT INTO aibridge_sessions
    (initiator_id, session_id, username, client, metadata, providers, provider_names, models,
     interceptions, threads, input_tokens, output_tokens, cache_read_input_tokens,
     cache_write_input_tokens, started_at, ended_at, last_started_at, last_active_at, first_day,
     last_day)
SELECT initiator_id, session_id, min(username), min(client), '{{}}', '{{anthropic}}',
       '{{anthropic}}', array_agg(DISTINCT model), count(*), count(*), 0, 0, 0, 0, min(started_at),
       max(ended_at), max(started_at), max(started_at), {day}, {day}
FROM aibridge_interceptions WHERE day = {day} GROUP BY initiator_id, session_id
ON CONFLICT (session_id, initiator_id) DO UPDATE SET last_day = excluded.last_day
"""
_TERMS = """
INSERT INTO aibridge_session_terms (session_id, initiator_id, last_active_at, span, terms)
SELECT session_id, initiator_id, last_active_at, tstzrange(started_at, last_started_at, '[]'),
       ARRAY['client:Claude Code', 'provider:anthropic', 'status:completed', 'model:' || models[1]]
FROM aibridge_sessions WHERE last_day = {day}
ON CONFLICT DO NOTHING
"""
_STATEMENTS = (_INTERCEPTIONS, _PROMPTS, _TOKENS, _LEGS, _SESSIONS, _TERMS)
_VACUUMED = (
    "aibridge_interceptions", "aibridge_user_prompts", "aibridge_token_usages", "aibridge_legs"
)  # fmt: skip


async def fill(
    pool: Pool,
    *,
    interceptions: int,
    days: int,
    last: date,
    say: Callable[[str], None] = lambda _: None,
) -> None:
    """Store that many in a migrated database that has none.

    Args:
        pool: of the database.
        interceptions: in all.
        days: on which they are, one as many as the other.
        last: of those days.
        say: told how far it is.
    """
    began = time.monotonic()
    waiting = list(enumerate(last - timedelta(days=back) for back in reversed(range(days))))

    async def work() -> None:
        while waiting:
            number, day = waiting.pop(0)
            first = interceptions * number // days
            count = interceptions * (number + 1) // days - first
            await pool.transaction(
                lambda cursor, day=day, first=first, count=count: _day(cursor, day, first, count),  # type: ignore[misc]  # bound at once
                statement_seconds=0,
            )
            # As its own vacuum would have done long ago.
            for table in _VACUUMED:
                await pool.outside_transaction(f"VACUUM ANALYZE {partition_name(table, day)}")
            say(f"{day}: {count} interceptions, {time.monotonic() - began:.0f} s")

    await gatherResults([Deferred.fromCoroutine(work()) for _ in range(_AT_ONCE)])
    await pool.outside_transaction("VACUUM ANALYZE aibridge_sessions")
    await pool.outside_transaction("VACUUM ANALYZE aibridge_session_terms")


async def _day(cursor: Cursor, day: date, first: int, count: int) -> None:
    # In the same transaction: a server without replicas then writes no log of the rows.
    await ensure_days(cursor, [day])
    for sql in _STATEMENTS:
        await none(cursor, sql.format(day=day_literal(day), first=first, count=count))
