"""Building: the pages, from what the bridge has."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from twisted.internet.threads import deferToThreadPool

from bridge.administration import Administration, Lifetimes
from bridge.auth.directory import TokenDirectory
from bridge.domain.clock import Clock
from bridge.domain.identity import Actor
from bridge.domain.records import AuditRecorded, Record
from bridge.pages.app import Pages
from bridge.pages.audit_log import AuditPages
from bridge.pages.entrance import Entrance, Transactions
from bridge.pages.finding import FindingPages
from bridge.pages.interceptions import InterceptionPages
from bridge.pages.overview import OverviewPages
from bridge.pages.providers import ProviderPages
from bridge.pages.reading import Reading
from bridge.pages.sessions import SessionPages
from bridge.pages.tokens import TokenPages
from bridge.pages.users import UserPages
from bridge.pages.visit import Visit
from bridge.policy.shared_limits import SharedLimits
from bridge.recording.refusals import Refusals
from bridge.web.access import Access
from bridge.web.addresses import ClientAddresses
from bridge.web.paced import Pacing

T = TypeVar("T")


def build_pages(
    *,
    directory: TokenDirectory,
    access: Access,
    pacing: Pacing,
    pool: Transactions,
    append: Callable[[Sequence[Record]], object],
    durable: Callable[[], Awaitable[object]],
    refusals: Refusals,
    details: Callable[[], Mapping[str, Any]],
    cutoff: Callable[[], datetime | None],
    reactor: Any,
    addresses: ClientAddresses,
    behind_proxy: bool,
    administration: Callable[[Actor, str], Administration],
    lifetimes: Lifetimes,
    shared: SharedLimits | None = None,
) -> Pages:
    """Return the pages.

    Args:
        directory: who knows the tokens.
        access: keeps account of what is read.
        pacing: makes downloads go no faster than their reader.
        pool: where statements run.
        append: writes records into the journal.
        durable: waits until what was written is safe on disk.
        refusals: notes what is refused.
        details: how the bridge is.
        cutoff: older records are not shown any more; None shows all.
        reactor: gives the time, and threads for what would hold up others.
        addresses: says where a request comes from.
        behind_proxy: a proxy in front speaks TLS with the browsers.
        administration: makes changes in the name of an actor, who asks from an address.
        lifetimes: of new tokens.
        shared: what other processes count, with whom failed sign-ins are counted.
    """
    clock: Clock = reactor

    def in_thread(work: Callable[[], T]) -> Awaitable[T]:
        return deferToThreadPool(reactor, reactor.getThreadPool(), work)

    async def audit(records: Sequence[AuditRecorded]) -> None:
        append(records)
        await durable()

    def changing(visit: Visit) -> Administration:
        return administration(visit.actor, visit.source)

    entrance = Entrance(
        directory=directory,
        pool=pool,
        audit=audit,
        refusals=refusals,
        clock=clock,
        addresses=addresses,
        behind_proxy=behind_proxy,
        shared=shared,
    )
    reading = Reading(pool=pool, cutoff=cutoff, access=access, clock=clock)
    return Pages(
        entrance=entrance,
        parts=(
            OverviewPages(reading),
            SessionPages(reading),
            FindingPages(reading),
            InterceptionPages(reading),
            TokenPages(pool=pool, administration=changing, lifetimes=lifetimes, clock=clock),
            UserPages(pool=pool, administration=changing),
            ProviderPages(details, alone=shared is None),
            AuditPages(pool),
        ),
        first="/ui/overview",
        in_thread=in_thread,
        pacing=pacing,
    )
