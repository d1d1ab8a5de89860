"""The pages of an export, in order, several of them being made at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from twisted.internet.defer import Deferred, DeferredLock

from bridge.store.connection import Cursor
from bridge.store.export import PAGE_ROWS, Export, Page

T = TypeVar("T")


class Transactions(Protocol):
    """Where statements run."""

    async def transaction(
        self, work: Callable[[Cursor], Awaitable[T]], *, read_only: bool = False
    ) -> T:
        """Run `work` in one transaction."""


class Pages:
    """Reads an export ahead: as many pages are in the making, or in memory, as `ahead` says.

    To be closed, so that nothing is left running.
    """

    def __init__(
        self, pool: Transactions, export: Export, *, ahead: int, rows: int = PAGE_ROWS
    ) -> None:
        """Begin at once; more than `ahead` pages are never there."""
        self._pool = pool
        self._export = export
        self._rows = rows
        self._finding = DeferredLock()
        self._ended = False
        self._coming: deque[Deferred[Page | None]] = deque()
        for _ in range(ahead):
            self._begin()

    async def next(self) -> Page | None:
        """Return the next page; None when there is nothing more.

        Raises:
            StoreUnavailable: not now; no later page is given, but a new export can go on behind the
                last one that was.
        """
        if not self._coming:
            return None
        whole = False
        try:
            page = await self._coming.popleft()
            whole = page is not None
        finally:
            self._ended = self._ended or not whole
        self._begin()
        return page

    async def close(self) -> None:
        """Wait until nothing is running any more."""
        self._ended = True
        while self._coming:
            last = self._coming.popleft()
            last.addErrback(lambda failure: failure.trap(Exception) and None)
            await last

    def _begin(self) -> None:
        if not self._ended:
            self._coming.append(Deferred.fromCoroutine(self._page()))

    async def _page(self) -> Page | None:
        await self._finding.acquire()
        try:
            if self._ended:
                return None
            found = False
            try:
                piece = await self._pool.transaction(
                    lambda cursor: self._export.piece(cursor, rows=self._rows), read_only=True
                )
                found = piece is not None
            finally:
                self._ended = self._ended or not found
            if piece is None:
                return None
        finally:
            self._finding.release()
        return await self._pool.transaction(
            lambda cursor: self._export.page(cursor, piece), read_only=True
        )
