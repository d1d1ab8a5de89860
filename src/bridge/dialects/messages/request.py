"""What a Messages request asks for: model, stream, the human's last prompt, the call it answers.

Only what is needed is decoded: the last message, and the top level without `system` and `tools`.
Odd types never refuse a request, the provider judges them; we only say that we saw less.

Messages of the role `system` at the end of the list are passed over: coding agents put context
there, behind what the human wrote.

Decided: a body that is not UTF-8 passes where everything else in it is JSON, with the odd bytes
read as U+FFFD; `NaN` and control characters inside strings are not JSON and get 400.

Source: platform.claude.com/docs/en/api/messages (read 2026-11-23).
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from bridge.dialects.interface import RequestSummary
from bridge.dialects.loose_json import read_loosely
from bridge.domain.errors import BadRequest

_REMINDER_START = "<system-reminder>"
_REMINDER_END = "</system-reminder>"
_BOM = b"\xef\xbb\xbf"
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_SURROGATES = re.compile("[\ud800-\udfff]")
_SPACES = re.compile(r"\s*")
_SYSTEM = "system"
_MAX_SYSTEM_MESSAGES = 16
# Claude Code (2.1.197) puts messages of this role behind the human's; more than these are nobody's.
_MAX_REREAD_BYTES = 4 * 1024 * 1024
"""The stdlib reads 1 MiB in some 10 ms, and every other stream waits meanwhile."""


class _Body(msgspec.Struct, gc=False):
    model: Any = None
    stream: Any = None
    metadata: Any = None
    messages: list[msgspec.Raw] | None = None


class _Block(msgspec.Struct, gc=False):
    type: Any = None
    text: Any = None
    tool_use_id: Any = None


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
    try:
        return _summary(_BODY.decode(body))
    except RecursionError:
        return _unread(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as e:
        return _reread(body, e)


def _summary(read: _Body) -> RequestSummary:
    odd = False
    role: object = None
    content: object = None
    for raw in reversed((read.messages or [])[-_MAX_SYSTEM_MESSAGES:]):
        role, content, odd = _message(bytes(raw))
        if role != _SYSTEM:
            break
    return _assembled(
        model=read.model,
        stream=read.stream,
        metadata=read.metadata,
        role=role,
        content=content,
        odd=odd,
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
    *, model: object, stream: object, metadata: object, role: object, content: object, odd: bool
) -> RequestSummary:
    prompt = _prompt(content) if role == "user" else None
    hints = {}
    user_id = metadata.get("user_id") if isinstance(metadata, dict) else None
    if isinstance(user_id, str):
        hints["metadata.user_id"] = user_id
    odd = (
        odd
        or not (model is None or isinstance(model, str))
        or not (stream is None or isinstance(stream, bool))
        or not (content is None or isinstance(content, str | list))
        or (prompt is not None and _SURROGATES.search(prompt) is not None)
    )
    return RequestSummary(
        model=model if isinstance(model, str) else "",
        streaming=stream is True,
        prompt=prompt,
        correlating_tool_call_id=_answered_call(content),
        session_hints=hints,
        partially_observed=odd,
    )


def is_reminder(text: str) -> bool:
    """Return whether `text` holds only `<system-reminder>` sections, which no human wrote."""
    begin = at = _after_spaces(text, 0)
    while text.startswith(_REMINDER_START, at):
        end = text.find(_REMINDER_END, at)
        if end < 0:
            return False
        at = _after_spaces(text, end + len(_REMINDER_END))
    return begin < at == len(text)


def _after_spaces(text: str, at: int) -> int:
    match = _SPACES.match(text, at)
    return match.end() if match is not None else at


def _prompt(content: object) -> str | None:
    """Return the last text in `content` that a human may have written."""
    if isinstance(content, str):
        return None if is_reminder(content) else content
    if not isinstance(content, list):
        return None
    for block in reversed(content):
        if _of(block, "type") == "text":
            text = _of(block, "text")
            if isinstance(text, str) and not is_reminder(text):
                return text
    return None


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


def _of(block: object, name: str) -> object:
    return block.get(name) if isinstance(block, dict) else getattr(block, name, None)


class _Unreadable:
    """Stands for JSON that is nested too deeply, or too large to read twice."""


def _reread(body: bytes, refusal: Exception) -> RequestSummary:
    """Read again, slowly, what msgspec refused: lone surrogates, odd types, or no JSON at all."""
    if not body or body.isspace():
        msg = "The request body is empty; send a JSON object."
        raise BadRequest(msg)
    if body.startswith(_BOM):
        return summarize(body.removeprefix(_BOM))
    if len(body) > _MAX_REREAD_BYTES:
        odd_only = isinstance(refusal, msgspec.ValidationError | UnicodeDecodeError)
        if odd_only or _SURROGATE.search(body):
            return _unread(body)
        raise _not_json()
    try:
        value = _loads(body)
    except ValueError as e:
        raise _not_json() from e
    if isinstance(value, _Unreadable):
        return _unread(body)
    if not isinstance(value, dict):
        raise _not_an_object()
    messages = value.get("messages")
    listed = messages if isinstance(messages, list) else []
    role: object = None
    content: object = None
    for message in reversed(listed[-_MAX_SYSTEM_MESSAGES:]):
        role, content = _role_and_content(message)
        if role != _SYSTEM:
            break
    return _assembled(
        model=value.get("model"),
        stream=value.get("stream"),
        metadata=value.get("metadata"),
        role=role,
        content=content,
        odd=not (messages is None or isinstance(messages, list))
        or isinstance(refusal, UnicodeDecodeError),
    )


def _role_and_content(message: object) -> tuple[object, object]:
    if not isinstance(message, dict):
        return None, None
    return message.get("role"), message.get("content")


def _unread(body: bytes) -> RequestSummary:
    """Return the summary of a body that passes unread."""
    if not body.lstrip().startswith(b"{"):
        raise _not_an_object()
    return _assembled(model=None, stream=None, metadata=None, role=None, content=None, odd=True)


def _loads(text: bytes) -> object:
    """Return what `text` holds.

    Raises:
        ValueError: it is not JSON.
    """
    try:
        return read_loosely(text)
    except RecursionError:
        return _Unreadable()


def _not_json() -> BadRequest:
    return BadRequest("The request body is not valid JSON; send a JSON object.")


def _not_an_object() -> BadRequest:
    return BadRequest("The request body is not a JSON object.")
