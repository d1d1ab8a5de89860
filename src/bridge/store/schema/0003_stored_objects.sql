-- Objects that a provider keeps (responses, conversations): who made which, so that nobody fetches
-- another's under the organisation's key.

CREATE TABLE aibridge_stored_objects (
    id uuid NOT NULL,
    interception_id uuid NOT NULL,
    day date NOT NULL,
    object_id text NOT NULL,
    provider_name text NOT NULL,
    initiator_id uuid NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (object_id, interception_id, day)
) PARTITION BY RANGE (day);

COMMENT ON TABLE aibridge_stored_objects IS 'Objects that a provider was asked to keep, by their maker.';
COMMENT ON COLUMN aibridge_stored_objects.id IS 'UUIDv7 made by the bridge.';
COMMENT ON COLUMN aibridge_stored_objects.interception_id IS 'aibridge_interceptions.id of the request that made it.';
COMMENT ON COLUMN aibridge_stored_objects.day IS 'Day of the interception; the partition.';
COMMENT ON COLUMN aibridge_stored_objects.object_id IS 'The provider''s id of it, e.g. resp_… or conv_….';
COMMENT ON COLUMN aibridge_stored_objects.provider_name IS 'The configured instance that keeps it.';
COMMENT ON COLUMN aibridge_stored_objects.initiator_id IS 'users.id of who made it.';
COMMENT ON COLUMN aibridge_stored_objects.created_at IS 'When it was made, UTC.';
