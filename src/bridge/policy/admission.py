"""Admission: whether there is room for one more request, now and from this user."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID

from bridge.domain.clock import Clock
from bridge.domain.errors import Overloaded, RateLimited, Unavailable
from bridge.domain.identity import Actor
from bridge.policy.shared_limits import SharedLimits, Total

_MAX_BUCKETS = 10_000
_RETRY_AFTER_SECONDS = 5.0


@dataclass(slots=True)
class _Bucket:
    """How many requests a user may make at once; refilled every second by the rate."""

    left: float
    at: float


class Ticket:
    """A place among the requests that are served; give it back exactly once, or more often."""

    __slots__ = ("_give_back", "_user")

    def __init__(self, give_back: Callable[[UUID | None], None], user: UUID | None) -> None:
        """Hold a place, and one of `user`'s where there is one."""
        self._give_back: Callable[[UUID | None], None] | None = give_back
        self._user = user

    def release(self) -> None:
        """Give the place back."""
        give_back, self._give_back = self._give_back, None
        if give_back is not None:
            give_back(self._user)


class Admission:
    """Decides about requests that are authenticated and routed."""

    def __init__(
        self,
        *,
        max_concurrency: int,
        rate_limit: int,
        clock: Clock,
        recording: Callable[[], bool],
        max_streams_per_user: int = 0,
        shared: SharedLimits | None = None,
    ) -> None:
        """Admit within limits.

        Args:
            max_concurrency: requests at a time; 0 is no limit.
            rate_limit: requests a second for each user, whatever their tokens; 0 is no limit.
            clock: gives the time.
            recording: whether the journal takes records.
            max_streams_per_user: requests at a time for each user; 0 is no limit.
            shared: what other processes count, whose requests these limits hold for as well.
        """
        self._shared = shared
        self._max_concurrency = max_concurrency
        self._rate_limit = rate_limit
        self._max_streams_per_user = max_streams_per_user
        self._clock = clock
        self._recording = recording
        self._buckets: OrderedDict[UUID, _Bucket] = OrderedDict()
        self._under_way: dict[UUID, int] = {}
        """Only of users who have a request under way, so not more than there are of those."""
        self.in_flight = 0
        self.draining = False
        """Set when the process is about to stop: nobody should send requests here any more."""
        self.closed = False
        """Set when the process stops: nothing new is admitted."""

    def configure(
        self, *, max_concurrency: int, rate_limit: int, max_streams_per_user: int
    ) -> None:
        """Replace the limits; what is under way stays, and counts."""
        self._max_concurrency = max_concurrency
        self._rate_limit = rate_limit
        self._max_streams_per_user = max_streams_per_user
        if not rate_limit:
            self._buckets.clear()

    def admit(self, actor: Actor, *, counted: bool = True) -> Ticket:
        """Take a place for a request of `actor`.

        Args:
            actor: who asks.
            counted: whether the limits of the user apply; not to what costs next to nothing, such
                as lists of models and counts of tokens.

        Raises:
            Unavailable: what would happen could not be recorded.
            Overloaded: no place, or the bridge is stopping.
            RateLimited: this user asks too often, or has too much under way.
        """
        if self.closed:
            raise Overloaded("The bridge is restarting; try again.", retry_after=1.0)
        if not self._recording():
            raise Unavailable(
                "The bridge cannot write its records at the moment, so it takes no requests.",
                retry_after=_RETRY_AFTER_SECONDS,
            )
        if self._max_concurrency and (serving := self._serving()) >= self._max_concurrency:
            raise Overloaded(
                f"The bridge already serves {serving} requests, as many as it may "
                "(max_concurrency).",
                retry_after=1.0,
            )
        if counted:
            self._require_place(actor.id)
            # Last, so that who is refused for something else has not spent anything.
            self._spend(actor.id)
            self._count(actor.id, self._under_way.get(actor.id, 0) + 1)
        self._serve(self.in_flight + 1)
        return Ticket(self._release, actor.id if counted else None)

    def _release(self, user: UUID | None) -> None:
        self._serve(self.in_flight - 1)
        if user is not None:
            self._count(user, self._under_way[user] - 1)

    def _serving(self) -> int:
        if self._shared is None:
            return self.in_flight
        return int(self._shared.total(Total.REQUESTS))

    def _serve(self, count: int) -> None:
        self.in_flight = count
        if self._shared is not None:
            self._shared.set_total(Total.REQUESTS, count)

    def _count(self, user: UUID, count: int) -> None:
        if count:
            self._under_way[user] = count
        else:
            del self._under_way[user]
        if self._shared is not None and self._max_streams_per_user:
            self._shared.set_under_way(user.int, count)

    def _of(self, user: UUID) -> int:
        """Return how many requests of `user` are under way."""
        own = self._under_way.get(user, 0)
        if self._shared is None:
            return own
        everywhere = self._shared.under_way(user.int)
        return own if everywhere is None else everywhere

    def _require_place(self, user: UUID) -> None:
        limit = self._max_streams_per_user
        if limit and self._of(user) >= limit:
            raise RateLimited(
                f"Your requests under way are limited to {limit} at a time "
                "(max_streams_per_user); try again when one has ended.",
                retry_after=_RETRY_AFTER_SECONDS,
            )

    def _spend(self, user: UUID) -> None:
        rate = float(self._rate_limit)
        if not rate:
            return
        now = self._clock.seconds()
        if self._shared is not None:
            wait = self._shared.spend(user.int, rate=rate, now=now)
            if wait is not None:
                if wait:
                    raise self._too_often(wait)
                return
        bucket = self._buckets.pop(user, None) or _Bucket(rate, now)
        # A clock that was set back refills nothing.
        passed = max(0.0, now - bucket.at)
        bucket.left = min(rate, bucket.left + passed * rate)
        bucket.at = now
        self._buckets[user] = bucket
        if len(self._buckets) > _MAX_BUCKETS:
            self._buckets.popitem(last=False)
        if bucket.left < 1.0:
            raise self._too_often((1.0 - bucket.left) / rate)
        bucket.left -= 1.0

    def _too_often(self, seconds: float) -> RateLimited:
        return RateLimited(
            f"Your requests are limited to {self._rate_limit} a second, all your tokens "
            "together (rate_limit).",
            retry_after=seconds,
        )
