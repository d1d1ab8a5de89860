"""Results of tool calls that a request brings: of which call, how much, whether it failed.

Only those of the last turn are looked at, and no more than MAX_RESULTS of them: a request repeats
those of all turns before, which other requests brought first. Where an API does not tell the turns
apart, a few more are looked at and marked as perhaps repeated.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from bridge.dialects.loose_json import read_loosely
from bridge.domain.interception import ToolResult

MAX_RESULTS = 64
MAX_REPEATED = 8
"""Of those that are perhaps repeated; hardly an answer makes more calls at once."""


def tool_result(
    call: object, content: object, *, is_error: bool | None, perhaps_repeated: bool = False
) -> ToolResult | None:
    """Return the result of `call`; None when that is no id.

    Args:
        call: id of the call.
        content: text, or anything else: msgspec.Raw is taken as the JSON that it is.
        is_error: whether it says that the call failed; None where the API cannot say it.
        perhaps_repeated: whether an earlier request may have brought it, too.
    """
    if not isinstance(call, str) or not call:
        return None
    text = _text(content)
    return ToolResult(
        call_id=call,
        size_bytes=len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass")),
        is_error=is_error,
        content=text,
        perhaps_repeated=perhaps_repeated,
    )


def in_order(backwards: Iterable[ToolResult | None]) -> tuple[ToolResult, ...]:
    """Return the results among these, which are given the last one first, in their order."""
    return tuple(each for each in backwards if each is not None)[:MAX_RESULTS][::-1]


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    if content is None:
        return ""
    raw = bytes(content) if isinstance(content, msgspec.Raw) else _encoded(content)
    if raw[:1] != b'"':
        return "" if raw in (b"", b"null") else raw.decode("utf-8", "replace")
    try:
        return msgspec.json.decode(raw, type=str)
    except (msgspec.DecodeError, UnicodeDecodeError):  # lone surrogates, stray bytes
        read = read_loosely(raw)
        return read if isinstance(read, str) else ""


def _encoded(content: object) -> bytes:
    try:
        return msgspec.json.encode(content)
    except (UnicodeEncodeError, RecursionError, OverflowError, ValueError, TypeError):
        return b""  # nested too deeply, or no text that JSON can hold
