"""OpenAI's Responses API as the demo speaks it; no I/O. What is stored is in memory, and bounded.

Source: https://developers.openai.com/api/reference/resources/responses, …/guides/background,
…/guides/conversation-state and …/guides/compaction (read 2026-11-23).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from bridge.demo import conversations, items, openai_shapes, script
from bridge.demo.conversations import Conversations
from bridge.demo.exchange import Answer, Asked, Document, Stream
from bridge.demo.items import Given
from bridge.demo.kept import Kept
from bridge.demo.openai_shapes import CREATED
from bridge.demo.response import Echoed, Response, compacted, usage_of
from bridge.demo.script import Knobs, Turn
from bridge.demo.tools import Tool

_MOST_KEPT = 1000
_MOST_KEPT_BYTES = 64 * 1024**2
_GET = frozenset({b"GET", b"HEAD"})


class _Conversation(msgspec.Struct):
    id: str


class _Request(Echoed, kw_only=True):
    model: str
    input: str | list[msgspec.Raw] | None = None
    stream: bool | None = None
    store: bool | None = None
    background: bool | None = None
    conversation: str | _Conversation | None = None

    @property
    def conversation_id(self) -> str | None:
        given = self.conversation
        return given.id if isinstance(given, _Conversation) else given


class _Tool(msgspec.Struct):
    type: str | None = None
    name: str | None = None
    parameters: Any = None
    tools: list[_Tool] | None = None


@dataclass(slots=True, kw_only=True)
class _Stored:
    response: Response
    given: Given
    number: str
    prompt: str
    status: str | None
    """`queued` or `cancelled`; None when it is as it is in the end."""

    def document(self) -> dict[str, Any]:
        if self.status is None:
            return self.response.document()
        return self.response.unfinished(self.status)


_decoder = msgspec.json.Decoder(_Request)
_tools = msgspec.json.Decoder(list[_Tool] | None)


class Responses:
    """Answers requests; it keeps the newest responses and conversations."""

    def __init__(self, *, run: str) -> None:
        """Make ids that hold `run`, so that two starts make different ones."""
        self._run = run
        self._count = 0
        self._kept: Kept[_Stored] = Kept(most=_MOST_KEPT, most_bytes=_MOST_KEPT_BYTES)
        self._conversations = Conversations()

    def answer(self, asked: Asked) -> Answer:
        """Return what OpenAI would say."""
        self._count += 1
        number = f"{self._run}{self._count:08d}"
        try:
            return self._answer(asked, number)
        except openai_shapes.UNDECODABLE as e:
            return openai_shapes.error(400, str(e), number)

    def _answer(self, asked: Asked, number: str) -> Answer:
        path = openai_shapes.route(asked.path)
        if path == b"/conversations" or path.startswith(b"/conversations/"):
            return self._conversations.answer(asked, number)
        name, _, rest = path[len(b"/responses/") :].decode("latin-1").partition("/")
        if path == b"/responses" or (name in ("compact", "input_tokens") and not rest):
            return self._asked_for(asked, name, number)
        return self._about(asked, name, rest, number)

    def _asked_for(self, asked: Asked, what: str, number: str) -> Answer:
        """Answer what is posted: for a response, or what it would be."""
        if b"upgrade" in asked.headers and not what:
            # Agents try a WebSocket first; at this status, and no other, they do without at once.
            return openai_shapes.error(426, "There is no WebSocket here.", number)
        if asked.method != b"POST":
            return openai_shapes.wrong_method(asked, number)
        request, knobs = _decoder.decode(asked.body), script.knobs_from(asked.headers)
        if not script.is_known(request.model):
            return openai_shapes.unknown_model(400, request.model, number)
        refused = self._refusal(request, number)
        if refused is not None:
            return refused
        before = self._kept.get(request.previous_response_id or "")
        turn = items.turn_from(request.input, "" if before is None else before.prompt)
        if what == "compact":
            return _compacted(request, turn, number)
        if what == "input_tokens":
            return _counted(turn, number)
        return self._respond(request, turn, knobs, number, len(asked.body))

    def _refusal(self, request: _Request, number: str) -> Document | None:
        """Return the error for what cannot go together, or refers to what there is not."""
        before, conversation = request.previous_response_id, request.conversation_id
        if before is not None and conversation is not None:
            message = "Mutually exclusive: previous_response_id and conversation."
            return openai_shapes.error(400, message, number, code="mutually_exclusive_parameters")
        if before is not None and self._kept.get(before) is None:
            return openai_shapes.error(
                400,
                f"Previous response with id '{before}' not found.",
                number,
                param="previous_response_id",
                code="previous_response_not_found",
            )
        if conversation is not None and not self._conversations.has(conversation):
            return conversations.unknown(conversation, number)
        if request.background and request.store is False:
            message = "Background mode needs store to be true."
            return openai_shapes.error(400, message, number, param="background")
        return None

    def _respond(
        self, request: _Request, turn: Turn, knobs: Knobs, number: str, size_bytes: int
    ) -> Answer:
        broken = request.model == script.ERROR
        if broken and not (request.stream and knobs.error_after is not None):
            return openai_shapes.error(
                script.error_status(knobs, openai_shapes.OVERLOADED),
                "This model always fails.",
                number,
                delay_seconds=knobs.delay_seconds,
            )
        offered = _offered(request) if script.may_call(request.model, turn) else ()
        response = Response(
            model=request.model,
            said=script.said(request.model, turn, knobs, offered),
            number=number,
            echoed=request,
            store=request.store is not False,
            background=bool(request.background),
            conversation=request.conversation_id,
            compacts=items.asks_to_compact(request.input),
            fails=broken,
        )
        queued = bool(request.background) and not request.stream
        status = "queued" if queued else None
        self._keep(request, response, turn, number, size_bytes, status)
        if request.stream:
            return Stream(
                events=response.events(knobs.error_after or 0),
                interval_seconds=script.interval_seconds(request.model, knobs),
                head=openai_shapes.request_id(number),
                delay_seconds=knobs.delay_seconds,
            )
        document = response.unfinished("queued") if queued else response.document()
        return openai_shapes.document(document, number, knobs.delay_seconds)

    def _keep(
        self,
        request: _Request,
        response: Response,
        turn: Turn,
        number: str,
        size_bytes: int,
        status: str | None,
    ) -> None:
        if request.store is not False:
            stored = _Stored(
                response=response,
                given=request.input,
                number=number,
                prompt=turn.prompt,
                status=status,
            )
            # Twice, because the response repeats much of the request.
            self._kept.put(response.id, stored, 2 * size_bytes + response.size)
        if request.conversation_id is not None:
            said = [*items.listed(request.input, number), *response.output]
            self._conversations.add(request.conversation_id, said, size_bytes + response.size)

    def _about(self, asked: Asked, name: str, rest: str, number: str) -> Answer:
        """Answer what is asked about a response that is kept."""
        stored = self._kept.get(name)
        if stored is None:
            return openai_shapes.error(404, f"Response with id '{name}' not found.", number)
        match rest, asked.method:
            case "", b"GET" | b"HEAD":
                if stored.status == "queued":
                    stored.status = None
                return openai_shapes.document(stored.document(), number)
            case "", b"DELETE":
                self._kept.remove(name)
                gone = {"id": name, "object": "response", "deleted": True}
                return openai_shapes.document(gone, number)
            case "cancel", b"POST":
                return _cancelled(stored, number)
            case "input_items", b"GET" | b"HEAD":
                given = items.listed(stored.given, stored.number)
                return openai_shapes.document(items.page(given), number)
            case "" | "cancel" | "input_items", _:
                return openai_shapes.wrong_method(asked, number)
            case _:
                return openai_shapes.unknown_path(asked, number)


def _cancelled(stored: _Stored, number: str) -> Answer:
    if not stored.response.background:
        return openai_shapes.error(400, "Cannot cancel a synchronous response.", number)
    if stored.status == "queued":
        stored.status = "cancelled"
    return openai_shapes.document(stored.document(), number)


def _compacted(request: _Request, turn: Turn, number: str) -> Answer:
    humans = items.humans_of(items.listed(request.input, number))
    said = script.said(request.model, Turn(prompt=turn.prompt, answered=True), Knobs(), ())
    return openai_shapes.document(
        {
            "id": f"resp_demo_{number}",
            "object": "response.compaction",
            "created_at": CREATED,
            "output": [*humans, compacted(number)],
            "usage": usage_of(said),
        },
        number,
    )


def _counted(turn: Turn, number: str) -> Answer:
    tokens = openai_shapes.input_tokens(script.usage_for(turn.prompt, 0))
    counted = {"object": "response.input_tokens", "input_tokens": tokens}
    return openai_shapes.document(counted, number)


def _offered(request: _Request) -> Sequence[Tool]:
    if bytes(request.tool_choice) == b'"none"':
        return ()
    return list(_flat(_tools.decode(request.tools) or (), None))


def _flat(tools: Sequence[_Tool], namespace: str | None) -> Iterator[Tool]:
    """Yield what the client itself runs; a call names the namespace beside the tool."""
    for tool in tools:
        if tool.name is None:
            continue
        if tool.type == "namespace":
            yield from _flat(tool.tools or (), tool.name)
        elif tool.type in ("function", "custom"):
            yield Tool(
                name=tool.name,
                schema=tool.parameters,
                namespace=namespace,
                free_text=tool.type == "custom",
            )
