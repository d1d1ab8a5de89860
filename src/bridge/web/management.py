"""Management by tokens of scope manage, within roles: records read, users and tokens changed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import cached_property

from twisted.internet.interfaces import IReactorTime

from bridge.administration import Administration, Lifetimes
from bridge.domain.identity import Actor
from bridge.recording.refusals import Refusals
from bridge.web.access import Access, Append, Tokens
from bridge.web.addresses import ClientAddresses
from bridge.web.endpoints import Asked, Endpoint, serve
from bridge.web.gateway import PREFIXES
from bridge.web.health import Health
from bridge.web.management_accounts import AccountEndpoints
from bridge.web.management_audit import audit_endpoint
from bridge.web.management_export import ExportEndpoints
from bridge.web.management_holds import holds_endpoint
from bridge.web.management_interceptions import InterceptionEndpoints, Transactions
from bridge.web.management_search import SearchEndpoints
from bridge.web.management_sessions import SessionEndpoints
from bridge.web.management_usage import UsageEndpoints
from bridge.web.openapi import description
from bridge.web.paced import Pacing
from bridge.web.router import Router


class Management:
    """Serves `/api/v2/aibridge/…` but for the providers' paths, and the two health paths."""

    def __init__(
        self,
        *,
        directory: Tokens,
        pool: Transactions,
        cutoff: Callable[[], datetime | None],
        append: Append,
        refusals: Refusals,
        not_ready: Callable[[], str | None],
        clock: IReactorTime,
        addresses: ClientAddresses,
        administration: Callable[[Actor, str], Administration],
        lifetimes: Lifetimes,
        client_stall: float,
    ) -> None:
        """Serve records, and manage who may use the bridge.

        Args:
            directory: who knows the tokens.
            pool: where statements run.
            cutoff: older records are not shown any more; None shows all.
            append: writes audit records.
            refusals: notes what is refused.
            not_ready: why no requests should be sent here; None when they should.
            clock: gives the time, and the limits of waits.
            addresses: says where a request comes from.
            administration: makes changes in the name of an actor, who asks from an address.
            lifetimes: of new tokens.
            client_stall: how long, in seconds, a client may leave a long answer unread.
        """
        self.access = Access(
            directory=directory, refusals=refusals, append=append, clock=clock, addresses=addresses
        )
        self.pacing = Pacing(check=self.access.check, clock=clock, client_stall=client_stall)
        self.app = Router()
        Health(not_ready=not_ready).serve_on(self.app)
        self.endpoints: tuple[Endpoint, ...] = (
            *InterceptionEndpoints(access=self.access, pool=pool, cutoff=cutoff).endpoints(),
            *SessionEndpoints(access=self.access, pool=pool, cutoff=cutoff).endpoints(),
            *UsageEndpoints(pool=pool, cutoff=cutoff).endpoints(),
            *SearchEndpoints(access=self.access, pool=pool, cutoff=cutoff).endpoints(),
            *ExportEndpoints(
                access=self.access, pool=pool, cutoff=cutoff, pacing=self.pacing
            ).endpoints(),
            *AccountEndpoints(
                access=self.access,
                pool=pool,
                administration=administration,
                lifetimes=lifetimes,
                clock=clock,
            ).endpoints(),
        )
        self.endpoints += (audit_endpoint(pool), holds_endpoint(pool), self._described())
        serve(self.app, self.access, self.endpoints, PREFIXES)

    @cached_property
    def _description(self) -> dict[str, object]:
        return description(self.endpoints, PREFIXES)

    def _described(self) -> Endpoint:
        """Return the endpoint that describes the others, and itself."""

        async def answer(asked: Asked) -> dict[str, object]:  # noqa: ARG001 - all are told the same
            return self._description

        return Endpoint(
            name="openapi",
            path="/openapi.json",
            summary="This description.",
            answer=answer,
            returns=dict[str, object],
        )
