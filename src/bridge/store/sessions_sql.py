"""The statements of `store.sessions`; `{first}` and `{last}` are days as literals."""

from __future__ import annotations

_WANTED = """
wanted AS (
    SELECT * FROM unnest(%(initiators)s::uuid[], %(sessions)s::text[])
        AS w(initiator_id, session_id)
)"""

_FOUND = f"""
WITH {_WANTED}, found AS (
    SELECT i.*
    FROM wanted w
    JOIN aibridge_interceptions i USING (session_id, initiator_id)
    WHERE i.day BETWEEN {{first}} AND {{last}} AND i.kind = 'intercepted'
      AND i.ended_at IS NOT NULL
)"""  # noqa: S608  # constants only

RECOMPUTE = f"""
{_FOUND}, tokens AS (
    SELECT f.initiator_id, f.session_id, sum(t.input_tokens) AS input,
           sum(t.output_tokens) AS output, sum(t.cache_read_input_tokens) AS cache_read,
           sum(t.cache_write_input_tokens) AS cache_write
    FROM found f
    JOIN aibridge_token_usages t
      ON t.interception_id = f.id AND t.day = f.day AND t.day BETWEEN {{first}} AND {{last}}
    GROUP BY f.initiator_id, f.session_id
), prompts AS (
    SELECT DISTINCT ON (f.initiator_id, f.session_id)
           f.initiator_id, f.session_id, p.prompt, p.created_at
    FROM found f
    JOIN aibridge_user_prompts p
      ON p.interception_id = f.id AND p.day = f.day AND p.day BETWEEN {{first}} AND {{last}}
    ORDER BY f.initiator_id, f.session_id, f.id DESC
), firsts AS (
    SELECT DISTINCT ON (f.initiator_id, f.session_id)
           f.initiator_id, f.session_id, f.client, f.metadata
    FROM found f
    ORDER BY f.initiator_id, f.session_id, f.id
), sums AS (
    SELECT f.initiator_id, f.session_id,
           (array_agg(f.username ORDER BY f.id DESC))[1] AS username,
           array_agg(DISTINCT f.provider) AS providers,
           array_agg(DISTINCT f.provider_name) AS provider_names,
           array_agg(DISTINCT f.model) AS models,
           count(*) AS interceptions,
           count(*) FILTER (WHERE f.thread_root_id IS NULL) AS threads,
           min(f.started_at) AS started_at, max(f.ended_at) AS ended_at,
           min(f.day) AS first_day, max(f.day) AS last_day
    FROM found f
    GROUP BY f.initiator_id, f.session_id
)
INSERT INTO aibridge_sessions
    (initiator_id, session_id, username, client, metadata, providers, provider_names, models,
     interceptions, threads, input_tokens, output_tokens, cache_read_input_tokens,
     cache_write_input_tokens, last_prompt, started_at, ended_at, last_active_at, first_day,
     last_day)
SELECT s.initiator_id, s.session_id, s.username, b.client, b.metadata, s.providers,
       s.provider_names, s.models, s.interceptions, s.threads, coalesce(t.input, 0),
       coalesce(t.output, 0), coalesce(t.cache_read, 0), coalesce(t.cache_write, 0), p.prompt,
       s.started_at, s.ended_at, coalesce(p.created_at, s.started_at), s.first_day, s.last_day
FROM sums s
JOIN firsts b USING (initiator_id, session_id)
LEFT JOIN tokens t USING (initiator_id, session_id)
LEFT JOIN prompts p USING (initiator_id, session_id)
ON CONFLICT (session_id, initiator_id) DO UPDATE SET
    username = excluded.username, client = excluded.client, metadata = excluded.metadata,
    providers = excluded.providers, provider_names = excluded.provider_names,
    models = excluded.models, interceptions = excluded.interceptions, threads = excluded.threads,
    input_tokens = excluded.input_tokens, output_tokens = excluded.output_tokens,
    cache_read_input_tokens = excluded.cache_read_input_tokens,
    cache_write_input_tokens = excluded.cache_write_input_tokens,
    last_prompt = excluded.last_prompt, started_at = excluded.started_at,
    ended_at = excluded.ended_at, last_active_at = excluded.last_active_at,
    first_day = excluded.first_day, last_day = excluded.last_day
"""  # noqa: S608  # constants only

REMOVE = f"""
{_FOUND}
DELETE FROM aibridge_sessions s
USING wanted w
WHERE s.session_id = w.session_id AND s.initiator_id = w.initiator_id
  AND NOT EXISTS (
      SELECT FROM found f
      WHERE f.session_id = w.session_id AND f.initiator_id = w.initiator_id)
"""  # noqa: S608  # constants only

FACETS = f"""
{_FOUND}
INSERT INTO aibridge_facets AS o (facet, initiator_id, value, last_day)
SELECT v.facet, f.initiator_id, v.value, max(f.day)
FROM found f
CROSS JOIN LATERAL (VALUES
    ('model', f.model), ('client', coalesce(f.client, 'Unknown')),
    ('provider_name', f.provider_name)
) AS v(facet, value)
WHERE v.value <> ''
GROUP BY v.facet, f.initiator_id, v.value
ON CONFLICT (facet, initiator_id, value) DO UPDATE SET last_day = excluded.last_day
WHERE o.last_day < excluded.last_day
"""  # noqa: S608  # constants only
