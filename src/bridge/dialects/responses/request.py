"""What a Responses request asks for: model, stream, the human's last prompt, the call it answers.

Only what is needed is decoded: the top level without `instructions` and `tools`, and of `input` the
items behind the model's last one, from the end. Items of the roles `developer` and `system` and
what clients put into a human's turn are passed over. A turn is marked where a human's words may be
that are not found: kept by the provider (a stored prompt, a conversation, a referenced item), or
before an item that we do not know.

Some clients put each output directly behind its call, so that calls made at once look like calls
made one after the other: outputs before the last call are looked at, too, up to what ends a turn
for sure, and marked as perhaps repeated.

Source: developers.openai.com/api/reference/resources/responses/methods/create (read 2026-11-25).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import msgspec
from msgspec.structs import replace

from bridge.dialects.human_words import is_title_request, opens_title_request, without_date
from bridge.dialects.interface import RequestSummary
from bridge.dialects.loose_json import read_loosely
from bridge.dialects.request_bodies import Loose, read_body
from bridge.dialects.responses.context import is_context
from bridge.dialects.responses.references import (
    UNREADABLE,
    may_build_on_objects,
    may_refer_to_items,
    referred_to,
)
from bridge.dialects.texts import SURROGATES
from bridge.dialects.tool_results import MAX_REPEATED, MAX_RESULTS, in_order, tool_result
from bridge.domain.interception import ToolResult

_MAX_TURN = 256
"""Items of the last turn that are looked at: context, and the outputs of parallel calls."""

_NO_ONE = frozenset({"developer", "system"})
_SETTINGS = frozenset({"additional_tools", "configuration_update"})
_ASSISTANT = "assistant"
_MODELS = frozenset(
    {
        "compaction",
        "compaction_summary",
        "mcp_approval_request",
        "mcp_approval_response",
        "mcp_list_tools",
        "program",
        "reasoning",
    }
)
"""Items besides calls that hold no human's words; an approval is a human's, but a yes or no."""
_CALL = "_call"
_OUTPUT = "_output"
_SHELL_OUTPUT = "local_shell_call_output"
_TRIGGER = "compaction_trigger"


class _Body(msgspec.Struct, gc=False):
    model: Any = None
    stream: Any = None
    store: Any = None
    input: str | list[msgspec.Raw] | None = None
    previous_response_id: Any = None
    conversation: Any = None
    prompt: Any = None
    prompt_cache_key: Any = None
    client_metadata: Any = None
    metadata: Any = None


class _Item(msgspec.Struct, gc=False):
    type: Any = None
    id: Any = None
    role: Any = None
    call_id: Any = None
    content: Any = None
    output: msgspec.Raw = msgspec.Raw(b"")


_Taken = tuple[_Item | None, bool]
"""An item, None when it is no object; whether some of it was left out."""

_BODY = msgspec.json.Decoder(_Body)
_ITEM = msgspec.json.Decoder(_Item)
_FIELDS = tuple(each for each in _Body.__struct_fields__ if each != "input")


class _Turn:
    """What the items behind the model's last one say, read from the end."""

    def __init__(self) -> None:
        self.prompt: str | None = None
        self.answered_call: str | None = None
        self.results: list[ToolResult | None] = []
        """The last one first."""
        self.odd = False
        self.prompt_settled = False
        """Whether it is known what the human said last, or that it was nothing."""
        self.opened = False
        """Whether the item taken last, context aside, asks for a title of what follows it."""

    def take(self, item: _Item | None, *, odd: bool) -> bool:
        """Take the next item from the end; return whether the one before it is of this turn, too.

        Args:
            item: None when it is not an object.
            odd: whether some of it was left out.
        """
        if not self.prompt_settled:
            self.odd = self.odd or odd
        if item is None:
            return False
        kind, role = item.type, item.role
        if kind in (None, "message") and role == "user":
            self._take_words(item.content)
        elif isinstance(kind, str) and kind.endswith(_OUTPUT):
            self.prompt_settled = True
            self.opened = False
            call = _answered_call(item)
            self.answered_call = self.answered_call or call
            self.results.append(tool_result(call, item.output, is_error=None))
            return len(self.results) < MAX_RESULTS or not self.answered_call
        elif kind == _TRIGGER:
            self.prompt_settled = True
            self.opened = False
        elif not (_is_in(role, _NO_ONE) or _is_in(kind, _SETTINGS)):
            self.odd = self.odd or not (self.prompt_settled or _is_models(item))
            return False
        return not (self.prompt_settled and self.answered_call)

    def _take_words(self, content: object) -> None:
        texts = _texts(content)
        self.opened = bool(texts) and opens_title_request(texts[0])
        if self.prompt_settled:
            return
        if not (content is None or isinstance(content, str | list)):
            self.odd = True
        words = _words(texts)
        if words is not None:
            self.prompt = None if is_title_request(words) else words
            self.prompt_settled = True


def summarize(body: bytes) -> RequestSummary:
    """Read a decoded request body.

    Raises:
        BadRequest: empty, not JSON, or not an object.
    """
    match read_body(body, _BODY):
        case None:
            return replace(
                _assembled(_Body(), _Turn(), (), odd=True),
                references=(UNREADABLE,) if may_build_on_objects(body) else (),
                item_references=(UNREADABLE,) if may_refer_to_items(body) else (),
            )
        case Loose() as loose:
            return _loose_summary(loose)
        case read:
            items = read.input if isinstance(read.input, list) else []
            return _assembled(read, _turn(map(_item, reversed(items))), referred_to(items))


def _loose_summary(loose: Loose) -> RequestSummary:
    value = loose.value
    given = value.get("input")
    known = given is None or isinstance(given, str | list)
    read = _Body(**{name: value.get(name) for name in _FIELDS})
    read.input = given if isinstance(given, str) else None
    items = given if isinstance(given, list) else []
    turn = _turn(map(_loose_item, reversed(items)))
    return _assembled(read, turn, referred_to(items), odd=loose.odd or not known)


def _turn(items: Iterator[_Taken]) -> _Turn:
    """Read `items`, the last one first."""
    turn = _Turn()
    for item, odd in islice(items, _MAX_TURN):
        if not turn.take(item, odd=odd):
            if turn.results and _is_call(item):
                turn.results += islice(_interleaved(islice(items, _MAX_TURN)), MAX_REPEATED)
            return turn
    if next(items, None) is not None:
        turn.odd = turn.odd or not turn.prompt_settled
    elif turn.opened:
        turn.prompt = None
    return turn


def _interleaved(items: Iterator[_Taken]) -> Iterator[ToolResult]:
    """Yield the results among calls and outputs, the last one first, up to anything else."""
    for item, _ in items:
        if _is_call(item):
            continue
        if item is None or not (isinstance(item.type, str) and item.type.endswith(_OUTPUT)):
            return
        result = tool_result(
            _answered_call(item), item.output, is_error=None, perhaps_repeated=True
        )
        if result is not None:
            yield result


def _is_call(item: _Item | None) -> bool:
    return item is not None and isinstance(item.type, str) and item.type.endswith(_CALL)


def _item(item: msgspec.Raw) -> _Taken:
    raw = bytes(item)
    try:
        return _ITEM.decode(raw), False
    except (msgspec.ValidationError, RecursionError):  # not an object, nested too deeply
        return None, True
    except (msgspec.DecodeError, UnicodeDecodeError) as e:  # lone surrogates, stray bytes
        stray = isinstance(e, UnicodeDecodeError)
    try:
        read, odd = _loose_item(read_loosely(raw))
    except (ValueError, RecursionError):
        return None, True
    return read, odd or stray


def _loose_item(value: object) -> _Taken:
    if not isinstance(value, dict):
        return None, True
    # Whatever `output` is: only `tool_result` looks at it, which takes anything.
    fields: dict[str, Any] = {name: value.get(name) for name in _Item.__struct_fields__}
    return _Item(**fields), False


def _assembled(
    read: _Body, turn: _Turn, item_references: Sequence[str], *, odd: bool = False
) -> RequestSummary:
    prompt = turn.prompt
    if isinstance(read.input, str):
        words = _words([read.input])
        prompt = None if words is None or is_title_request(words) else words
    odd = (
        odd
        or turn.odd
        or (_builds_on_words(read) and not (prompt or turn.prompt_settled))
        or not (read.model is None or isinstance(read.model, str))
        or not (read.stream is None or isinstance(read.stream, bool))
        or (prompt is not None and SURROGATES.search(prompt) is not None)
    )
    return RequestSummary(
        model=read.model if isinstance(read.model, str) else "",
        streaming=read.stream is True,
        prompt=prompt,
        correlating_tool_call_id=turn.answered_call,
        tool_results=in_order(turn.results),
        stores=read.store is not False,  # the API keeps answers unless it is told not to
        session_hints=_session_hints(read),
        references=_references(read),
        item_references=item_references,
        partially_observed=odd,
    )


def _answered_call(item: _Item) -> str | None:
    """Return the id of the call that an output answers; the local shell's has it in `id`."""
    for call in (item.call_id, item.id if item.type == _SHELL_OUTPUT else None):
        if isinstance(call, str) and call:
            return call
    return None


def _session_hints(read: _Body) -> dict[str, str]:
    told = {
        "prompt_cache_key": read.prompt_cache_key,
        "client_metadata.session_id": _of(read.client_metadata, "session_id"),
        "client_metadata.thread_id": _of(read.client_metadata, "thread_id"),
        "metadata.user_id": _of(read.metadata, "user_id"),
    }
    return {name: text for name, text in told.items() if isinstance(text, str)}


def _references(read: _Body) -> tuple[str, ...]:
    conversation = _of(read.conversation, "id") or read.conversation
    told = (read.previous_response_id, conversation)
    return tuple(each for each in told if isinstance(each, str) and each)


def _builds_on_words(read: _Body) -> bool:
    """Return whether the provider keeps words that a human may have written for this turn."""
    return read.prompt is not None or read.conversation is not None


def _is_models(item: _Item) -> bool:
    """Return whether an item is the model's, or part of how it came to its answer."""
    kind = item.type
    if kind in (None, "message"):
        return bool(item.role == _ASSISTANT)
    return isinstance(kind, str) and (kind.endswith(_CALL) or kind in _MODELS)


def _texts(content: object) -> list[str]:
    if isinstance(content, str):
        return [content]
    parts = content if isinstance(content, list) else []
    texts = (_of(part, "text") for part in parts if _of(part, "type") == "input_text")
    return [text for text in texts if isinstance(text, str)]


def _words(texts: Sequence[str]) -> str | None:
    """Return what a human may have written in `texts`, as lines."""
    written = [without_date(text) for text in texts if not is_context(text)]
    return "\n".join(written) if written else None


def _of(value: object, name: str) -> object:
    return value.get(name) if isinstance(value, dict) else None


def _is_in(value: object, names: frozenset[str]) -> bool:
    return isinstance(value, str) and value in names
