"""The statement of `store.sessions`; `{first}` and `{last}` are days as literals.

The outline is what `reads_outline` says.

`OFFSET 0` keeps the planner from joining in another way than by the index, row by row: it knows
little of a partition that has just been filled, and then reads it all, for each session.
`reads_sessions.term` makes the same terms as here.
"""

from __future__ import annotations

RECOMPUTE = """
WITH found AS MATERIALIZED (
    SELECT w.initiator_id, w.session_id, i.*, t.*, p.prompted_at
    FROM unnest(%(initiators)s::uuid[], %(sessions)s::text[]) AS w(initiator_id, session_id)
    LEFT JOIN LATERAL (
        SELECT i.id, i.day, i.username, i.client, i.metadata, i.provider, i.provider_name, i.model,
               i.thread_root_id, i.started_at, i.ended_at, i.status
        FROM aibridge_interceptions i
        WHERE i.session_id = w.session_id AND i.initiator_id = w.initiator_id
          AND i.day BETWEEN {first} AND {last} AND i.kind = 'intercepted'
          AND i.ended_at IS NOT NULL
        OFFSET 0
    ) i ON true
    LEFT JOIN LATERAL (
        SELECT sum(t.input_tokens) AS input, sum(t.output_tokens) AS output,
               sum(t.cache_read_input_tokens) AS cache_read,
               sum(t.cache_write_input_tokens) AS cache_write
        FROM aibridge_token_usages t
        WHERE t.interception_id = i.id AND t.day = i.day AND t.day BETWEEN {first} AND {last}
        OFFSET 0
    ) t ON true
    LEFT JOIN LATERAL (
        SELECT max(p.created_at) AS prompted_at
        FROM aibridge_user_prompts p
        WHERE p.interception_id = i.id AND p.day = i.day AND p.day BETWEEN {first} AND {last}
        OFFSET 0
    ) p ON true
), sums AS MATERIALIZED (
    SELECT f.initiator_id, f.session_id,
           (array_agg(f.username ORDER BY f.id DESC))[1] AS username,
           (array_agg(f.client ORDER BY f.id))[1] AS client,
           (array_agg(f.metadata ORDER BY f.id))[1] AS metadata,
           array_agg(DISTINCT f.provider) AS providers,
           array_agg(DISTINCT f.provider_name) AS provider_names,
           array_agg(DISTINCT f.model) AS models,
           array_agg(DISTINCT coalesce(f.client, 'Unknown')) AS clients,
           array_agg(DISTINCT f.status) AS statuses,
           count(f.id) AS interceptions,
           count(f.id) FILTER (WHERE f.thread_root_id IS NULL) AS threads,
           coalesce(sum(f.input), 0) AS input, coalesce(sum(f.output), 0) AS output,
           coalesce(sum(f.cache_read), 0) AS cache_read,
           coalesce(sum(f.cache_write), 0) AS cache_write,
           (array_agg(f.id ORDER BY f.id DESC) FILTER (WHERE f.prompted_at IS NOT NULL))[1]
               AS prompted_id,
           (array_agg(f.day ORDER BY f.id DESC) FILTER (WHERE f.prompted_at IS NOT NULL))[1]
               AS prompted_day,
           max(f.prompted_at) AS prompted_at, min(f.started_at) AS started_at,
           max(f.ended_at) AS ended_at, max(f.started_at) AS last_started_at,
           min(f.day) AS first_day, max(f.day) AS last_day
    FROM found f
    GROUP BY f.initiator_id, f.session_id
), threads AS (
    SELECT t.initiator_id, t.session_id, count(*) AS count, bool_and(t.rooted) AS rooted,
           max(t.days) AS days
    FROM (
        SELECT f.initiator_id, f.session_id, bool_or(f.thread_root_id IS NULL) AS rooted,
               max(f.day) - min(f.day) AS days
        FROM found f
        GROUP BY f.initiator_id, f.session_id, coalesce(f.thread_root_id, f.id)
    ) t
    GROUP BY t.initiator_id, t.session_id
), agents AS (
    SELECT a.initiator_id, a.session_id,
           jsonb_agg(
               jsonb_build_array(
                   a.id, a.parent, a.kind, a.models, a.interceptions, a.started_at, a.ended_at
               ) ORDER BY a.place
           ) FILTER (WHERE a.place <= {most_agents}) AS agents
    FROM (
        SELECT f.initiator_id, f.session_id, f.metadata->>'agent_id' AS id,
               min(f.metadata->>'parent_agent_id') AS parent,
               min(f.metadata->>'agent_kind') AS kind, array_agg(DISTINCT f.model) AS models,
               count(*) AS interceptions, min(f.started_at) AS started_at,
               max(f.ended_at) AS ended_at,
               row_number() OVER (
                   PARTITION BY f.initiator_id, f.session_id
                   ORDER BY min(f.started_at), f.metadata->>'agent_id'
               ) AS place
        FROM found f
        GROUP BY f.initiator_id, f.session_id, f.metadata->>'agent_id'
    ) a
    GROUP BY a.initiator_id, a.session_id
), gone AS (
    DELETE FROM aibridge_sessions s
    USING sums m
    WHERE m.interceptions = 0
      AND s.session_id = m.session_id AND s.initiator_id = m.initiator_id
), facets AS (
    INSERT INTO aibridge_facets AS o (facet, initiator_id, value, last_day)
    SELECT v.facet, f.initiator_id, v.value, max(f.day)
    FROM found f
    CROSS JOIN LATERAL (VALUES
        ('model', f.model), ('client', coalesce(f.client, 'Unknown')),
        ('provider_name', f.provider_name)
    ) AS v(facet, value)
    WHERE f.id IS NOT NULL AND v.value <> ''
    GROUP BY v.facet, f.initiator_id, v.value
    ON CONFLICT (facet, initiator_id, value) DO UPDATE SET last_day = excluded.last_day
    WHERE o.last_day < excluded.last_day
), termed AS (
    INSERT INTO aibridge_session_terms (session_id, initiator_id, last_active_at, span, terms)
    SELECT s.session_id, s.initiator_id, coalesce(s.prompted_at, s.started_at),
           tstzrange(s.started_at, s.last_started_at, '[]'),
           ARRAY(
               SELECT v.facet || ':' ||
                      CASE WHEN char_length(v.value) > 200 THEN md5(v.value) ELSE v.value END
               FROM (
                   SELECT 'model', unnest(s.models) UNION ALL SELECT 'client', unnest(s.clients)
                   UNION ALL SELECT 'provider', unnest(s.providers)
                   UNION ALL SELECT 'provider_name', unnest(s.provider_names)
                   UNION ALL SELECT 'status', unnest(s.statuses)
               ) AS v(facet, value)
           )
    FROM sums s
    WHERE s.interceptions > 0
    ON CONFLICT (session_id, initiator_id) DO UPDATE SET
        last_active_at = excluded.last_active_at, span = excluded.span, terms = excluded.terms
)
INSERT INTO aibridge_sessions
    (initiator_id, session_id, username, client, metadata, providers, provider_names, models,
     interceptions, threads, input_tokens, output_tokens, cache_read_input_tokens,
     cache_write_input_tokens, last_prompt, started_at, ended_at, last_started_at, last_active_at,
     first_day, last_day, outline)
SELECT s.initiator_id, s.session_id, s.username, s.client, s.metadata, s.providers,
       s.provider_names, s.models, s.interceptions, s.threads, s.input, s.output, s.cache_read,
       s.cache_write, p.prompt, s.started_at, s.ended_at, s.last_started_at,
       coalesce(s.prompted_at, s.started_at), s.first_day, s.last_day,
       jsonb_build_object(
           'interceptions', s.interceptions, 'ended_at', s.ended_at, 'threads', t.count,
           'rooted', t.rooted, 'days', t.days, 'agents', a.agents
       )
FROM sums s
JOIN threads t ON t.initiator_id = s.initiator_id AND t.session_id = s.session_id
JOIN agents a ON a.initiator_id = s.initiator_id AND a.session_id = s.session_id
LEFT JOIN LATERAL (
    SELECT nullif(p.prompt, '') AS prompt
    FROM aibridge_user_prompts p
    WHERE p.interception_id = s.prompted_id AND p.day = s.prompted_day
      AND p.day BETWEEN {first} AND {last}
    ORDER BY p.n DESC
    LIMIT 1
) p ON true
WHERE s.interceptions > 0
ON CONFLICT (session_id, initiator_id) DO UPDATE SET
    username = excluded.username, client = excluded.client, metadata = excluded.metadata,
    providers = excluded.providers, provider_names = excluded.provider_names,
    models = excluded.models, interceptions = excluded.interceptions, threads = excluded.threads,
    input_tokens = excluded.input_tokens, output_tokens = excluded.output_tokens,
    cache_read_input_tokens = excluded.cache_read_input_tokens,
    cache_write_input_tokens = excluded.cache_write_input_tokens,
    last_prompt = excluded.last_prompt, started_at = excluded.started_at,
    ended_at = excluded.ended_at, last_started_at = excluded.last_started_at,
    last_active_at = excluded.last_active_at, first_day = excluded.first_day,
    last_day = excluded.last_day, outline = excluded.outline
"""
