"""The interceptor: what happens next in an exchange, from request to recorded end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, assert_never

import structlog
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime

from bridge.deferreds import shielded
from bridge.dialects.interface import Passage, Reading
from bridge.domain.errors import (
    BridgeError,
    InternalError,
    Unavailable,
    UpstreamBroke,
    UpstreamTimedOut,
)
from bridge.domain.identity import Actor
from bridge.domain.interception import EndState, Interception
from bridge.domain.observations import Observation
from bridge.intercept.exchange import Exchange, ReadingLimits
from bridge.intercept.outcome import Seen, ending_of, leg_of, state_of
from bridge.intercept.tap import LogOfOne, Tap
from bridge.upstream.client import Response
from bridge.upstream.relay import Finish, Relay, RelayLimits
from bridge.wire.headers import first, media_type, response_headers

_log = structlog.get_logger("bridge.interception")

_NOTHING_READ = Reading()


class Interceptor:
    """Runs exchanges, and knows which are running."""

    def __init__(
        self, *, clock: IReactorTime, limits: RelayLimits, reading_limits: ReadingLimits
    ) -> None:
        """Run exchanges within `limits`."""
        self._clock = clock
        self._limits = limits
        self._reading_limits = reading_limits
        self._running: set[_Run] = set()
        self._idle: list[Deferred[None]] = []

    @property
    def running(self) -> int:
        """How many exchanges are under way."""
        return len(self._running)

    async def run(self, exchange: Exchange) -> None:
        """Send the request, relay the answer, write down how it ended.

        Cancellation means that the client has gone: upstream is closed at once.
        """
        run = _Run(exchange, self._clock, self._limits, self._reading_limits)
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
            exchange.outgoing.body.drop()
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


class _Run:
    """One exchange under way."""

    def __init__(
        self,
        exchange: Exchange,
        clock: IReactorTime,
        limits: RelayLimits,
        reading_limits: ReadingLimits,
    ) -> None:
        self._exchange = exchange
        self._clock = clock
        self._limits = limits
        self._reading_limits = reading_limits
        self._recording = exchange.recording
        self._leg_started = clock.seconds()
        self._sending: Deferred[Response] | None = None
        self._response: Response | None = None
        self._tap: Tap | None = None
        self._relay: Relay | None = None
        self._streaming = False
        self._unreadable = False
        self._aborted_with: BridgeError | None = None
        self._last: list[Observation] | None = None

    @property
    def interception(self) -> Interception:
        """The exchange's facts."""
        return self._recording.interception

    def abort(self, error: BridgeError) -> None:
        """Stop, and tell the client `error` as far as it can still be told."""
        self._aborted_with = error
        if self._relay is not None:
            self._relay.stop()
        elif self._sending is not None:
            self._sending.cancel()

    def fail(self) -> None:
        """Write down that we failed, when that can be written."""
        try:
            self._end(
                EndState.GATEWAY_ABORT, status=None, error=InternalError("The bridge failed.")
            )
        except Unavailable:
            _log.error("end of a failed interception not written", id=str(self.interception.id))

    async def go(self) -> None:
        """Run to the end."""
        try:
            self._sending = Deferred.fromCoroutine(
                self._exchange.client.send(self._exchange.outgoing)
            )
            response = await self._sending
        except CancelledError:
            if self._aborted_with is None:
                self._end_quietly(EndState.CLIENT_ABORT)
                raise
            await self._refuse(self._aborted_with, EndState.GATEWAY_ABORT)
            return
        except BridgeError as e:
            _log.warning(
                "upstream failed before it answered",
                id=str(self.interception.id),
                provider=self.interception.provider_name,
                error=e.message,
                reason=repr(e.__cause__),
            )
            await self._refuse(e, EndState.UPSTREAM_ERROR)
            return
        # From here on nothing is sent again.
        self._exchange.outgoing.body.drop()
        await self._relay_answer(response)

    async def _relay_answer(self, response: Response) -> None:
        self._response = response
        self._tap = self._tap_for(response)
        answer = self._exchange.answer
        # A stream may get events of ours, and lose some; what HTTP calls whole may lack its end.
        length = None if self._streaming else response.length
        relay = self._relay = Relay(
            downstream=answer,
            length=length,
            look=self._tap.data if self._tap is not None else _never_last,
            ending=self._end_answer,
            between=self._between,
            clock=self._clock,
            started=self._exchange.started,
            limits=self._limits,
            passage=self._passage_for(response),
        )
        answer.start(
            status=response.status,
            phrase=response.phrase,
            headers=response_headers(response.headers),
            length=length,
        )
        response.deliver(relay)
        finish = await relay.done
        try:
            await self._close(finish)
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
                        await self._break_off(error, EndState.UPSTREAM_ERROR)
                        return
                    await shielded(self._end_answer())
                self._write_rest()
                answer.finish()
            case Finish.STOPPED:
                if self._aborted_with is not None:
                    await self._break_off(self._aborted_with, EndState.GATEWAY_ABORT)
                else:
                    self._end_quietly(EndState.CLIENT_ABORT)
            case Finish.STALLED:
                self._end_quietly(EndState.CLIENT_ABORT)
                answer.cut()
            case Finish.WITHHELD:
                answer.cut()
            case Finish.BROKE | Finish.IDLE | Finish.OVERTIME:
                error, state = _broken_off(finish)
                await self._break_off(error, state)
            case _:
                assert_never(finish)

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
        if self._tap is not None and self._tap.at_boundary and not self._recording.ended:
            event = self._exchange.error_dialect.error_event(error, self._exchange.request_id)
        if event and self._relay is not None:
            self._relay.count_in(event)
        self._end(state, status=self._status(), error=error)
        await shielded(self._recording.durable())
        self._write_rest()
        if event:
            self._exchange.answer.write(event)
        self._exchange.answer.cut()

    def _write_rest(self) -> None:
        rest = self._relay.take_rest() if self._relay is not None else b""
        if rest:
            self._exchange.answer.write(rest)

    def _passage_for(self, response: Response) -> Passage | None:
        make = self._exchange.passage
        return make() if make is not None and self._streaming and response.status == 200 else None

    def _tap_for(self, response: Response) -> Tap | None:
        dialect = self._exchange.dialect
        if dialect is None:
            return None
        if first(response.headers, b"content-encoding") not in (None, b"", b"identity"):
            self._unreadable = True  # we asked for identity; what came passes as it is
            return None
        content_type = first(response.headers, b"content-type")
        self._streaming = media_type(content_type) == b"text/event-stream"
        return Tap(
            reader=dialect.reader(),
            streaming=self._streaming,
            status=response.status,
            max_event_bytes=self._reading_limits.max_event,
            max_document_bytes=self._reading_limits.max_document,
            on_observations=self._observe,
            log=LogOfOne(self._exchange.request_id),
        )

    def _observe(self, observations: Sequence[Observation]) -> None:
        if self._last is None or self._recording.ended:
            self._recording.observe(1, observations)  # an error ends an answer; counts may follow
        else:
            self._last.extend(observations)  # goes with the end, in one write

    def _between(self) -> bytes:
        dialect = self._exchange.dialect
        if dialect is None or self._tap is None or not self._tap.at_boundary:
            return b""
        return dialect.ping

    def _missing_end(self) -> BridgeError | None:
        """Return what is wrong with a stream that HTTP calls whole, but its API does not."""
        tap = self._tap
        if tap is None or not self._streaming or self._status() != 200:
            return None
        reading = tap.finish()
        if reading.complete or reading.error is not None or not tap.following:
            return None
        return UpstreamBroke("The provider's answer ended before it was complete.")

    def _end_answer(self) -> Deferred[None]:
        """Write down an answer that came whole; fire when its last bytes may be seen."""
        self._last = []
        try:
            reading = self._tap.finish() if self._tap is not None else _NOTHING_READ
            self._end(state_of(self._status(), reading), status=self._status())
            return self._recording.durable()
        except Unavailable:
            failed: Deferred[None] = Deferred()
            failed.errback()
            return failed

    def _end_quietly(self, state: EndState) -> None:
        """Write down an end that nobody waits for."""
        try:
            self._end(state, status=self._status() or None)
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
        tap, relay, now = self._tap, self._relay, self._clock.seconds()
        seen = Seen(
            reading=tap.finish() if tap is not None else _NOTHING_READ,
            partially_observed=self._unreadable or (tap is not None and tap.partially_observed),
            upstream_status=self._status() or None,
            started=self._exchange.started,
            leg_started=self._leg_started,
            first_byte_at=relay.first_byte_at if relay is not None else None,
            ended=now,
            response_sha256=relay.response_sha256 if relay is not None else None,
            client_sha256=relay.client_sha256 if relay is not None else None,
        )
        if bytes_out is None:
            bytes_out = relay.bytes_to_client if relay is not None else 0
        self._recording.end(
            ending_of(seen, state=state, status=status, error=error, bytes_out=bytes_out),
            leg_of(seen, self.interception, state=state, error=error),
            self._last or (),
        )

    def _status(self) -> int:
        """Return upstream's status; 0 while there is none."""
        return self._response.status if self._response is not None else 0


def _broken_off(finish: Finish) -> tuple[BridgeError, EndState]:
    """Return what the client is told, and the end state, when the bytes stopped too early."""
    if finish is Finish.IDLE:
        silent = UpstreamTimedOut("The provider fell silent (limits.upstream_idle).")
        return silent, EndState.UPSTREAM_ERROR
    if finish is Finish.OVERTIME:
        late = UpstreamTimedOut("The exchange took too long (limits.exchange).")
        return late, EndState.GATEWAY_ABORT
    broke = UpstreamBroke("The provider broke off in the middle of its answer.")
    return broke, EndState.UPSTREAM_ERROR


def _never_last(_: bytes) -> Any:
    return False
