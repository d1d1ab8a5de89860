"""Management: the records read back, by tokens of scope manage, within their users' roles."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Protocol, TypeVar
from uuid import UUID

from bridge.auth.audit import change
from bridge.auth.authentication import (
    NOT_FOR_MANAGING,
    NOTHING_SENT_TO_MANAGE,
    Directory,
    authenticate,
)
from bridge.domain.clock import Clock
from bridge.domain.errors import BridgeError, Forbidden, InvalidRequest, NotFound, Validation
from bridge.domain.identity import Actor, Role, Scope
from bridge.domain.records import Record
from bridge.recording.refusals import Refusals
from bridge.store.connection import Cursor
from bridge.store.filters import page_id, parse
from bridge.store.reads import DEFAULT_LIMIT, MAX_LIMIT, list_interceptions, read_interception
from bridge.store.reads_json import Interception
from bridge.web.addresses import ClientAddresses
from bridge.web.arrivals import RequestHead
from bridge.web.gateway import PREFIXES
from bridge.web.health import Health
from bridge.web.router import Router
from bridge.web.site import BridgeRequest

T = TypeVar("T")

CONTENT_READ = "content.read"
"""The audit action of reading what somebody else asked or was answered."""
_LIST_PARAMETERS = ("q", "limit", "after_id")


class Transactions(Protocol):
    """Where statements run."""

    async def transaction(
        self, work: Callable[[Cursor], Awaitable[T]], *, read_only: bool = False
    ) -> T:
        """Run `work` in one transaction."""


class Append(Protocol):
    """The journal's."""

    def __call__(self, records: list[Record], /) -> object:
        """Write `records`; raises Unavailable."""


class Management:
    """Serves `/api/v2/aibridge/…` but for the providers' paths, and the two health paths."""

    def __init__(
        self,
        *,
        directory: Directory,
        pool: Transactions,
        cutoff: Callable[[], datetime | None],
        append: Append,
        refusals: Refusals,
        not_ready: Callable[[], str | None],
        clock: Clock,
        addresses: ClientAddresses,
    ) -> None:
        """Serve records.

        Args:
            directory: who knows the tokens.
            pool: where statements run.
            cutoff: older records are not shown any more; None shows all.
            append: writes audit records.
            refusals: notes what is refused.
            not_ready: why no requests should be sent here; None when they should.
            clock: gives the time.
            addresses: says where a request comes from.
        """
        self._directory = directory
        self._pool = pool
        self._cutoff = cutoff
        self._append = append
        self._refusals = refusals
        self._clock = clock
        self._addresses = addresses
        self.app = Router()
        Health(not_ready=not_ready).serve_on(self.app)
        for prefix in PREFIXES:
            base = prefix.decode("ascii")
            self.app.route(f"{base}/interceptions", methods=["GET"])(self.interceptions)
            self.app.route(f"{base}/interceptions/<identifier>", methods=["GET"])(self.interception)

    async def interceptions(self, request: BridgeRequest) -> bytes:
        """Return a page of interceptions, newest first: `?q=…&limit=…&after_id=…`."""
        actor = self._manager(request)
        given = _parameters(request)
        wanted = parse(given.get("q", ""), me=actor.id)
        after_id = page_id(given["after_id"]) if given.get("after_id") else None
        limit = _limit(given.get("limit", ""))
        found = await self._pool.transaction(
            lambda cursor: list_interceptions(
                cursor,
                wanted,
                limit=limit,
                after_id=after_id,
                visible_to=_visible_to(actor),
                cutoff=self._cutoff(),
            ),
            read_only=True,
        )
        shown = [each for each in found.results if each.initiator.id != actor.id]
        self._audit(request, actor, shown, {"q": given.get("q", "")})
        return self.app.json(request, found)

    async def interception(self, request: BridgeRequest, identifier: str) -> bytes:
        """Return one interception with everything that belongs to it."""
        actor = self._manager(request)
        try:
            wanted = UUID(identifier)
        except ValueError:
            raise NotFound("There is no such interception.") from None
        found = await self._pool.transaction(
            lambda cursor: read_interception(
                cursor, wanted, visible_to=_visible_to(actor), cutoff=self._cutoff()
            ),
            read_only=True,
        )
        if found is None:
            raise NotFound("There is no such interception.")
        self._audit(request, actor, [found] if found.initiator.id != actor.id else [], {})
        return self.app.json(request, found)

    def _manager(self, request: BridgeRequest) -> Actor:
        """Return who asks.

        Raises:
            Unauthenticated: there is no good token.
            Forbidden: it is not for management.
            Unavailable: nobody can be known yet.
        """
        head = _head(request)
        actor = None
        try:
            actor = authenticate(
                head.by_name(),
                self._directory,
                allow_byok=False,
                own_headers=(),
                nothing_sent=NOTHING_SENT_TO_MANAGE,
            ).actor
            if actor.scope is not Scope.MANAGE:
                raise Forbidden(NOT_FOR_MANAGING)
        except BridgeError as error:
            path = head.target.partition(b"?")[0].decode("latin-1")
            self._refusals.note(error, actor=actor, path=path, source=self._source(head))
            raise
        return actor

    def _audit(
        self,
        request: BridgeRequest,
        actor: Actor,
        shown: list[Interception],
        detail: Mapping[str, object],
    ) -> None:
        """Write down whose content is about to be shown; what cannot be is not shown.

        Raises:
            Unavailable: the journal takes no records.
        """
        if not shown:
            return
        row = change(
            CONTENT_READ,
            target=str(shown[0].id) if len(shown) == 1 else f"{len(shown)} interceptions",
            now=self._clock.seconds(),
            source=self._source(_head(request)),
            actor=actor,
            detail={
                **detail,
                "users": sorted({each.initiator.username for each in shown}),
                "first": str(shown[0].id),
                "last": str(shown[-1].id),
            },
        )
        self._append([row])

    def _source(self, head: RequestHead) -> str:
        return self._addresses.of(head)


def _head(request: BridgeRequest) -> RequestHead:
    assert request.head is not None  # noqa: S101 - the channel sets it before the request is made
    return request.head


def _visible_to(actor: Actor) -> UUID | None:
    """Return whose records may be seen; None for everybody's."""
    return None if Role.AUDITOR in actor.roles else actor.id


def _parameters(request: BridgeRequest) -> Mapping[str, str]:
    args: Mapping[bytes, list[bytes]] = request.args
    wrong: list[Validation] = []
    found: dict[str, str] = {}
    for key, values in args.items():
        name = key.decode("utf-8", "replace")
        if name not in _LIST_PARAMETERS:
            known = ", ".join(_LIST_PARAMETERS)
            wrong.append(Validation(field=name[:64], detail=f"not a parameter; there are {known}"))
        elif len(values) > 1:
            wrong.append(Validation(field=name, detail="given more than once"))
        else:
            try:
                found[name] = values[0].decode("utf-8")
            except UnicodeDecodeError:
                wrong.append(Validation(field=name, detail="must be UTF-8"))
    if wrong:
        raise InvalidRequest("The query cannot be read.", wrong)
    return found


def _limit(text: str) -> int:
    if not text:
        return DEFAULT_LIMIT
    if text.isascii() and text.isdecimal() and len(text) < 6 and int(text) <= MAX_LIMIT:
        return int(text) or DEFAULT_LIMIT
    detail = f"must be a whole number from 0 (the default) to {MAX_LIMIT}"
    raise InvalidRequest("The query cannot be read.", [Validation(field="limit", detail=detail)])
