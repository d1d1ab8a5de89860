"""Reads one Messages answer, stream or document, into observations.

A tool call or thought is told when its block ends, so a cut stream still yields what was complete;
token counts are told when the answer begins (so far) and when it ends (final). Unknown events are
ignored; an event that cannot be read costs no more than what it said.

Source: platform.claude.com/docs/en/build-with-claude/streaming and /docs/en/api/messages
(read 2026-11-23).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec

from bridge.dialects.error_bodies import error_in
from bridge.dialects.interface import InBandError, Reading
from bridge.dialects.loose_json import read_loosely
from bridge.dialects.messages.blocks import (
    Block,
    OpenBlock,
    is_thought,
    is_tool_call,
    read_block,
    tool_usage,
)
from bridge.dialects.messages.usage import new_tally, usage_from
from bridge.dialects.texts import holdable
from bridge.domain.observations import ModelThought, Observation, TokenUsage, UsageSource

_MAX_TEXT = 16 * 1024 * 1024
"""Characters of tool arguments and thoughts kept per answer."""
_MAX_OPEN = 1024

_DELTA = b"event: content_block_delta\n"
_TEXT_DELTA = b'"type":"text_delta"'
_TEXT_DELTA_SPACED = b'"type": "text_delta"'
_LOOK = 160
# An index has few digits: the delta's type stands before this, or the event is read in full.


class _Start(msgspec.Struct, gc=False):
    index: Any = None
    content_block: msgspec.Raw = msgspec.Raw(b"null")


class _Document(msgspec.Struct, gc=False):
    type: Any = None
    id: Any = None
    stop_reason: Any = None
    usage: Any = None
    error: Any = None
    content: list[msgspec.Raw] | None = None


_START = msgspec.json.Decoder(_Start)
_DOCUMENT = msgspec.json.Decoder(_Document)


class MessagesReader:
    """Reads one answer."""

    def __init__(self) -> None:
        """Start before the first byte."""
        self._response_id = ""
        self._stop_reason: str | None = None
        self._error: InBandError | None = None
        self._tally = new_tally()
        self._open: dict[object, OpenBlock] = {}
        self._room = _MAX_TEXT
        self._ended_normally = False
        self._odd = False

    @property
    def terminal(self) -> bool:
        """Whether `message_stop`, or an error, has been taken."""
        return self._ended_normally or self._error is not None

    def skips(self, block: bytes) -> bool:
        """Return whether `block` is a text delta in the usual spelling.

        The sought bytes hold unescaped quotes, so no string inside the event can contain them.
        """
        return block.startswith(_DELTA) and (
            block.find(_TEXT_DELTA, 27, _LOOK) > 0 or block.find(_TEXT_DELTA_SPACED, 27, _LOOK) > 0
        )

    def event(self, name: bytes, data: bytes) -> Sequence[Observation]:
        """Take one server-sent event; return what it completed.

        The event's name decides, `type` in its data only where it has none.
        """
        if self.terminal:
            return ()
        try:
            return self._read(name or _type_of(data), data)
        except (ValueError, TypeError, RecursionError):  # no JSON, no object, nested too deeply
            self._odd = True
            return ()

    def rest(self, name: bytes, data: bytes) -> Sequence[Observation]:
        """Take what stood after the last blank line: an event if its JSON is whole."""
        try:
            _object(data)
        except (ValueError, TypeError, RecursionError):
            return ()
        return self.event(name, data)

    def _read(self, kind: bytes, data: bytes) -> Sequence[Observation]:
        match kind:
            case b"content_block_delta":
                self._grow(_object(data))
            case b"content_block_start":
                self._begin(data)
            case b"content_block_stop":
                return self._close(_index(_object(data)))
            case b"message_start":
                return self._start(_object(data).get("message"))
            case b"message_delta":
                self._progress(_object(data))
            case b"message_stop":
                return self._end()
            case b"error":
                return self._fail(data)
        return ()

    def document(self, body: bytes, status: int) -> Sequence[Observation]:
        """Take a whole non-streaming answer, error bodies included; return what it holds.

        Raises:
            ValueError: it is not JSON.
            TypeError: it is not an object.
            RecursionError: it is nested too deeply.
        """
        if status >= 400:
            self._error = error_in(body)
            return ()
        try:
            document = _DOCUMENT.decode(body)
        except msgspec.ValidationError:  # an odd type: keep the rest
            self._odd = True
            document = _loose_document(body)
        except (msgspec.DecodeError, UnicodeDecodeError):  # lone surrogates, or no JSON at all
            document = _loose_document(body)
        if document.type == "error" or (document.content is None and document.error is not None):
            self._error = error_in(body)
            return ()
        self._take_head(document.id, document.stop_reason, document.usage)
        found: list[Observation] = []
        for raw in document.content or ():
            found.extend(self._in_document(read_block(bytes(raw))))
        self._ended_normally = True
        return (*found, *self._usage(UsageSource.PROVIDER_FINAL))

    def reading(self) -> Reading:
        """Return what is known so far."""
        source = (
            UsageSource.PROVIDER_FINAL if self._ended_normally else UsageSource.PROVIDER_PARTIAL
        )
        return Reading(
            response_id=self._response_id,
            stop_reason=self._stop_reason,
            usage=usage_from(self._tally, self._response_id, source) if self._tally.seen else None,
            complete=self.terminal,
            error=self._error,
            partially_observed=self._odd or self._tally.odd,
        )

    def _start(self, message: object) -> Sequence[Observation]:
        if not isinstance(message, dict):
            self._odd = True
            return ()
        self._take_head(message.get("id"), message.get("stop_reason"), message.get("usage"))
        return self._usage(UsageSource.PROVIDER_PARTIAL)

    def _take_head(self, response_id: object, stop_reason: object, usage: object) -> None:
        if isinstance(response_id, str):
            self._response_id = response_id
        else:
            self._odd = True
        if isinstance(stop_reason, str):
            self._stop_reason = stop_reason
        self._tally.take(usage)

    def _begin(self, data: bytes) -> None:
        try:
            start = _START.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            loose = _object(data)
            raw = json.dumps(loose.get("content_block")).encode()
            start = _Start(index=loose.get("index"), content_block=msgspec.Raw(raw))
        raw = bytes(start.content_block)
        block = read_block(raw)
        if block is None or not isinstance(start.index, int):
            self._odd = True
        elif is_thought(block) or is_tool_call(block):
            if len(self._open) >= _MAX_OPEN or len(raw) > self._room:
                self._odd = True
                return
            self._room -= len(raw)
            self._open[start.index] = OpenBlock(block)

    def _grow(self, event: dict[str, Any]) -> None:
        delta = event.get("delta")
        if not isinstance(delta, dict):
            self._odd = True
            return
        match delta.get("type"):
            case "input_json_delta":
                text = delta.get("partial_json")
            case "thinking_delta":
                text = delta.get("thinking")
            case _:  # text, citations, signatures, what is not known yet
                return
        block = self._open.get(_index(event))
        if not isinstance(text, str) or block is None:
            self._odd = True
        elif block.truncated or len(text) > self._room:
            block.truncated = self._odd = True
        else:
            self._room -= len(text)
            block.add(text)

    def _close(self, index: object) -> Sequence[Observation]:
        block = self._open.pop(index, None)
        completed = block.completed(self._response_id) if block is not None else None
        return () if completed is None else (completed,)

    def _progress(self, event: dict[str, Any]) -> None:
        delta = event.get("delta")
        if isinstance(delta, dict):
            if isinstance(delta.get("stop_reason"), str):
                self._stop_reason = delta["stop_reason"]
        elif delta is not None:
            self._odd = True
        self._tally.take(event.get("usage"))

    def _end(self) -> Sequence[Observation]:
        left = [found for index in list(self._open) for found in self._close(index)]
        self._ended_normally = True
        return (*left, *self._usage(UsageSource.PROVIDER_FINAL))

    def _fail(self, data: bytes) -> Sequence[Observation]:
        self._error = error_in(data)
        return self._usage(UsageSource.PROVIDER_PARTIAL)

    def _usage(self, source: UsageSource) -> tuple[TokenUsage, ...]:
        return (usage_from(self._tally, self._response_id, source),) if self._tally.seen else ()

    def _in_document(self, block: Block | None) -> Sequence[Observation]:
        if block is None:
            self._odd = True
        elif is_tool_call(block):
            return (tool_usage(block, self._response_id, ""),)
        elif is_thought(block) and isinstance(block.thinking, str) and block.thinking:
            return (ModelThought(content=holdable(block.thinking), source="thinking"),)
        return ()


def _object(data: bytes) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):  # lone surrogates, or no JSON at all
        value = read_loosely(data)
    if not isinstance(value, dict):
        msg = "an event's data is not a JSON object"
        raise TypeError(msg)
    return value


def _index(event: dict[str, Any]) -> int | None:
    index = event.get("index")
    return index if isinstance(index, int) else None


def _type_of(data: bytes) -> bytes:
    kind = _object(data).get("type")
    return kind.encode("utf-8", "replace") if isinstance(kind, str) else b""


def _loose_document(body: bytes) -> _Document:
    value = read_loosely(body)
    if not isinstance(value, dict):
        msg = "the answer is not a JSON object"
        raise TypeError(msg)
    content = value.get("content")
    blocks = content if isinstance(content, list) else []
    return _Document(
        type=value.get("type"),
        id=value.get("id"),
        stop_reason=value.get("stop_reason"),
        usage=value.get("usage"),
        error=value.get("error"),
        content=[msgspec.Raw(json.dumps(block).encode()) for block in blocks],
    )
