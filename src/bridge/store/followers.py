"""All followers of a bridge, started and stopped together."""

from __future__ import annotations

from typing import Any

from structlog.typing import FilteringBoundLogger

from bridge.store.following import Follower, Transactions
from bridge.store.search import SearchFollower
from bridge.store.sessions import SessionsFollower
from bridge.store.usage import UsageFollower


class Followers:
    """Keep what is derived from the records near them."""

    def __init__(self, *, pool: Transactions, reactor: Any, log: FilteringBoundLogger) -> None:
        """Follow nothing yet.

        Args:
            pool: where the records are.
            reactor: gives the time.
            log: bound logger.
        """
        self.search = SearchFollower(pool=pool, reactor=reactor, log=log)
        self._followers: tuple[Follower, ...] = (
            SessionsFollower(pool=pool, reactor=reactor, log=log),
            UsageFollower(pool=pool, reactor=reactor, log=log),
            self.search,
        )

    def start(self) -> None:
        """Begin."""
        for each in self._followers:
            each.start()

    async def stop(self) -> None:
        """Follow no more; wait for passes that are under way."""
        for each in self._followers:
            await each.stop()
