"""Legs: one request sent until there is an answer to relay, each leg but the last written down."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import structlog
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from bridge.domain.errors import BridgeError, Unavailable
from bridge.domain.interception import EndState
from bridge.intercept.attempts import Again, Attempt, Preparation
from bridge.intercept.exchange import Exchange
from bridge.intercept.outcome import leg_of
from bridge.providers.interface import Provider
from bridge.upstream.client import Outgoing, Response, Unwanted

T = TypeVar("T")

_log = structlog.get_logger("bridge.interception")


class Legs:
    """The legs of one exchange."""

    def __init__(
        self, exchange: Exchange, clock: IReactorTime, meanwhile: Callable[[], None]
    ) -> None:
        """Send what the attempts of `exchange` say, and record it.

        `meanwhile` is called whenever something is waited for.
        """
        self._attempts = exchange.attempts
        self._recording = exchange.recording
        self._body = exchange.body
        self._in_thread = exchange.in_thread
        self._clock = clock
        self._meanwhile = meanwhile
        self._waiting: Deferred[object] | None = None
        """For a connection, an answer, or the time to try again."""
        self.attempt: Attempt | None = None
        """The leg under way, or the last one."""
        self.written = False
        """Whether that is written down already."""

    @property
    def n(self) -> int:
        """The number of the leg under way."""
        return self.attempt.n if self.attempt is not None else 1

    @property
    def provider(self) -> Provider:
        """Who is asked in the leg under way."""
        assert self.attempt is not None  # noqa: S101 - asked only once there is one
        return self.attempt.place.provider

    async def answer(self) -> Response:
        """Return the answer that is to be relayed, after as many legs as that takes.

        Raises:
            BridgeError: what the client is to be told in its place.
        """
        while True:
            attempt, preparation = self._attempts.begin()
            outgoing = await self._prepared(attempt, preparation)
            if outgoing is None:
                continue
            self.attempt, self.written = attempt, False
            answered = await self._send(attempt, outgoing)
            if isinstance(answered, Response):
                return answered
            del outgoing, preparation  # while we wait nobody needs them
            if answered.seconds:
                await self.wait_for(deferLater(self._clock, answered.seconds))

    async def wait_for(self, work: Deferred[T]) -> T:
        """Return what `work` brings; `cancel` cancels it."""
        self._waiting = work  # type: ignore[assignment]  # only to be cancelled
        try:
            self._meanwhile()
            return await work
        finally:
            self._waiting = None

    @property
    def probing(self) -> bool:
        """Whether the leg tries out a provider of which a circuit breaker knows only failures."""
        return self.attempt is not None and self.attempt.passage.probing

    def began(self) -> None:
        """Tell the circuit breaker that a good answer has begun."""
        if self.attempt is not None:
            self.attempt.passage.began()

    def works(self) -> None:
        """Note of the key that a good answer has begun."""
        if self.attempt is not None:
            self._attempts.works(self.attempt)

    def cancel(self) -> None:
        """Wait for nothing any more."""
        if self._waiting is not None:
            self._waiting.cancel()

    def leave(self, status: int | None, *, failed: bool) -> None:
        """Tell the circuit breaker how the last leg went.

        Args:
            status: of the answer; None when nothing is known of the provider.
            failed: whether it broke off, fell silent, or said that it cannot in the answer.
        """
        if self.attempt is None:
            return
        if status is None:
            self.attempt.passage.abandoned()
        else:
            self.attempt.tell(status, failed=failed)

    async def _prepared(self, attempt: Attempt, preparation: Preparation) -> Outgoing | None:
        """Return the request of `attempt`; None when somebody else is to be asked instead.

        Raises:
            BridgeError: it cannot be made, or there is no room for it.
        """
        try:
            if preparation.slow:
                outgoing = await self.wait_for(self._in_thread(preparation.make))
                self._body.beside(len(outgoing.body))
            else:
                outgoing = preparation.make()
        except BridgeError:
            if not self._attempts.unprepared(attempt):
                raise
            return None
        except BaseException:  # the client has gone, or we have failed
            attempt.passage.abandoned()
            raise
        return outgoing

    async def _send(self, attempt: Attempt, outgoing: Outgoing) -> Response | Again:
        try:
            response = await attempt.place.client.send(outgoing, self.wait_for)
        except BridgeError as e:
            _log.warning(
                "upstream failed before it answered",
                id=str(self._recording.interception.id),
                provider=attempt.place.provider.name,
                leg=attempt.n,
                error=e.message,
                reason=repr(e.__cause__),
            )
            again = self._attempts.failed(attempt, e)
            if again is None:
                raise
            self._write(attempt, None, e)
            return again
        except BaseException:  # the client has gone, or we have failed
            attempt.passage.abandoned()
            raise
        try:
            again = self._attempts.answered(attempt, response)
        except BridgeError:
            response.deliver(Unwanted())
            self._write(attempt, response.status, None)
            raise
        if again is None:
            return response
        response.deliver(Unwanted())
        self._write(attempt, response.status, None)
        return again

    def _write(self, attempt: Attempt, status: int | None, error: BridgeError | None) -> None:
        """Write down a leg of which the client sees nothing; the end counts more than that."""
        self.written = True
        leg = leg_of(
            attempt,
            status=status,
            ttfb_ms=None,
            ended=self._clock.seconds(),
            state=EndState.UPSTREAM_ERROR,
            error=error,
        )
        try:
            self._recording.leg(leg)
        except Unavailable:
            _log.error("leg not written", id=str(self._recording.interception.id), leg=attempt.n)
