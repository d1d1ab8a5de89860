"""Admission: whether there is room for one more request, now and from this token."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from bridge.domain.clock import Clock
from bridge.domain.errors import Overloaded, RateLimited, Unavailable
from bridge.domain.identity import Actor

_MAX_BUCKETS = 10_000
_RETRY_AFTER_SECONDS = 5.0


@dataclass(slots=True)
class _Bucket:
    """How many requests a token may make at once; refilled every second by the rate."""

    left: float
    at: float


class Ticket:
    """A place among the requests that are served; give it back exactly once, or more often."""

    __slots__ = ("_admission", "_held")

    def __init__(self, admission: Admission) -> None:
        """Hold a place of `admission`."""
        self._admission = admission
        self._held = True

    def release(self) -> None:
        """Give the place back."""
        if self._held:
            self._held = False
            self._admission.in_flight -= 1


class Admission:
    """Decides about requests that are authenticated and routed."""

    def __init__(
        self,
        *,
        max_concurrency: int,
        rate_limit: int,
        clock: Clock,
        recording: Callable[[], bool],
    ) -> None:
        """Admit within limits.

        Args:
            max_concurrency: requests at a time; 0 is no limit.
            rate_limit: requests a second for each token; 0 is no limit.
            clock: gives the time.
            recording: whether the journal takes records.
        """
        self._max_concurrency = max_concurrency
        self._rate_limit = rate_limit
        self._clock = clock
        self._recording = recording
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()
        self.in_flight = 0
        self.draining = False
        """Set when the process is about to stop: nothing new is admitted."""

    def admit(self, actor: Actor) -> Ticket:
        """Take a place for a request of `actor`.

        Raises:
            Unavailable: what would happen could not be recorded.
            Overloaded: no place, or the bridge is stopping.
            RateLimited: this token asks too often.
        """
        if self.draining:
            raise Overloaded("The bridge is restarting; try again.", retry_after=1.0)
        if not self._recording():
            raise Unavailable(
                "The bridge cannot write its records at the moment, so it takes no requests.",
                retry_after=_RETRY_AFTER_SECONDS,
            )
        if self._max_concurrency and self.in_flight >= self._max_concurrency:
            raise Overloaded(
                f"The bridge already serves {self.in_flight} requests, as many as it may.",
                retry_after=1.0,
            )
        if self._rate_limit:
            self._spend(actor)
        self.in_flight += 1
        return Ticket(self)

    def _spend(self, actor: Actor) -> None:
        now = self._clock.seconds()
        bucket = self._buckets.pop(actor.token_id, None) or _Bucket(float(self._rate_limit), now)
        # A clock that was set back refills nothing.
        passed = max(0.0, now - bucket.at)
        bucket.left = min(float(self._rate_limit), bucket.left + passed * self._rate_limit)
        bucket.at = now
        self._buckets[actor.token_id] = bucket
        if len(self._buckets) > _MAX_BUCKETS:
            self._buckets.popitem(last=False)
        if bucket.left < 1.0:
            raise RateLimited(
                f"This token may ask {self._rate_limit} times a second.",
                retry_after=(1.0 - bucket.left) / self._rate_limit,
            )
        bucket.left -= 1.0
