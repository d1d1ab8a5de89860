"""An answer that is written piece by piece, no faster than its reader reads."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from bridge.web.incoming import BridgeRequest


@implementer(IPushProducer)
class PacedAnswer:
    """Writes pieces; each comes back once there is room for the next.

    Klein cancels whoever waits when the client leaves.
    """

    def __init__(self, request: BridgeRequest) -> None:
        """Take over the body of `request`'s answer, whose head is set."""
        self._request = request
        self._waiting: Deferred[None] | None = None
        self._paused = False
        request.registerProducer(self, True)

    async def write(self, piece: bytes) -> None:
        """Write `piece`, and wait while the client reads more slowly."""
        if self._request.over:
            return
        self._request.write(piece)
        if self._paused:
            self._waiting = Deferred()
            await self._waiting

    def close(self) -> None:
        """Write no more; whoever asked finishes the answer."""
        if not self._request.over and self._request.channel is not None:
            self._request.unregisterProducer()

    def pauseProducing(self) -> None:
        """Wait after the piece that is being written."""
        self._paused = True

    def resumeProducing(self) -> None:
        """Go on."""
        self._paused = False
        self._go_on()

    def stopProducing(self) -> None:
        """Go on, to find that nobody listens."""
        self.resumeProducing()

    def _go_on(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.called:
            waiting.callback(None)
