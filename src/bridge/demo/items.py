"""Items: what a request of OpenAI's Responses API gives, read and listed; pure, no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from bridge.demo.script import Turn, last_words

Given = str | list[msgspec.Raw] | None
"""The `input` of a request: a human's text, or items as they came."""

_NOBODYS_ROLES = frozenset({"system", "developer"})
_COMPACT = "compaction_trigger"
_RESULT = "_output"
_TEXTS = ("input_text", "output_text", "text")


class _Item(msgspec.Struct):
    type: str | None = None
    role: str | None = None
    content: Any = None


_item = msgspec.json.Decoder(_Item)
_any = msgspec.json.Decoder()


def turn_from(given: Given, before: str = "") -> Turn:
    """Return what the human said last; `before` is what they said in the response before.

    Raises:
        msgspec.DecodeError: an item is no object with a type and a role.
    """
    if given is None or isinstance(given, str):
        return Turn(prompt=given or "", answered=False)
    answered = None
    for raw in reversed(given):
        item = _item.decode(raw)
        if item.role in _NOBODYS_ROLES or item.type == _COMPACT:
            continue
        if answered is None:
            answered = item.role is None and (item.type or "").endswith(_RESULT)
        if item.role == "user":
            return Turn(prompt=_text(item.content), answered=answered)
    return Turn(prompt=before if answered else "", answered=bool(answered))


def asks_to_compact(given: Given) -> bool:
    """Return whether the last item asks for an item that stands for all before it."""
    return isinstance(given, list) and bool(given) and _item.decode(given[-1]).type == _COMPACT


def listed(given: Given, number: str) -> list[dict[str, Any]]:
    """Return the items as the API lists them: each with an id, texts as parts.

    Raises:
        msgspec.DecodeError: an item is no JSON.
    """
    if given is None:
        return []
    if isinstance(given, str):
        return [_in_full({"role": "user", "content": given}, f"{number}_0")]
    items = (_any.decode(raw) for raw in given)
    return [
        _in_full(item, f"{number}_{index}")
        for index, item in enumerate(items)
        if isinstance(item, dict)
    ]


def humans_of(items: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the messages that users wrote."""
    return [item for item in items if item.get("role") == "user"]


def page(items: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return a list as the API has it: one page, the newest first."""
    newest_first = list(reversed(items))
    return {
        "object": "list",
        "data": newest_first,
        "first_id": newest_first[0]["id"] if newest_first else None,
        "last_id": newest_first[-1]["id"] if newest_first else None,
        "has_more": False,
    }


def _in_full(item: dict[str, Any], suffix: str) -> dict[str, Any]:
    item = dict(item)
    kind = item.setdefault("type", "message")
    prefix = "msg" if kind == "message" else "item"
    item["id"] = item.get("id") or f"{prefix}_demo_{suffix}"
    if kind == "message":
        item.setdefault("status", "completed")
        if isinstance(item.get("content"), str):
            what = "output_text" if item.get("role") == "assistant" else "input_text"
            item["content"] = [{"type": what, "text": item["content"]}]
            if what == "output_text":
                item["content"][0]["annotations"] = []
    return item


def _text(content: object) -> str:
    """Return the human's last text."""
    if isinstance(content, str):
        return content
    parts = reversed(content) if isinstance(content, list) else ()
    return last_words(
        str(part.get("text") or "")
        for part in parts
        if isinstance(part, dict) and part.get("type") in _TEXTS
    )
