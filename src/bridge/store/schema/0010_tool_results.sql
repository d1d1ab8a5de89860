-- What tools gave back: the request that tells the model of a result, beside the call that asked.

CREATE TABLE aibridge_tool_results (
    interception_id uuid NOT NULL,
    n integer NOT NULL,
    day date NOT NULL,
    initiator_id uuid NOT NULL,
    tool_call_id text NOT NULL,
    size_bytes bigint NOT NULL,
    is_error boolean,
    content text,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (interception_id, n, day)
) PARTITION BY RANGE (day);

COMMENT ON TABLE aibridge_tool_results IS 'Results of tool calls that requests brought in their last turn.';
COMMENT ON COLUMN aibridge_tool_results.interception_id IS 'aibridge_interceptions.id of the request that brought it.';
COMMENT ON COLUMN aibridge_tool_results.n IS 'Which result of the request, from 1.';
COMMENT ON COLUMN aibridge_tool_results.day IS 'Day of the interception; the partition.';
COMMENT ON COLUMN aibridge_tool_results.initiator_id IS 'users.id of who sent it.';
COMMENT ON COLUMN aibridge_tool_results.tool_call_id IS 'aibridge_tool_usages.provider_tool_call_id of the call, by the same initiator.';
COMMENT ON COLUMN aibridge_tool_results.size_bytes IS 'Bytes of its text in UTF-8; where it is more than text, of its JSON.';
COMMENT ON COLUMN aibridge_tool_results.is_error IS 'Whether it says that the call failed; NULL where the API cannot say it.';
COMMENT ON COLUMN aibridge_tool_results.content IS 'Text, or JSON; NULL when not recorded, which is the default.';
COMMENT ON COLUMN aibridge_tool_results.created_at IS 'When the request was accepted, UTC.';

CREATE INDEX aibridge_tool_results_call ON aibridge_tool_results (tool_call_id, initiator_id);
