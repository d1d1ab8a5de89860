"""What an exchange came to: its end state and error type, from what was seen of it."""

from __future__ import annotations

import msgspec

from bridge.dialects.interface import InBandError, Reading
from bridge.domain.clock import milliseconds_between, utc
from bridge.domain.errors import BridgeError, UpstreamBroke, UpstreamTimedOut
from bridge.domain.interception import Ending, EndState, Leg
from bridge.domain.observations import Observation, TokenUsage, UsageSource
from bridge.intercept.attempts import Attempt
from bridge.telemetry.redact import redacted_text
from bridge.upstream.relay import Finish

_MAX_MESSAGE = 1_000

_BY_STATUS = {
    400: "bad_request",
    401: "unauthorized",
    403: "unauthorized",
    404: "bad_request",
    408: "timeout",
    413: "bad_request",
    422: "bad_request",
    429: "rate_limited",
    503: "overloaded",
    504: "timeout",
    529: "overloaded",
}

_BY_NAME = (
    ("rate_limit", "rate_limited"),
    ("overloaded", "overloaded"),
    ("service_unavailable", "overloaded"),
    ("slow_down", "overloaded"),
    ("timeout", "timeout"),
    ("authentication", "unauthorized"),
    ("permission", "unauthorized"),
    ("billing", "unauthorized"),
    ("invalid", "bad_request"),
    ("not_found", "bad_request"),
    ("too_large", "bad_request"),
    ("api_error", "server_error"),
    ("server_error", "server_error"),
)


_SAID_BY_STATUS = frozenset({401, 403, 408, 429, 503, 504, 529})
"""These say more than the name that comes with them."""


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an exchange when it ends; times in the clock's seconds."""

    reading: Reading
    partially_observed: bool
    upstream_status: int | None
    started: float
    first_byte_at: float | None
    ended: float
    response_sha256: str | None
    client_sha256: str | None

    @property
    def ttfb_ms(self) -> int | None:
        """From our having the request to the first byte of the answer's body."""
        return milliseconds_since(self.started, self.first_byte_at)


def ending_of(
    seen: Seen,
    *,
    state: EndState,
    status: int | None,
    error: BridgeError | None,
    bytes_out: int,
    credential_hint: str | None,
) -> Ending:
    """Return the end of an exchange.

    Args:
        seen: what is known of it.
        state: how it ended.
        status: what the client was answered; None for nothing.
        error: of our own, when that is what ended it.
        bytes_out: body bytes handed to the client.
        credential_hint: of the credential that was sent last; None when none was.
    """
    error_type, error_message = error_of(seen.upstream_status or 0, seen.reading)
    if error is not None:
        error_type, error_message = error_type_of(error.status, None), bounded(error.message)
    return Ending(
        at=utc(seen.ended),
        state=state,
        http_status=status,
        ttfb_ms=seen.ttfb_ms,
        duration_ms=milliseconds_between(seen.started, seen.ended),
        bytes_out=bytes_out,
        response_sha256=seen.response_sha256,
        client_sha256=seen.client_sha256,
        response_id=seen.reading.response_id or None,
        stop_reason=seen.reading.stop_reason,
        error_type=error_type,
        error_message=error_message,
        credential_hint=credential_hint,
        partially_observed=seen.partially_observed,
    )


def leg_of(
    attempt: Attempt,
    *,
    status: int | None,
    ttfb_ms: int | None,
    ended: float,
    state: EndState,
    error: BridgeError | None,
) -> Leg:
    """Return one round trip of an exchange.

    Args:
        attempt: what was sent.
        status: upstream's; None for no answer.
        ttfb_ms: from its being sent to the first byte of the body; None for none.
        ended: when it was over, in the clock's seconds.
        state: what it would be the end of.
        error: of our own, when that is what ended it.
    """
    return Leg(
        n=attempt.n,
        provider_name=attempt.place.provider.name,
        model=attempt.model,
        credential_hint=attempt.credential.hint,
        status=status,
        started_at=utc(attempt.started),
        ttfb_ms=ttfb_ms,
        duration_ms=milliseconds_between(attempt.started, ended),
        outcome=_outcome(state, error),
    )


def milliseconds_since(start: float, moment: float | None) -> int | None:
    """Return the milliseconds from `start` to `moment`, None when it never came."""
    return None if moment is None else milliseconds_between(start, moment)


def is_overload(error: InBandError) -> bool:
    """Return whether an error within an answer says that the provider cannot now."""
    return error_type_of(0, error.type) in ("overloaded", "rate_limited")


def _outcome(state: EndState, error: BridgeError | None) -> str:
    if state is EndState.COMPLETED:
        return "completed"
    if state is not EndState.UPSTREAM_ERROR:
        return "aborted"
    match error:
        case UpstreamTimedOut():
            return "timeout"
        case UpstreamBroke():
            return "broke"
        case None:
            return "error_status"
        case _:
            return "unreachable"


def error_type_of(status: int, name: str | None) -> str:
    """Return our one-word kind of an error that a provider answered.

    Args:
        status: HTTP status; 200 for an error inside a stream.
        name: the provider's own error type, if it gave one.
    """
    if status in _SAID_BY_STATUS:
        return _BY_STATUS[status]
    if name:
        for part, kind in _BY_NAME:
            if part in name:
                return kind
    if status >= 500:
        return _BY_STATUS.get(status, "server_error")
    return _BY_STATUS.get(status, "bad_request" if status >= 400 else "unknown")


def error_of(status: int, reading: Reading) -> tuple[str | None, str | None]:
    """Return error type and message of an answer; (None, None) when it holds no error.

    A provider may repeat the key that it was sent: the message is without.
    """
    error = reading.error
    if error is not None:
        told = redacted_text(error.message or error.type)
        return error_type_of(status, error.type), bounded(told)
    if status >= 400:
        return error_type_of(status, None), None
    return None, None


def as_drained(observation: Observation) -> Observation:
    """Return `observation` as what was seen after the client had gone: only final counts differ."""
    if isinstance(observation, TokenUsage) and observation.source is UsageSource.PROVIDER_FINAL:
        return msgspec.structs.replace(observation, source=UsageSource.DRAINED)
    return observation


def broken_off(finish: Finish) -> tuple[BridgeError, EndState]:
    """Return what the client is told, and the end state, when the bytes stopped too early."""
    if finish is Finish.IDLE:
        silent = UpstreamTimedOut("The provider fell silent (limits.upstream_idle).")
        return silent, EndState.UPSTREAM_ERROR
    if finish is Finish.OVERTIME:
        late = UpstreamTimedOut("The exchange took too long (limits.exchange).")
        return late, EndState.GATEWAY_ABORT
    broke = UpstreamBroke("The provider broke off in the middle of its answer.")
    return broke, EndState.UPSTREAM_ERROR


def state_of(status: int, reading: Reading) -> EndState:
    """Return the end state of an answer that came whole."""
    if status >= 400 or reading.error is not None:
        return EndState.UPSTREAM_ERROR
    return EndState.COMPLETED


def bounded(text: str) -> str:
    """Return `text` cut to what a record keeps of a message."""
    return text[:_MAX_MESSAGE]
