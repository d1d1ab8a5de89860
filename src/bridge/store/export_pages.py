"""The pages of an export, in order, several of them being made at once."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime
from typing import Protocol, TypeVar
from uuid import UUID

from twisted.internet.defer import Deferred, DeferredLock

from bridge.domain.ids import day_of
from bridge.store.connection import Cursor
from bridge.store.export import PAGE_ROWS, Export, Page
from bridge.store.filters import Filter, InvalidFilter
from bridge.store.reads_usage import read_usage

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


async def expected_rows(
    cursor: Cursor,
    wanted: Filter,
    *,
    after_id: UUID | None,
    visible_to: UUID | None,
    cutoff: datetime | None,
) -> int | None:
    """Return about how many interceptions an export will have, from usage, which counts whole days.

    Returns:
        None when usage is not kept by what is wanted.

    Raises:
        StoreUnavailable: not now.
    """
    begun = [
        *([wanted.started_after.date()] if wanted.started_after is not None else ()),
        *([day_of(after_id)] if after_id is not None else ()),
    ]
    try:
        usage = await read_usage(
            cursor,
            replace(wanted, started_after=None, started_before=None),
            by=(),
            first=max(begun, default=None),
            last=wanted.started_before.date() if wanted.started_before is not None else None,
            limit=1,
            visible_to=visible_to,
            cutoff=cutoff,
        )
    except InvalidFilter:
        return None
    return usage.total.interceptions
