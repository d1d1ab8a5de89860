"""A store for the tests of the writer: it can be away, refuse lines, or refuse everything."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, succeed

from bridge.journal.format import JournalLine
from bridge.store.errors import StoreError, StoreUnavailable
from bridge.store.pool import Cursor

T = TypeVar("T")


class FakeStore:
    """Keeps what was committed, in order, each line once."""

    def __init__(self) -> None:
        self.lines: list[JournalLine] = []
        self.batches: list[int] = []
        """Lines of every batch that was committed."""
        self.attempts = 0
        self.away = False
        self.away_at: set[int] = set()
        """Numbers of attempts, from 1, at which it is away too."""
        self.poison: Callable[[JournalLine], bool] = lambda _: False
        self.error: Callable[[], Exception] = lambda: StoreError("no such column")
        self.slow: Deferred[None] | None = None
        """While set, a transaction waits for it."""

    async def transaction(self, work: Callable[[Cursor], Awaitable[T]]) -> T:
        self.attempts += 1
        pending: list[JournalLine] = []
        cursor: Any = pending
        await (self.slow or succeed(None))
        if self.away or self.attempts in self.away_at:
            raise StoreUnavailable("The database cannot be reached.")
        result = await work(cursor)
        known = {line.body for line in self.lines}
        self.lines += [line for line in pending if line.body not in known]
        self.batches.append(len(pending))
        return result

    async def write_batch(self, cursor: Any, lines: Sequence[JournalLine]) -> None:
        if any(self.poison(line) for line in lines):
            raise self.error()
        cursor += lines

    @property
    def numbers(self) -> list[int]:
        """Sequence numbers of what was committed."""
        return [line.seq for line in self.lines]
