-- What lists of sessions search by: each filter is one term, so that any combination of them is an
-- intersection within one index; and the time in which a session's requests began. It is a table of
-- its own because a search looks at many rows, and those of sessions are wide.

ALTER TABLE aibridge_sessions ADD COLUMN last_started_at timestamptz NOT NULL DEFAULT 'epoch';

UPDATE aibridge_sessions SET last_started_at = ended_at;

COMMENT ON COLUMN aibridge_sessions.last_started_at IS 'Start of the last interception, UTC.';

CREATE TABLE aibridge_session_terms (
    session_id text NOT NULL,
    initiator_id uuid NOT NULL,
    last_active_at timestamptz NOT NULL,
    span tstzrange NOT NULL,
    terms text[] NOT NULL,
    PRIMARY KEY (session_id, initiator_id),
    FOREIGN KEY (session_id, initiator_id) REFERENCES aibridge_sessions ON DELETE CASCADE
);

COMMENT ON TABLE aibridge_session_terms IS 'What sessions are found by; one row for each.';
COMMENT ON COLUMN aibridge_session_terms.session_id IS 'Of the session.';
COMMENT ON COLUMN aibridge_session_terms.initiator_id IS 'Of the session.';
COMMENT ON COLUMN aibridge_session_terms.last_active_at IS 'Of the session; the order of lists.';
COMMENT ON COLUMN aibridge_session_terms.span IS 'From the start of its first interception to that of its last.';
COMMENT ON COLUMN aibridge_session_terms.terms IS 'model:, client:, provider:, provider_name: and status: of its interceptions; values over 200 characters as MD5.';

CREATE INDEX aibridge_session_terms_active
    ON aibridge_session_terms (last_active_at, session_id, initiator_id);
CREATE INDEX aibridge_session_terms_initiator
    ON aibridge_session_terms (initiator_id, last_active_at, session_id);
-- Without fastupdate: a search would have to read through what waits to be put in.
CREATE INDEX aibridge_session_terms_terms
    ON aibridge_session_terms USING gin (terms) WITH (fastupdate = off);
CREATE INDEX aibridge_session_terms_span ON aibridge_session_terms USING gist (span);
DROP INDEX aibridge_sessions_active;
DROP INDEX aibridge_sessions_initiator;
CREATE INDEX aibridge_facets_value ON aibridge_facets (facet, value, initiator_id, last_day);

-- The follower fills the table.
INSERT INTO aibridge_session_marks (initiator_id, session_id, day)
SELECT initiator_id, session_id, last_day FROM aibridge_sessions;
