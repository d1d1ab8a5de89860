"""Who asks on the management side, and what is written down when others' content is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from bridge.auth.audit import Whose, change, read_of
from bridge.auth.authentication import (
    NOT_FOR_MANAGING,
    NOTHING_SENT_TO_MANAGE,
    Directory,
    authenticate,
)
from bridge.domain.clock import Clock
from bridge.domain.errors import BridgeError, Forbidden, Unauthenticated
from bridge.domain.identity import Actor, Scope
from bridge.domain.records import Record
from bridge.recording.refusals import Refusals
from bridge.web.addresses import ClientAddresses
from bridge.web.arrivals import RequestHead
from bridge.web.incoming import BridgeRequest

CONTENT_READ = "content.read"
"""The audit action of reading what somebody else asked or was answered."""
_ENDED_MEANWHILE = "The token that this request came with, or a role of its user, has ended."


class Tokens(Directory, Protocol):
    """Who knows the tokens, and what has become of them."""

    def undiminished(self, actor: Actor, now: float) -> bool:
        """Say whether `actor`, identified earlier, may still do all that they might then."""


class Append(Protocol):
    """The journal's."""

    def __call__(self, records: list[Record], /) -> object:
        """Write `records`; raises Unavailable."""


class Access:
    """Lets in whom a token of scope manage names, and keeps account of what they read."""

    def __init__(
        self,
        *,
        directory: Tokens,
        refusals: Refusals,
        append: Append,
        clock: Clock,
        addresses: ClientAddresses,
    ) -> None:
        """Ask nobody yet.

        Args:
            directory: who knows the tokens.
            refusals: notes what is refused.
            append: writes audit records.
            clock: gives the time.
            addresses: says where a request comes from.
        """
        self._directory = directory
        self._refusals = refusals
        self._append = append
        self._clock = clock
        self._addresses = addresses

    def manager(self, request: BridgeRequest) -> Actor:
        """Return who asks.

        Raises:
            Unauthenticated: there is no good token.
            Forbidden: it is not for management.
            Unavailable: nobody can be known yet.
        """
        head = head_of(request)
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
            self.refused(request, error, actor)
            raise
        return actor

    def refused(self, request: BridgeRequest, error: BridgeError, actor: Actor | None) -> None:
        """Note that `actor`, None for somebody unknown, was refused."""
        path = head_of(request).target.partition(b"?")[0].decode("latin-1")
        self._refusals.note(error, actor=actor, path=path, source=self.source(request))

    def check(self, actor: Actor) -> None:
        """Make sure, in the middle of a long answer, that `actor` may still have it.

        Raises:
            Unauthenticated: the token has ended since, or its user has, or has lost a role.
        """
        if not self._directory.undiminished(actor, self._clock.seconds()):
            raise Unauthenticated(_ENDED_MEANWHILE)

    def content_is_read(
        self,
        request: BridgeRequest,
        actor: Actor,
        *,
        target: str,
        users: Sequence[Whose],
        detail: Mapping[str, object],
    ) -> None:
        """Write down that `actor` is about to see others' content; what cannot be is not shown.

        Args:
            request: by which it is read.
            actor: who reads it.
            target: the id of what is read, or how many things are.
            users: whose content it is, in any order, repeats allowed.
            detail: what else says which content it is.

        Raises:
            Unavailable: the journal takes no records.
        """
        row = change(
            CONTENT_READ,
            target=target,
            now=self._clock.seconds(),
            source=self.source(request),
            actor=actor,
            detail={**detail, **read_of(users)},
        )
        self._append([row])

    def list_is_read(
        self,
        request: BridgeRequest,
        actor: Actor,
        shown: Sequence[tuple[object, Whose]],
        *,
        what: str,
        detail: Mapping[str, object],
    ) -> None:
        """Write down whose content `actor` is about to see in a list; their own leaves no trace.

        Args:
            request: by which it is read.
            actor: who reads it.
            shown: the id of each thing with content, and whose it is.
            what: what the things are called, when there are several.
            detail: what was searched for.

        Raises:
            Unavailable: the journal takes no records, so it is not to be shown.
        """
        others = [(str(each), whose) for each, whose in shown if whose.id != actor.id]
        if not others:
            return
        first, last = others[0][0], others[-1][0]
        self.content_is_read(
            request,
            actor,
            target=first if len(others) == 1 else f"{len(others)} {what}",
            users=[whose for _, whose in others],
            detail={**detail, "first": first, "last": last},
        )

    def source(self, request: BridgeRequest) -> str:
        """Return the address that `request` comes from."""
        return self._addresses.of(head_of(request))


def head_of(request: BridgeRequest) -> RequestHead:
    """Return what came before the body."""
    assert request.head is not None  # noqa: S101 - the channel sets it before the request is made
    return request.head
