"""Which items of a request's input the provider keeps, and which objects it may build on.

An item that refers to one of a stored response has that one's `id`, and is of the type
`item_reference` or of none. Of every item these members are decoded: that is faster than to look
for their names in it, which may be spelled with escapes.

Source: developers.openai.com/api/reference/resources/responses/methods/create, `input`
(read 2026-11-25).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from bridge.dialects.loose_json import read_loosely

UNREADABLE = "(unreadable)"
"""Stands for what a body that passes unread may build on: an object that nobody made."""

_MOST = 512
"""Items that are named; a client that refers to each one of a long session's has some hundred."""

_REFERENCE = "item_reference"
_ID = b'"id"'
_ESCAPE = b"\\u"
# Any name may be spelled with escapes.


class _Named(msgspec.Struct, gc=False):
    type: Any = None
    id: Any = None
    role: Any = None


_NAMED = msgspec.json.Decoder(_Named)


def may_build_on_objects(body: bytes) -> bool:
    """Return whether a body that was not read may name a response or conversation."""
    return any(name in body for name in (b'"previous_response_id"', b'"conversation"', _ESCAPE))


def may_refer_to_items(body: bytes) -> bool:
    """Return whether a body that was not read may hold a reference to an item."""
    return _ID in body or _ESCAPE in body


def referred_to(items: Iterable[msgspec.Raw | object]) -> tuple[str, ...]:
    """Return the ids that `items` refer to, each once, in their order.

    Args:
        items: of the input, each as its JSON or as what that was read to.
    """
    ids: dict[str, None] = {}
    for item in items:
        identifier = _of_raw(item) if isinstance(item, msgspec.Raw) else _of_object(item)
        if identifier:
            ids[identifier if len(ids) < _MOST else UNREADABLE] = None
    return tuple(ids)


def _of_raw(raw: msgspec.Raw) -> str | None:
    try:
        return _id_in(_NAMED.decode(raw))
    except msgspec.ValidationError:
        return None  # not an object
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:
        return _of_object(read_loosely(bytes(raw)))
    except (ValueError, RecursionError):
        return UNREADABLE


def _of_object(item: object) -> str | None:
    if not isinstance(item, dict):
        return None
    return _id_in(_Named(type=item.get("type"), id=item.get("id"), role=item.get("role")))


def _id_in(item: _Named) -> str | None:
    refers = item.type == _REFERENCE or (item.type is None and item.role is None)
    return item.id if refers and isinstance(item.id, str) else None
