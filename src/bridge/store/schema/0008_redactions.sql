-- How many secrets were taken out of what was recorded.

ALTER TABLE aibridge_interceptions ADD COLUMN redactions integer;

COMMENT ON COLUMN aibridge_interceptions.redactions IS 'Secrets that were taken out of its prompt, tool calls, thoughts and error before they were written down; NULL while it runs, or when nobody counted.';
