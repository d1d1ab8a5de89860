"""Reading: what pages of records share, from where they are read to what that leaves behind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from bridge.auth.audit import Whose
from bridge.domain.clock import Clock
from bridge.pages.entrance import Transactions
from bridge.pages.visit import Visit
from bridge.web.access import Access


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
        self._access.list_is_read(
            visit.request,
            visit.actor,
            shown,
            what=what,
            detail={**(detail or {}), "page": visit.path},
        )
