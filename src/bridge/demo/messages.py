"""The Anthropic Messages API as the demo speaks it; pure, no I/O.

Source: https://docs.anthropic.com/en/api/messages, …/messages-streaming, …/messages-count-tokens,
…/models-list and …/errors (read 2026-11-23).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from bridge.demo import script
from bridge.demo.exchange import Answer, Asked, Document, Stream
from bridge.demo.script import BadKnob, Knobs, Said, Turn, Usage
from bridge.demo.tools import Tool, halves

_ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}
_OVERLOADED = 529
_RETRY_LATER = frozenset({429, 503, 529})
_CREATED = "2026-01-01T00:00:00Z"
_SIGNATURE = "ZGVtby1zaWduYXR1cmU="
_BASH_SCHEMA = {"properties": {"command": {"type": "string"}}, "required": ["command"]}
_PING = b'event: ping\ndata: {"type": "ping"}\n\n'
_DELTA = b"event: content_block_delta\ndata: "
_encode = msgspec.json.encode


class _Block(msgspec.Struct):
    type: str = ""
    text: str = ""


class _Turn(msgspec.Struct):
    role: str
    content: str | list[_Block] = ""


class _Tool(msgspec.Struct):
    name: str | None = None
    type: str | None = None
    input_schema: Any = None

    def as_offered(self) -> Tool | None:
        """Return the tool, unless the provider runs it itself."""
        if self.name and (self.type or "").startswith("bash_"):  # the model knows its schema
            return Tool(name=self.name, schema=_BASH_SCHEMA)
        if not self.name or self.type not in (None, "custom"):
            return None
        return Tool(name=self.name, schema=self.input_schema)


class _Request(msgspec.Struct):
    model: str
    messages: list[_Turn]
    stream: bool = False
    tools: list[_Tool] = []
    tool_choice: Any = None


_decoder = msgspec.json.Decoder(_Request)


class Messages:
    """Answers requests; its only state is the number of those answered, for the ids."""

    def __init__(self, *, run: str) -> None:
        """Make ids that hold `run`, so that two starts make different ones."""
        self._run = run
        self._count = 0

    def answer(self, asked: Asked) -> Answer:
        """Return what Anthropic would say."""
        self._count += 1
        number = f"{self._run}{self._count:08d}"
        if asked.path == b"/v1/messages" and asked.method == b"POST":
            return self._message(asked, number)
        if asked.path == b"/v1/messages/count_tokens" and asked.method == b"POST":
            return _counted(asked, number)
        if asked.path == b"/v1/models":
            return _models(number)
        if asked.path.startswith(b"/v1/models/"):
            return _model(asked.path.removeprefix(b"/v1/models/"), number)
        if asked.path.startswith(b"/api/event_logging/"):
            return _document(200, {}, number)
        return error(404, "There is nothing at this path.", number)

    def _message(self, asked: Asked, number: str) -> Answer:
        try:
            request, knobs = _decoder.decode(asked.body), script.knobs_from(asked.headers)
        except (msgspec.DecodeError, BadKnob, RecursionError) as e:
            return error(400, str(e), number)
        if not script.is_known(request.model):
            return error(404, f"model: {request.model}", number)
        message = _Message(request, knobs, number)
        broken = request.model == script.ERROR
        if broken and not (request.stream and knobs.error_after is not None):
            status = script.error_status(knobs, _OVERLOADED)
            return error(status, "This model always fails.", number, knobs.delay_seconds)
        if not request.stream:
            return _document(200, message.document(), number, knobs.delay_seconds)
        return Stream(
            events=message.broken_events(knobs.error_after or 0) if broken else message.events(),
            interval_seconds=script.interval_seconds(request.model, knobs),
            head=_request_id(number),
            delay_seconds=knobs.delay_seconds,
        )


class _Message:
    """One message, ready to be told in one piece or as a stream."""

    def __init__(self, request: _Request, knobs: Knobs, number: str) -> None:
        self._id = f"msg_demo_{number}"
        self._model = request.model
        said = _said(request, knobs)
        self._thoughts, self._pieces, self._usage = said.thoughts, said.pieces, said.usage
        self._tool: dict[str, Any] | None = None
        if said.call is not None:
            self._tool = {
                "type": "tool_use",
                "id": f"toolu_demo_{number}",
                "name": said.call.name,
                "input": said.call.arguments,
            }

    @property
    def _stop(self) -> dict[str, Any]:
        return {
            "stop_reason": "end_turn" if self._tool is None else "tool_use",
            "stop_sequence": None,
        }

    def document(self) -> dict[str, Any]:
        """Return the message in one piece."""
        content: list[dict[str, Any]] = []
        if self._thoughts:
            thinking = "".join(self._thoughts)
            content.append({"type": "thinking", "thinking": thinking, "signature": _SIGNATURE})
        content.append({"type": "text", "text": "".join(self._pieces)})
        if self._tool is not None:
            content.append(self._tool)
        return {
            "id": self._id,
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": content,
            **self._stop,
            "usage": _usage(self._usage, self._usage.output_tokens),
        }

    def events(self) -> Iterator[bytes]:
        """Yield the stream's events."""
        yield self._start()
        index = 0
        if self._thoughts:
            block = {"type": "thinking", "thinking": "", "signature": ""}
            yield _block_start(index, block)
            for piece in self._thoughts:
                yield _delta(index, {"type": "thinking_delta", "thinking": piece})
            yield _delta(index, {"type": "signature_delta", "signature": _SIGNATURE})
            yield _block_stop(index)
            index += 1
        yield _block_start(index, {"type": "text", "text": ""})
        yield _PING
        for piece in self._pieces:
            yield _delta(index, {"type": "text_delta", "text": piece})
        yield _block_stop(index)
        if self._tool is not None:
            index += 1
            yield _block_start(index, {**self._tool, "input": {}})
            # The real API sends an empty part first.
            for part in ("", *halves(_encode(self._tool["input"]).decode())):
                yield _delta(index, {"type": "input_json_delta", "partial_json": part})
            yield _block_stop(index)
        usage = {"output_tokens": self._usage.output_tokens}
        yield _event("message_delta", {"delta": self._stop, "usage": usage})
        yield _event("message_stop", {})

    def broken_events(self, after: int) -> Iterator[bytes]:
        """Yield the beginning of a stream, and an error after so many text events."""
        yield self._start()
        yield _block_start(0, {"type": "text", "text": ""})
        for piece in self._pieces[:after]:
            yield _delta(0, {"type": "text_delta", "text": piece})
        yield _event("error", {"error": {"type": "overloaded_error", "message": "Overloaded"}})

    def _start(self) -> bytes:
        message: dict[str, Any] = {
            "id": self._id,
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": _usage(self._usage, 1),
        }
        return _event("message_start", {"message": message})


def error(status: int, message: str, number: str, delay_seconds: float = 0.0) -> Document:
    """Return an error in Anthropic's shape."""
    kind = _ERROR_TYPES.get(status, "api_error")
    return Document(
        status=status,
        body=_encode(
            {
                "type": "error",
                "error": {"type": kind, "message": message},
                "request_id": f"req_demo_{number}",
            }
        ),
        head=_request_id(number) + (b"retry-after: 1\r\n" if status in _RETRY_LATER else b""),
        delay_seconds=delay_seconds,
    )


def _counted(asked: Asked, number: str) -> Answer:
    try:
        prompt = _turn(_decoder.decode(asked.body).messages).prompt
    except (msgspec.DecodeError, RecursionError) as e:
        return error(400, str(e), number)
    return _document(200, {"input_tokens": script.usage_for(prompt, 0).input_tokens}, number)


def _models(number: str) -> Answer:
    names = list(script.MODELS)
    listed = {
        "data": [_described(name) for name in names],
        "has_more": False,
        "first_id": names[0],
        "last_id": names[-1],
    }
    return _document(200, listed, number)


def _model(raw_name: bytes, number: str) -> Answer:
    name = raw_name.decode("latin-1")
    if name not in script.MODELS:
        return error(404, f"model: {name}", number)
    return _document(200, _described(name), number)


def _described(name: str) -> dict[str, str]:
    return {
        "type": "model",
        "id": name,
        "display_name": script.MODELS[name],
        "created_at": _CREATED,
    }


def _document(status: int, value: object, number: str, delay_seconds: float = 0.0) -> Document:
    return Document(
        status=status,
        body=_encode(value),
        head=_request_id(number),
        delay_seconds=delay_seconds,
    )


def _request_id(number: str) -> bytes:
    return b"request-id: req_demo_%b\r\n" % number.encode("ascii")


def _said(request: _Request, knobs: Knobs) -> Said:
    tools = [tool for each in request.tools if (tool := each.as_offered())]
    if isinstance(request.tool_choice, dict) and request.tool_choice.get("type") == "none":
        tools = []
    return script.said(request.model, _turn(request.messages), knobs, tools)


def _turn(turns: Sequence[_Turn]) -> Turn:
    # Coding agents put turns of their own, of the role system, behind the user's.
    spoken = [turn.content for turn in turns if turn.role != "system"]
    last = spoken[-1] if spoken else ""
    answered = not isinstance(last, str) and any(each.type == "tool_result" for each in last)
    if not answered:
        return Turn(prompt=_text(last), answered=False)
    texts = (_text(turn.content) for turn in reversed(turns) if turn.role == "user")
    return Turn(prompt=next((text for text in texts if text), ""), answered=True)


def _text(content: str | list[_Block]) -> str:
    """Return the human's last text."""
    if isinstance(content, str):
        return content
    return script.last_words(block.text for block in reversed(content) if block.type == "text")


def _usage(usage: Usage, output_tokens: int) -> dict[str, Any]:
    return {
        "input_tokens": usage.input_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cache_read_tokens,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "output_tokens": output_tokens,
        "service_tier": "standard",
    }


def _block_start(index: int, block: dict[str, Any]) -> bytes:
    return _event("content_block_start", {"index": index, "content_block": block})


def _block_stop(index: int) -> bytes:
    return _event("content_block_stop", {"index": index})


def _delta(index: int, delta: dict[str, Any]) -> bytes:
    value = {"type": "content_block_delta", "index": index, "delta": delta}
    return b"%b%b\n\n" % (_DELTA, _encode(value))


def _event(name: str, fields: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode("ascii"), _encode({"type": name, **fields}))
