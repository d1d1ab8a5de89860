"""The endpoints `interceptions` and `interceptions/{id}`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol, TypeVar
from uuid import UUID

from bridge.domain.errors import NotFound
from bridge.store.connection import Cursor
from bridge.store.filters import page_id, parse
from bridge.store.reads import DEFAULT_LIMIT, MAX_LIMIT, list_interceptions
from bridge.store.reads_json import Interception, InterceptionDetail, InterceptionList
from bridge.store.reads_results import read_detail
from bridge.web.access import Access
from bridge.web.endpoints import UUID_OR_NOTHING, Asked, Endpoint, Parameter, limit

T = TypeVar("T")

SEARCH = (
    "Elements `key:value` separated by spaces, values with spaces or colons in double quotes; bare "
    "words name the initiator."
)
_NOTHING = "There is no such interception."
_LIST_PARAMETERS = (
    Parameter(
        name="q",
        description=f"{SEARCH} Keys: initiator (id, name or me), provider, provider_name, model, "
        "client, session_id, status, kind, started_after, started_before, ended_after (RFC "
        "3339; the last finds only what began at most two hours before).",
        schema={"type": "string", "maxLength": 4096},
    ),
    limit(DEFAULT_LIMIT, MAX_LIMIT),
    Parameter(
        name="after_id",
        description="The last id of the page before.",
        schema=UUID_OR_NOTHING,
    ),
)


class Transactions(Protocol):
    """Where statements run."""

    async def transaction(
        self, work: Callable[[Cursor], Awaitable[T]], *, read_only: bool = False
    ) -> T:
        """Run `work` in one transaction."""


class InterceptionEndpoints:
    """Reads interceptions."""

    def __init__(
        self, *, access: Access, pool: Transactions, cutoff: Callable[[], datetime | None]
    ) -> None:
        """Read from `pool`, nothing older than `cutoff`; tell `access` what is read."""
        self._access = access
        self._pool = pool
        self._cutoff = cutoff

    def endpoints(self) -> Sequence[Endpoint]:
        """Return what is served."""
        return (
            Endpoint(
                name="interceptions",
                path="/interceptions",
                summary="Interceptions, newest first.",
                answer=self.list,
                returns=InterceptionList,
                parameters=_LIST_PARAMETERS,
            ),
            Endpoint(
                name="interception",
                path="/interceptions/{identifier}",
                summary="One interception with everything that belongs to it.",
                answer=self.one,
                returns=InterceptionDetail,
                parameters=(
                    Parameter(
                        name="identifier",
                        description="Its id.",
                        schema={"type": "string", "format": "uuid"},
                        where="path",
                    ),
                ),
                not_found=_NOTHING,
            ),
        )

    async def list(self, asked: Asked) -> InterceptionList:
        """Return a page of interceptions, newest first: `?q=…&limit=…&after_id=…`."""
        wanted = parse(asked.text("q"), me=asked.actor.id)
        after_id = page_id(asked.text("after_id")) if asked.text("after_id") else None
        limit = asked.limit(default=DEFAULT_LIMIT, most=MAX_LIMIT)
        found = await self._pool.transaction(
            lambda cursor: list_interceptions(
                cursor,
                wanted,
                limit=limit,
                after_id=after_id,
                visible_to=asked.visible_to,
                cutoff=self._cutoff(),
            ),
            read_only=True,
        )
        self._note(asked, found.results, {"q": asked.text("q")})
        return found

    async def one(self, asked: Asked) -> InterceptionDetail:
        """Return one interception with everything that belongs to it."""
        try:
            wanted = UUID(asked.path["identifier"])
        except ValueError:
            raise NotFound(_NOTHING) from None
        found = await self._pool.transaction(
            lambda cursor: read_detail(
                cursor, wanted, visible_to=asked.visible_to, cutoff=self._cutoff()
            ),
            read_only=True,
        )
        if found is None:
            raise NotFound(_NOTHING)
        self._note(asked, [found], {})
        return found

    def _note(
        self, asked: Asked, shown: Sequence[Interception], detail: Mapping[str, object]
    ) -> None:
        self._access.list_is_read(
            asked.request,
            asked.actor,
            [(each.id, each.initiator) for each in shown],
            what="interceptions",
            detail=detail,
        )
