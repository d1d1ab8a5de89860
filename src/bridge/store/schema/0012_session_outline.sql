-- What a session's detail needs to know of the whole session, computed with the rest of its row, so
-- that a page of a session of thousands does not look at all of them.

ALTER TABLE aibridge_sessions ADD COLUMN outline jsonb;

COMMENT ON COLUMN aibridge_sessions.outline IS 'Threads and agents of the session (see store/reads_outline.py); NULL or of other counts when a version computed the row that knew nothing of it.';

-- Of small sessions it is computed when they change; until then all their rows are looked at.
INSERT INTO aibridge_session_marks (initiator_id, session_id, day)
SELECT initiator_id, session_id, last_day FROM aibridge_sessions WHERE interceptions > 500;
