-- What makes content go before its row does: a shorter retention, erasure, and holds against both.

ALTER TABLE aibridge_interceptions ADD COLUMN content_blanked_at timestamptz;

COMMENT ON COLUMN aibridge_interceptions.content_blanked_at IS 'Since when prompt, tool arguments, thoughts and error are blank, because their time was over or their user was erased; NULL while they are as recorded.';

ALTER TABLE aibridge_retention ADD COLUMN content_kept_day date;

COMMENT ON COLUMN aibridge_retention.content_kept_day IS 'Of all days before it content is blank, and is blanked when it comes late; NULL when content is kept as long as its row.';

CREATE TABLE aibridge_erasures (
    initiator_id uuid PRIMARY KEY,
    pseudonym text NOT NULL UNIQUE,
    requested_at timestamptz NOT NULL,
    finished_at timestamptz
);

COMMENT ON TABLE aibridge_erasures IS 'Users whose content and name are erased; rows stay, so that nothing comes back from a journal.';
COMMENT ON COLUMN aibridge_erasures.initiator_id IS 'users.id.';
COMMENT ON COLUMN aibridge_erasures.pseudonym IS 'What the user is called from then on.';
COMMENT ON COLUMN aibridge_erasures.requested_at IS 'Since when new records of the user are blank, UTC.';
COMMENT ON COLUMN aibridge_erasures.finished_at IS 'When everything stored before was blank too, UTC; NULL while it is under way.';

CREATE TABLE aibridge_holds (
    id uuid PRIMARY KEY,
    user_id uuid,
    from_day date,
    to_day date,
    reason text NOT NULL,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL,
    released_at timestamptz,
    CHECK (user_id IS NOT NULL OR (from_day IS NOT NULL AND to_day IS NOT NULL)),
    CHECK (from_day IS NULL OR to_day IS NULL OR from_day <= to_day)
);

COMMENT ON TABLE aibridge_holds IS 'Legal holds: what they cover is neither deleted, blanked nor erased until they are released.';
COMMENT ON COLUMN aibridge_holds.id IS 'UUIDv7 made by the bridge.';
COMMENT ON COLUMN aibridge_holds.user_id IS 'users.id of whose records are held; NULL for everybody''s.';
COMMENT ON COLUMN aibridge_holds.from_day IS 'First day that is held; NULL for no first.';
COMMENT ON COLUMN aibridge_holds.to_day IS 'Last day that is held; NULL for no last.';
COMMENT ON COLUMN aibridge_holds.reason IS 'Why, in words; may be empty.';
COMMENT ON COLUMN aibridge_holds.created_by IS 'Who made it.';
COMMENT ON COLUMN aibridge_holds.created_at IS 'When it was made, UTC.';
COMMENT ON COLUMN aibridge_holds.released_at IS 'Since when it holds nothing any more; NULL while it does.';
