"""Pace: writing no faster than the client reads."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from bridge.web.incoming import BridgeRequest


@implementer(IPushProducer)
class Pace:
    """Tells when the client has taken what was written to a request."""

    def __init__(self, request: BridgeRequest) -> None:
        """Follow `request` until `end`."""
        self._request = request
        self._paused = False
        self._waiting: Deferred[None] | None = None
        request.registerProducer(self, True)

    async def ready(self) -> None:
        """Come back when more may be written, or nobody is there to read it."""
        if self._paused and not self._request.over:
            self._waiting = Deferred()
            await self._waiting

    def end(self) -> None:
        """Follow no longer."""
        if not self._request.over and self._request.channel is not None:
            self._request.unregisterProducer()

    def pauseProducing(self) -> None:
        """Wait: the client reads slowly."""
        self._paused = True

    def resumeProducing(self) -> None:
        """Go on."""
        self._paused = False
        self._go_on()

    def stopProducing(self) -> None:
        """Go on, to find that the client has left."""
        self._paused = False
        self._go_on()

    def _go_on(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(None)
