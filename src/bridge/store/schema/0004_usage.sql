-- Usage by day, derived by a follower from interceptions and token rows, recomputed and never
-- incremented (see store/usage.py). Partitioned like the rows that it is made of, so that it goes
-- when they go.

CREATE TABLE aibridge_usage_daily (
    day date NOT NULL,
    initiator_id uuid NOT NULL,
    username text NOT NULL,
    provider text NOT NULL,
    provider_name text NOT NULL,
    model text NOT NULL,
    client text NOT NULL,
    interceptions bigint NOT NULL,
    errors bigint NOT NULL,
    client_aborts bigint NOT NULL,
    input_tokens bigint NOT NULL,
    output_tokens bigint NOT NULL,
    cache_read_input_tokens bigint NOT NULL,
    cache_write_input_tokens bigint NOT NULL,
    bytes_in bigint NOT NULL,
    bytes_out bigint NOT NULL,
    duration_ms bigint NOT NULL,
    ttfb_ms bigint NOT NULL,
    duration_le_125 integer NOT NULL,
    duration_le_250 integer NOT NULL,
    duration_le_500 integer NOT NULL,
    duration_le_1000 integer NOT NULL,
    duration_le_2000 integer NOT NULL,
    duration_le_4000 integer NOT NULL,
    duration_le_8000 integer NOT NULL,
    duration_le_16000 integer NOT NULL,
    duration_le_32000 integer NOT NULL,
    duration_le_64000 integer NOT NULL,
    duration_le_128000 integer NOT NULL,
    duration_le_256000 integer NOT NULL,
    duration_over_256000 integer NOT NULL,
    ttfb_le_125 integer NOT NULL,
    ttfb_le_250 integer NOT NULL,
    ttfb_le_500 integer NOT NULL,
    ttfb_le_1000 integer NOT NULL,
    ttfb_le_2000 integer NOT NULL,
    ttfb_le_4000 integer NOT NULL,
    ttfb_le_8000 integer NOT NULL,
    ttfb_le_16000 integer NOT NULL,
    ttfb_le_32000 integer NOT NULL,
    ttfb_le_64000 integer NOT NULL,
    ttfb_le_128000 integer NOT NULL,
    ttfb_le_256000 integer NOT NULL,
    ttfb_over_256000 integer NOT NULL
) PARTITION BY RANGE (day);

COMMENT ON TABLE aibridge_usage_daily IS 'Ended intercepted interceptions summed up by UTC day, initiator, provider, model and client.';
COMMENT ON COLUMN aibridge_usage_daily.day IS 'UTC day of the interceptions; the partition.';
COMMENT ON COLUMN aibridge_usage_daily.initiator_id IS 'users.id of who asked.';
COMMENT ON COLUMN aibridge_usage_daily.username IS 'Name of the initiator when it asked.';
COMMENT ON COLUMN aibridge_usage_daily.provider IS 'Wire family: anthropic, openai, copilot.';
COMMENT ON COLUMN aibridge_usage_daily.provider_name IS 'The configured instance.';
COMMENT ON COLUMN aibridge_usage_daily.model IS 'What the client asked for; empty when it named none.';
COMMENT ON COLUMN aibridge_usage_daily.client IS 'Guessed tool of the user; Unknown for none that is known.';
COMMENT ON COLUMN aibridge_usage_daily.interceptions IS 'How many.';
COMMENT ON COLUMN aibridge_usage_daily.errors IS 'How many of them ended as upstream_error, gateway_abort or lost.';
COMMENT ON COLUMN aibridge_usage_daily.client_aborts IS 'How many of them ended as client_abort.';
COMMENT ON COLUMN aibridge_usage_daily.input_tokens IS 'Sum over all legs, without cache reads and writes.';
COMMENT ON COLUMN aibridge_usage_daily.output_tokens IS 'Sum over all legs.';
COMMENT ON COLUMN aibridge_usage_daily.cache_read_input_tokens IS 'Sum over all legs.';
COMMENT ON COLUMN aibridge_usage_daily.cache_write_input_tokens IS 'Sum over all legs.';
COMMENT ON COLUMN aibridge_usage_daily.bytes_in IS 'Sum of request bodies, bytes.';
COMMENT ON COLUMN aibridge_usage_daily.bytes_out IS 'Sum of answers, bytes.';
COMMENT ON COLUMN aibridge_usage_daily.duration_ms IS 'Sum of durations, milliseconds.';
COMMENT ON COLUMN aibridge_usage_daily.ttfb_ms IS 'Sum of the times to the first body byte, milliseconds, of those that had one.';
COMMENT ON COLUMN aibridge_usage_daily.duration_le_125 IS 'How many took at most 125 ms.';
COMMENT ON COLUMN aibridge_usage_daily.duration_le_250 IS 'How many took at most 250 ms, and more than 125.';
COMMENT ON COLUMN aibridge_usage_daily.duration_le_500 IS 'How many took at most 500 ms, and more than 250.';
COMMENT ON COLUMN aibridge_usage_daily.duration_le_1000 IS 'How many took at most 1000 ms, and more than 500.';
COMMENT ON COLUMN aibridge_usage_daily.duration_le_2000 IS 'How many took at most 2000 ms, and more than 1000.';
COMMENT ON COLUMN aibridge_usage_daily.duration_le_4000 IS 'How many took at most 4000 ms, and more than 2000.';
COMMENT ON COLUMN aibridge_usage_daily.duration_le_8000 IS 'How many took at most 8000 ms, and more than 4000.';
COMMENT ON COLUMN aibridge_usage_daily.duration_le_16000 IS 'How many took at most 16000 ms, and more than 8000.';
COMMENT ON COLUMN aibridge_usage_daily.duration_le_32000 IS 'How many took at most 32000 ms, and more than 16000.';
COMMENT ON COLUMN aibridge_usage_daily.duration_le_64000 IS 'How many took at most 64000 ms, and more than 32000.';
COMMENT ON COLUMN aibridge_usage_daily.duration_le_128000 IS 'How many took at most 128000 ms, and more than 64000.';
COMMENT ON COLUMN aibridge_usage_daily.duration_le_256000 IS 'How many took at most 256000 ms, and more than 128000.';
COMMENT ON COLUMN aibridge_usage_daily.duration_over_256000 IS 'How many took more than 256000 ms.';
COMMENT ON COLUMN aibridge_usage_daily.ttfb_le_125 IS 'How many had their first body byte after at most 125 ms.';
COMMENT ON COLUMN aibridge_usage_daily.ttfb_le_250 IS 'How many had their first body byte after at most 250 ms, and more than 125.';
COMMENT ON COLUMN aibridge_usage_daily.ttfb_le_500 IS 'How many had their first body byte after at most 500 ms, and more than 250.';
COMMENT ON COLUMN aibridge_usage_daily.ttfb_le_1000 IS 'How many had their first body byte after at most 1000 ms, and more than 500.';
COMMENT ON COLUMN aibridge_usage_daily.ttfb_le_2000 IS 'How many had their first body byte after at most 2000 ms, and more than 1000.';
COMMENT ON COLUMN aibridge_usage_daily.ttfb_le_4000 IS 'How many had their first body byte after at most 4000 ms, and more than 2000.';
COMMENT ON COLUMN aibridge_usage_daily.ttfb_le_8000 IS 'How many had their first body byte after at most 8000 ms, and more than 4000.';
COMMENT ON COLUMN aibridge_usage_daily.ttfb_le_16000 IS 'How many had their first body byte after at most 16000 ms, and more than 8000.';
COMMENT ON COLUMN aibridge_usage_daily.ttfb_le_32000 IS 'How many had their first body byte after at most 32000 ms, and more than 16000.';
COMMENT ON COLUMN aibridge_usage_daily.ttfb_le_64000 IS 'How many had their first body byte after at most 64000 ms, and more than 32000.';
COMMENT ON COLUMN aibridge_usage_daily.ttfb_le_128000 IS 'How many had their first body byte after at most 128000 ms, and more than 64000.';
COMMENT ON COLUMN aibridge_usage_daily.ttfb_le_256000 IS 'How many had their first body byte after at most 256000 ms, and more than 128000.';
COMMENT ON COLUMN aibridge_usage_daily.ttfb_over_256000 IS 'How many had their first body byte after more than 256000 ms.';

CREATE INDEX aibridge_usage_daily_initiator ON aibridge_usage_daily (initiator_id);

CREATE TABLE aibridge_usage_marks (
    initiator_id uuid NOT NULL,
    day date NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

COMMENT ON TABLE aibridge_usage_marks IS 'Days of initiators whose usage to recompute; emptied by a follower. May hold repeats.';
COMMENT ON COLUMN aibridge_usage_marks.initiator_id IS 'Whose usage.';
COMMENT ON COLUMN aibridge_usage_marks.day IS 'Of which day.';

-- What was recorded before is summed up too.
INSERT INTO aibridge_usage_marks (initiator_id, day)
SELECT DISTINCT initiator_id, day FROM aibridge_interceptions
WHERE kind = 'intercepted' AND ended_at IS NOT NULL;
