"""Deadlines: many waits of one length, with one timer for all of them.

A `callLater` for each wait, mostly cancelled a moment later, is what a small request spends a
twentieth of its processor time on. Waits of the same length end in the order in which they began,
so only the first of them needs a timer.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime


class Deadlines:
    """Calls back whoever has waited for a certain time; exact, and in order."""

    def __init__(self, clock: IReactorTime, seconds: float) -> None:
        """Let everybody wait for `seconds`."""
        self._clock = clock
        self._seconds = seconds
        self._waits: dict[int, tuple[float, Callable[[], None]]] = {}
        self._last = 0
        self._timer: IDelayedCall | None = None
        self._closed = False

    def begin(self, expired: Callable[[], None]) -> int:
        """Begin to wait; return what ends it before `expired` is called, which must not raise."""
        self._last += 1
        self._waits[self._last] = (self._clock.seconds() + self._seconds, expired)
        if self._timer is None:
            self._timer = self._clock.callLater(self._seconds, self._look)
        return self._last

    def end(self, wait: int) -> None:
        """Stop waiting; harmless when that is over."""
        self._waits.pop(wait, None)
        # Otherwise the timer stays: the next wait will need it.
        if self._closed and not self._waits:
            self._stop()

    def close(self) -> None:
        """Leave no timer behind once the last wait is over; new ones may begin all the same."""
        self._closed = True
        if not self._waits:
            self._stop()

    def _look(self) -> None:
        """Call whose time is up, and set the timer for who is next."""
        self._timer = None
        now = self._clock.seconds()
        while self._waits:
            first = next(iter(self._waits))
            deadline, expired = self._waits[first]
            if deadline > now:
                if self._timer is None:  # unless somebody who was called has begun another wait
                    self._timer = self._clock.callLater(deadline - now, self._look)
                return
            del self._waits[first]
            expired()

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
