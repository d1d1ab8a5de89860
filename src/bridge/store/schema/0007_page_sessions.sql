-- Who is signed in to the pages: one row for each browser, found by the digest of its cookie.

CREATE TABLE aibridge_page_sessions (
    digest bytea PRIMARY KEY CHECK (octet_length(digest) = 32),
    token_id text NOT NULL REFERENCES api_tokens (id) ON DELETE CASCADE,
    created_at timestamptz NOT NULL,
    seen_at timestamptz NOT NULL
);

COMMENT ON TABLE aibridge_page_sessions IS 'Browsers that are signed in to the pages, without the values of their cookies.';
COMMENT ON COLUMN aibridge_page_sessions.digest IS 'SHA-256 of the cookie.';
COMMENT ON COLUMN aibridge_page_sessions.token_id IS 'The token that was signed in with; nobody is signed in any more once it has ended.';
COMMENT ON COLUMN aibridge_page_sessions.created_at IS 'When somebody signed in, UTC.';
COMMENT ON COLUMN aibridge_page_sessions.seen_at IS 'When a page was last asked for, UTC, to the minute.';

CREATE INDEX aibridge_page_sessions_token_id ON aibridge_page_sessions (token_id, seen_at);
