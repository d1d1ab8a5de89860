"""OpenAI's Conversations API as the demo speaks it; no I/O. They are in memory, and bounded.

Source: https://developers.openai.com/api/reference/resources/conversations (read 2026-11-23).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from bridge.demo import items, openai_shapes
from bridge.demo.exchange import Answer, Asked, Document
from bridge.demo.kept import Kept
from bridge.demo.openai_shapes import CREATED

_MOST_KEPT = 1000
_MOST_KEPT_BYTES = 32 * 1024**2
_MOST_ITEMS = 1000


class _Request(msgspec.Struct):
    items: list[msgspec.Raw] | None = None
    metadata: dict[str, Any] | None = None


@dataclass(slots=True, kw_only=True)
class _Conversation:
    metadata: dict[str, Any]
    items: list[dict[str, Any]] = field(default_factory=list)
    size_bytes: int = 0


_decoder = msgspec.json.Decoder(_Request)


class Conversations:
    """Answers requests about conversations, and keeps the newest of them."""

    def __init__(self) -> None:
        """Begin without any."""
        self._kept: Kept[_Conversation] = Kept(most=_MOST_KEPT, most_bytes=_MOST_KEPT_BYTES)

    def has(self, key: str) -> bool:
        """Return whether there is a conversation with this id."""
        return self._kept.get(key) is not None

    def add(self, key: str, added: Sequence[dict[str, Any]], size_bytes: int) -> None:
        """Append items of so many bytes to a conversation that there is."""
        conversation = self._kept.get(key)
        if conversation is not None:
            conversation.items = [*conversation.items, *added][-_MOST_ITEMS:]
            conversation.size_bytes += size_bytes
            self._kept.put(key, conversation, conversation.size_bytes)

    def answer(self, asked: Asked, number: str) -> Answer:
        """Return what OpenAI would say.

        Raises:
            msgspec.DecodeError: the body is not what the path wants.
        """
        request = _decoder.decode(asked.body or b"{}")
        given = items.listed(request.items, number)
        key, _, rest = openai_shapes.route(asked.path)[len(b"/conversations/") :].partition(b"/")
        name = key.decode("latin-1")
        if not name:
            return self._create(asked, request, given, number)
        conversation = self._kept.get(name)
        if conversation is None:
            return unknown(name, number)
        if not rest:
            return self._one(asked, name, conversation, request, number)
        if rest == b"items":
            if asked.method == b"POST":
                self.add(name, given, len(asked.body))
                return openai_shapes.document(items.page(given[::-1]), number)
            if asked.method in (b"GET", b"HEAD"):
                return openai_shapes.document(items.page(conversation.items), number)
            return openai_shapes.wrong_method(asked, number)
        if not rest.startswith(b"items/"):
            return openai_shapes.unknown_path(asked, number)
        return _item(asked, name, conversation, rest[len(b"items/") :].decode("latin-1"), number)

    def _create(
        self, asked: Asked, request: _Request, given: list[dict[str, Any]], number: str
    ) -> Answer:
        if asked.method != b"POST":
            return openai_shapes.wrong_method(asked, number)
        name = f"conv_demo_{number}"
        conversation = _Conversation(
            metadata=request.metadata or {}, items=given, size_bytes=len(asked.body)
        )
        self._kept.put(name, conversation, conversation.size_bytes)
        return openai_shapes.document(_described(name, conversation), number)

    def _one(
        self,
        asked: Asked,
        name: str,
        conversation: _Conversation,
        request: _Request,
        number: str,
    ) -> Answer:
        match asked.method:
            case b"GET" | b"HEAD":
                pass
            case b"POST":
                conversation.metadata = request.metadata or {}
            case b"DELETE":
                self._kept.remove(name)
                gone = {"id": name, "object": "conversation.deleted", "deleted": True}
                return openai_shapes.document(gone, number)
            case _:
                return openai_shapes.wrong_method(asked, number)
        return openai_shapes.document(_described(name, conversation), number)


def unknown(name: str, number: str) -> Document:
    """Return the error for a conversation that there is not."""
    return openai_shapes.error(404, f"Conversation with id '{name}' not found.", number)


def _item(asked: Asked, name: str, conversation: _Conversation, item: str, number: str) -> Answer:
    found = next((each for each in conversation.items if each["id"] == item), None)
    if found is None:
        return openai_shapes.error(404, f"Item with id '{item}' not found.", number)
    if asked.method == b"DELETE":
        conversation.items.remove(found)
        return openai_shapes.document(_described(name, conversation), number)
    if asked.method in (b"GET", b"HEAD"):
        return openai_shapes.document(found, number)
    return openai_shapes.wrong_method(asked, number)


def _described(name: str, conversation: _Conversation) -> dict[str, Any]:
    return {
        "id": name,
        "object": "conversation",
        "created_at": CREATED,
        "metadata": conversation.metadata,
    }
