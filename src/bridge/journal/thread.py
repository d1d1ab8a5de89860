"""The one thread in which a journal waits for its disk."""

from __future__ import annotations

from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

InThread = Callable[[Callable[[], None]], Deferred[None]]
"""Runs what may wait for the disk elsewhere, and fires when it is done or has raised."""


class DiskThread:
    """A thread of our own: in the reactor's pool a slow name server would hold up every fsync.

    Nor is it one of Twisted's pools: asked once for every group of answers that end, those take
    twice the processor time to hand the work over and back (90 µs, not 45).
    """

    def __init__(self, *, reactor: Any) -> None:
        """Make it; the thread itself starts with the first piece of work.

        Args:
            reactor: with threads (IReactorThreads) and system events (IReactorCore).
        """
        self._reactor = reactor
        self._asked: SimpleQueue[tuple[Callable[[], None], Deferred[None]] | None] = SimpleQueue()
        self._thread: Thread | None = None
        # If nobody closes the journal, the interpreter must not wait for the thread for ever.
        self._trigger = reactor.addSystemEventTrigger("after", "shutdown", self._end)
        self._stopped = False

    def run(self, work: Callable[[], None]) -> Deferred[None]:
        """Run `work` after what was asked before, and fire when it is done or has raised."""
        done: Deferred[None] = Deferred()
        self._asked.put((work, done))
        if self._thread is None:
            self._thread = Thread(target=self._serve, name="journal")
            self._thread.start()
        return done

    def stop(self) -> None:
        """End the thread; nothing may be running."""
        if not self._stopped:
            self._reactor.removeSystemEventTrigger(self._trigger)
            self._end()

    def _end(self) -> None:
        self._stopped = True
        self._asked.put(None)
        if self._thread is not None:
            self._thread.join()

    def _serve(self) -> None:
        tell = self._reactor.callFromThread
        while (asked := self._asked.get()) is not None:
            work, done = asked
            try:
                work()
            except BaseException:  # noqa: BLE001 - whoever asked hears of it
                tell(done.errback, Failure())
            else:
                tell(done.callback, None)
