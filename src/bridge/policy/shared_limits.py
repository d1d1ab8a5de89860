"""Limits that hold for several processes together: what each of them counts, seen by all.

**Shape** of the memory, which is mapped by every process: numbers of eight bytes, all `float`.
First a row for each process: what it counts as a whole (`Total`), and how many connections it has
handed to each of the others. Then places for users, `WAYS` in each of `SETS` sets: the user's key,
the moment up to which the user's rate is spent, and a count for each process. A process writes its
own counts only, so nothing is ever added to by two; what one that died left behind is cleared by
who started it. Last come places for addresses whose attempts to sign in failed: key, when the
window began, and how many failed in it, which all write.

There are no locks: two processes that look at the same moment may both take the last place. How
much that lets through is bounded by the number of processes, and was measured to be nothing that
matters; a lock would be held by a process that is stopped or killed.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Iterator
from enum import IntEnum
from typing import Any

SETS = 1024
WAYS = 8
_NUMBER_BYTES = 8
_KEY, _SPENT_UNTIL, _COUNTS = 0, 1, 2
FAILURE_SETS = 512
_BEGAN, _FAILED, _FAILURE_SIZE = 1, 2, 3
_KEY_BITS = (1 << 52) - 1
# What a float holds exactly.


class Total(IntEnum):
    """What a process counts as a whole."""

    REQUESTS = 0
    CONNECTIONS = 1
    """Infinitely many while it takes none."""
    TAKEN = 2
    """Connections that it got from others, since the beginning."""


def size_for(processes: int) -> int:
    """Return how many bytes of memory so many processes need."""
    numbers = processes * (len(Total) + processes) + SETS * WAYS * (_COUNTS + processes)
    return (numbers + FAILURE_SETS * WAYS * _FAILURE_SIZE) * _NUMBER_BYTES


def map_shared(fd: int, processes: int) -> Any:
    """Return the memory behind an open file of `size_for(processes)` bytes.

    Raises:
        OSError: it cannot be mapped.
    """
    return mmap.mmap(fd, size_for(processes))


class SharedLimits:
    """One process' view: it adds what it counts itself, and reads what all count together."""

    def __init__(self, memory: Any, *, processes: int, me: int) -> None:
        """Use `memory` as process number `me` of `processes`, counted from 0."""
        self._numbers: Any = memoryview(memory).cast("d")
        self._processes = processes
        self._me = me
        self._row = len(Total) + processes
        self._users_at = processes * self._row
        self._place_size = _COUNTS + processes
        self._failures_at = self._users_at + SETS * WAYS * self._place_size
        self._held: dict[int, int] = {}
        """Where a user is whom this process counts something of."""

    def set_total(self, what: Total, value: float) -> None:
        """Say how many this process has."""
        self._numbers[self._me * self._row + what] = value

    def total(self, what: Total) -> float:
        """Return how many all have together."""
        return sum(self.each(what))

    def each(self, what: Total) -> list[float]:
        """Return how many each has, in the order of their numbers."""
        numbers: list[float] = self._numbers[what : self._users_at : self._row].tolist()
        return numbers

    def expected(self) -> list[float]:
        """Return how many connections each has or is about to get from another."""
        found = []
        for n, connections in enumerate(self.each(Total.CONNECTIONS)):
            handed = self._numbers[len(Total) + n : self._users_at : self._row].tolist()
            found.append(connections + sum(handed) - self._numbers[n * self._row + Total.TAKEN])
        return found

    def handed(self, process: int) -> None:
        """Count a connection that this process has handed to another."""
        self._numbers[self._me * self._row + len(Total) + process] += 1.0

    def took(self) -> None:
        """Count a connection that this process has got from another."""
        self._numbers[self._me * self._row + Total.TAKEN] += 1.0

    def set_under_way(self, user: int, count: int) -> None:
        """Say how many requests of `user`, any whole number, this process has under way."""
        key = _key(user)
        at = self._held.get(key)
        if at is None:
            if not count:
                return
            at = self._place_of(key, now=None)
            if at is None:
                return  # more users than there are places for; this one is limited by each process
            self._held[key] = at
        self._numbers[at + _COUNTS + self._me] = count
        if not count:
            del self._held[key]

    def under_way(self, user: int) -> int | None:
        """Return how many requests of `user` all have under way; None when that is not known."""
        key = _key(user)
        at = self._held.get(key)
        if at is None:
            at = self._found(key)
        if at is None:
            return None
        return int(sum(self._numbers[at + _COUNTS : at + self._place_size].tolist()))

    def spend(self, user: int, *, rate: float, now: float) -> float | None:
        """Take one request of `user` from `rate` a second, of which a second's may come at once.

        Returns:
            0.0 when it is taken, else the seconds until it could be; None when it is not known.
        """
        at = self._place_of(_key(user), now=now)
        if at is None:
            return None
        # A clock that was set back refills nothing, and takes no longer than an empty second.
        until = min(max(self._numbers[at + _SPENT_UNTIL], now), now + 1.0)
        self._numbers[at + _SPENT_UNTIL] = until
        too_early: float = until + 1.0 / rate - (now + 1.0)
        if too_early > 1e-6:
            return too_early
        self._numbers[at + _SPENT_UNTIL] = until + 1.0 / rate
        return 0.0

    def failures(self, who: int) -> tuple[float, int]:
        """Return when the window of `who`, any whole number, began, and how often they failed."""
        key = _key(who)
        for at in self._failure_places(key):
            if self._numbers[at + _KEY] == key:
                return self._numbers[at + _BEGAN], int(self._numbers[at + _FAILED])
        return 0.0, 0

    def failed(self, who: int, *, now: float, window: float) -> None:
        """Count a failure of `who`; a new window begins when the last one is over.

        Where there is no place left, whoever's window began first is forgotten.
        """
        key = _key(who)
        numbers = self._numbers
        places = list(self._failure_places(key))
        at = next((each for each in places if numbers[each + _KEY] == key), None)
        if at is None:
            at = min(places, key=lambda each: numbers[each + _BEGAN])
            numbers[at + _BEGAN] = numbers[at + _FAILED] = 0.0
            numbers[at + _KEY] = key
        if numbers[at + _BEGAN] + window <= now:
            numbers[at + _BEGAN] = now
            numbers[at + _FAILED] = 0.0
        numbers[at + _FAILED] += 1.0

    def clear(self, process: int) -> None:
        """Forget what a process that is gone has counted."""
        first = process * self._row
        self._numbers[first + Total.REQUESTS] = 0.0
        self._numbers[first + Total.CONNECTIONS] = math.inf
        for at in range(self._users_at, self._failures_at, self._place_size):
            if self._numbers[at + _COUNTS + process]:
                self._numbers[at + _COUNTS + process] = 0.0

    def _found(self, key: int) -> int | None:
        for at in self._places(key):
            if self._numbers[at + _KEY] == key:
                return at
        return None

    def _place_of(self, key: int, *, now: float | None) -> int | None:
        """Return where `key` is, or take a place of which nothing is needed any more."""
        at = self._found(key)
        if at is not None:
            return at
        for at in self._places(key):
            if self._is_idle(at, now):
                self._numbers[at + _SPENT_UNTIL] = 0.0
                self._numbers[at + _KEY] = key
                return at
        return None

    def _is_idle(self, at: int, now: float | None) -> bool:
        if not self._numbers[at + _KEY]:
            return True
        if any(self._numbers[at + _COUNTS : at + self._place_size].tolist()):
            return False
        spent_until = self._numbers[at + _SPENT_UNTIL]
        return not spent_until or (now is not None and spent_until <= now)

    def _places(self, key: int) -> Iterator[int]:
        first = self._users_at + (key % SETS) * WAYS * self._place_size
        return iter(range(first, first + WAYS * self._place_size, self._place_size))

    def _failure_places(self, key: int) -> Iterator[int]:
        first = self._failures_at + (key % FAILURE_SETS) * WAYS * _FAILURE_SIZE
        return iter(range(first, first + WAYS * _FAILURE_SIZE, _FAILURE_SIZE))


def _key(user: int) -> int:
    return (user & _KEY_BITS) or 1
