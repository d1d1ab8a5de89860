"""The relay: an answer's bytes from upstream to the client, with back-pressure both ways.

It knows nothing of what the bytes mean. A look at each chunk says whether it ends the answer; such
a chunk, and one that completes the announced length, is held until the end has been written down.
Between the look and the client the bytes may go through a passage, which leaves some of them out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss
from zope.interface import implementer

from bridge.upstream.draining import Drain
from bridge.upstream.interface import Downstream, Passage

_SHORTEST_WAIT_SECONDS = 0.01
_MOST_BEHIND_BYTES = 128 * 1024  # more than a passage keeps back: it has left something out
AFTER_END_SECONDS = 10.0
"""How long an upstream may keep its connection open once the client has the end of the answer."""


class Finish(Enum):
    """How the bytes stopped coming."""

    COMPLETE = auto()
    """Upstream ended the body as HTTP says it should."""
    BROKE = auto()
    """The connection went away in the middle."""
    IDLE = auto()
    """Upstream was quiet for too long."""
    STALLED = auto()
    """The client did not read for too long."""
    OVERTIME = auto()
    """The whole exchange took too long."""
    WITHHELD = auto()
    """The end could not be written down, so the client must not see it."""
    STOPPED = auto()
    """We were told to stop, or the client has gone."""
    LEFT = auto()
    """The client has gone, and what is still to come is being read on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayLimits:
    """Seconds; each ends the relay when it fires."""

    upstream_idle: float
    client_stall: float
    exchange: float
    ping: float
    """Quiet time after which `between` is asked for something to say; 0 for never."""


@implementer(IPushProducer)
class Relay(TwistedProtocol):
    """Relays one body; `done` fires once with how it stopped, after everything is let go."""

    def __init__(
        self,
        *,
        downstream: Downstream,
        length: int | None,
        look: Callable[[bytes], bool],
        ending: Callable[[], Deferred[None]],
        between: Callable[[], bytes],
        clock: IReactorTime,
        started: float,
        limits: RelayLimits,
        passage: Passage | None = None,
        drain: Drain | None = None,
    ) -> None:
        """Get ready for the body.

        Args:
            downstream: an answer whose head has been sent.
            length: the announced length of the body, if any.
            look: sees each chunk before it is written; returns whether it ends the answer.
            ending: called once, before the last bytes are written; they wait for its Deferred.
            between: returns whole events of ours that may be written now, or b"".
            clock: for the limits.
            started: when the exchange began, in the clock's seconds.
            limits: how long to wait for what.
            passage: what the bytes go through; None for as they came.
            drain: reads on when the client has gone; None to close upstream then.
        """
        self.done: Deferred[Finish] = Deferred(lambda _: self._leave())
        self.bytes_from_upstream = 0
        self.bytes_to_client = 0
        """Handed over, or held only until the end is written down."""
        self.first_byte_at: float | None = None
        self.ended = False
        """Whether `ending` has been called."""
        self._downstream = downstream
        self._length = length
        self._look = look
        self._ending = ending
        self._between = between
        self._clock = clock
        self._started = started
        self._limits = limits
        self._passage = passage
        self._drain = drain
        self._rest = b""
        self._sha256: Any = None
        """Of what upstream sent; made once the first bytes are on their way."""
        self._client_sha256: Any = None
        """From where the client first got something else, be it only less so far."""
        self._altered = False
        """Whether the client got something else than upstream sent, not just less so far."""
        self._behind = bytearray()
        """What has gone into the passage and, as far as can be told, is still to come out."""
        self._held: list[bytes] | None = None
        self._lost: Failure | None = None
        self._settled = False
        self._paused_at: float | None = None
        self._last_byte = self._last_write = clock.seconds()
        self._timer: IDelayedCall | None = None

    @property
    def response_sha256(self) -> str | None:
        """Hex digest of what upstream sent; None for nothing."""
        return str(self._digest_so_far().hexdigest()) if self.bytes_from_upstream else None

    @property
    def client_sha256(self) -> str | None:
        """Hex digest of what the client got, when it is not the same."""
        return str(self._client_sha256.hexdigest()) if self._altered else None

    @property
    def ended_surely(self) -> bool:
        """Whether a length, or a last chunk, said that the body ended there."""
        return self._lost is not None and isinstance(self._lost.value, ResponseDone)

    def watch(self) -> None:
        """Apply the limits from now on; first bytes that have come already do not wait for that."""
        if not self._settled:
            self._wait()

    def stop(self) -> None:
        """Close upstream at once; `done` fires with STOPPED unless it has fired."""
        if self._drain is not None:
            self._drain.stop()
        self._settle(Finish.STOPPED)

    def insert(self, event: bytes) -> None:
        """Write an event of ours, which upstream did not send."""
        self.count_in(event)
        self._downstream.write(event)

    def count_in(self, event: bytes) -> None:
        """Count an event of ours as handed to the client; somebody else writes it."""
        if self._client_sha256 is None:
            self._client_sha256 = self._digest_so_far().copy()
        self._altered = True
        self._client_sha256.update(event)
        self.bytes_to_client += len(event)
        self._last_write = self._clock.seconds()

    def take_rest(self) -> bytes:
        """Return what the passage kept back to the end; it is counted, and still to be written."""
        rest, self._rest = self._rest, b""
        return rest

    # From upstream

    def connectionMade(self) -> None:
        """Take the client's pace."""
        self._downstream.register(self)

    def dataReceived(self, data: bytes) -> None:
        """Look at a chunk and write it in the same turn, unless it is the last."""
        if self._settled:
            if self._drain is not None and self._drain.under_way:
                self._drain.data(data)
            return
        self._last_byte = self._clock.seconds()
        self.bytes_from_upstream += len(data)
        whole = self.bytes_from_upstream == self._length
        if self.first_byte_at is None:
            self.first_byte_at = self._last_byte
        last = self._look(data)
        waits = last or whole or self._held is not None
        # What passes as it came is digested once the client has it. Nothing settles within a write:
        # a transport that finds the client gone says so in a later turn.
        later = not (waits or self._passage or self._client_sha256)
        passed = data if later else self._passed(data)
        self.bytes_to_client += len(passed)
        if self._held is not None:
            self._held.append(passed)
        elif waits and not self.ended:
            self._hold(passed)
        elif passed:
            self._last_write = self._last_byte
            self._downstream.write(passed)
        if later:
            self._digest_so_far().update(data)

    def connectionLost(self, reason: Failure = Failure(ResponseDone())) -> None:  # noqa: B008
        """Finish, now or when the end has been written down."""
        self._lost = reason
        if self._drain is not None:
            self._drain.lost()
        self._end_passage()
        if self._held is None:
            self._settle(self._how_lost())

    # From the client

    def pauseProducing(self) -> None:
        """The client's buffers are full."""
        if self._paused_at is None:
            self._paused_at = self._clock.seconds()
            self._upstream("pauseProducing")
            self._wait_no_longer_than_needed()

    def resumeProducing(self) -> None:
        """The client reads again."""
        if self._paused_at is not None:
            self._paused_at = None
            self._last_byte = self._last_write = self._clock.seconds()
            if self._held is None:
                self._upstream("resumeProducing")

    def stopProducing(self) -> None:
        """The client has gone."""
        self._leave()

    def _leave(self) -> None:
        """Let go of the client, and of upstream unless the rest is to be read."""
        transport = self.transport
        if (
            self._drain is None
            or self._settled
            or self.ended
            or transport is None
            or self._lost is not None
        ):
            self.stop()
            return
        self._drain.begin(transport)
        self._settle(Finish.LEFT)

    def _digest_so_far(self) -> Any:
        if self._sha256 is None:
            self._sha256 = hashlib.sha256()
        return self._sha256

    def _passed(self, came: bytes) -> bytes:
        """Return what the client gets for a chunk; both are digested."""
        passed = self._passage.feed(came) if self._passage is not None else came
        digest = self._digest_so_far()
        if self._client_sha256 is None and passed != came:
            self._client_sha256 = digest.copy()
        digest.update(came)
        if self._client_sha256 is not None:
            if self._passage is not None:
                passed = self._compared(came, passed)
            self._client_sha256.update(passed)
        return passed

    def _compared(self, came: bytes, passed: bytes) -> bytes:
        """Return `passed`, after noting whether the passage has left something out before it."""
        if self._altered or (passed == came and not self._behind):
            return passed
        self._behind += came
        left_out = not self._behind.startswith(passed)
        if left_out or len(self._behind) > len(passed) + _MOST_BEHIND_BYTES:
            self._altered = True
            self._behind.clear()
        else:
            del self._behind[: len(passed)]
        return passed

    def _end_passage(self) -> None:
        """Take what the passage has kept back, to be written with the end."""
        if self._passage is None or self._settled:
            return
        self._rest = self._compared(b"", self._passage.finish())
        self._altered = self._altered or bool(self._behind)
        self.bytes_to_client += len(self._rest)
        if self._client_sha256 is not None:
            self._client_sha256.update(self._rest)

    def _hold(self, data: bytes) -> None:
        self._held = [data]
        self.ended = True
        self._ending().addCallbacks(self._release, self._withhold)
        if self.bytes_from_upstream == self._length:
            return  # nothing more comes
        if self._held is not None:
            self._upstream("pauseProducing")

    def _release(self, _: None) -> None:
        held, self._held = self._held, None
        if self._settled or held is None:
            return
        self._last_byte = self._last_write = self._clock.seconds()  # upstream has been paused
        self._downstream.write(b"".join((*held, self.take_rest())))
        if self._lost is not None:
            self._settle(self._how_lost())
            return
        self._wait_no_longer_than_needed()
        if self._paused_at is None:
            self._upstream("resumeProducing")

    def _withhold(self, _: Failure) -> None:
        self._held = None
        self._settle(Finish.WITHHELD)

    def _how_lost(self) -> Finish:
        assert self._lost is not None  # noqa: S101 - both callers have just seen it
        # Whoever has the whole answer need not hear how upstream hung up.
        complete = self.ended or isinstance(self._lost.value, ResponseDone | PotentialDataLoss)
        return Finish.COMPLETE if complete else Finish.BROKE

    def _how_idle(self) -> Finish:
        if self._held is not None:
            return Finish.WITHHELD  # the disk has not said that the end is written down
        return Finish.COMPLETE if self.ended else Finish.IDLE

    def _wait(self) -> None:
        self._timer = self._clock.callLater(
            max(_SHORTEST_WAIT_SECONDS, self._deadline() - self._clock.seconds()),
            self._look_at_clock,
        )

    def _wait_no_longer_than_needed(self) -> None:
        """Bring the timer forward when a limit shorter than the one it waits for has begun."""
        if self._timer is None or not self._timer.active():
            return
        deadline = self._deadline()
        if deadline < self._timer.getTime():
            self._timer.reset(max(_SHORTEST_WAIT_SECONDS, deadline - self._clock.seconds()))

    def _deadline(self) -> float:
        """Return when the next limit may fire; what has happened since is seen then."""
        if self._paused_at is not None:
            quiet = self._paused_at + self._limits.client_stall
        else:
            quiet = self._last_byte + self._idle()
            if self._limits.ping and not self.ended:
                quiet = min(quiet, self._last_write + self._limits.ping)
        return min(quiet, self._started + self._limits.exchange)

    def _look_at_clock(self) -> None:
        now = self._clock.seconds()
        if now >= self._started + self._limits.exchange:
            self._end_passage()
            self._settle(Finish.OVERTIME)
        elif self._paused_at is not None:
            if now >= self._paused_at + self._limits.client_stall:
                self._settle(Finish.STALLED)
        elif now >= self._last_byte + self._idle():
            # Whoever has the whole answer need not hear that upstream did not hang up.
            self._end_passage()
            self._settle(self._how_idle())
        elif self._limits.ping and not self.ended and now >= self._last_write + self._limits.ping:
            event = self._between()
            if event:
                self.insert(event)
            else:
                self._last_write = now
        if not self._settled:
            self._wait()

    def _idle(self) -> float:
        idle = self._limits.upstream_idle
        # A held end waits for our disk, not for upstream.
        return min(idle, AFTER_END_SECONDS) if self.ended and self._held is None else idle

    def _upstream(self, order: str) -> None:
        transport = self.transport
        if transport is not None and self._lost is None:
            getattr(transport, order)()

    def _settle(self, finish: Finish) -> None:
        """Let go of everything, then say so; nothing touches the client's side afterwards."""
        if self._settled:
            return
        self._settled = True
        if self._held is not None:
            self._rest = b""  # it stands behind bytes that are not written
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._downstream.unregister()
        if self._lost is None and self.transport is not None and finish is not Finish.LEFT:
            self.transport.loseConnection()
        if not self.done.called:
            self.done.callback(finish)
