"""One API as a client and its provider speak it, so that a case is written once and run for each.

Modules beside this one hold the cases; test_<them> run these for the Messages API, and
test_<them>_openai for Chat Completions and Responses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

Members = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Speech:
    """Requests and answers of one API at one provider; an answer's parts are whole events."""

    provider: str
    """Its name, and the first segment of its paths."""
    family: str
    target: bytes
    """Behind the provider's name."""
    upstream_target: bytes
    models: bytes
    """Where the provider lists its models, behind its name."""
    key_header: bytes
    """In which clients send their key, and the provider wants one."""
    ask: bytes
    """A request for a document; its prompt is `Hello`."""
    odd_ask: bytes
    """A request whose members have wrong types."""
    start: bytes
    text: bytes
    end: bytes
    """As upstream sends it."""
    unasked: bytes = b""
    """What of `end` the client does not get, because only we have asked for it."""
    broken: bytes
    """An event whose JSON is cut."""
    failure: bytes
    """An error event of the provider's."""
    failure_type: str
    """What a record calls it."""
    failed_document: bytes
    """The provider's word of being overloaded."""
    document: bytes
    cut_document: bytes
    ping: bytes
    response_id: str
    stop_reason: str
    started_tokens: int | None
    """Input tokens that are known once `start` and `text` have come."""
    end_marker: bytes
    """In the last event only."""
    error_name: bytes
    """The name of our error event, b"" where events have none."""
    errors: Mapping[str, Members]
    """Members of our errors, by our own name of what is wrong."""

    @property
    def ask_stream(self) -> bytes:
        return self.ask[:-1] + b',"stream":true}'

    @property
    def whole(self) -> bytes:
        """A whole stream as upstream sends it."""
        return self.start + self.text + self.end

    def seen(self, body: bytes) -> bytes:
        """Return what the client gets of `body`."""
        return body.replace(self.unasked, b"") if self.unasked else body

    def error(self, kind: str) -> dict[str, object]:
        """Return the members that an error of ours has beside its message."""
        return dict(self.errors[kind])


def _openai(kind: str, code: str | None) -> Members:
    return {"type": kind, "param": None, "code": code}


MESSAGES = Speech(
    provider="anthropic",
    family="anthropic",
    target=b"/v1/messages",
    upstream_target=b"/v1/messages",
    models=b"/v1/models",
    key_header=b"x-api-key",
    ask=(
        b'{"model":"claude-sonnet-5","max_tokens":64,'
        b'"messages":[{"role":"user","content":"Hello"}]}'
    ),
    odd_ask=b'{"model":42,"max_tokens":"many","messages":{"role":[]},"stream":"yes"}',
    start=(
        b'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_1",'
        b'"type":"message","role":"assistant","model":"claude-sonnet-5","content":[],'
        b'"stop_reason":null,"usage":{"input_tokens":7,"output_tokens":1}}}\n\n'
    ),
    text=(
        b'event: content_block_start\ndata: {"type":"content_block_start","index":0,'
        b'"content_block":{"type":"text","text":""}}\n\n'
        b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
        b'"delta":{"type":"text_delta","text":"Hi"}}\n\n'
        b'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}\n\n'
    ),
    end=(
        b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn"},'
        b'"usage":{"output_tokens":5}}\n\nevent: message_stop\ndata: {"type":"message_stop"}\n\n'
    ),
    broken=b'event: content_block_start\ndata: {"type":"content_block_start","index":\n\n',
    failure=(
        b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error",'
        b'"message":"Overloaded"}}\n\n'
    ),
    failure_type="overloaded",
    failed_document=(
        b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'
    ),
    document=(
        b'{"id":"msg_2","type":"message","role":"assistant","model":"claude-sonnet-5",'
        b'"content":[{"type":"text","text":"Hi"}],"stop_reason":"end_turn",'
        b'"usage":{"input_tokens":3,"output_tokens":2}}'
    ),
    cut_document=b'{"id":"msg_2","usage":{',
    ping=b'event: ping\ndata: {"type": "ping"}\n\n',
    response_id="msg_1",
    stop_reason="end_turn",
    started_tokens=7,
    end_marker=b"message_stop",
    error_name=b"error",
    errors={
        "bad_request": {"type": "invalid_request_error"},
        "unauthenticated": {"type": "authentication_error"},
        "forbidden": {"type": "permission_error"},
        "not_found": {"type": "not_found_error"},
        "too_large": {"type": "request_too_large"},
        "rate_limited": {"type": "rate_limit_error"},
        "overloaded": {"type": "overloaded_error"},
        "unavailable": {"type": "overloaded_error"},
        "upstream_unreachable": {"type": "api_error"},
        "upstream_broke": {"type": "api_error"},
        "upstream_timeout": {"type": "timeout_error"},
    },
)

_OPENAI_ERRORS: Mapping[str, Members] = {
    "bad_request": _openai("invalid_request_error", None),
    "unauthenticated": _openai("invalid_request_error", "invalid_api_key"),
    "forbidden": _openai("invalid_request_error", "forbidden"),
    "not_found": _openai("invalid_request_error", "not_found"),
    "too_large": _openai("invalid_request_error", "request_too_large"),
    "rate_limited": _openai("rate_limit_error", "rate_limit_exceeded"),
    "overloaded": _openai("server_error", "overloaded"),
    "unavailable": _openai("server_error", "unavailable"),
    "upstream_unreachable": _openai("server_error", "upstream_unreachable"),
    "upstream_broke": _openai("server_error", "upstream_broke"),
    "upstream_timeout": _openai("server_error", "upstream_timeout"),
}

USAGE_CHUNK = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1764072000,'
    b'"model":"gpt-5","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":5,'
    b'"total_tokens":12}}\n\n'
)
FINISH_CHUNK = (
    b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1764072000,'
    b'"model":"gpt-5","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}\n\n'
)
DONE = b"data: [DONE]\n\n"

CHAT = Speech(
    provider="openai",
    family="openai",
    target=b"/v1/chat/completions",
    upstream_target=b"/v1/chat/completions",
    models=b"/v1/models",
    key_header=b"authorization",
    ask=b'{"model":"gpt-5","messages":[{"role":"user","content":"Hello"}]}',
    odd_ask=b'{"model":42,"n":"many","messages":{"role":[]},"stream":"yes"}',
    start=(
        b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1764072000,'
        b'"model":"gpt-5","choices":[{"index":0,"delta":{"role":"assistant","content":""},'
        b'"finish_reason":null}],"usage":null}\n\n'
    ),
    text=(
        b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1764072000,'
        b'"model":"gpt-5","choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}],'
        b'"usage":null}\n\n'
    ),
    end=FINISH_CHUNK + USAGE_CHUNK + DONE,
    unasked=USAGE_CHUNK,
    broken=b'data: {"id":"chatcmpl-1","choices":[{"index":\n\n',
    failure=(
        b'data: {"error":{"message":"The server had an error.","type":"server_error",'
        b'"param":null,"code":null}}\n\n'
    ),
    failure_type="server_error",
    failed_document=(
        b'{"error":{"message":"Overloaded","type":"overloaded_error","param":null,"code":null}}'
    ),
    document=(
        b'{"id":"chatcmpl-2","object":"chat.completion","created":1764072000,"model":"gpt-5",'
        b'"choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},'
        b'"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2,'
        b'"total_tokens":5}}'
    ),
    cut_document=b'{"id":"chatcmpl-2","usage":{',
    ping=b": ping\n",
    response_id="chatcmpl-1",
    stop_reason="stop",
    started_tokens=None,
    end_marker=b"[DONE]",
    error_name=b"",
    errors=_OPENAI_ERRORS,
)

CHAT_WITH_USAGE = replace(
    CHAT, ask=CHAT.ask[:-1] + b',"stream_options":{"include_usage":true}}', unasked=b""
)
"""A client that asks for token counts itself."""

RESPONSES = Speech(
    provider="openai",
    family="openai",
    target=b"/v1/responses",
    upstream_target=b"/v1/responses",
    models=b"/v1/models",
    key_header=b"authorization",
    ask=b'{"model":"gpt-5","input":[{"role":"user","content":"Hello"}]}',
    odd_ask=b'{"model":42,"input":7,"stream":"yes","store":"often","metadata":[]}',
    start=(
        b'event: response.created\ndata: {"type":"response.created","sequence_number":0,'
        b'"response":{"id":"resp_1","object":"response","status":"in_progress","model":"gpt-5",'
        b'"output":[],"usage":null}}\n\n'
    ),
    text=(
        b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta",'
        b'"sequence_number":1,"item_id":"msg_1","output_index":0,"content_index":0,'
        b'"delta":"Hi"}\n\n'
    ),
    end=(
        b'event: response.output_item.done\ndata: {"type":"response.output_item.done",'
        b'"sequence_number":2,"output_index":0,"item":{"id":"msg_1","type":"message",'
        b'"status":"completed","role":"assistant","content":[{"type":"output_text","text":"Hi",'
        b'"annotations":[]}]}}\n\n'
        b'event: response.completed\ndata: {"type":"response.completed","sequence_number":3,'
        b'"response":{"id":"resp_1","object":"response","status":"completed","model":"gpt-5",'
        b'"output":[],"usage":{"input_tokens":7,"output_tokens":5,"total_tokens":12}}}\n\n'
    ),
    broken=(
        b"event: response.output_item.done\n"
        b'data: {"type":"response.output_item.done","output_index":\n\n'
    ),
    failure=(
        b'event: error\ndata: {"type":"error","sequence_number":2,"error":{"type":"server_error",'
        b'"code":"server_error","message":"The server had an error.","param":null}}\n\n'
    ),
    failure_type="server_error",
    failed_document=CHAT.failed_document,
    document=(
        b'{"id":"resp_2","object":"response","status":"completed","model":"gpt-5","output":['
        b'{"id":"msg_2","type":"message","role":"assistant","content":[{"type":"output_text",'
        b'"text":"Hi","annotations":[]}]}],"usage":{"input_tokens":3,"output_tokens":2,'
        b'"total_tokens":5}}'
    ),
    cut_document=b'{"id":"resp_2","usage":{',
    ping=b": ping\n",
    response_id="resp_1",
    stop_reason="completed",
    started_tokens=None,
    end_marker=b"response.completed",
    error_name=b"error",
    errors=_OPENAI_ERRORS,
)

COPILOT_CHAT = replace(
    CHAT,
    provider="copilot",
    family="copilot",
    target=b"/chat/completions",
    upstream_target=b"/chat/completions",
    models=b"/models",
)
COPILOT_RESPONSES = replace(
    RESPONSES,
    provider="copilot",
    family="copilot",
    target=b"/responses",
    upstream_target=b"/responses",
    models=b"/models",
)
