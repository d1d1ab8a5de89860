-- What was recorded, in partitions of one UTC day each. The partitions are made by the bridge (see
-- store/partitions.py), never by a default partition: attaching beside one would block readers.
-- No foreign keys: records arrive in any order, and a user's records outlive the user.

CREATE TABLE aibridge_interceptions (
    id uuid NOT NULL,
    day date NOT NULL,
    kind text NOT NULL,
    initiator_id uuid NOT NULL,
    username text NOT NULL,
    api_key_id text,
    provider text NOT NULL,
    provider_name text NOT NULL,
    api text,
    method text NOT NULL,
    route text NOT NULL,
    model text NOT NULL,
    streaming boolean NOT NULL,
    client text,
    client_session_id text,
    user_agent text NOT NULL,
    correlating_tool_call_id text,
    thread_parent_id uuid,
    thread_root_id uuid,
    session_id text NOT NULL GENERATED ALWAYS AS (
        coalesce(client_session_id, thread_root_id::text, id::text)
    ) STORED,
    credential_kind text NOT NULL,
    credential_hint text NOT NULL,
    metadata jsonb NOT NULL,
    started_at timestamptz NOT NULL,
    ended_at timestamptz,
    status text,
    http_status integer,
    ttfb_ms bigint,
    duration_ms bigint,
    bytes_in bigint NOT NULL,
    bytes_out bigint,
    response_sha256 text,
    client_sha256 text,
    response_id text,
    stop_reason text,
    error_type text,
    error_message text,
    partially_observed boolean NOT NULL,
    PRIMARY KEY (id, day)
) PARTITION BY RANGE (day);

COMMENT ON TABLE aibridge_interceptions IS 'One row per accepted request and its answer.';
COMMENT ON COLUMN aibridge_interceptions.id IS 'UUIDv7 made by the bridge; its time is started_at.';
COMMENT ON COLUMN aibridge_interceptions.day IS 'UTC day of id; the partition.';
COMMENT ON COLUMN aibridge_interceptions.kind IS 'intercepted; passthrough (metadata only, outside sessions and threads); unknown (its end has come, its start has not).';
COMMENT ON COLUMN aibridge_interceptions.initiator_id IS 'users.id of who asked.';
COMMENT ON COLUMN aibridge_interceptions.username IS 'Name of the initiator when it asked.';
COMMENT ON COLUMN aibridge_interceptions.api_key_id IS 'api_tokens.id of the token used.';
COMMENT ON COLUMN aibridge_interceptions.provider IS 'Wire family: anthropic, openai, copilot.';
COMMENT ON COLUMN aibridge_interceptions.provider_name IS 'The configured instance.';
COMMENT ON COLUMN aibridge_interceptions.api IS 'messages, chat_completions or responses; NULL for passthrough.';
COMMENT ON COLUMN aibridge_interceptions.method IS 'HTTP method.';
COMMENT ON COLUMN aibridge_interceptions.route IS 'Pattern of the route, without the provider.';
COMMENT ON COLUMN aibridge_interceptions.model IS 'What the client asked for; empty when it named none.';
COMMENT ON COLUMN aibridge_interceptions.streaming IS 'Whether the client asked for a stream.';
COMMENT ON COLUMN aibridge_interceptions.client IS 'Guessed tool of the user; Unknown (or NULL) for none that is known.';
COMMENT ON COLUMN aibridge_interceptions.client_session_id IS 'Session that the client named; NULL when it named none.';
COMMENT ON COLUMN aibridge_interceptions.user_agent IS 'User-Agent header as sent.';
COMMENT ON COLUMN aibridge_interceptions.correlating_tool_call_id IS 'Tool call whose result the request brings; NULL for none.';
COMMENT ON COLUMN aibridge_interceptions.thread_parent_id IS 'Interception of the same initiator that made that tool call; NULL for none known.';
COMMENT ON COLUMN aibridge_interceptions.thread_root_id IS 'First interception of the thread; NULL when this is it.';
COMMENT ON COLUMN aibridge_interceptions.session_id IS 'Session named by the client, else the thread, else the interception itself.';
COMMENT ON COLUMN aibridge_interceptions.credential_kind IS 'centralized or byok.';
COMMENT ON COLUMN aibridge_interceptions.credential_hint IS 'Masked provider credential that answered.';
COMMENT ON COLUMN aibridge_interceptions.metadata IS 'What else the request said of itself.';
COMMENT ON COLUMN aibridge_interceptions.started_at IS 'When it was accepted, UTC.';
COMMENT ON COLUMN aibridge_interceptions.ended_at IS 'When it ended, UTC; NULL while it runs.';
COMMENT ON COLUMN aibridge_interceptions.status IS 'completed, upstream_error, client_abort, gateway_abort, lost (found open after a crash); NULL while it runs.';
COMMENT ON COLUMN aibridge_interceptions.http_status IS 'HTTP status sent to the client; NULL when nothing was sent.';
COMMENT ON COLUMN aibridge_interceptions.ttfb_ms IS 'Milliseconds from having the request to the first body byte from upstream.';
COMMENT ON COLUMN aibridge_interceptions.duration_ms IS 'Milliseconds from start to end.';
COMMENT ON COLUMN aibridge_interceptions.bytes_in IS 'Bytes of the client''s request body.';
COMMENT ON COLUMN aibridge_interceptions.bytes_out IS 'Body bytes handed to the client.';
COMMENT ON COLUMN aibridge_interceptions.response_sha256 IS 'SHA-256 of upstream''s body bytes, hex; NULL when there were none.';
COMMENT ON COLUMN aibridge_interceptions.client_sha256 IS 'SHA-256 of the bytes handed to the client, hex; NULL when equal to response_sha256.';
COMMENT ON COLUMN aibridge_interceptions.response_id IS 'The provider''s id of its answer.';
COMMENT ON COLUMN aibridge_interceptions.stop_reason IS 'Why the model stopped, in the provider''s words.';
COMMENT ON COLUMN aibridge_interceptions.error_type IS 'bad_request, unauthorized, rate_limited, overloaded, server_error, timeout, unknown; NULL on success.';
COMMENT ON COLUMN aibridge_interceptions.error_message IS 'The error in words; NULL on success.';
COMMENT ON COLUMN aibridge_interceptions.partially_observed IS 'Some detail could not be read or kept.';

-- None of these has a column that an end changes, so that writing the end touches no index.
CREATE INDEX aibridge_interceptions_initiator ON aibridge_interceptions (initiator_id, id);
CREATE INDEX aibridge_interceptions_session ON aibridge_interceptions (session_id, initiator_id);
CREATE INDEX aibridge_interceptions_model ON aibridge_interceptions (model, id);
CREATE INDEX aibridge_interceptions_client ON aibridge_interceptions (client, id);
CREATE INDEX aibridge_interceptions_tool_call ON aibridge_interceptions (correlating_tool_call_id)
    WHERE correlating_tool_call_id IS NOT NULL;
CREATE INDEX aibridge_interceptions_parent ON aibridge_interceptions (thread_parent_id)
    WHERE thread_parent_id IS NOT NULL;

CREATE TABLE aibridge_token_usages (
    id uuid NOT NULL,
    interception_id uuid NOT NULL,
    n integer NOT NULL,
    day date NOT NULL,
    provider_response_id text NOT NULL,
    input_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    cache_read_input_tokens bigint NOT NULL,
    cache_write_input_tokens bigint NOT NULL,
    usage_source text NOT NULL,
    metadata jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (interception_id, n, day)
) PARTITION BY RANGE (day);

COMMENT ON TABLE aibridge_token_usages IS 'Tokens of each leg of an interception.';
COMMENT ON COLUMN aibridge_token_usages.id IS 'UUIDv7 made by the bridge.';
COMMENT ON COLUMN aibridge_token_usages.interception_id IS 'aibridge_interceptions.id.';
COMMENT ON COLUMN aibridge_token_usages.n IS 'The leg, from 1.';
COMMENT ON COLUMN aibridge_token_usages.day IS 'Day of the interception; the partition.';
COMMENT ON COLUMN aibridge_token_usages.provider_response_id IS 'The provider''s id of its answer; empty for none.';
COMMENT ON COLUMN aibridge_token_usages.input_tokens IS 'Tokens read, without cache reads and writes.';
COMMENT ON COLUMN aibridge_token_usages.output_tokens IS 'Tokens generated.';
COMMENT ON COLUMN aibridge_token_usages.cache_read_input_tokens IS 'Tokens read from the provider''s cache.';
COMMENT ON COLUMN aibridge_token_usages.cache_write_input_tokens IS 'Tokens written to the provider''s cache.';
COMMENT ON COLUMN aibridge_token_usages.usage_source IS 'provider_final; drained (read on after the client had gone); estimated (by us); provider_partial (last count before a cut).';
COMMENT ON COLUMN aibridge_token_usages.metadata IS 'Extra token types (name to count) and what else the provider said of usage.';
COMMENT ON COLUMN aibridge_token_usages.created_at IS 'When it was seen, UTC.';

CREATE TABLE aibridge_user_prompts (
    id uuid NOT NULL,
    interception_id uuid NOT NULL,
    n integer NOT NULL,
    day date NOT NULL,
    provider_response_id text NOT NULL,
    prompt text NOT NULL,
    metadata jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (interception_id, n, day)
) PARTITION BY RANGE (day);

COMMENT ON TABLE aibridge_user_prompts IS 'The last prompt of the human in each request that had one.';
COMMENT ON COLUMN aibridge_user_prompts.id IS 'Equals interception_id.';
COMMENT ON COLUMN aibridge_user_prompts.interception_id IS 'aibridge_interceptions.id.';
COMMENT ON COLUMN aibridge_user_prompts.n IS 'Always 1: one prompt per request.';
COMMENT ON COLUMN aibridge_user_prompts.day IS 'Day of the interception; the partition.';
COMMENT ON COLUMN aibridge_user_prompts.provider_response_id IS 'The provider''s id of its answer; empty until it ended, or for none.';
COMMENT ON COLUMN aibridge_user_prompts.prompt IS 'What the human wrote.';
COMMENT ON COLUMN aibridge_user_prompts.metadata IS 'Empty so far.';
COMMENT ON COLUMN aibridge_user_prompts.created_at IS 'When the request was accepted, UTC.';

CREATE TABLE aibridge_tool_usages (
    id uuid NOT NULL,
    interception_id uuid NOT NULL,
    n integer NOT NULL,
    day date NOT NULL,
    provider_response_id text NOT NULL,
    provider_tool_call_id text,
    provider_item_id text,
    tool text NOT NULL,
    input text NOT NULL,
    server_url text,
    injected boolean NOT NULL,
    invocation_error text,
    metadata jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (interception_id, n, day)
) PARTITION BY RANGE (day);

COMMENT ON TABLE aibridge_tool_usages IS 'Tool calls that a model asked for.';
COMMENT ON COLUMN aibridge_tool_usages.id IS 'UUIDv7 made by the bridge.';
COMMENT ON COLUMN aibridge_tool_usages.interception_id IS 'aibridge_interceptions.id.';
COMMENT ON COLUMN aibridge_tool_usages.n IS 'Which call of the interception, from 1, over all its legs.';
COMMENT ON COLUMN aibridge_tool_usages.day IS 'Day of the interception; the partition.';
COMMENT ON COLUMN aibridge_tool_usages.provider_response_id IS 'The provider''s id of its answer; empty for none.';
COMMENT ON COLUMN aibridge_tool_usages.provider_tool_call_id IS 'The provider''s id of the call; what a later request correlates to.';
COMMENT ON COLUMN aibridge_tool_usages.provider_item_id IS 'The provider''s id of the output item, where it has one.';
COMMENT ON COLUMN aibridge_tool_usages.tool IS 'Name of the tool.';
COMMENT ON COLUMN aibridge_tool_usages.input IS 'Arguments as JSON text, byte for byte as sent; empty when not recorded.';
COMMENT ON COLUMN aibridge_tool_usages.server_url IS 'MCP server of an injected tool.';
COMMENT ON COLUMN aibridge_tool_usages.injected IS 'Whether the bridge put the tool in and ran it.';
COMMENT ON COLUMN aibridge_tool_usages.invocation_error IS 'Why running an injected tool failed.';
COMMENT ON COLUMN aibridge_tool_usages.metadata IS 'What else is known of the call.';
COMMENT ON COLUMN aibridge_tool_usages.created_at IS 'When it was seen, UTC.';

CREATE INDEX aibridge_tool_usages_call ON aibridge_tool_usages (provider_tool_call_id);

CREATE TABLE aibridge_model_thoughts (
    id uuid NOT NULL,
    interception_id uuid NOT NULL,
    n integer NOT NULL,
    day date NOT NULL,
    content text NOT NULL,
    metadata jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (interception_id, n, day)
) PARTITION BY RANGE (day);

COMMENT ON TABLE aibridge_model_thoughts IS 'Reasoning that a model showed.';
COMMENT ON COLUMN aibridge_model_thoughts.id IS 'UUIDv7 made by the bridge.';
COMMENT ON COLUMN aibridge_model_thoughts.interception_id IS 'aibridge_interceptions.id.';
COMMENT ON COLUMN aibridge_model_thoughts.n IS 'Which thought of the interception, from 1, over all its legs.';
COMMENT ON COLUMN aibridge_model_thoughts.day IS 'Day of the interception; the partition.';
COMMENT ON COLUMN aibridge_model_thoughts.content IS 'The text.';
COMMENT ON COLUMN aibridge_model_thoughts.metadata IS 'source: thinking, reasoning_summary or commentary.';
COMMENT ON COLUMN aibridge_model_thoughts.created_at IS 'When it was seen, UTC.';

CREATE TABLE aibridge_legs (
    id uuid NOT NULL,
    interception_id uuid NOT NULL,
    n integer NOT NULL,
    day date NOT NULL,
    provider_name text NOT NULL,
    model text NOT NULL,
    hint text NOT NULL,
    status integer,
    started_at timestamptz NOT NULL,
    ended_at timestamptz NOT NULL,
    ttfb_ms bigint,
    duration_ms bigint NOT NULL,
    outcome text NOT NULL,
    PRIMARY KEY (interception_id, n, day)
) PARTITION BY RANGE (day);

COMMENT ON TABLE aibridge_legs IS 'Upstream round trips within interceptions.';
COMMENT ON COLUMN aibridge_legs.id IS 'UUIDv7 made by the bridge.';
COMMENT ON COLUMN aibridge_legs.interception_id IS 'aibridge_interceptions.id.';
COMMENT ON COLUMN aibridge_legs.n IS 'Which round trip, from 1.';
COMMENT ON COLUMN aibridge_legs.day IS 'Day of the interception; the partition.';
COMMENT ON COLUMN aibridge_legs.provider_name IS 'The configured instance that was asked.';
COMMENT ON COLUMN aibridge_legs.model IS 'Model that was sent upstream.';
COMMENT ON COLUMN aibridge_legs.hint IS 'Masked credential that was sent upstream.';
COMMENT ON COLUMN aibridge_legs.status IS 'Upstream''s HTTP status; NULL when no answer came.';
COMMENT ON COLUMN aibridge_legs.started_at IS 'When it was begun, UTC.';
COMMENT ON COLUMN aibridge_legs.ended_at IS 'When it ended, UTC.';
COMMENT ON COLUMN aibridge_legs.ttfb_ms IS 'Milliseconds to the first body byte; NULL without one.';
COMMENT ON COLUMN aibridge_legs.duration_ms IS 'Milliseconds it took.';
COMMENT ON COLUMN aibridge_legs.outcome IS 'completed, error_status, unreachable, timeout, broke, aborted.';

CREATE TABLE audit_log (
    id uuid NOT NULL,
    day date NOT NULL,
    created_at timestamptz NOT NULL,
    action text NOT NULL,
    actor_id uuid,
    actor_name text,
    token_id text,
    target text NOT NULL,
    status integer,
    reason text NOT NULL,
    source text NOT NULL,
    detail jsonb NOT NULL,
    count bigint NOT NULL,
    PRIMARY KEY (id, day)
) PARTITION BY RANGE (day);

COMMENT ON TABLE audit_log IS 'Who was refused, who read whose content, who changed what.';
COMMENT ON COLUMN audit_log.id IS 'UUIDv7 made by the bridge.';
COMMENT ON COLUMN audit_log.day IS 'UTC day of id; the partition.';
COMMENT ON COLUMN audit_log.created_at IS 'When it happened, UTC.';
COMMENT ON COLUMN audit_log.action IS 'refusal, content.read, user.create, token.revoke, retention.confirm and the like.';
COMMENT ON COLUMN audit_log.actor_id IS 'users.id of who did it; NULL when unknown.';
COMMENT ON COLUMN audit_log.actor_name IS 'Name of the actor; NULL when unknown.';
COMMENT ON COLUMN audit_log.token_id IS 'api_tokens.id of the token presented; NULL for none.';
COMMENT ON COLUMN audit_log.target IS 'What it was about: a user''s name, a token id, an interception id, a path.';
COMMENT ON COLUMN audit_log.status IS 'HTTP status answered; NULL outside HTTP.';
COMMENT ON COLUMN audit_log.reason IS 'In words.';
COMMENT ON COLUMN audit_log.source IS 'Address of the client, or command line.';
COMMENT ON COLUMN audit_log.detail IS 'What else belongs to it.';
COMMENT ON COLUMN audit_log.count IS 'How many alike were folded into this row.';

-- Derived from the above by the follower, recomputed and never incremented (see store/sessions.py).

CREATE TABLE aibridge_sessions (
    initiator_id uuid NOT NULL,
    session_id text NOT NULL,
    username text NOT NULL,
    client text,
    metadata jsonb NOT NULL,
    providers text[] NOT NULL,
    provider_names text[] NOT NULL,
    models text[] NOT NULL,
    interceptions bigint NOT NULL,
    threads bigint NOT NULL,
    input_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    cache_read_input_tokens bigint NOT NULL,
    cache_write_input_tokens bigint NOT NULL,
    last_prompt text,
    started_at timestamptz NOT NULL,
    ended_at timestamptz NOT NULL,
    last_active_at timestamptz NOT NULL,
    first_day date NOT NULL,
    last_day date NOT NULL,
    PRIMARY KEY (session_id, initiator_id)
);

COMMENT ON TABLE aibridge_sessions IS 'Ended intercepted interceptions, grouped by initiator and session.';
COMMENT ON COLUMN aibridge_sessions.initiator_id IS 'users.id of who asked.';
COMMENT ON COLUMN aibridge_sessions.session_id IS 'aibridge_interceptions.session_id.';
COMMENT ON COLUMN aibridge_sessions.username IS 'Name of the initiator at the latest interception.';
COMMENT ON COLUMN aibridge_sessions.client IS 'Client of the first interception.';
COMMENT ON COLUMN aibridge_sessions.metadata IS 'Metadata of the first interception.';
COMMENT ON COLUMN aibridge_sessions.providers IS 'Wire families used, sorted.';
COMMENT ON COLUMN aibridge_sessions.provider_names IS 'Configured instances used, sorted.';
COMMENT ON COLUMN aibridge_sessions.models IS 'Models asked for, sorted.';
COMMENT ON COLUMN aibridge_sessions.interceptions IS 'How many interceptions.';
COMMENT ON COLUMN aibridge_sessions.threads IS 'How many of them begin a thread.';
COMMENT ON COLUMN aibridge_sessions.input_tokens IS 'Sum over all legs.';
COMMENT ON COLUMN aibridge_sessions.output_tokens IS 'Sum over all legs.';
COMMENT ON COLUMN aibridge_sessions.cache_read_input_tokens IS 'Sum over all legs.';
COMMENT ON COLUMN aibridge_sessions.cache_write_input_tokens IS 'Sum over all legs.';
COMMENT ON COLUMN aibridge_sessions.last_prompt IS 'The latest prompt; NULL when none was recorded.';
COMMENT ON COLUMN aibridge_sessions.started_at IS 'Start of the first interception, UTC.';
COMMENT ON COLUMN aibridge_sessions.ended_at IS 'End of the last interception, UTC.';
COMMENT ON COLUMN aibridge_sessions.last_active_at IS 'Time of the latest prompt, else started_at, UTC.';
COMMENT ON COLUMN aibridge_sessions.first_day IS 'Day of the first interception.';
COMMENT ON COLUMN aibridge_sessions.last_day IS 'Day of the last interception.';

CREATE INDEX aibridge_sessions_active ON aibridge_sessions (last_active_at, session_id);
CREATE INDEX aibridge_sessions_initiator ON aibridge_sessions (initiator_id, last_active_at, session_id);
CREATE INDEX aibridge_sessions_first_day ON aibridge_sessions (first_day);

CREATE TABLE aibridge_session_marks (
    initiator_id uuid NOT NULL,
    session_id text NOT NULL,
    day date NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

COMMENT ON TABLE aibridge_session_marks IS 'Sessions to recompute; written with the rows that changed, emptied by the follower. May hold repeats.';
COMMENT ON COLUMN aibridge_session_marks.initiator_id IS 'Of the session.';
COMMENT ON COLUMN aibridge_session_marks.session_id IS 'Of the session.';
COMMENT ON COLUMN aibridge_session_marks.day IS 'Partition in which a row of it changed.';

CREATE TABLE aibridge_facets (
    facet text NOT NULL,
    initiator_id uuid NOT NULL,
    value text NOT NULL,
    last_day date NOT NULL,
    PRIMARY KEY (facet, initiator_id, value)
);

COMMENT ON TABLE aibridge_facets IS 'Values to filter by, and who used them.';
COMMENT ON COLUMN aibridge_facets.facet IS 'model, client or provider_name.';
COMMENT ON COLUMN aibridge_facets.initiator_id IS 'Who used it.';
COMMENT ON COLUMN aibridge_facets.value IS 'The value.';
COMMENT ON COLUMN aibridge_facets.last_day IS 'Latest day on which it was used.';

CREATE TABLE aibridge_retention (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    last_pass_at timestamptz,
    first_kept_day date,
    pending_day date,
    pending_since timestamptz,
    confirmed_day date,
    working_until timestamptz
);

COMMENT ON TABLE aibridge_retention IS 'One row: how far records have been deleted, and what waits for a confirmation.';
COMMENT ON COLUMN aibridge_retention.only_row IS 'Always true: there is one row.';
COMMENT ON COLUMN aibridge_retention.last_pass_at IS 'When records were last looked over, by the clock of the database.';
COMMENT ON COLUMN aibridge_retention.first_kept_day IS 'All days before it have been given up; NULL before the first pass.';
COMMENT ON COLUMN aibridge_retention.pending_day IS 'All days before it wait for a confirmation to be deleted; NULL when nothing waits.';
COMMENT ON COLUMN aibridge_retention.pending_since IS 'When the waiting began.';
COMMENT ON COLUMN aibridge_retention.confirmed_day IS 'All days before it may be deleted, as an operator confirmed; NULL when none was needed.';
COMMENT ON COLUMN aibridge_retention.working_until IS 'A bridge is deleting; until then no other begins.';

INSERT INTO aibridge_retention (only_row) VALUES (true);
