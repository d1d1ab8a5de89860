"""Interceptions: the list, one with everything that belongs to it, and its texts as files."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from uuid import UUID

import msgspec

from bridge.domain.errors import InvalidRequest, NotFound
from bridge.domain.interception import EndState
from bridge.pages.answers import Answer, Download, Nothing, Page
from bridge.pages.app import Handler
from bridge.pages.commands import curl
from bridge.pages.excerpts import Excerpt, Excerpts
from bridge.pages.reading import Reading
from bridge.pages.searching import whole_search
from bridge.pages.sessions import known_values
from bridge.pages.tool_calls import shown_call
from bridge.pages.visit import Visit
from bridge.store.filters import RUNNING, page_id, parse
from bridge.store.reads import list_interceptions
from bridge.store.reads_json import Interception, InterceptionDetail, PairedResult
from bridge.store.reads_results import read_detail
from bridge.store.texts import TextPlace, read_text

PER_PAGE = 50
STATUSES = (*(state.value for state in EndState), RUNNING)
_LIST_CHARACTERS = 300
_PIECE_CHARACTERS = 4 * 1024 * 1024
# Each piece costs the database the unpacking of the whole text.
_PLACES = {
    "prompt": TextPlace.PROMPT,
    "tool": TextPlace.TOOL_INPUT,
    "thought": TextPlace.THOUGHT,
    "result": TextPlace.TOOL_RESULT,
}


class InterceptionPages:
    """`/ui/interceptions`."""

    def __init__(self, reading: Reading) -> None:
        """Read with `reading`."""
        self._reading = reading

    def routes(self) -> Sequence[tuple[str, str, Handler]]:
        """Return (method, path, handler) of each page."""
        one = "/ui/interceptions/<identifier>"
        return (
            ("GET", "/ui/interceptions", self.listed),
            ("GET", one, self.one),
            ("GET", f"{one}/prompt.txt", self.prompt),
            ("GET", f"{one}/<kind>-<n>.txt", self.text),
        )

    async def listed(self, visit: Visit) -> Answer:
        """Return a page of interceptions, newest first."""
        query = visit.query
        q = whole_search(query)
        found = None
        wrong: Sequence[object] = ()
        try:
            wanted = parse(q, me=visit.actor.id)
            after_id = page_id(query["after_id"]) if query.get("after_id") else None
        except InvalidRequest as error:
            wrong = error.validations
        else:
            found = await self._reading.pool.transaction(
                lambda cursor: list_interceptions(
                    cursor,
                    wanted,
                    limit=PER_PAGE,
                    after_id=after_id,
                    visible_to=visit.visible_to,
                    cutoff=self._reading.cutoff(),
                    longest=_LIST_CHARACTERS,
                ),
                read_only=True,
            )
            newest = str(found.results[0].id) if found.results else ""
            if "newest" in query and query["newest"] == newest:
                return Nothing()
            self._reading.note(
                visit, [(each.id, each.initiator) for each in found.results], {"q": q}
            )
        return Page(
            template="interceptions.html",
            values={
                "found": found,
                "wrong": wrong,
                "query": query,
                "q": q,
                "known": await known_values(self._reading, visit),
                "statuses": STATUSES,
                "per_page": PER_PAGE,
                "command": curl(visit.origin, "/interceptions", {"q": q}),
            },
            status=400 if wrong else 200,
        )

    async def one(self, visit: Visit, identifier: str) -> Answer:
        """Return one interception."""
        excerpts = Excerpts()
        found = await self._read(visit, identifier, longest=excerpts.longest + 1)
        self._reading.note(visit, [(found.id, found.initiator)])
        return Page(
            template="interception.html",
            values={
                "it": found,
                "facts": _facts(found),
                "json": _pretty(found.metadata),
                "usage_details": [_pretty(each.metadata) for each in found.token_usages],
                "command": curl(visit.origin, f"/interceptions/{found.id}"),
            },
            more=lambda: _contents(found, excerpts),
        )

    async def prompt(self, visit: Visit, identifier: str) -> Answer:
        """Return the prompt as a file."""
        return await self.text(visit, identifier, "prompt", "1")

    async def text(self, visit: Visit, identifier: str, kind: str, n: str) -> Answer:
        """Return the n-th text of a kind as a file."""
        place = _PLACES.get(kind)
        if place is None or not (n.isascii() and n.isdecimal() and len(n) < 9):
            raise NotFound("There is no such text.")
        found = await self._read(visit, identifier, longest=1)
        self._reading.note(visit, [(found.id, found.initiator)])
        pieces = self._pieces(place, found, int(n))
        first = await anext(pieces, None)
        if first is None:
            raise NotFound("There is no such text.")
        return Download(
            filename=f"{found.id}-{kind}-{n}.txt",
            pieces=_with_first(first, pieces),
            actor=visit.actor,
        )

    async def _read(self, visit: Visit, identifier: str, *, longest: int) -> InterceptionDetail:
        """Return an interception that may be seen.

        Raises:
            NotFound: there is none.
        """
        found = None
        try:
            wanted = UUID(identifier)
        except ValueError:
            pass  # told like one that is not there
        else:
            found = await self._reading.pool.transaction(
                lambda cursor: read_detail(
                    cursor,
                    wanted,
                    visible_to=visit.visible_to,
                    cutoff=self._reading.cutoff(),
                    longest=longest,
                ),
                read_only=True,
            )
        if found is None:
            raise NotFound("There is no such interception.")
        return found

    async def _pieces(self, place: TextPlace, of: InterceptionDetail, n: int) -> AsyncIterator[str]:
        """Yield a text in pieces, each read when it is asked for; none when there is no such text.

        Raises:
            NotFound: the rest has meanwhile been deleted, or is too old to be shown.
        """
        read = 0
        while True:
            # The last character once more: without it there would be no text any more.
            again = min(read, 1)
            piece = await self._reading.pool.transaction(
                _reader(place, of.id, n, read - again, _PIECE_CHARACTERS + again), read_only=True
            )
            cutoff = self._reading.cutoff()
            if read and (not piece or (cutoff is not None and of.started_at < cutoff)):
                raise NotFound("There is no such text any more.")
            if piece is None:
                return
            piece = piece[again:]
            if piece or not read:
                yield piece
            if len(piece) < _PIECE_CHARACTERS:
                return
            read += len(piece)


def _contents(it: InterceptionDetail, excerpts: Excerpts) -> Mapping[str, object]:
    """Return what was brought, asked, thought and done, as it is shown."""
    results = {each.tool_usage_id: each for each in it.call_results}
    return {
        "brought": [
            (each, excerpts.of(each.content) if each.content is not None else None)
            for each in excerpts.some(it.tool_results)
        ],
        "prompts": [excerpts.of(each.prompt) for each in it.user_prompts],
        "thoughts": [
            (each, excerpts.of(each.content)) for each in excerpts.some(it.model_thoughts)
        ],
        "calls": [
            (
                each,
                shown_call(excerpts.of(each.input)),
                *_given_back(results.get(each.id), excerpts),
            )
            for each in excerpts.some(it.tool_usages)
        ],
        "excerpts": excerpts,
    }


def _given_back(
    result: PairedResult | None, excerpts: Excerpts
) -> tuple[PairedResult | None, Excerpt | None]:
    """Return a call's result, and its content where that is recorded."""
    if result is None or result.content is None:
        return result, None
    return result, excerpts.of(result.content)


def _reader(
    place: TextPlace, identifier: UUID, n: int, begin: int, length: int
) -> Callable[..., Awaitable[str | None]]:
    async def read(cursor: object) -> str | None:
        return await read_text(
            cursor,  # type: ignore[arg-type]  # the pool's own
            place,
            identifier,
            n,
            begin=begin,
            length=length,
        )

    return read


async def _with_first(first: str, rest: AsyncIterator[str]) -> AsyncIterator[str]:
    yield first
    async for piece in rest:
        yield piece


def _pretty(value: Mapping[str, object]) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode() if value else ""


def _facts(it: Interception) -> Sequence[tuple[str, object]]:
    """Return names and values of what is recorded about the exchange, empty ones left out."""
    facts = (
        ("Interception", it.id),
        ("Session", it.session_id),
        ("Session id of the client", it.client_session_id),
        ("Thread root", it.thread_root_id),
        ("Thread parent", it.thread_parent_id),
        ("Correlating tool call", it.correlating_tool_call_id),
        ("Token", it.api_key_id),
        ("User agent", it.user_agent),
        ("API", it.api),
        ("Route", f"{it.method} {it.route}"),
        ("Streaming", "yes" if it.streaming else "no"),
        ("Credential", f"{it.credential_kind} {it.credential_hint}"),
        ("Response id", it.response_id),
        ("Stop reason", it.stop_reason),
        ("SHA-256 of the provider's bytes", it.response_sha256),
        ("SHA-256 of the client's bytes", it.client_sha256),
    )
    return [(name, value) for name, value in facts if value not in (None, "")]
