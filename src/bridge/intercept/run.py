"""Run: one exchange under way, its legs, its relay and its one end."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import assert_never

import structlog
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime

from bridge.deferreds import shielded
from bridge.dialects.interface import Reading
from bridge.domain.errors import BridgeError, InternalError, Unavailable
from bridge.domain.interception import EndState, Interception
from bridge.domain.observations import Observation
from bridge.intercept.endings import missing_end
from bridge.intercept.exchange import Exchange, ReadingLimits
from bridge.intercept.framing import Kept, Look, View, keep, never_last, telling_of_good
from bridge.intercept.legs import Legs
from bridge.intercept.outcome import (
    Seen,
    as_drained,
    broken_off,
    ending_of,
    is_overload,
    leg_of,
    milliseconds_since,
    state_of,
)
from bridge.intercept.tap import Tap
from bridge.intercept.taps import Taps
from bridge.providers.interface import Frames
from bridge.upstream.client import Response
from bridge.upstream.draining import Drain
from bridge.upstream.relay import Finish, Relay, RelayLimits
from bridge.wire.headers import first

_log = structlog.get_logger("bridge.interception")

_NOTHING_READ = Reading()
_LEAST_ERROR_STATUS = 400


class Run:
    """One exchange under way."""

    def __init__(
        self,
        exchange: Exchange,
        clock: IReactorTime,
        limits: RelayLimits,
        reading_limits: ReadingLimits,
    ) -> None:
        """Get ready to run `exchange`; see Interceptor."""
        self._exchange = exchange
        self._clock = clock
        self._limits = limits
        self._reading_limits = reading_limits
        self._recording = exchange.recording
        self._response: Response | None = None
        self._taps = Taps(exchange, reading_limits, self._observe)
        self._legs = Legs(exchange, clock, self._taps.get_ready)
        self._tap: Tap | None = None
        self._relay: Relay | None = None
        self._client_status = 0
        """What the client is answered; upstream's may be another."""
        self._streaming = False
        self._ours_fit = True
        """Whether the client reads server-sent events, if it reads a stream at all."""
        self._unreadable = False
        self._aborted_with: BridgeError | None = None
        self._last: list[Observation] | None = None
        self._gone = False
        """Whether client or we left: nothing is known of the provider."""
        self._drain: Drain | None = None
        self._left_at: float | None = None
        """When the client left a stream that is read on."""
        self._broke = False
        """Whether the provider broke off, or fell silent."""

    @property
    def interception(self) -> Interception:
        """The exchange's facts."""
        return self._recording.interception

    def abort(self, error: BridgeError) -> None:
        """Stop, and tell the client `error` as far as it can still be told."""
        self._aborted_with = error
        if self._relay is not None:
            self._relay.stop()
        else:
            self._legs.cancel()

    def fail(self) -> None:
        """Write down that we failed, when that can be written."""
        try:
            self._end(
                EndState.GATEWAY_ABORT,
                status=self._client_status or InternalError.status,
                error=InternalError("The bridge failed."),
            )
        except Unavailable:
            _log.error("end of a failed interception not written", id=str(self.interception.id))

    async def go(self) -> None:
        """Run to the end, and tell the circuit breaker how the last leg went."""
        try:
            await self._go()
        finally:
            error = self._tap.finish().error if self._tap is not None else None
            failed = self._broke or (error is not None and is_overload(error))
            self._legs.leave(self._status() if not self._gone else None, failed=failed)

    async def _go(self) -> None:
        kept = None
        try:
            response = self._response = await self._legs.answer()
            if response.status >= _LEAST_ERROR_STATUS and self._legs.provider.rewords_errors:
                kept = await self._legs.wait_for(
                    keep(response, seconds=self._limits.upstream_idle, clock=self._clock)
                )
        except CancelledError:
            self._gone = True
            if self._aborted_with is None:
                self._end_quietly(EndState.CLIENT_ABORT)
                raise
            await self._refuse(self._aborted_with, EndState.GATEWAY_ABORT)
            return
        except BridgeError as e:
            await self._refuse(e, EndState.UPSTREAM_ERROR)
            return
        await self._relay_answer(response, kept)

    async def _relay_answer(self, response: Response, kept: Kept | None) -> None:
        content_type = first(response.headers, b"content-type")
        frames = self._legs.provider.frames(self._exchange.route, content_type)
        taps = self._taps
        self._tap = taps.tap_for(response, framed=frames is not None)
        self._streaming, self._unreadable = taps.streaming, taps.unreadable
        self._ours_fit = frames is None or frames.for_client
        view = self._view_of(response, frames, kept)
        self._client_status = view.status
        answer = self._exchange.answer
        relay = self._relay = Relay(
            downstream=answer,
            length=view.length if view.passage is None else None,
            look=view.look,
            ending=self._end_answer,
            between=self._between,
            clock=self._clock,
            started=self._exchange.started,
            limits=self._limits,
            passage=view.passage,
            drain=self._drain_for(view),
        )
        answer.start(
            status=view.status,
            phrase=view.phrase,
            headers=view.headers,
            length=view.length,
            begun=response.begun,
        )
        # What the client need not wait for comes after its first bytes; and nothing is sent again.
        try:
            (kept or response).deliver(relay)
        finally:
            relay.watch()
        answer.limit_wait()
        self._exchange.body.drop()
        if response.status < _LEAST_ERROR_STATUS:
            self._legs.works()
        try:
            await self._close(await relay.done)
        except Unavailable:
            answer.cut()  # an end that is not recorded must not be seen

    async def _close(self, finish: Finish) -> None:
        """Do what is left to do once the bytes have stopped."""
        answer = self._exchange.answer
        match finish:
            case Finish.COMPLETE:
                if not self._recording.ended:
                    error = self._missing_end()
                    if error is not None:
                        self._broke = True
                        await self._break_off(error, EndState.UPSTREAM_ERROR)
                        return
                    await shielded(self._end_answer())
                self._write_rest()
                answer.finish()
            case Finish.STOPPED:
                self._gone = True
                if self._aborted_with is not None:
                    await self._break_off(self._aborted_with, EndState.GATEWAY_ABORT)
                else:
                    self._end_quietly(EndState.CLIENT_ABORT)
            case Finish.LEFT:
                await self._read_on()
                self._end_quietly(EndState.CLIENT_ABORT)
            case Finish.STALLED:
                self._gone = True
                self._end_quietly(EndState.CLIENT_ABORT)
                answer.cut()
            case Finish.WITHHELD:
                answer.cut()
            case Finish.BROKE | Finish.IDLE | Finish.OVERTIME:
                self._gone = self._gone or finish is Finish.OVERTIME
                self._broke = not self._gone
                error, state = broken_off(finish)
                await self._break_off(error, state)
            case _:
                assert_never(finish)

    async def _read_on(self) -> None:
        """Wait until what is still to come has been read; that the client has gone is known."""
        self._gone, self._left_at = True, self._clock.seconds()
        while self._drain is not None and self._drain.under_way:
            with suppress(CancelledError):
                await shielded(self._drain.done)

    async def _refuse(self, error: BridgeError, state: EndState) -> None:
        """Answer `error` in place of upstream, after its end is written down."""
        body = self._exchange.error_dialect.error_body(error, self._exchange.request_id)
        try:
            self._end(state, status=error.status, error=error, bytes_out=len(body))
            await shielded(self._recording.durable())
        except Unavailable:
            self._exchange.answer.cut()
            return
        self._exchange.answer.refuse(error, body)

    async def _break_off(self, error: BridgeError, state: EndState) -> None:
        """End a started answer with an error event where one fits, and uncleanly in any case."""
        event = b""
        if self._at_boundary() and not self._recording.ended:
            event = self._exchange.error_dialect.error_event(error, self._exchange.request_id)
        if event and self._relay is not None:
            self._relay.count_in(event)
        self._end(state, status=self._client_status, error=error)
        await shielded(self._recording.durable())
        self._write_rest()
        if event:
            self._exchange.answer.write(event)
        self._exchange.answer.cut()

    def _write_rest(self) -> None:
        if self._relay is not None and (rest := self._relay.take_rest()):
            self._exchange.answer.write(rest)

    def _drain_for(self, view: View) -> Drain | None:
        limits = self._reading_limits.drain
        if limits is not None and self._streaming and self._status() == 200:
            self._drain = Drain(look=view.look, limits=limits, clock=self._clock)
        return self._drain

    def _view_of(self, response: Response, frames: Frames | None, kept: Kept | None) -> View:
        """Return how the client gets to see `response`, and who looks at it first."""
        look: Look = self._tap.data if self._tap is not None else never_last
        if response.status < _LEAST_ERROR_STATUS and self._legs.probing:
            look = telling_of_good(look, self._legs.began)
        if kept is not None:
            reworded = self._legs.provider.error_body(
                self._exchange.route, response.status, response.headers, kept.body
            )
            if reworded is not None:
                return View.reworded(response, *reworded, look)
        if frames is not None:
            return View.reframed(response, frames, look)
        make = self._exchange.passage if self._streaming and response.status == 200 else None
        return View.as_it_comes(
            response,
            look,
            passage=make() if make is not None else None,
            streaming=self._streaming,
        )

    def _observe(self, observations: Sequence[Observation]) -> None:
        if self._left_at is not None:
            observations = [as_drained(each) for each in observations]
        if self._last is None or self._recording.ended:
            self._recording.observe(
                self._legs.n, observations
            )  # an error ends an answer; counts may follow
        else:
            self._last.extend(observations)  # goes with the end, in one write

    def _between(self) -> bytes:
        dialect = self._exchange.dialect
        return dialect.ping if dialect is not None and self._at_boundary() else b""

    def _at_boundary(self) -> bool:
        """Return whether an event of ours fits between what the client has got."""
        return self._ours_fit and self._tap is not None and self._tap.at_boundary

    def _missing_end(self) -> BridgeError | None:
        if self._response is None or self._relay is None:
            return None
        if not self._ours_fit and self._tap is not None and not self._tap.finish().response_id:
            self._unreadable = True  # a model that speaks another API, whose end we do not know
            return None
        sure = self._relay.ended_surely
        return missing_end(self._tap, self._response, streaming=self._streaming, sure=sure)

    def _end_answer(self) -> Deferred[None]:
        """Write down an answer that came whole; fire when its last bytes may be seen."""
        self._last = []
        try:
            reading = self._tap.finish() if self._tap is not None else _NOTHING_READ
            self._end(state_of(self._status(), reading), status=self._client_status)
            return self._recording.durable()
        except Unavailable:
            failed: Deferred[None] = Deferred()
            failed.errback()
            return failed

    def _end_quietly(self, state: EndState) -> None:
        """Write down an end that nobody waits for."""
        try:
            self._end(state, status=self._client_status or None)
        except Unavailable:
            _log.error("end of an interception not written", id=str(self.interception.id))

    def _end(
        self,
        state: EndState,
        *,
        status: int | None,
        error: BridgeError | None = None,
        bytes_out: int | None = None,
    ) -> None:
        if self._recording.ended:
            return
        tap, relay = self._tap, self._relay
        now = self._clock.seconds() if self._left_at is None else self._left_at
        seen = Seen(
            reading=tap.finish() if tap is not None else _NOTHING_READ,
            partially_observed=self._unreadable or (tap is not None and tap.partially_observed),
            upstream_status=self._status() or None,
            started=self._exchange.started,
            first_byte_at=relay.first_byte_at if relay is not None else None,
            ended=now,
            response_sha256=relay.response_sha256 if relay is not None else None,
            client_sha256=relay.client_sha256 if relay is not None else None,
        )
        if bytes_out is None:
            bytes_out = relay.bytes_to_client if relay is not None else 0
        attempt = self._legs.attempt
        leg = None
        if attempt is not None and not self._legs.written:
            leg = leg_of(
                attempt,
                status=self._status() or None,
                ttfb_ms=milliseconds_since(attempt.started, seen.first_byte_at),
                ended=now,
                state=state,
                error=error,
            )
        self._recording.end(
            ending_of(
                seen,
                state=state,
                status=status,
                error=error,
                bytes_out=bytes_out,
                credential_hint=attempt.credential.hint if attempt is not None else None,
            ),
            leg,
            self._last or (),
        )

    def _status(self) -> int:
        """Return upstream's status; 0 while there is none."""
        return self._response.status if self._response is not None else 0
