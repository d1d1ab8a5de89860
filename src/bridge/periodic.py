"""Periodic work that survives its errors, never overlaps, and stops cleanly."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

_log = structlog.get_logger("bridge.periodic")


class Periodic:
    """Runs `work` every `seconds`; LoopingCall alone would stop for ever at the first exception."""

    def __init__(
        self,
        *,
        name: str,
        seconds: float,
        work: Callable[[], Awaitable[object]],
        clock: IReactorTime,
    ) -> None:
        """Keep what to run; nothing starts yet."""
        self._name = name
        self._seconds = seconds
        self._work = work
        self._loop = LoopingCall(self._run)
        self._loop.clock = clock
        self._running: Deferred[Any] | None = None
        self.failures = 0

    def start(self, *, now: bool = True) -> None:
        """Start; the first run is at once unless `now` is false."""
        self._loop.start(self._seconds, now=now)

    async def stop(self) -> None:
        """Run no more; wait for a run that is under way."""
        if self._loop.running:
            self._loop.stop()
        if self._running is not None:
            await self._running

    def _run(self) -> Deferred[Any]:
        async def guarded() -> None:
            try:
                await self._work()
            except CancelledError:
                raise
            except Exception:  # noqa: BLE001  # the next run must still come
                self.failures += 1
                _log.exception("periodic work failed", work=self._name)

        finished: Deferred[None] = Deferred()

        def done(_: object) -> None:
            self._running = None
            finished.callback(None)

        self._running = finished
        return Deferred.fromCoroutine(guarded()).addBoth(done)
