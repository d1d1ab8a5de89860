"""An answer that is written piece by piece, no faster than its reader reads.

It may take hours: whether somebody may still have it is looked at again and again, also while it
waits for them, and who reads nothing is not waited for without end.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from zope.interface import implementer

from bridge.domain.errors import BridgeError
from bridge.domain.identity import Actor
from bridge.web.incoming import BridgeRequest

CHECK_SECONDS = 15.0
"""How often it is checked, while an answer waits, that its reader may still have it."""
# Together with auth.directory.POLL_SECONDS less than the minute within which a revocation ends it.
SLICE_BYTES = 64 * 1024
"""So much is written at a time: who takes that within the limit is a slow reader, not none."""


class NotRead(BridgeError):  # noqa: N818  # reads as a sentence
    """The client has left its answer unread for too long."""

    status = 408
    code = "not_read"


class Pacing:
    """Makes paced answers."""

    def __init__(
        self, *, check: Callable[[Actor], object], clock: IReactorTime, client_stall: float
    ) -> None:
        """Make answers within limits.

        Args:
            check: raises a BridgeError when somebody may not have an answer any more.
            clock: for the limits.
            client_stall: how long, in seconds, an answer may be left unread.
        """
        self.check = check
        self._clock = clock
        self._client_stall = client_stall

    def begin(self, request: BridgeRequest, actor: Actor) -> PacedAnswer:
        """Take over the body of the answer to `request`, whose head is set and which is `actor`'s.

        To be closed.
        """
        return PacedAnswer(
            request,
            check=lambda: self.check(actor),
            clock=self._clock,
            client_stall=self._client_stall,
        )


@implementer(IPushProducer)
class PacedAnswer:
    """Writes pieces; each comes back once there is room for the next.

    Klein cancels whoever waits when the client leaves.
    """

    def __init__(
        self,
        request: BridgeRequest,
        *,
        check: Callable[[], object],
        clock: IReactorTime,
        client_stall: float,
    ) -> None:
        """Take over the body of `request`'s answer, whose head is set; see `Pacing`."""
        self._request = request
        self._check = check
        self._clock = clock
        self._client_stall = client_stall
        self._waiting: Deferred[None] | None = None
        self._paused = False
        request.registerProducer(self, True)

    async def write(self, piece: bytes) -> None:
        """Write `piece`, and wait while the client reads more slowly.

        Raises:
            BridgeError: nothing more may be read for this answer, which is to be cut off: as
                `check` says, or NotRead.
        """
        view = memoryview(piece)
        for at in range(0, len(piece), SLICE_BYTES):
            if self._request.over:
                return
            self._check()
            self._request.write(bytes(view[at : at + SLICE_BYTES]))
            if self._paused:
                await self._room()
        self._check()

    def close(self) -> None:
        """Write no more; whoever asked finishes the answer."""
        if not self._request.over and self._request.channel is not None:
            self._request.unregisterProducer()

    def pauseProducing(self) -> None:
        """Wait after the slice that is being written."""
        self._paused = True

    def resumeProducing(self) -> None:
        """Go on."""
        self._paused = False
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(None)

    def stopProducing(self) -> None:
        """Go on, to find that nobody listens."""
        self.resumeProducing()

    async def _room(self) -> None:
        """Wait until the client has taken what was written."""
        waiting = self._waiting = Deferred(self._forget)
        deadline = self._clock.seconds() + self._client_stall
        timer: IDelayedCall

        def look() -> None:
            nonlocal timer
            try:
                self._check()
                left = deadline - self._clock.seconds()
                if left <= 0:
                    raise NotRead("The answer was left unread for too long (limits.client_stall).")
            except BridgeError as error:
                self._waiting = None
                waiting.errback(error)
            else:
                timer = self._clock.callLater(min(CHECK_SECONDS, left), look)

        timer = self._clock.callLater(min(CHECK_SECONDS, self._client_stall), look)
        try:
            await waiting
        finally:
            if timer.active():
                timer.cancel()

    def _forget(self, _: Deferred[None]) -> None:
        self._waiting = None
