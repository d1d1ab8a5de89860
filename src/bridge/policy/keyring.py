"""Keyring: which of a provider's keys is used now, and which are left alone for a while.

It knows keys by their place only, and names them by their hints.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from bridge.domain.clock import Clock
from bridge.domain.errors import BridgeError, RateLimited, UpstreamUnreachable
from bridge.policy.retries import retry_after
from bridge.wire.headers import Header

_COOL_DOWN_SECONDS = 60.0
_LONGEST_COOL_DOWN_SECONDS = 3600.0


class KeyState(StrEnum):
    """How a key is."""

    OK = "ok"
    COOLING = "cooling"
    """The provider asked to leave it alone for a while."""
    OUT = "out"
    """The provider does not know it, or no longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyHealth:
    """One key as an operator sees it."""

    hint: str
    state: KeyState
    since: float
    """Seconds since the epoch at which the state began."""
    seconds_left: float | None
    """Until it is used again: 0 for now, None for never."""
    answered_at: float | None
    """When a request with it was last answered, with whatever but a refusal of the key."""


class KeyEvents(Protocol):
    """Who counts what becomes of keys."""

    def put_away(self, reason: str) -> None:
        """Note that a key is not used any more: `rate_limited`, `unauthorized` or `forbidden`."""

    def exhausted(self, outcome: str) -> None:
        """Note a request for which no key was left: `rate_limited` or `auth_failed`."""

    def tried(self, count: int) -> None:
        """Note how many keys a request needed."""


@dataclass(slots=True)
class _Key:
    hint: str
    since: float
    """When the time began for which it is not used."""
    until: float
    """When it ends, or ended; for a key that was never left alone, when we first knew it."""
    longest: float = 0.0
    """Seconds from the one to the other; 0 when it is over."""
    refused: bool = False
    answered_at: float | None = None


class Keyring:
    """The keys of one provider, best first: each request begins with the first that is usable."""

    def __init__(
        self,
        hints: Sequence[str],
        *,
        clock: Clock,
        cool_down: float = _COOL_DOWN_SECONDS,
        longest_cool_down: float = _LONGEST_COOL_DOWN_SECONDS,
        out_seconds: float = math.inf,
        events: KeyEvents | None = None,
    ) -> None:
        """Know keys by their hints.

        Args:
            hints: one for each key, best first; they need not differ.
            clock: gives the time.
            cool_down: seconds, when a provider throttles without saying for how long.
            longest_cool_down: seconds, whatever a provider says.
            out_seconds: how long a refused key is not used; infinite is for as long as we live.
            events: counts.
        """
        self._clock = clock
        self._cool_down = cool_down
        self._longest_cool_down = longest_cool_down
        self._out_seconds = out_seconds
        self._events = events
        now = clock.seconds()
        self._keys = [_Key(hint=hint, since=now, until=now) for hint in hints]

    def __len__(self) -> int:
        """How many keys there are, usable or not."""
        return len(self._keys)

    def pick(self, tried: Collection[int] = ()) -> int | None:
        """Return the place of the best usable key; None when there is none.

        Args:
            tried: places that the same request has used already; they are not picked again.
        """
        now = self._clock.seconds()
        for index, key in enumerate(self._keys):
            if index not in tried and _seconds_left(key, now) <= 0:
                return index
        return None

    def throttled(self, index: int, headers: Sequence[Header]) -> float:
        """Leave a key alone for as long as an answer's headers say; return the seconds until then.

        A longer time that runs already stays.
        """
        now = self._clock.seconds()
        asked_for = retry_after(headers, now)
        wait = self._cool_down if asked_for is None else asked_for
        key = self._keys[index]
        if self._events is not None and _seconds_left(key, now) <= 0:
            self._events.put_away("rate_limited")
        return _leave_alone(key, now, min(wait, self._longest_cool_down))

    def refused(self, index: int, reason: str = "unauthorized") -> None:
        """Use a key no more, because the provider says that it is not good.

        Only for what is about the key itself. Where an answer may as well be about what was asked
        (a model, a project), anybody could put out all keys by asking for it.

        Args:
            index: its place.
            reason: `unauthorized` or `forbidden`.
        """
        now = self._clock.seconds()
        key = self._keys[index]
        if not key.refused or _seconds_left(key, now) <= 0:
            key.since = now
            if self._events is not None:
                self._events.put_away(reason)
        _leave_alone(key, now, self._out_seconds)
        key.refused = True

    def answered(self, index: int, *, tries: int = 1) -> None:
        """Note that a key works, after `tries` keys in the same request.

        It shortens nothing: the request may have been sent before the key was throttled.
        """
        self._keys[index].answered_at = self._clock.seconds()
        if self._events is not None:
            self._events.tried(tries)

    def shortest_wait(self) -> float | None:
        """Return the seconds until a key is usable, 0 if one is; None when all are out for good."""
        now = self._clock.seconds()
        wait = min((_seconds_left(key, now) for key in self._keys), default=math.inf)
        return wait if math.isfinite(wait) else None

    def exhausted(self) -> BridgeError:
        """Return what a client is told when no key is left and there is no answer to relay."""
        wait = self.shortest_wait()
        out = wait is None or all(each.state is KeyState.OUT for each in self.health())
        if self._events is not None:
            self._events.exhausted("auth_failed" if out else "rate_limited")
        if out:
            return UpstreamUnreachable(
                "The provider accepts none of the organisation's keys; whoever runs the bridge "
                "has to replace them."
            )
        return RateLimited(
            "The provider limits the rate of all of the organisation's keys at the moment.",
            retry_after=wait,
        )

    def health(self) -> Sequence[KeyHealth]:
        """Return how each key is, best first."""
        now = self._clock.seconds()
        return tuple(_health_of(key, now) for key in self._keys)


def _seconds_left(key: _Key, now: float) -> float:
    left = key.until - now
    if left > key.longest:
        # The clock was set back; nobody asked to wait longer than that.
        left = key.longest
        key.until = now + left
    if left <= 0:
        # Over for good, whatever the clock does next.
        key.longest, key.refused = 0.0, False
        return 0.0
    return left


def _leave_alone(key: _Key, now: float, seconds: float) -> float:
    left = _seconds_left(key, now)
    if seconds <= left:
        return left
    if left <= 0:
        key.since = now
    key.until, key.longest = now + seconds, seconds
    return seconds


def _health_of(key: _Key, now: float) -> KeyHealth:
    left = _seconds_left(key, now)
    if left <= 0:
        state, since = KeyState.OK, key.until
    else:
        state, since = (KeyState.OUT if key.refused else KeyState.COOLING), key.since
    return KeyHealth(
        hint=key.hint,
        state=state,
        since=min(since, now),
        seconds_left=left if math.isfinite(left) else None,
        answered_at=key.answered_at,
    )
