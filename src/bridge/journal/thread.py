"""The one thread in which a journal waits for its disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

InThread = Callable[[Callable[[], None]], Deferred[None]]
"""Runs what may wait for the disk elsewhere, and fires when it is done or has raised."""


class DiskThread:
    """A thread of our own: in the reactor's pool a slow name server would hold up every fsync."""

    def __init__(self, *, reactor: Any) -> None:
        """Make the thread's pool; the thread itself starts with the first piece of work.

        Args:
            reactor: with threads (IReactorThreads) and system events (IReactorCore).
        """
        self._reactor = reactor
        self._pool = ThreadPool(minthreads=0, maxthreads=1, name="journal")
        self._pool.start()
        # If nobody closes the journal, the interpreter must not wait for the thread for ever.
        self._trigger = reactor.addSystemEventTrigger("after", "shutdown", self._pool.stop)

    def run(self, work: Callable[[], None]) -> Deferred[None]:
        """Run `work` after what was asked before, and fire when it is done or has raised."""
        return deferToThreadPool(self._reactor, self._pool, work)

    def stop(self) -> None:
        """End the thread; nothing may be running."""
        if not self._pool.joined:
            self._reactor.removeSystemEventTrigger(self._trigger)
            self._pool.stop()
