"""What a Messages request asks for: model, stream, the human's last prompt, the call it answers.

Only what is needed is decoded: the last message, and the top level without `system` and `tools`.

Messages of the role `system` at the end of the list are passed over: coding agents put context
there, behind what the human wrote.

Source: platform.claude.com/docs/en/api/messages (read 2026-11-23).
"""

from __future__ import annotations

from itertools import islice
from typing import Any

import msgspec

from bridge.dialects.human_words import last_words, opens_title_request
from bridge.dialects.interface import RequestSummary
from bridge.dialects.loose_json import read_loosely
from bridge.dialects.request_bodies import Loose, read_body
from bridge.dialects.texts import SURROGATES
from bridge.dialects.tool_results import MAX_RESULTS, in_order, tool_result
from bridge.domain.interception import ToolResult

_SYSTEM = "system"
_MAX_SYSTEM_MESSAGES = 16
# Claude Code (2.1.197) puts messages of this role behind the human's; more than these are nobody's.


class _Body(msgspec.Struct, gc=False):
    model: Any = None
    stream: Any = None
    metadata: Any = None
    messages: list[msgspec.Raw] | None = None


class _Block(msgspec.Struct, gc=False):
    type: Any = None
    text: Any = None
    tool_use_id: Any = None
    is_error: Any = None
    content: msgspec.Raw = msgspec.Raw(b"")


class _Message(msgspec.Struct, gc=False):
    role: Any = None
    content: str | list[_Block] | None = None


_BODY = msgspec.json.Decoder(_Body)
_MESSAGE = msgspec.json.Decoder(_Message)


def summarize(body: bytes) -> RequestSummary:
    """Read a decoded request body.

    Raises:
        BadRequest: empty, not JSON, or not an object.
    """
    match read_body(body, _BODY):
        case None:
            return _assembled(
                model=None,
                stream=None,
                metadata=None,
                role=None,
                content=None,
                first=False,
                odd=True,
            )
        case Loose() as loose:
            return _loose_summary(loose)
        case read:
            return _summary(read)


def _summary(read: _Body) -> RequestSummary:
    odd = False
    role: object = None
    content: object = None
    messages = read.messages or []
    before = len(messages)
    for raw in reversed(messages[-_MAX_SYSTEM_MESSAGES:]):
        before -= 1
        role, content, odd = _message(bytes(raw))
        if role != _SYSTEM:
            break
    return _assembled(
        model=read.model,
        stream=read.stream,
        metadata=read.metadata,
        role=role,
        content=content,
        first=before == 0,
        odd=odd,
    )


def _loose_summary(loose: Loose) -> RequestSummary:
    value = loose.value
    messages = value.get("messages")
    listed = messages if isinstance(messages, list) else []
    role: object = None
    content: object = None
    before = len(listed)
    for message in reversed(listed[-_MAX_SYSTEM_MESSAGES:]):
        before -= 1
        role, content = _role_and_content(message)
        if role != _SYSTEM:
            break
    return _assembled(
        model=value.get("model"),
        stream=value.get("stream"),
        metadata=value.get("metadata"),
        role=role,
        content=content,
        first=before == 0,
        odd=not (messages is None or isinstance(messages, list)) or loose.odd,
    )


def _message(raw: bytes) -> tuple[object, object, bool]:
    """Return role and content of a message, and whether it was odd."""
    try:
        message = _MESSAGE.decode(raw)
    except RecursionError:
        return None, None, True
    except (msgspec.DecodeError, UnicodeDecodeError) as e:
        loose = _loads(raw)
        odd = not isinstance(loose, dict) or isinstance(e, UnicodeDecodeError)
        return *_role_and_content(loose), odd
    return message.role, message.content, False


def _assembled(
    *,
    model: object,
    stream: object,
    metadata: object,
    role: object,
    content: object,
    first: bool,
    odd: bool,
) -> RequestSummary:
    prompt = _prompt(content, first=first) if role == "user" else None
    hints = {}
    user_id = metadata.get("user_id") if isinstance(metadata, dict) else None
    if isinstance(user_id, str):
        hints["metadata.user_id"] = user_id
    odd = (
        odd
        or not (model is None or isinstance(model, str))
        or not (stream is None or isinstance(stream, bool))
        or not (content is None or isinstance(content, str | list))
        or (prompt is not None and SURROGATES.search(prompt) is not None)
    )
    return RequestSummary(
        model=model if isinstance(model, str) else "",
        streaming=stream is True,
        prompt=prompt,
        correlating_tool_call_id=_answered_call(content),
        tool_results=_results(content),
        session_hints=hints,
        partially_observed=odd,
    )


def _prompt(content: object, *, first: bool) -> str | None:
    """Return the last words in `content` that a human may have written.

    Args:
        content: of the last message.
        first: whether there is no other before it.
    """
    texts = _texts(content)
    if first and texts and opens_title_request(texts[0]):
        return None
    return last_words(reversed(texts))


def _texts(content: object) -> list[str]:
    if isinstance(content, str):
        return [content]
    blocks = content if isinstance(content, list) else []
    texts = (_of(block, "text") for block in blocks if _of(block, "type") == "text")
    return [text for text in texts if isinstance(text, str)]


def _answered_call(content: object) -> str | None:
    """Return the id of the last tool call whose result `content` holds."""
    if not isinstance(content, list):
        return None
    for block in reversed(content):
        if _of(block, "type") == "tool_result":
            call = _of(block, "tool_use_id")
            if isinstance(call, str) and call:
                return call
    return None


def _results(content: object) -> tuple[ToolResult, ...]:
    if not isinstance(content, list):
        return ()
    return in_order(
        tool_result(
            _of(block, "tool_use_id"),
            _of(block, "content"),
            is_error=_of(block, "is_error") is True,
        )
        for block in islice(
            (block for block in reversed(content) if _of(block, "type") == "tool_result"),
            MAX_RESULTS,
        )
    )


def _of(block: object, name: str) -> object:
    return block.get(name) if isinstance(block, dict) else getattr(block, name, None)


def _role_and_content(message: object) -> tuple[object, object]:
    if not isinstance(message, dict):
        return None, None
    return message.get("role"), message.get("content")


def _loads(text: bytes) -> object:
    """Return what `text` holds, None when it is nested too deeply to be read.

    Raises:
        ValueError: it is not JSON.
    """
    try:
        return read_loosely(text)
    except RecursionError:
        return None
