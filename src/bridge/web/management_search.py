"""The endpoint `search`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from msgspec.structs import replace

from bridge.store.filters import InvalidFilter, page_id, parse
from bridge.store.reads_search import DEFAULT_LIMIT, MAX_LIMIT, Hits, search
from bridge.store.search_words import MAX_LENGTH, Part, parse_words
from bridge.web.access import Access
from bridge.web.endpoints import Asked, Endpoint, Parameter, limit, wrong
from bridge.web.management_interceptions import SEARCH, Transactions

_PARTS = {part.name.lower(): part for part in Part}
_PARAMETERS = (
    Parameter(
        name="q",
        description='What to look for: words, all of which must be there; "phrases"; OR between '
        "alternatives; - before what must not be there; * after the beginning of a word. "
        "Upper and lower case are the same.",
        schema={"type": "string", "minLength": 1, "maxLength": MAX_LENGTH},
        required=True,
    ),
    Parameter(
        name="in",
        description=f"Where it must stand, separated by commas, of: {', '.join(_PARTS)} (name and "
        "arguments of a tool call). Nothing is anywhere.",
        schema={"type": "string"},
    ),
    Parameter(
        name="filter",
        description=f"{SEARCH} Keys: initiator (id, name or me), provider, provider_name, model, "
        "client, session_id, status, started_after, started_before (RFC 3339).",
        schema={"type": "string", "maxLength": 4096},
    ),
    limit(DEFAULT_LIMIT, MAX_LIMIT),
    Parameter(
        name="after",
        description="The last interception_id of the page before.",
        schema={"type": "string", "format": "uuid"},
    ),
)


class SearchEndpoints:
    """Searches what was asked, thought and done."""

    def __init__(
        self, *, access: Access, pool: Transactions, cutoff: Callable[[], datetime | None]
    ) -> None:
        """Search in `pool`, nothing older than `cutoff`; tell `access` what is read."""
        self._access = access
        self._pool = pool
        self._cutoff = cutoff

    def endpoints(self) -> Sequence[Endpoint]:
        """Return what is served."""
        return (
            Endpoint(
                name="search",
                path="/search",
                summary="Interceptions whose prompt, thoughts or tool calls have given words, "
                "newest first.",
                answer=self.search,
                returns=Hits,
                parameters=_PARAMETERS,
            ),
        )

    async def search(self, asked: Asked) -> Hits:
        """Return what was found: `?q=words&in=prompt&filter=…&limit=…&after=…`."""
        words = parse_words(asked.text("q"), parts=_parts(asked.text("in")))
        try:
            wanted = parse(asked.text("filter"), me=asked.actor.id)
        except InvalidFilter as error:
            raise _renamed(error, "q", "filter") from None
        try:
            after_id = page_id(asked.text("after")) if asked.text("after") else None
        except InvalidFilter as error:
            raise _renamed(error, "after_id", "after") from None
        limit = asked.limit(default=DEFAULT_LIMIT, most=MAX_LIMIT)
        found = await self._pool.transaction(
            lambda cursor: search(
                cursor,
                words,
                wanted,
                limit=limit,
                after_id=after_id,
                visible_to=asked.visible_to,
                cutoff=self._cutoff(),
            ),
            read_only=True,
        )
        self._access.list_is_read(
            asked.request,
            asked.actor,
            [(each.interception_id, each.initiator) for each in found.results],
            what="interceptions",
            detail={"search": asked.text("q"), "q": asked.text("filter")},
        )
        return found


def _parts(text: str) -> tuple[Part, ...]:
    found = []
    for name in text.split(",") if text else ():
        part = _PARTS.get(name.strip())
        if part is None:
            raise wrong("in", f"{name[:64]!r} is none of {', '.join(_PARTS)}")
        found.append(part)
    return tuple(dict.fromkeys(found))


def _renamed(error: InvalidFilter, name: str, ours: str) -> InvalidFilter:
    """Return the same error in which the parameter `name` is called `ours`."""
    return InvalidFilter(
        tuple(
            replace(each, field=ours) if each.field == name else each for each in error.validations
        )
    )
