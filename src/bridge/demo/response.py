"""Response: one answer of OpenAI's Responses API, as a document and as a stream; pure, no I/O.

Source: https://developers.openai.com/api/reference/resources/responses (the object, and streaming
events) and the types of the openai package 3.57 (read 2026-11-23).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import msgspec

from bridge.demo import openai_shapes
from bridge.demo.openai_shapes import CREATED, encode
from bridge.demo.script import Said
from bridge.demo.tools import Call, halves

_ENCRYPTED = "ZGVtby1lbmNyeXB0ZWQ="
_NULL = msgspec.Raw(b"null")
_OWN_BYTES = 4096
_FAILURE = {"code": "server_error", "message": openai_shapes.OVERLOADED_TEXT}


class Echoed(msgspec.Struct):
    """What a request says and its response repeats, as it came."""

    instructions: msgspec.Raw = _NULL
    max_output_tokens: msgspec.Raw = _NULL
    max_tool_calls: msgspec.Raw = _NULL
    metadata: msgspec.Raw = msgspec.Raw(b"{}")
    parallel_tool_calls: msgspec.Raw = msgspec.Raw(b"true")
    previous_response_id: str | None = None
    prompt_cache_key: msgspec.Raw = _NULL
    reasoning: msgspec.Raw = msgspec.Raw(b'{"effort":null,"summary":null}')
    safety_identifier: msgspec.Raw = _NULL
    temperature: msgspec.Raw = msgspec.Raw(b"1.0")
    text: msgspec.Raw = msgspec.Raw(b'{"format":{"type":"text"},"verbosity":"medium"}')
    tool_choice: msgspec.Raw = msgspec.Raw(b'"auto"')
    tools: msgspec.Raw = msgspec.Raw(b"[]")
    top_logprobs: msgspec.Raw = msgspec.Raw(b"0")
    top_p: msgspec.Raw = msgspec.Raw(b"1.0")
    truncation: msgspec.Raw = msgspec.Raw(b'"disabled"')
    user: msgspec.Raw = _NULL


@dataclass(frozen=True, slots=True, kw_only=True)
class _Item:
    """One output item: how it begins, what streams into it, and how it is when it is complete."""

    begun: dict[str, Any]
    whole: dict[str, Any]
    kind: str = ""
    """First part of the names of its events, as `output_text`; "" when nothing streams."""
    place: dict[str, Any]
    """The fields of these events that say which part of the item they are about."""
    pieces: Sequence[str] = ()
    part: dict[str, Any] | None = None
    """The part that they fill, while it is empty; None when they fill the item itself."""


class Response:
    """One response, ready to be told in one piece or as a stream."""

    def __init__(
        self,
        *,
        model: str,
        said: Said,
        number: str,
        echoed: Echoed,
        store: bool,
        background: bool,
        conversation: str | None,
        compacts: bool,
        fails: bool,
    ) -> None:
        """Say what was `said`; `compacts` instead of that; `fails` instead of completing it."""
        self.id = f"resp_demo_{number}"
        self.background = background
        self._number = number
        self._model = model
        self._said = said
        self._fails = fails
        self._rest = {
            "conversation": None if conversation is None else {"id": conversation},
            "service_tier": "default",
            "store": store,
            **_echo(echoed),
        }
        self._items = [_compaction(number)] if compacts else list(self._spoken())

    @property
    def size(self) -> int:
        """Bytes of memory, about, beside the request's."""
        return sum(map(sys.getsizeof, self._said.pieces)) + _OWN_BYTES

    @property
    def output(self) -> list[dict[str, Any]]:
        """The output items, complete."""
        return [item.whole for item in self._items]

    def document(self) -> dict[str, Any]:
        """Return the response as it is in the end."""
        return self.unfinished("failed") if self._fails else self._completed()

    def unfinished(self, status: str) -> dict[str, Any]:
        """Return the response without any output."""
        return self._document(status, [], None)

    def events(self, after: int = 0) -> Iterator[bytes]:
        """Yield the stream's events; one that fails does so after so many text events."""
        numbers = count()
        opening = self.unfinished("in_progress")
        yield _event("response.created", numbers, response=opening)
        if self.background:
            yield _event("response.queued", numbers, response=self.unfinished("queued"))
        yield _event("response.in_progress", numbers, response=opening)
        if self._fails:
            yield from self._breaking(numbers, after)
            return
        for index, item in enumerate(self._items):
            yield _event("response.output_item.added", numbers, output_index=index, item=item.begun)
            if item.kind:
                yield from _streamed(item, index, numbers)
            yield _event("response.output_item.done", numbers, output_index=index, item=item.whole)
        yield _event("response.completed", numbers, response=self._completed())

    def _breaking(self, numbers: Iterator[int], after: int) -> Iterator[bytes]:
        item = self._message(self._said.pieces[:after])
        yield _event("response.output_item.added", numbers, output_index=0, item=item.begun)
        yield _part_event("added", item, 0, numbers)
        yield from _deltas(item, 0, numbers)
        yield _event("error", numbers, **_FAILURE, param=None)
        yield _event("response.failed", numbers, response=self.unfinished("failed"))

    def _completed(self) -> dict[str, Any]:
        usage = usage_of(self._said)
        return self._document("completed", self.output, usage)

    def _document(
        self, status: str, output: list[dict[str, Any]], usage: dict[str, Any] | None
    ) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": "response",
            "created_at": CREATED,
            "status": status,
            "background": self.background,
            "completed_at": CREATED if status == "completed" else None,
            "error": _FAILURE if status == "failed" else None,
            "incomplete_details": None,
            "model": self._model,
            "output": output,
            "usage": usage,
            **self._rest,
        }

    def _spoken(self) -> Iterator[_Item]:
        if self._said.thoughts:
            yield self._reasoning()
        yield self._message(self._said.pieces)
        if self._said.call is not None:
            yield self._call(self._said.call)

    def _reasoning(self) -> _Item:
        part = {"type": "summary_text", "text": "".join(self._said.thoughts)}
        head = {"id": f"rs_demo_{self._number}", "type": "reasoning"}
        return _Item(
            begun={**head, "summary": []},
            whole={**head, "summary": [part], "encrypted_content": _ENCRYPTED},
            kind="reasoning_summary_text",
            place={"summary_index": 0},
            pieces=self._said.thoughts,
            part={"type": "summary_text", "text": ""},
        )

    def _message(self, pieces: Sequence[str]) -> _Item:
        head = {"id": f"msg_demo_{self._number}", "type": "message", "role": "assistant"}
        part: dict[str, Any] = {"type": "output_text", "annotations": [], "logprobs": []}
        return _Item(
            begun={**head, "status": "in_progress", "content": []},
            whole={**head, "status": "completed", "content": [{**part, "text": "".join(pieces)}]},
            kind="output_text",
            place={"content_index": 0},
            pieces=pieces,
            part={**part, "text": ""},
        )

    def _call(self, call: Call) -> _Item:
        prefix, kind = ("ctc", "custom_tool_call") if call.free_text else ("fc", "function_call")
        field = "input" if call.free_text else "arguments"
        head = {
            "id": f"{prefix}_demo_{self._number}",
            "type": kind,
            "call_id": f"call_demo_{self._number}",
            "name": call.name,
        }
        if call.namespace is not None:
            head["namespace"] = call.namespace
        return _Item(
            begun={**head, "status": "in_progress", field: ""},
            whole={**head, "status": "completed", field: call.text},
            kind=f"{kind}_{field}",
            place={},
            pieces=halves(call.text),
        )


def compacted(number: str) -> dict[str, Any]:
    """Return the item that stands for all that was said before."""
    return {"id": f"cmp_demo_{number}", "type": "compaction", "encrypted_content": _ENCRYPTED}


def usage_of(said: Said) -> dict[str, Any]:
    """Return the usage in the shape of this API."""
    usage = said.usage
    sent = openai_shapes.input_tokens(usage)
    return {
        "input_tokens": sent,
        "input_tokens_details": {
            "cached_tokens": usage.cache_read_tokens,
            "cache_write_tokens": 0,
        },
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": len(said.thoughts)},
        "total_tokens": sent + usage.output_tokens,
    }


def _echo(echoed: Echoed) -> dict[str, Any]:
    return {name: _said_or(default, getattr(echoed, name)) for name, default in _DEFAULTS.items()}


def _said_or(default: object, value: object) -> object:
    """Return what the client said, in one line: an event cannot hold more."""
    if value is None or value == _NULL:
        return default
    if isinstance(value, msgspec.Raw) and value is not default:
        return msgspec.Raw(msgspec.json.format(bytes(value), indent=-1))
    return value


def _compaction(number: str) -> _Item:
    item = compacted(number)
    return _Item(begun=item, whole=item, place={})


_DEFAULTS = msgspec.structs.asdict(Echoed())
_PART_EVENTS = {"output_text": "content_part", "reasoning_summary_text": "reasoning_summary_part"}
_TEXT_FIELDS = {"function_call_arguments": "arguments", "custom_tool_call_input": "input"}


def _streamed(item: _Item, index: int, numbers: Iterator[int]) -> Iterator[bytes]:
    """Yield the events that fill an item."""
    text = "".join(item.pieces)
    if item.part is not None:
        yield _part_event("added", item, index, numbers)
    yield from _deltas(item, index, numbers)
    fields = {_TEXT_FIELDS.get(item.kind, "text"): text, **_logprobs(item)}
    yield _event(f"response.{item.kind}.done", numbers, **_place(item, index), **fields)
    if item.part is not None:
        yield _part_event("done", item, index, numbers, text=text)


def _deltas(item: _Item, index: int, numbers: Iterator[int]) -> Iterator[bytes]:
    # Everything but the text and the number is the same in each: it is made once.
    name = f"response.{item.kind}.delta"
    fixed = encode({"type": name, **_place(item, index), **_logprobs(item)})[:-1]
    head = b'event: %b\ndata: %b,"delta":' % (name.encode("ascii"), fixed)
    for piece in item.pieces:
        yield b'%b%b,"sequence_number":%d}\n\n' % (head, encode(piece), next(numbers))


def _part_event(what: str, item: _Item, index: int, numbers: Iterator[int], **filled: str) -> bytes:
    name = f"response.{_PART_EVENTS[item.kind]}.{what}"
    part = {**(item.part or {}), **filled}
    return _event(name, numbers, **_place(item, index), part=part)


def _place(item: _Item, index: int) -> dict[str, Any]:
    return {"item_id": item.whole["id"], "output_index": index, **item.place}


def _logprobs(item: _Item) -> dict[str, Any]:
    return {"logprobs": []} if item.kind == "output_text" else {}


def _event(name: str, numbers: Iterator[int], **fields: Any) -> bytes:
    value = {"type": name, **fields, "sequence_number": next(numbers)}
    return b"event: %b\ndata: %b\n\n" % (name.encode("ascii"), encode(value))
