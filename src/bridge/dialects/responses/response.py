"""Reads one Responses answer, stream or document, into observations.

Every output item comes whole in `response.output_item.done` and is told there, so a cut stream
still yields what was complete; arguments of which only deltas came are not. The last event repeats
the output: what is in it and had not been told is told then. Token counts come with that event,
however the answer ended; they are final only if it gave any. Unknown events are ignored; an
event that cannot be read costs no more than what it said.

A response in the background goes on at the provider whoever listens: an answer, or the beginning of
one, that finds it queued or in progress is partially observed.

Source: developers.openai.com/api/reference/resources/responses/streaming-events and
/api/reference/resources/responses (read 2026-11-25).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from bridge.dialects.error_bodies import error_from, error_in
from bridge.dialects.interface import InBandError, Reading
from bridge.dialects.responses import usage
from bridge.dialects.responses.decoding import NOTHING, decoded, is_absent
from bridge.dialects.responses.items import Item, read_item, told_by
from bridge.domain.observations import (
    ModelThought,
    Observation,
    TokenUsage,
    ToolUsage,
    UsageSource,
)

_MAX_TEXT = 16 * 1024 * 1024
_MAX_ITEMS = 4096

_TEXT_DELTA = b"event: response.output_text.delta\n"
_NAMED = b"event: response."
_NAMED_DONE = b"event: response.output_item.done\n"
_UNNAMED = (b'data: {"type":"response.', b'data: {"type": "response.')
_UNNAMED_DONE = tuple(each + b'output_item.done"' for each in _UNNAMED)
_LOOK = 160
# No name of an event is longer; one that does not end before this is read in full.

_OF_RESPONSE = b"response."
_ITEM_DONE = b"response.output_item.done"
_BEGINNINGS = frozenset({b"response.created", b"response.queued", b"response.in_progress"})
_ENDS = {
    b"response.completed": "completed",
    b"response.incomplete": "incomplete",
    b"response.failed": "failed",
    b"response.cancelled": "cancelled",
}
_UNFINISHED = frozenset({"queued", "in_progress"})
_SAYS_TYPE = re.compile(rb'\s*\{\s*"type"\s*:\s*"([a-z_.]{1,64})"')
_ERROR = b"error"
_KNOWN = frozenset({_ITEM_DONE, _ERROR, *_BEGINNINGS, *_ENDS})
_DONE = b"[DONE]"
# Not of this API, but vendors who speak Chat Completions too end every stream with it.

_UNREADABLE = (ValueError, TypeError, RecursionError)  # no JSON, an odd type, nested too deeply


class _Event(msgspec.Struct, gc=False):
    type: Any = None
    code: Any = None
    message: Any = None
    error: Any = None
    output_index: Any = None
    item: msgspec.Raw = NOTHING
    response: msgspec.Raw = NOTHING


class _Response(msgspec.Struct, gc=False):
    id: Any = None
    object: Any = None
    status: Any = None
    background: Any = None
    error: Any = None
    incomplete_details: Any = None
    service_tier: Any = None
    usage: Any = None
    tool_usage: Any = None
    output: msgspec.Raw = NOTHING


_EVENT = msgspec.json.Decoder(_Event)
_RESPONSE = msgspec.json.Decoder(_Response)
_ITEMS = msgspec.json.Decoder(list[msgspec.Raw])


class ResponsesReader:
    """Reads one answer."""

    def __init__(self, *, max_text: int = _MAX_TEXT, max_items: int = _MAX_ITEMS) -> None:
        """Start before the first byte.

        Args:
            max_text: characters of tool arguments and thoughts kept of the answer.
            max_items: output items told of the answer.
        """
        self._response_id = ""
        self._stop_reason: str | None = None
        self._error: InBandError | None = None
        self._tally = usage.new_tally()
        self._told: set[int] = set()
        self._items_left = max_items
        self._room = max_text
        self._ended = False
        self._final = False
        """Whether the end has given counts."""
        self._background = False
        self._odd = False

    @property
    def terminal(self) -> bool:
        """Whether the response's end, or an error, has been taken."""
        return self._ended or self._error is not None

    def skips(self, block: bytes) -> bool:
        """Return whether `block` tells of a part of an item, in the usual spelling."""
        if block.startswith(_TEXT_DELTA):
            return True
        if block.startswith(_NAMED):
            dot, end = block.find(b".", 16, _LOOK), block.find(b"\n", 16, _LOOK)
            return 0 < dot < end and not block.startswith(_NAMED_DONE)
        if block.startswith(_UNNAMED):
            dot, end = block.find(b".", 25, _LOOK), block.find(b'"', 25, _LOOK)
            return 0 < dot < end and not block.startswith(_UNNAMED_DONE)
        return False

    def event(self, name: bytes, data: bytes) -> Sequence[Observation]:
        """Take one server-sent event; return what it completed.

        The event's name decides; `type` in its data where the name is not one that we know.
        An `error` may be followed by `response.failed`, which still has the token counts.
        """
        if self._ended or data == _DONE:
            return ()
        try:
            return self._read(name, data)
        except _UNREADABLE:
            self._odd = True
            # The client has seen the end, whatever we can make of it.
            kind = name if name in _KNOWN else _type_at_the_start_of(data)
            return self._end(_Event(), _ENDS[kind]) if kind in _ENDS else ()

    def rest(self, name: bytes, data: bytes) -> Sequence[Observation]:
        """Take what stood after the last blank line: an event if its JSON is whole."""
        try:
            decoded(data, _EVENT)
        except _UNREADABLE:
            return ()
        return self.event(name, data)

    def document(self, body: bytes, status: int) -> Sequence[Observation]:
        """Take a whole non-streaming answer, error bodies included; return what it holds.

        Raises:
            ValueError: it is not JSON.
            TypeError: it is not an object.
            RecursionError: it is nested too deeply.
        """
        if status >= 400:
            self._error = error_in(body)
            return ()
        response = decoded(body, _RESPONSE)
        if response.id is None and response.error:
            self._error = error_in(body)
            return ()
        found: Sequence[Observation] = ()
        if response.object in (None, "response"):
            found = self._take_response(response, None)
        else:  # a compaction, a conversation, a list: its items are not this answer's
            self._take_id(response.id)
            self._final = self._take_counts(response)
        self._ended = True
        return (*found, *self._usage())

    def reading(self) -> Reading:
        """Return what is known so far."""
        counts = self._usage()
        return Reading(
            response_id=self._response_id,
            stop_reason=self._stop_reason,
            usage=counts[0] if counts else None,
            complete=self.terminal,
            error=self._error,
            partially_observed=self._odd
            or self._tally.odd
            or (self._background and not self._ended),
        )

    def _read(self, name: bytes, data: bytes) -> Sequence[Observation]:
        if _is_of_a_part(name) or (name in _BEGINNINGS and self._response_id):
            return ()
        if name == _ERROR:
            return self._fail(data)
        kind, event = name, decoded(data, _EVENT)
        if name not in _KNOWN and isinstance(event.type, str):
            kind = event.type.encode()
        if kind == _ITEM_DONE:
            return self._take_item(event)
        if kind in _ENDS:
            return self._end(event, _ENDS[kind])
        if kind in _BEGINNINGS:
            self._begin(event)
        elif kind == _ERROR or (event.type is None and event.error):
            return self._fail(data)
        return ()

    def _begin(self, event: _Event) -> None:
        response = decoded(event.response, _RESPONSE)
        self._background = response.background is True
        self._take_id(response.id)
        self._take_counts(response)

    def _take_item(self, event: _Event) -> Sequence[Observation]:
        item = read_item(event.item)
        if self._items_left:
            marks = _marks(item, event.output_index)
            if (item.id or item.call_id) and marks[0] in self._told:  # the same again
                return ()
            self._told.update(marks)
        return self._tell(item)

    def _end(self, event: _Event, status: str) -> Sequence[Observation]:
        response = _Response(status=status)
        try:
            if not is_absent(event.response):
                response = decoded(event.response, _RESPONSE)
        except _UNREADABLE:
            self._odd = True
        response.error = response.error or event.error
        found = self._take_response(response, status)
        self._ended = True
        return (*found, *self._usage())

    def _fail(self, data: bytes) -> Sequence[Observation]:
        self._error = self._error or _error_of(data)
        return self._usage()

    def _take_response(
        self, response: _Response, ended_as: str | None
    ) -> Sequence[ToolUsage | ModelThought]:
        """Take a response object, in the end or as the whole answer; return its untold items."""
        self._take_id(response.id)
        counted = self._take_counts(response)
        status = response.status if isinstance(response.status, str) else ended_as
        unfinished = status in _UNFINISHED
        self._final = counted and not unfinished
        self._odd = self._odd or unfinished
        self._stop_reason = _stop_reason(status, response.incomplete_details)
        if response.error:
            self._error = self._error or error_from(response.error)
        elif status == "failed":
            self._error = self._error or InBandError(type=status, message="")
        if is_absent(response.output):
            return ()
        found: list[ToolUsage | ModelThought] = []
        try:
            listed = decoded(response.output, _ITEMS)
            for index, raw in enumerate(listed):
                found.extend(self._tell_if_new(raw, index))
        except _UNREADABLE:
            self._odd = True
        return found

    def _tell_if_new(self, raw: msgspec.Raw, index: int) -> Sequence[ToolUsage | ModelThought]:
        try:
            item = read_item(raw)
        except _UNREADABLE:
            self._odd = True
            return ()
        return () if self._told.intersection(_marks(item, index)[1:]) else self._tell(item)

    def _tell(self, item: Item) -> Sequence[ToolUsage | ModelThought]:
        if self._items_left == 0:
            self._odd = True
            return ()
        self._items_left -= 1
        try:
            return [self._within_room(each) for each in told_by(item, self._response_id)]
        except _UNREADABLE:
            self._odd = True
            return ()

    def _within_room(self, found: ToolUsage | ModelThought) -> ToolUsage | ModelThought:
        text = found.content if isinstance(found, ModelThought) else found.input
        kept = text[: self._room]
        self._room -= len(kept)
        if len(kept) == len(text):
            return found
        self._odd = True
        if isinstance(found, ModelThought):
            return replace(found, content=kept)
        return replace(found, input=kept, metadata={**found.metadata, "truncated": True})

    def _take_id(self, response_id: object) -> None:
        """Keep the first id: Copilot's differ from event to event."""
        if isinstance(response_id, str):
            self._response_id = self._response_id or response_id
        elif response_id is not None:
            self._odd = True

    def _take_counts(self, response: _Response) -> bool:
        """Take what a response object counts; return whether that is anything."""
        return usage.take(
            self._tally,
            usage=response.usage,
            tool_usage=response.tool_usage,
            service_tier=response.service_tier,
        )

    def _usage(self) -> tuple[TokenUsage, ...]:
        if not self._tally.seen:
            return ()
        source = UsageSource.PROVIDER_FINAL if self._final else UsageSource.PROVIDER_PARTIAL
        return (usage.usage_from(self._tally, self._response_id, source),)


def _is_of_a_part(name: bytes) -> bool:
    """Return whether an event is about a part of the response: `response.<part>.<what>`.

    Nothing in those is needed, because a part comes whole when its item is done.
    """
    return name.startswith(_OF_RESPONSE) and b"." in name[9:] and name != _ITEM_DONE


def _type_at_the_start_of(data: bytes) -> bytes:
    """Return the type of an event of which perhaps only the beginning is there."""
    said = _SAYS_TYPE.match(data)
    return said[1] if said is not None else b""


def _error_of(data: bytes) -> InBandError:
    """Return what an error event says: at the top, as documented, or in an `error` object."""
    try:
        event = decoded(data, _EVENT)
    except _UNREADABLE:
        return error_in(data)
    return error_from(event.error or {"code": event.code, "message": event.message})


def _marks(item: Item, index: object) -> tuple[int, ...]:
    """Return what an item may be known again by: first all of it together, then each alone.

    The place matters because Copilot gives an item another id in every event. Ids can be long;
    their hashes are not.
    """
    ids = [each for each in (item.id, item.call_id) if isinstance(each, str) and each]
    kind = item.type if isinstance(item.type, str) else ""
    place = index if isinstance(index, int) else -1
    return tuple(map(hash, ((place, kind, *ids), *ids, (place, kind))))


def _stop_reason(status: str | None, details: object) -> str | None:
    reason = details.get("reason") if isinstance(details, dict) else None
    return reason if status == "incomplete" and isinstance(reason, str) else status
