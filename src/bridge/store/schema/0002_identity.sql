-- Who may use the bridge: users, and the digests of their tokens.

CREATE TABLE users (
    id uuid PRIMARY KEY,
    username text NOT NULL CHECK (username ~ '^[a-z0-9][a-z0-9._-]{0,62}$'),
    roles text[] NOT NULL CHECK (
        roles <@ ARRAY['owner', 'auditor', 'member'] AND cardinality(roles) > 0
    ),
    created_at timestamptz NOT NULL,
    disabled_at timestamptz,
    deleted_at timestamptz
);

COMMENT ON TABLE users IS 'People and programs that may ask; rows stay after deletion, because records name them.';
COMMENT ON COLUMN users.id IS 'UUIDv7 made by the bridge; initiator_id of the records.';
COMMENT ON COLUMN users.username IS 'Unique among users who are not deleted.';
COMMENT ON COLUMN users.roles IS 'Set of owner (manages), auditor (reads everybody''s content), member (reads their own).';
COMMENT ON COLUMN users.created_at IS 'When it was created, UTC.';
COMMENT ON COLUMN users.disabled_at IS 'Since when its tokens are refused; NULL while enabled.';
COMMENT ON COLUMN users.deleted_at IS 'When it was deleted; NULL while it exists.';

CREATE UNIQUE INDEX users_username ON users (username) WHERE deleted_at IS NULL;

CREATE TABLE api_tokens (
    id text PRIMARY KEY CHECK (id ~ '^[0-9A-Za-z]{12}$'),
    digest bytea NOT NULL CHECK (octet_length(digest) = 32),
    user_id uuid NOT NULL REFERENCES users (id),
    name text NOT NULL CHECK (char_length(name) <= 64),
    scope text NOT NULL CHECK (scope IN ('inference', 'manage')),
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL CHECK (expires_at > created_at),
    revoked_at timestamptz
);

COMMENT ON TABLE api_tokens IS 'Bridge tokens, without their values.';
COMMENT ON COLUMN api_tokens.id IS 'The public part of the token; api_key_id of the records.';
COMMENT ON COLUMN api_tokens.digest IS 'SHA-256 of the whole token.';
COMMENT ON COLUMN api_tokens.user_id IS 'Whose requests are made with it.';
COMMENT ON COLUMN api_tokens.name IS 'What its user calls it; empty for nothing.';
COMMENT ON COLUMN api_tokens.scope IS 'inference (asking models only) or manage.';
COMMENT ON COLUMN api_tokens.created_at IS 'When it was made, UTC.';
COMMENT ON COLUMN api_tokens.expires_at IS 'From when it is refused, UTC.';
COMMENT ON COLUMN api_tokens.revoked_at IS 'Since when it is refused because somebody revoked it; NULL while nobody has.';

CREATE INDEX api_tokens_user_id ON api_tokens (user_id);

-- One row, so that asking whether anything changed costs next to nothing. A sequence would not do:
-- its new value is seen before the change that it stands for.
CREATE TABLE aibridge_identity_version (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    version bigint NOT NULL
);

COMMENT ON TABLE aibridge_identity_version IS 'One row that changes with every change of users and api_tokens.';
COMMENT ON COLUMN aibridge_identity_version.only_row IS 'Always true: there is one row.';
COMMENT ON COLUMN aibridge_identity_version.version IS 'Grows by one or more with every change.';

INSERT INTO aibridge_identity_version (version) VALUES (1);

CREATE FUNCTION aibridge_identity_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE aibridge_identity_version SET version = version + 1;
    PERFORM pg_notify('aibridge_identity', '');
    RETURN NULL;
END
$$;

COMMENT ON FUNCTION aibridge_identity_changed() IS 'Tells every bridge on this database to load users and tokens again.';

CREATE TRIGGER aibridge_identity_changed
    AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON users
    FOR EACH STATEMENT EXECUTE FUNCTION aibridge_identity_changed();

CREATE TRIGGER aibridge_identity_changed
    AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON api_tokens
    FOR EACH STATEMENT EXECUTE FUNCTION aibridge_identity_changed();
