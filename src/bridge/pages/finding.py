"""Finding: what was asked, thought and done, by its words."""

from __future__ import annotations

from collections.abc import Sequence

from bridge.domain.errors import InvalidRequest
from bridge.domain.interception import EndState
from bridge.pages.answers import Answer, Page
from bridge.pages.app import Handler
from bridge.pages.commands import curl
from bridge.pages.reading import Reading
from bridge.pages.searching import whole_search
from bridge.pages.sessions import known_values
from bridge.pages.visit import Visit
from bridge.store.filters import page_id, parse
from bridge.store.reads_search import Hits, search
from bridge.store.search_words import Part, parse_words

PER_PAGE = 30
PARTS = (
    ("", "Everywhere"),
    ("prompt", "Prompts"),
    ("thought", "Thinking"),
    ("tool", "Tool calls"),
)


class FindingPages:
    """`/ui/search`."""

    def __init__(self, reading: Reading) -> None:
        """Read with `reading`."""
        self._reading = reading

    def routes(self) -> Sequence[tuple[str, str, Handler]]:
        """Return (method, path, handler) of each page."""
        return (("GET", "/ui/search", self.found),)

    async def found(self, visit: Visit) -> Answer:
        """Return what has the words `?words=…`."""
        query = visit.query
        q = whole_search({**query, "q": ""})
        found: Hits | None = None
        wrong: Sequence[object] = ()
        if query["words"]:
            try:
                found = await self._search(visit, q)
            except InvalidRequest as error:
                wrong = error.validations
        if found is not None:
            shown = [(each.interception_id, each.initiator) for each in found.results]
            self._reading.note(visit, shown, {"search": query["words"], "q": q})
        given = {"q": query["words"], "in": query["in"], "filter": q}
        return Page(
            template="search.html",
            values={
                "found": found,
                "wrong": wrong,
                "query": query,
                "parts": PARTS,
                "known": await known_values(self._reading, visit),
                "statuses": [state.value for state in EndState],
                "command": curl(visit.origin, "/search", given),
            },
            status=400 if wrong else 200,
        )

    async def _search(self, visit: Visit, q: str) -> Hits:
        query = visit.query
        part = {part.name.lower(): part for part in Part}.get(query["in"])
        words = parse_words(query["words"], parts=(part,) if part is not None else ())
        wanted = parse(q, me=visit.actor.id)
        after_id = page_id(query["after"]) if query["after"] else None
        return await self._reading.pool.transaction(
            lambda cursor: search(
                cursor,
                words,
                wanted,
                limit=PER_PAGE,
                after_id=after_id,
                visible_to=visit.visible_to,
                cutoff=self._reading.cutoff(),
            ),
            read_only=True,
        )
