"""Draining: what is still to come of an answer is read, though its client has left.

Some providers bill a whole answer, whoever reads it, and say only at its end what it took.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainLimits:
    """How much of an answer is read on."""

    seconds: float
    bytes: int


class Drain:
    """Reads one answer on, from `begin` until its end, a limit, or `stop`; `done` fires then."""

    def __init__(
        self, *, look: Callable[[bytes], bool], limits: DrainLimits, clock: IReactorTime
    ) -> None:
        """Get ready.

        Args:
            look: sees each chunk; returns whether it ends the answer.
            limits: how much is read.
            clock: for them.
        """
        self.done: Deferred[None] = Deferred(lambda _: self.stop())
        self._look = look
        self._limits = limits
        self._clock = clock
        self._left = limits.bytes
        self._transport: Any = None
        self._late: IDelayedCall | None = None

    @property
    def under_way(self) -> bool:
        """Whether it has begun and not stopped."""
        return self._late is not None and not self.done.called

    def begin(self, transport: Any) -> None:
        """Read on from upstream's `transport`, which may be paused."""
        self._transport = transport
        self._late = self._clock.callLater(self._limits.seconds, self.stop)
        transport.resumeProducing()

    def data(self, chunk: bytes) -> None:
        """Look at the next bytes."""
        self._left -= len(chunk)
        if self._look(chunk) or self._left <= 0:
            self.stop()

    def lost(self) -> None:
        """Upstream has ended, in whichever way."""
        self._transport = None
        self.stop()

    def stop(self) -> None:
        """Let go of upstream."""
        if self._late is not None and self._late.active():
            self._late.cancel()
        transport, self._transport = self._transport, None
        if not self.done.called:
            self.done.callback(None)
        if transport is not None:
            transport.loseConnection()
