"""What a Chat Completions request asks for: model, stream, the human's last prompt, the call.

Only what is needed is decoded: the messages after the assistant's last one, which are this turn,
and the top level without `tools`. Messages of the roles `system` and `developer` say nothing of
the human, and neither do those of the user that hold only context: coding agents put context
there, behind what the human wrote. What the assistant said in the very end is how the client wants
the answer to begin: the turn is still the one before it.

Where a human's words may stand beyond what is read, or in what we do not know, that is said.

Source: platform.openai.com/docs/api-reference/chat/create (read 2026-11-25).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from bridge.dialects.human_words import is_added, last_words, opens_title_request
from bridge.dialects.interface import RequestSummary
from bridge.dialects.loose_json import read_loosely
from bridge.dialects.request_bodies import Loose, read_body
from bridge.dialects.texts import SURROGATES
from bridge.dialects.tool_results import MAX_RESULTS, in_order, tool_result
from bridge.domain.interception import ToolResult

_CONTEXT = frozenset({"system", "developer"})
_RESULTS = frozenset({"tool", "function"})
_WORDLESS = frozenset(
    {"image_url", "image", "input_audio", "audio_url", "video_url", "file", "refusal"}
)
# Types of parts in which nobody writes.
_MAX_TURN = 256
# Results of parallel calls and context come by the dozen.


class _Body(msgspec.Struct, gc=False):
    model: Any = None
    stream: Any = None
    metadata: Any = None
    prompt_cache_key: Any = None
    store: Any = None
    messages: list[msgspec.Raw] | None = None


class _Part(msgspec.Struct, gc=False):
    type: Any = None
    text: Any = None


class _Message(msgspec.Struct, gc=False):
    role: Any = None
    content: str | list[_Part] | None = None
    tool_call_id: Any = None


class _Seen(msgspec.Struct, gc=False):
    """A message of any types."""

    role: object = None
    content: object = None
    tool_call_id: object = None
    odd: bool = False


class _Turn(msgspec.Struct):
    prompt: str | None = None
    tool_call_id: str | None = None
    results: list[ToolResult | None] = msgspec.field(default_factory=list)
    """The last one first."""
    odd: bool = False
    opened: bool = False
    """Whether the message taken last, context aside, asks for a title of what follows it."""


_BODY = msgspec.json.Decoder(_Body)
_MESSAGE = msgspec.json.Decoder(_Message)


def summarize(body: bytes) -> RequestSummary:
    """Read a decoded request body.

    Raises:
        BadRequest: empty, not JSON, or not an object.
    """
    match read_body(body, _BODY):
        case None:
            return _assembled({}, _Turn(odd=True))
        case Loose(value=value, odd=odd):
            messages = value.get("messages")
            listed = messages if isinstance(messages, list) else []
            seen = (_from_loose(each) for each in reversed(listed[-_MAX_TURN:]))
            turn = _turn(seen, whole=len(listed) <= _MAX_TURN)
            turn.odd = turn.odd or odd or not (messages is None or isinstance(messages, list))
            return _assembled(value, turn)
        case read:
            messages = read.messages or ()
            turn = _turn(_decoded(messages), whole=len(messages) <= _MAX_TURN)
            return _assembled(_top_level(read), turn)


def _top_level(read: _Body) -> dict[str, Any]:
    return {
        "model": read.model,
        "stream": read.stream,
        "metadata": read.metadata,
        "prompt_cache_key": read.prompt_cache_key,
        "store": read.store,
    }


def _assembled(value: dict[str, Any], turn: _Turn) -> RequestSummary:
    model = value.get("model")
    stream = value.get("stream")
    metadata = value.get("metadata")
    hints = {
        "prompt_cache_key": value.get("prompt_cache_key"),
        "metadata.user_id": metadata.get("user_id") if isinstance(metadata, dict) else None,
    }
    return RequestSummary(
        model=model if isinstance(model, str) else "",
        streaming=stream is True,
        prompt=turn.prompt,
        correlating_tool_call_id=turn.tool_call_id,
        tool_results=in_order(turn.results),
        stores=value.get("store") is True,
        session_hints={name: text for name, text in hints.items() if isinstance(text, str)},
        partially_observed=turn.odd
        or not (model is None or isinstance(model, str))
        or not (stream is None or isinstance(stream, bool))
        or (turn.prompt is not None and SURROGATES.search(turn.prompt) is not None),
    )


def _turn(backwards: Iterable[_Seen], *, whole: bool) -> _Turn:
    """Return what the messages after the assistant's last one say, given the last one first.

    Args:
        backwards: messages.
        whole: whether there are no others before them.
    """
    turn = _Turn()
    begun = asked = False
    for message in backwards:
        role = message.role.lower() if isinstance(message.role, str) else ""
        if role == "assistant" and not begun:
            continue
        begun = True
        if role in _RESULTS:
            asked = True  # what the user wrote before was for the turn that called the tool
            turn.opened = False
            if len(turn.results) < MAX_RESULTS:
                turn.results.append(_result(message))
            if turn.tool_call_id is None and isinstance(message.tool_call_id, str):
                turn.tool_call_id = message.tool_call_id or None
        elif role == "user":
            turn.opened = _opens_title_request(message.content)
            asked = asked or _take_words(turn, message.content)
        elif role not in _CONTEXT:
            if role != "assistant":
                turn.odd = turn.odd or message.odd or not asked
            break
        turn.odd = turn.odd or message.odd
    else:
        turn.odd = turn.odd or not (whole or asked)
        if whole and turn.opened:
            turn.prompt = None
    return turn


def _result(message: _Seen) -> ToolResult | None:
    content = message.content
    text = content if isinstance(content, str) else "".join(reversed(list(_texts(content))))
    return tool_result(message.tool_call_id, text, is_error=None)


def _take_words(turn: _Turn, content: object) -> bool:
    """Add what a user's message says; return whether it is more than context."""
    turn.prompt = last_words(_texts(content))
    hidden = turn.prompt is None and _may_hide_words(content)
    turn.odd = turn.odd or hidden
    return hidden or not _holds_only_context(content)


def _holds_only_context(content: object) -> bool:
    texts = list(_texts(content))
    return bool(texts) and all(is_added(text) for text in texts)


def _opens_title_request(content: object) -> bool:
    texts = list(_texts(content))
    return bool(texts) and opens_title_request(texts[-1])


def _may_hide_words(content: object) -> bool:
    """Return whether `content` has a part of a kind that we do not know."""
    return isinstance(content, list) and not all(_is_understood(part) for part in content)


def _is_understood(part: object) -> bool:
    kind = _of(part, "type")
    if kind == "text":
        return isinstance(_of(part, "text"), str)
    return isinstance(kind, str) and kind in _WORDLESS


def _texts(content: object) -> Iterator[str]:
    """Yield the texts in `content`, the last one first."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, list):
        for part in reversed(content):
            text = _of(part, "text")
            if _of(part, "type") == "text" and isinstance(text, str):
                yield text


def _of(part: object, name: str) -> object:
    return part.get(name) if isinstance(part, dict) else getattr(part, name, None)


def _decoded(messages: Sequence[msgspec.Raw]) -> Iterator[_Seen]:
    """Yield the last messages, the last one first, decoding each only when it is asked for."""
    for raw in reversed(messages[-_MAX_TURN:]):
        try:
            message = _MESSAGE.decode(raw)
        except RecursionError:
            yield _Seen(odd=True)
        except (msgspec.DecodeError, UnicodeDecodeError) as e:
            seen = _from_loose(_loads(bytes(raw)))
            seen.odd = seen.odd or isinstance(e, UnicodeDecodeError)
            yield seen
        else:
            yield _Seen(message.role, message.content, message.tool_call_id)


def _from_loose(value: object) -> _Seen:
    if not isinstance(value, dict):
        return _Seen(odd=True)
    content = value.get("content")
    odd = not (content is None or isinstance(content, str | list))
    return _Seen(value.get("role"), content, value.get("tool_call_id"), odd)


def _loads(text: bytes) -> object:
    """Return what `text` holds, None when it is nested too deeply to be read.

    Raises:
        ValueError: it is not JSON.
    """
    try:
        return read_loosely(text)
    except RecursionError:
        return None
