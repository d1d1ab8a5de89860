-- What a program outside (a SIEM) is still to be told of: references only, never content, so that
-- what is erased or given up is not told any more. A mark goes away once what it stands for is safe
-- in the file; nothing depends on the order of ids or commits, and late records cannot be skipped.

CREATE TABLE aibridge_siem (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    seen_at timestamptz,
    holder uuid,
    held_until timestamptz
);

COMMENT ON TABLE aibridge_siem IS 'One row: whether a follower writes events to a file, and which.';
COMMENT ON COLUMN aibridge_siem.only_row IS 'Always true: there is one row.';
COMMENT ON COLUMN aibridge_siem.seen_at IS 'When a follower last asked for events; without one for a week no marks are made. NULL before the first.';
COMMENT ON COLUMN aibridge_siem.holder IS 'Random id of the follower that writes; NULL when none does.';
COMMENT ON COLUMN aibridge_siem.held_until IS 'Until then no other follower writes, by the clock of the database.';

INSERT INTO aibridge_siem (only_row) VALUES (true);

CREATE TABLE aibridge_siem_marks (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    day date NOT NULL,
    kinds text[] NOT NULL,
    records uuid[] NOT NULL,
    interceptions uuid[] NOT NULL,
    marked_at timestamptz NOT NULL DEFAULT now()
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

COMMENT ON TABLE aibridge_siem_marks IS 'Records to tell a SIEM of; written with the records, deleted once told.';
COMMENT ON COLUMN aibridge_siem_marks.id IS 'In no particular order.';
COMMENT ON COLUMN aibridge_siem_marks.day IS 'Partition that the records are in.';
COMMENT ON COLUMN aibridge_siem_marks.kinds IS 'Of each record: interception_started, interception_ended, token_usage, tool_usage, model_thought or audit.';
COMMENT ON COLUMN aibridge_siem_marks.records IS 'Id of each record.';
COMMENT ON COLUMN aibridge_siem_marks.interceptions IS 'aibridge_interceptions.id that each record belongs to; NULL for audit.';
COMMENT ON COLUMN aibridge_siem_marks.marked_at IS 'When the records were stored.';
