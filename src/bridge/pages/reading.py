"""Reading: what pages of records share, from where they are read to what that leaves behind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from bridge.domain.clock import Clock
from bridge.pages.entrance import Transactions
from bridge.pages.visit import Visit
from bridge.web.access import Access


class Whose(Protocol):
    """Whose content something is."""

    @property
    def id(self) -> UUID:
        """Of the user."""

    @property
    def username(self) -> str:
        """Of the user."""


class Reading:
    """Where records are read, and how it is kept account of."""

    def __init__(
        self,
        *,
        pool: Transactions,
        cutoff: Callable[[], datetime | None],
        access: Access,
        clock: Clock,
    ) -> None:
        """Read records.

        Args:
            pool: where statements run.
            cutoff: older records are not shown any more; None shows all.
            access: keeps account of what is read.
            clock: gives the time.
        """
        self.pool = pool
        self.cutoff = cutoff
        self.clock = clock
        self._access = access

    def note(
        self,
        visit: Visit,
        shown: Sequence[tuple[object, Whose]],
        detail: Mapping[str, object] | None = None,
        what: str = "interceptions",
    ) -> None:
        """Write down whose content is about to be shown; what cannot be is not shown.

        Args:
            visit: who asks.
            shown: the id of each thing, and whose it is.
            detail: what was searched for.
            what: what the things are called.

        Raises:
            Unavailable: the journal takes no records.
        """
        others = [(str(each), whose) for each, whose in shown if whose.id != visit.actor.id]
        if not others:
            return
        self._access.content_is_read(
            visit.request,
            visit.actor,
            target=others[0][0] if len(others) == 1 else f"{len(others)} {what}",
            users=[whose.username for _, whose in others],
            detail={
                **(detail or {}),
                "first": others[0][0],
                "last": others[-1][0],
                "page": visit.path,
            },
        )
