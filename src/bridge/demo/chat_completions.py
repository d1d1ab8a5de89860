"""OpenAI's Chat Completions API as the demo speaks it; pure, no I/O.

Source: https://developers.openai.com/api/reference/resources/chat and the types of the openai
package 3.57 (read 2026-11-23). `reasoning_content` is not OpenAI's: several providers that speak
this API tell their models' thoughts so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from bridge.demo import openai_shapes, script
from bridge.demo.exchange import Answer, Asked, Document, Stream
from bridge.demo.openai_shapes import CREATED, encode
from bridge.demo.script import Knobs, Turn
from bridge.demo.tools import Tool, halves

_NOBODYS_ROLES = frozenset({"system", "developer"})
_RESULT_ROLES = frozenset({"tool", "function"})
_NOTHING = msgspec.Raw(b"null")
_DONE = b"data: [DONE]\n\n"


class _Part(msgspec.Struct):
    type: str | None = None
    text: str | None = None


class _Message(msgspec.Struct):
    role: str
    content: str | list[_Part] | None = None


class _Function(msgspec.Struct):
    name: str
    parameters: Any = None


class _Tool(msgspec.Struct):
    type: str | None = None
    function: _Function | None = None


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _Request(msgspec.Struct):
    model: str
    messages: list[_Message]
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    tools: msgspec.Raw = _NOTHING
    tool_choice: Any = None


_decoder = msgspec.json.Decoder(_Request)
_tools = msgspec.json.Decoder(list[_Tool] | None)


class ChatCompletions:
    """Answers requests; its only state is the number of those answered, for the ids."""

    def __init__(self, *, run: str) -> None:
        """Make ids that hold `run`, so that two starts make different ones."""
        self._run = run
        self._count = 0

    def answer(self, asked: Asked) -> Answer:
        """Return what OpenAI would say."""
        self._count += 1
        number = f"{self._run}{self._count:08d}"
        if openai_shapes.route(asked.path) != b"/chat/completions":
            return openai_shapes.unknown_path(asked, number)
        if asked.method != b"POST":
            return openai_shapes.wrong_method(asked, number)
        try:
            request, knobs = _decoder.decode(asked.body), script.knobs_from(asked.headers)
            completion = _Completion(request, knobs, number)
        except openai_shapes.UNDECODABLE as e:
            return openai_shapes.error(400, str(e), number)
        if not script.is_known(request.model):
            return openai_shapes.unknown_model(404, request.model, number)
        return _told(completion, request, knobs, number)


def _told(completion: _Completion, request: _Request, knobs: Knobs, number: str) -> Answer:
    broken = request.model == script.ERROR
    if broken and not (request.stream and knobs.error_after is not None):
        status = script.error_status(knobs, openai_shapes.OVERLOADED)
        return _failed(status, number, knobs)
    if not request.stream:
        return openai_shapes.document(completion.document(), number, knobs.delay_seconds)
    return Stream(
        events=completion.broken_events(knobs.error_after or 0) if broken else completion.events(),
        interval_seconds=script.interval_seconds(request.model, knobs),
        head=openai_shapes.request_id(number),
        delay_seconds=knobs.delay_seconds,
    )


def _failed(status: int, number: str, knobs: Knobs) -> Document:
    return openai_shapes.error(
        status, "This model always fails.", number, delay_seconds=knobs.delay_seconds
    )


class _Completion:
    """One completion, ready to be told in one piece or as a stream."""

    def __init__(self, request: _Request, knobs: Knobs, number: str) -> None:
        turn = _turn(request.messages)
        offered = _offered(request) if script.may_call(request.model, turn) else ()
        self._said = script.said(request.model, turn, knobs, offered)
        self._model = request.model
        self._id = f"chatcmpl-demo-{number}"
        self._call_id = f"call_demo_{number}"
        options = request.stream_options
        self._usage_wanted = options is not None and bool(options.include_usage)

    @property
    def _finish_reason(self) -> str:
        return "stop" if self._said.call is None else "tool_calls"

    def document(self) -> dict[str, Any]:
        """Return the completion in one piece."""
        message: dict[str, Any] = {
            "role": "assistant",
            "content": "".join(self._said.pieces),
            "refusal": None,
            "annotations": [],
        }
        if self._said.thoughts:
            message["reasoning_content"] = "".join(self._said.thoughts)
        if self._said.call is not None:
            message["tool_calls"] = [self._tool_call(self._said.call.text)]
        choice = {
            "index": 0,
            "message": message,
            "logprobs": None,
            "finish_reason": self._finish_reason,
        }
        return {**self._head("chat.completion"), "choices": [choice], "usage": self._usage()}

    def events(self) -> Iterator[bytes]:
        """Yield the stream's events."""
        before, after = self._frame()
        yield self._opening()
        for piece in self._said.thoughts:
            yield b'%b{"reasoning_content":%b}%b' % (before, encode(piece), after)
        for piece in self._said.pieces:
            yield b'%b{"content":%b}%b' % (before, encode(piece), after)
        if self._said.call is not None:
            yield self._chunk({"tool_calls": [{"index": 0, **self._tool_call("")}]})
            for part in halves(self._said.call.text):
                yield self._chunk({"tool_calls": [{"index": 0, "function": {"arguments": part}}]})
        yield self._chunk({}, self._finish_reason)
        if self._usage_wanted:
            usage = {
                **self._head("chat.completion.chunk"),
                "choices": [],
                "usage": self._usage(),
            }
            yield b"data: %b\n\n" % encode(usage)
        yield _DONE

    def broken_events(self, after: int) -> Iterator[bytes]:
        """Yield the beginning of a stream, and an error after so many text events."""
        yield self._opening()
        for piece in self._said.pieces[:after]:
            yield self._chunk({"content": piece})
        fault = {
            "message": openai_shapes.OVERLOADED_TEXT,
            "type": "server_error",
            "param": None,
            "code": None,
        }
        yield b"data: %b\n\n" % encode({"error": fault})

    def _head(self, kind: str) -> dict[str, Any]:
        return {
            "id": self._id,
            "object": kind,
            "created": CREATED,
            "model": self._model,
            "service_tier": "default",
            "system_fingerprint": "fp_demo",
        }

    def _frame(self) -> tuple[bytes, bytes]:
        """Return what is before and after the delta of every chunk."""
        head = encode(self._head("chat.completion.chunk"))[:-1]
        usage = b',"usage":null' if self._usage_wanted else b""
        return (
            b'data: %b,"choices":[{"index":0,"delta":' % head,
            b',"logprobs":null,"finish_reason":null}]%b}\n\n' % usage,
        )

    def _opening(self) -> bytes:
        return self._chunk({"role": "assistant", "content": "", "refusal": None})

    def _chunk(self, delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        value = {**self._head("chat.completion.chunk"), "choices": [choice]}
        if self._usage_wanted:
            value["usage"] = None
        return b"data: %b\n\n" % encode(value)

    def _tool_call(self, arguments: str) -> dict[str, Any]:
        name = "" if self._said.call is None else self._said.call.name
        return {
            "id": self._call_id,
            "type": "function",
            "function": {"name": name, "arguments": arguments},
        }

    def _usage(self) -> dict[str, Any]:
        usage = self._said.usage
        prompt = openai_shapes.input_tokens(usage)
        return {
            "prompt_tokens": prompt,
            "completion_tokens": usage.output_tokens,
            "total_tokens": prompt + usage.output_tokens,
            "prompt_tokens_details": {"cached_tokens": usage.cache_read_tokens, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": len(self._said.thoughts),
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        }


def _turn(messages: Sequence[_Message]) -> Turn:
    spoken = [message for message in messages if message.role not in _NOBODYS_ROLES]
    texts = (_text(each.content) for each in reversed(spoken) if each.role == "user")
    return Turn(
        prompt=next(texts, ""),
        answered=bool(spoken) and spoken[-1].role in _RESULT_ROLES,
    )


def _text(content: str | list[_Part] | None) -> str:
    """Return the human's last text."""
    if content is None or isinstance(content, str):
        return content or ""
    return script.last_words(part.text or "" for part in reversed(content) if part.type == "text")


def _offered(request: _Request) -> list[Tool]:
    if request.tool_choice == "none":
        return []
    functions = [each.function for each in _tools.decode(request.tools) or ()]
    return [Tool(name=each.name, schema=each.parameters) for each in functions if each]
