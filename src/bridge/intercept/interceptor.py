"""The interceptor: what happens next in an exchange, from request to recorded end."""

from __future__ import annotations

from collections.abc import Callable

import structlog
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime

from bridge.domain.errors import BridgeError
from bridge.domain.identity import Actor
from bridge.intercept.exchange import Exchange, ReadingLimits
from bridge.intercept.run import Run
from bridge.upstream.relay import RelayLimits

_log = structlog.get_logger("bridge.interception")


class Interceptor:
    """Runs exchanges, and knows which are running."""

    def __init__(
        self, *, clock: IReactorTime, limits: RelayLimits, reading_limits: ReadingLimits
    ) -> None:
        """Run exchanges within `limits`."""
        self._clock = clock
        self._limits = limits
        self._reading_limits = reading_limits
        self._running: set[Run] = set()
        self._idle: list[Deferred[None]] = []

    @property
    def running(self) -> int:
        """How many exchanges are under way."""
        return len(self._running)

    async def run(self, exchange: Exchange) -> None:
        """Send the request, relay the answer, write down how it ended.

        Cancellation means that the client has gone: upstream is closed at once.
        """
        run = Run(exchange, self._clock, self._limits, self._reading_limits)
        self._running.add(run)
        try:
            await run.go()
        except CancelledError:
            raise
        except BaseException:
            # Our own fault: the journal must still hear of an end.
            run.fail()
            raise
        finally:
            exchange.body.drop()
            self._running.discard(run)
            if not self._running:
                waiting, self._idle = self._idle, []
                for each in waiting:
                    each.callback(None)

    def abort(self, error: BridgeError, *, which: Callable[[Actor], bool]) -> int:
        """End the exchanges of the actors that `which` picks, with `error`; return how many."""
        chosen = [run for run in self._running if which(run.interception.actor)]
        for run in chosen:
            run.abort(error)
        return len(chosen)

    def idle(self) -> Deferred[None]:
        """Fire when nothing is running; at once if nothing is."""
        waiting: Deferred[None] = Deferred()
        if self._running:
            self._idle.append(waiting)
        else:
            waiting.callback(None)
        return waiting
