-- What lists of sessions search by: each filter is one term, so that any combination of them is an
-- intersection within one index; and the time in which a session's requests began.

ALTER TABLE aibridge_sessions
    ADD COLUMN terms text[] NOT NULL DEFAULT '{}',
    ADD COLUMN last_started_at timestamptz NOT NULL DEFAULT 'epoch';

UPDATE aibridge_sessions SET last_started_at = ended_at;

ALTER TABLE aibridge_sessions
    ADD COLUMN span tstzrange NOT NULL GENERATED ALWAYS AS (
        tstzrange(started_at, greatest(started_at, last_started_at), '[]')
    ) STORED;

COMMENT ON COLUMN aibridge_sessions.terms IS 'What it can be found by: model:, client:, provider:, provider_name: and status: of its interceptions; values over 200 characters as MD5.';
COMMENT ON COLUMN aibridge_sessions.last_started_at IS 'Start of the last interception, UTC.';
COMMENT ON COLUMN aibridge_sessions.span IS 'From the start of the first interception to that of the last.';

-- Without fastupdate: a search would have to read through what waits to be put in.
CREATE INDEX aibridge_sessions_terms ON aibridge_sessions USING gin (terms) WITH (fastupdate = off);
CREATE INDEX aibridge_sessions_span ON aibridge_sessions USING gist (span);
CREATE INDEX aibridge_facets_value ON aibridge_facets (facet, value, initiator_id, last_day);

-- The follower fills the new columns.
INSERT INTO aibridge_session_marks (initiator_id, session_id, day)
SELECT initiator_id, session_id, last_day FROM aibridge_sessions;
