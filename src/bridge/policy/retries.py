"""Retries: whether a request is sent again, and when, while nothing of an answer was relayed.

Source: `_base_client.py` of the package anthropic 2.14.0, whose rules the providers' SDKs share,
and RFC 9110 section 10.2.3 for Retry-After (read 2026-11-25).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import assert_never

from bridge.wire.headers import Header

_FIRST_BACKOFF_SECONDS = 0.5
_LONGEST_BACKOFF_SECONDS = 8.0
_MOST_DOUBLINGS = 4  # from the first back-off to the longest
_JITTER = 0.25

_TRANSIENT = frozenset({408, 409, 429})
"""Besides every 5xx, 529 among them."""

_SHOULD_RETRY = b"x-should-retry"
_RETRY_AFTER_MS = b"retry-after-ms"
_RETRY_AFTER = b"retry-after"
_NUMBER = re.compile(rb"\d+(?:\.\d*)?(?:[eE][+-]?\d+)?")
_LONGEST_VALUE = 64
"""No number and no date is longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """The head of an answer came."""

    status: int
    headers: Sequence[Header]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unanswered:
    """No connection, or it broke before the head of an answer."""

    limit_fired: bool = False
    """Whether we gave up waiting for the answer: the provider may still be at work, and is paid for
    that, so it is not asked again. A connection that was not made in time is not meant by this."""


Outcome = Answered | Unanswered


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often, and how patiently, a request is sent again."""

    max_retries_connect: int = 2
    """After attempts without an answer."""
    max_retries_answered: int = 0
    """After answers that invite it. With none, clients are told and do it themselves; what they are
    told then is the provider's own answer."""
    longest_wait: float = 30.0
    """Seconds. Whoever asks for more is not asked again: the client decides whether to wait."""

    def wait(self, outcome: Outcome, *, attempt: int, now: float, chance: float) -> float | None:
        """Return the seconds to wait before the next attempt; None for none.

        Args:
            outcome: what the last attempt came to.
            attempt: how many there have been, the last one among them, so 1 after the first;
                attempts of either outcome count against both limits.
            now: seconds since the epoch, for a Retry-After that is a date.
            chance: a random number in [0, 1), so that clients do not all come back at once.
        """
        match outcome:
            case Unanswered():
                if outcome.limit_fired or attempt > self.max_retries_connect:
                    return None
                asked_for = None
            case Answered():
                if attempt > self.max_retries_answered or not retryable(outcome):
                    return None
                asked_for = retry_after(outcome.headers, now)
            case _:
                assert_never(outcome)
        if asked_for is None:
            return min(_backoff(attempt, chance), self.longest_wait)
        return asked_for if asked_for <= self.longest_wait else None


def retryable(answer: Answered) -> bool:
    """Return whether the same request may fare better later, by the provider's own word first."""
    if answer.status < 400:
        return False
    words = {value.strip().lower() for name, value in answer.headers if name == _SHOULD_RETRY}
    if b"false" in words:
        return False
    return b"true" in words or answer.status in _TRANSIENT or answer.status >= 500


def retry_after(headers: Sequence[Header], now: float) -> float | None:
    """Return the seconds, 0 or more, that a provider asks to wait; None when it does not.

    Shapes: `Retry-After-Ms: 1500` (may have a fraction; wins), `Retry-After: 1.5` or an HTTP date.
    What cannot be read, or lies in the past, is as if it were not there. Of several lines of one
    header the longest wait counts, because who comes too early is refused again.
    """
    waits = [_number(value) for name, value in headers if name == _RETRY_AFTER_MS]
    readable = [wait / 1000 for wait in waits if wait is not None]
    if not readable:
        waits = [_seconds(value, now) for name, value in headers if name == _RETRY_AFTER]
        readable = [wait for wait in waits if wait is not None]
    return max(readable, default=None)


def _backoff(attempt: int, chance: float) -> float:
    doublings = min(max(attempt - 1, 0), _MOST_DOUBLINGS)
    longest = min(_FIRST_BACKOFF_SECONDS * 2.0**doublings, _LONGEST_BACKOFF_SECONDS)
    return longest * (1 - _JITTER * chance)


def _seconds(value: bytes, now: float) -> float | None:
    number = _number(value)
    return number if number is not None else _until_date(value, now)


def _number(value: bytes) -> float | None:
    """Return a number that is neither negative nor one of float's words; infinite if too large."""
    text = value.strip()
    if len(text) > _LONGEST_VALUE or _NUMBER.fullmatch(text) is None:
        return None
    return float(text)


def _until_date(value: bytes, now: float) -> float | None:
    if len(value) > _LONGEST_VALUE:
        return None
    try:
        date = parsedate_to_datetime(value.decode("ascii"))
        if date.tzinfo is None:
            date = date.replace(tzinfo=UTC)  # asctime's form has no zone; HTTP means UTC
        wait = date.timestamp() - now
    except (ValueError, OverflowError):
        return None
    return wait if wait >= 0 else None
