"""Output items of one Responses answer, and what is to be recorded of each.

Any item whose type ends in `_call` is a tool call: the client's (`function_call`,
`custom_tool_call`), the provider's own (`web_search_call`, `mcp_call`, `code_interpreter_call` …),
and those of kinds that are not known yet. So is a `program`, code that the model lets the provider
run. `mcp_approval_request` is none: the call follows as `mcp_call` once a human has approved it.

Source: developers.openai.com/api/reference/resources/responses, "output"
(read 2026-11-25).
"""

from __future__ import annotations

from typing import Any

import msgspec

from bridge.dialects.error_bodies import error_from
from bridge.dialects.responses.decoding import NOTHING, decoded, is_absent
from bridge.domain.observations import ModelThought, ToolUsage

_FUNCTION = "function_call"
_CUSTOM = "custom_tool_call"
_PROGRAM = "program"
_CALL = "_call"
_NO_INPUT = "{}"
_WHOLE = "completed"


class Item(msgspec.Struct, gc=False):
    """An output item; nothing is said about types, so that none is refused."""

    type: Any = None
    id: Any = None
    call_id: Any = None
    name: Any = None
    namespace: Any = None
    server_label: Any = None
    status: Any = None
    role: Any = None
    phase: Any = None
    error: Any = None
    summary: msgspec.Raw = NOTHING
    content: msgspec.Raw = NOTHING
    arguments: msgspec.Raw = NOTHING
    input: msgspec.Raw = NOTHING
    action: msgspec.Raw = NOTHING
    actions: msgspec.Raw = NOTHING
    operation: msgspec.Raw = NOTHING
    queries: msgspec.Raw = NOTHING
    code: msgspec.Raw = NOTHING
    revised_prompt: msgspec.Raw = NOTHING


_ITEM = msgspec.json.Decoder(Item)
_TEXT = msgspec.json.Decoder(str)
_ANY = msgspec.json.Decoder(Any)


def read_item(raw: msgspec.Raw) -> Item:
    """Return the item in `raw`.

    Raises:
        ValueError: it is not JSON, or not there.
        TypeError: it is not an object.
        RecursionError: it is nested too deeply.
    """
    return decoded(raw, _ITEM)


def told_by(item: Item, response_id: str) -> list[ToolUsage | ModelThought]:
    """Return what `item` says that is to be recorded.

    Raises:
        ValueError, TypeError: a part of it has an odd type.
        RecursionError: a part of it is nested too deeply.
    """
    kind = item.type
    if not isinstance(kind, str):
        raise TypeError("an item without a type")
    if kind.endswith(_CALL) or kind == _PROGRAM:
        return [_tool_usage(item, kind, response_id)]
    if kind == "reasoning":
        return [
            *_thoughts(item.summary, "summary_text", "reasoning_summary"),
            *_thoughts(item.content, "reasoning_text", "thinking"),
        ]
    if kind == "message" and item.role == "assistant" and item.phase == "commentary":
        return _thoughts(item.content, "output_text", "commentary")
    return []


def _thoughts(parts: msgspec.Raw, kind: str, source: str) -> list[ToolUsage | ModelThought]:
    if is_absent(parts):
        return []
    listed = decoded(parts, _ANY)
    if not isinstance(listed, list):
        raise TypeError("an item's parts are no array")
    return [
        ModelThought(content=part["text"], source=source)
        for part in listed
        if isinstance(part, dict)
        and part.get("type") == kind
        and isinstance(part.get("text"), str)
        and part["text"]
    ]


def _tool_usage(item: Item, kind: str, response_id: str) -> ToolUsage:
    call_id = next((each for each in (item.call_id, item.id) if _is_text(each)), "")
    return ToolUsage(
        response_id=response_id,
        tool_call_id=call_id,
        tool=_tool(item, kind),
        input=_input(item, kind),
        item_id=item.id if _is_text(item.id) else None,
        invocation_error=error_from(item.error).message or None if item.error else None,
        metadata=_metadata(item, kind),
    )


def _tool(item: Item, kind: str) -> str:
    """Return the tool's name; the provider's own tools have that of their item."""
    if _is_text(item.name):
        return str(item.name)
    return "" if kind in (_FUNCTION, _CUSTOM) else kind.removesuffix(_CALL)


def _metadata(item: Item, kind: str) -> dict[str, object]:
    metadata: dict[str, object] = {} if kind == _FUNCTION else {"type": kind}
    for name in ("namespace", "server_label"):
        if _is_text(value := getattr(item, name)):
            metadata[name] = value
    if _is_text(item.status) and item.status != _WHOLE:
        metadata["status"] = item.status  # `incomplete`: the arguments are cut
    return metadata


def _input(item: Item, kind: str) -> str:
    """Return what the tool was called with, in the words of the provider."""
    if kind == _CUSTOM:
        return _words(item.input)
    for arguments in (item.arguments, item.input):
        if not is_absent(arguments):
            words = _words(arguments)
            return words if words.strip() else _NO_INPUT
    for structured in (item.action, item.actions, item.operation):
        if bytes(structured)[:1] in (b"{", b"["):
            return _written(structured)
    named = [
        f'"{name}":{_written(part)}'
        for name in ("action", "queries", "code", "revised_prompt")
        if not is_absent(part := getattr(item, name))
    ]
    return "{" + ",".join(named) + "}"


def _words(raw: msgspec.Raw) -> str:
    """Return the text that `raw` is, or its JSON as it came."""
    if is_absent(raw):
        return ""
    return decoded(raw, _TEXT) if bytes(raw).startswith(b'"') else _written(raw)


def _written(raw: msgspec.Raw) -> str:
    return bytes(raw).decode("utf-8", "replace")


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""
