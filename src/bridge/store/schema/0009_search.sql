-- Full text of prompts, thoughts and tool calls, derived by a follower (see store/search.py).

-- Punctuation becomes spaces, character by character, so that words in paths, identifiers and JSON
-- are words, and a place in the result is the same place in the original. (translate() would take
-- twenty times as long.)
CREATE FUNCTION aibridge_plain_ascii(original text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT
        replace(replace(replace(replace(replace(
        replace(replace(replace(replace(replace(replace(
        replace(replace(replace(replace(replace(replace(
        replace(replace(replace(replace(replace(replace(
        replace(replace(replace(replace(replace(replace(
        replace(replace(replace(replace(replace(replace(
        original, E'\t', ' '), E'\n', ' '), E'\r', ' '), '!', ' '), '"', ' '), '#', ' '),
        '$', ' '), '%', ' '), '&', ' '), '''', ' '), '(', ' '), ')', ' '),
        '*', ' '), '+', ' '), ',', ' '), '-', ' '), '.', ' '), '/', ' '),
        ':', ' '), ';', ' '), '<', ' '), '=', ' '), '>', ' '), '?', ' '),
        '@', ' '), '[', ' '), E'\\', ' '), ']', ' '), '^', ' '), '_', ' '),
        '`', ' '), '{', ' '), '|', ' '), '}', ' '), '~', ' ')
$$;

COMMENT ON FUNCTION aibridge_plain_ascii(text) IS 'The text with spaces for punctuation of ASCII.';

CREATE FUNCTION aibridge_plain(original text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT CASE WHEN octet_length(original) = length(original) THEN aibridge_plain_ascii(original)
    ELSE
        replace(replace(replace(replace(replace(replace(
        replace(replace(replace(replace(replace(replace(
        replace(replace(replace(replace(replace(replace(
        replace(replace(replace(replace(replace(replace(
        replace(replace(replace(replace(replace(replace(
        replace(replace(replace(replace(replace(replace(
        aibridge_plain_ascii(original), '“', ' '), '”', ' '), '‘', ' '), '’', ' '), '«', ' '), '»', ' '),
        '‹', ' '), '›', ' '), '…', ' '), '–', ' '), '—', ' '), '‐', ' '),
        '‑', ' '), '¿', ' '), '¡', ' '), '·', ' '), '、', ' '), '。', ' '),
        '，', ' '), '．', ' '), '：', ' '), '；', ' '), '！', ' '), '？', ' '),
        '「', ' '), '」', ' '), '『', ' '), '』', ' '), '（', ' '), '）', ' '),
        '【', ' '), '】', ' '), '《', ' '), '》', ' '), '〈', ' '), '〉', ' ')
    END
$$;

COMMENT ON FUNCTION aibridge_plain(text) IS 'The text with spaces for punctuation; every character keeps its place.';

-- Chinese and Japanese have no spaces: every character counts as a word, and words are phrases.
CREATE FUNCTION aibridge_words(plain text) RETURNS tsvector
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT to_tsvector('pg_catalog.simple', CASE
        WHEN plain ~ '[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]'
        THEN regexp_replace(plain, '([\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff])', ' \1 ', 'g')
        ELSE plain
    END)
$$;

COMMENT ON FUNCTION aibridge_words(text) IS 'Words of what aibridge_plain made.';

-- Escapes in JSON text: \n is no letter n. As long as the original.
CREATE FUNCTION aibridge_unescaped(arguments text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT regexp_replace(arguments, '\\[\\nrtbf"/]', '  ', 'g')
$$;

COMMENT ON FUNCTION aibridge_unescaped(text) IS 'JSON text with two spaces for each short escape.';

CREATE TABLE aibridge_search (
    interception_id uuid NOT NULL,
    day date NOT NULL,
    initiator_id uuid NOT NULL,
    started_at timestamptz NOT NULL,
    words tsvector NOT NULL,
    PRIMARY KEY (interception_id, day)
) PARTITION BY RANGE (day);

COMMENT ON TABLE aibridge_search IS 'What the content of ended intercepted interceptions can be found by.';
COMMENT ON COLUMN aibridge_search.interception_id IS 'aibridge_interceptions.id.';
COMMENT ON COLUMN aibridge_search.day IS 'Day of the interception; the partition.';
COMMENT ON COLUMN aibridge_search.initiator_id IS 'users.id of who asked.';
COMMENT ON COLUMN aibridge_search.started_at IS 'When it was accepted, UTC.';
COMMENT ON COLUMN aibridge_search.words IS 'Words of the prompt (weight A), the thoughts (B) and the names and arguments of tool calls (C), of the first 100000 characters of each.';

-- What waits to be put in is read through by every search, so not much may wait.
CREATE INDEX aibridge_search_words ON aibridge_search USING gin (words)
    WITH (gin_pending_list_limit = 512);
CREATE INDEX aibridge_search_initiator ON aibridge_search (initiator_id, interception_id);

CREATE TABLE aibridge_search_marks (
    day date NOT NULL,
    interceptions uuid[] NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

COMMENT ON TABLE aibridge_search_marks IS 'Interceptions whose words to compute anew; written with the rows that changed, emptied by a follower. May hold repeats.';
COMMENT ON COLUMN aibridge_search_marks.day IS 'Their day.';
COMMENT ON COLUMN aibridge_search_marks.interceptions IS 'aibridge_interceptions.id of each.';

-- What was recorded before can be found too.
INSERT INTO aibridge_search_marks (day, interceptions)
SELECT day, array_agg(id)
FROM (
    SELECT day, id, row_number() OVER (PARTITION BY day ORDER BY id DESC) / 500 AS piece
    FROM aibridge_interceptions
    WHERE kind = 'intercepted' AND ended_at IS NOT NULL
) pieces
GROUP BY day, piece
ORDER BY day DESC, piece;
