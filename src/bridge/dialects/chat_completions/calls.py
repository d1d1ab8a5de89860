"""Tool calls of one choice, as they grow in a stream or lie in a document.

Vendors differ: OpenAI numbers the calls and gives the id once; Gemini leaves the number out, or
gives every call the same one, and sends whole calls; Copilot's Claude begins at 1. So a call is
known by its number if it has one, and another id under the same number is another call.

Source: platform.openai.com/docs/api-reference/chat-streaming, `tool_calls` and `function_call`;
ai.google.dev/gemini-api/docs/openai (read 2026-11-25).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from bridge.dialects.texts import holdable
from bridge.domain.observations import ToolUsage

_MAX_TEXT = 16 * 1024 * 1024
_MAX_OPEN = 1024
_MAX_ENTRIES = 2048
# In one chunk. Only a document holds more than a few, and each takes some microseconds.
_FUNCTION = "function"
_CUSTOM = "custom"
_LEGACY = "function_call"
_NO_ARGUMENTS = "{}"


class Room:
    """What may still be kept of one answer: tool arguments and thoughts, in characters."""

    __slots__ = ("calls", "entries", "left", "odd")

    def __init__(self) -> None:
        """Start with all of it."""
        self.left = _MAX_TEXT
        self.calls = _MAX_OPEN
        """How many more calls may be open at once."""
        self.entries = _MAX_ENTRIES
        """How many more entries may be taken of this chunk."""
        self.odd = False
        """Whether something had an odd type, or found no room."""

    def begin_chunk(self) -> None:
        """Say that a chunk, or a document, begins."""
        self.entries = _MAX_ENTRIES

    def holds(self, text: str) -> bool:
        """Return whether there is room for `text`, and take it."""
        if len(text) > self.left:
            self.odd = True
            return False
        self.left -= len(text)
        return True


class Growing:
    """A text that comes in pieces; a list of small strings takes ten times the room."""

    __slots__ = ("_text", "truncated")

    def __init__(self) -> None:
        """Start empty."""
        self._text = bytearray()
        self.truncated = False
        """Whether more came than we keep."""

    def __bool__(self) -> bool:
        return bool(self._text)

    def add(self, text: str, room: Room) -> None:
        """Take the next piece, as long as no earlier one was left out."""
        if not self.truncated and room.holds(text):
            self._text += text.encode("utf-8", "surrogatepass")
        else:
            self.truncated = True

    def text(self) -> str:
        """Return all pieces as one."""
        return holdable(self._text.decode("utf-8", "surrogatepass"))


class _Call:
    """A call of which more may come."""

    __slots__ = ("arguments", "id", "kind", "name")

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.id = ""
        self.name = ""
        self.arguments = Growing()

    def told(self, response_id: str) -> ToolUsage | None:
        if not self.id and not self.name:
            return None
        metadata: dict[str, object] = {}
        if self.kind != _FUNCTION:
            metadata["type"] = holdable(self.kind)
        if self.arguments.truncated:
            metadata["truncated"] = True
        nothing = "" if self.kind == _CUSTOM else _NO_ARGUMENTS
        return ToolUsage(
            response_id=response_id,
            tool_call_id=holdable(self.id),
            tool=holdable(self.name),
            input=self.arguments.text() or nothing,
            metadata=metadata,
        )


class Calls:
    """The tool calls of one choice that are open."""

    __slots__ = ("_ids", "_last", "_open", "_room", "_unnumbered")

    def __init__(self, room: Room) -> None:
        """Start with none; `room` is the whole answer's."""
        self._room = room
        self._open: dict[object, _Call] = {}
        self._ids: dict[str, _Call] = {}
        """Of those that are open, the first with each id."""
        self._last: _Call | None = None
        self._unnumbered = 0

    def take(self, message: dict[str, Any], response_id: str) -> Sequence[ToolUsage]:
        """Take what a delta, or a whole message, says of calls; return those that it ended."""
        told: list[ToolUsage] = []
        entries = message.get("tool_calls")
        if isinstance(entries, list):
            self._take_all(entries, response_id, told)
        elif entries is not None:
            self._room.odd = True
        legacy = message.get(_LEGACY)
        if isinstance(legacy, dict):
            call = self._open.get(_LEGACY) or self._begin(_LEGACY, _LEGACY)
            if call is not None:
                self._grow(call, legacy)
        elif legacy is not None:
            self._room.odd = True
        return told

    def close(self, response_id: str) -> Sequence[ToolUsage]:
        """Say that no call gets any longer; return those that were open, in their order."""
        told = [call.told(response_id) for call in self._open.values()]
        self._room.calls += len(self._open)
        self._open.clear()
        self._ids.clear()
        self._last = None
        self._room.odd = self._room.odd or None in told
        return [call for call in told if call is not None]

    def _take_all(self, entries: list[Any], response_id: str, told: list[ToolUsage]) -> None:
        room = self._room
        if len(entries) > room.entries:
            room.odd = True
            entries = entries[: room.entries]
        room.entries -= len(entries)
        for entry in entries:
            if isinstance(entry, dict):
                self._take_one(entry, response_id, told)
            else:
                room.odd = True

    def _take_one(self, entry: dict[str, Any], response_id: str, told: list[ToolUsage]) -> None:
        said = entry.get("id")
        call_id = said if isinstance(said, str) else ""
        kind = entry.get("type")
        body = entry.get(_FUNCTION)
        if not isinstance(body, dict):
            body = entry.get(_CUSTOM)
        details: dict[str, Any] = body if isinstance(body, dict) else {}
        index = entry.get("index")
        if isinstance(index, int):
            call = self._open.get(index)
            if call is not None and call_id and call.id and call_id != call.id:
                self._end(index, response_id, told)
                call = None
        else:
            call = self._unnumbered_call(call_id, details)
            index = ("unnumbered", self._unnumbered)
            self._unnumbered += call is None
        call = call or self._begin(index, kind if isinstance(kind, str) and kind else _FUNCTION)
        if call is None:
            return
        if call_id and not call.id and self._room.holds(call_id):
            call.id = call_id
            self._ids.setdefault(call_id, call)
        self._last = call
        self._grow(call, details)

    def _unnumbered_call(self, call_id: str, details: dict[str, Any]) -> _Call | None:
        """Return the open call that an entry without a number is of; None for a new one."""
        if call_id:
            return self._ids.get(call_id)
        return None if details.get("name") else self._last

    def _begin(self, key: object, kind: str) -> _Call | None:
        if not self._room.calls or not self._room.holds(kind):
            self._room.odd = True
            return None
        self._room.calls -= 1
        self._open[key] = call = _Call(kind)
        return call

    def _end(self, key: object, response_id: str, told: list[ToolUsage]) -> None:
        call = self._open.pop(key)
        if self._ids.get(call.id) is call:
            del self._ids[call.id]
        usage = call.told(response_id)
        self._room.calls += 1
        if usage is not None:
            told.append(usage)

    def _grow(self, call: _Call, details: dict[str, Any]) -> None:
        name = details.get("name")
        # Some vendors repeat the name in every delta, others cut it into pieces.
        if isinstance(name, str) and name != call.name and self._room.holds(name):
            call.name += name
        given = details.get("arguments", details.get("input"))
        if isinstance(given, dict):  # not OpenAI's way, yet clear enough
            call.arguments.add(msgspec.json.encode(given).decode(), self._room)
        elif isinstance(given, str):
            call.arguments.add(given, self._room)
        elif given is not None:
            self._room.odd = True
