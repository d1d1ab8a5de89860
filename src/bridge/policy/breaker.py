"""Circuit breakers: a model that its provider cannot serve is left alone for a while.

Each breaker is closed (everything passes, failures in a row are counted), open (nothing passes) or
half-open (a few probes pass, and decide). Two things differ from the usual: a result counts when it
comes, however long its request took, as long as the state is still the one that admitted it; and a
probe may show by a good beginning what it is for, because an answer can take minutes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from bridge.domain.clock import Clock
from bridge.domain.errors import Overloaded

_MOST_BREAKERS = 10_000
_LONGEST_MODEL = 200
"""Characters that tell models apart; the name is the client's to choose."""
_PROBES_OUT_SECONDS = 1.0
"""When to come again while probes are under way; nobody knows when they end."""

OVERLOADED = frozenset({429, 503, 504, 529})
"""Statuses that say that the provider cannot now; 500 and 502 may be about one request only."""


class State(StrEnum):
    """What a breaker does with requests."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


@dataclass(frozen=True, slots=True, kw_only=True)
class Circuit:
    """What one breaker stands before."""

    provider: str
    """The configured instance."""
    route: str
    """The route's pattern."""
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerRules:
    """When breakers open and close."""

    failure_threshold: int = 5
    """Failures in a row that open a breaker."""
    interval: float = 10.0
    """Seconds after which a closed breaker forgets failures; 0 for never."""
    timeout: float = 30.0
    """Seconds for which a breaker stays open."""
    max_requests: int = 3
    """Probes let through while it is half-open, all of which have to succeed."""
    statuses: frozenset[int] = OVERLOADED
    """Statuses of answers that are failures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerStatus:
    """A breaker that is not closed, as an operator sees it."""

    circuit: Circuit
    state: State
    since: float
    """Seconds since the epoch."""
    seconds_left: float
    """Until it lets probes through; 0 when the next request is one."""
    probes: int
    """Probes under way."""


Change = Callable[[Circuit, State, State], None]
"""Hears of a breaker's old and new state, after the change. Must not raise."""


class Passage:
    """One request that was let through; whoever has it says once how it ended.

    What is said after the first of `answered`, `succeeded`, `failed` and `abandoned` changes
    nothing, so `abandoned` may stand in a `finally`.
    """

    __slots__ = ("_breaker", "_counted", "_generation", "_settled")

    def __init__(self, breaker: _Breaker | None) -> None:
        """Belong to the present generation of `breaker`; to none when there are no breakers."""
        self._breaker = breaker
        self._generation = breaker.generation if breaker is not None else 0
        self._counted = False
        self._settled = breaker is None

    @property
    def probing(self) -> bool:
        """Whether it is one of few that were let through to try."""
        return self._breaker is not None and self._breaker.probing(self._generation)

    def began(self) -> None:
        """Say that a good answer has begun. A probe has succeeded by that, unless it fails later.

        Of other requests nothing is known until they end.
        """
        if self._breaker is None or self._settled or self._counted:
            return
        if self.probing:
            self._counted = True
            self._breaker.success(self._generation)

    def answered(self, status: int) -> None:
        """Say that the whole answer came, and with which status."""
        if self._breaker is not None and status in self._breaker.rules.statuses:
            self.failed()
        else:
            self.succeeded()

    def succeeded(self) -> None:
        """Say that the provider did what was asked, or was right to refuse it."""
        breaker = self._settle()
        if breaker is not None and not self._counted:
            breaker.success(self._generation)

    def failed(self) -> None:
        """Say that the provider could not: no connection, too late, overloaded in mid-stream."""
        breaker = self._settle()
        if breaker is not None:
            breaker.failure(self._generation)

    def abandoned(self) -> None:
        """Say that nothing is known of the provider: the client has gone, or we broke off."""
        breaker = self._settle()
        if breaker is not None and not self._counted:
            breaker.release(self._generation)

    def _settle(self) -> _Breaker | None:
        """Return the breaker to tell; None when it has been told, or there is none."""
        if self._settled:
            return None
        self._settled = True
        return self._breaker


class CircuitBreakers:
    """A breaker for each circuit that is asked for; a bounded number of them."""

    def __init__(
        self,
        *,
        rules: BreakerRules,
        clock: Clock,
        on_change: Change | None = None,
        on_reject: Callable[[Circuit], None] | None = None,
    ) -> None:
        """Open and close by `rules`, and tell `on_change`; `on_reject` hears of each refusal."""
        self._rules = rules
        self._clock = clock
        self._on_change = on_change
        self._on_reject = on_reject
        # Both by use, so that the least recently used is found at once.
        self._closed: OrderedDict[Circuit, _Breaker] = OrderedDict()
        self._tripped: OrderedDict[Circuit, _Breaker] = OrderedDict()

    def admit(self, circuit: Circuit) -> Passage:
        """Let a request through, and give what has to be told how it went.

        Raises:
            Overloaded: the breaker is open, or half-open with all its probes out.
        """
        if len(circuit.model) > _LONGEST_MODEL:
            circuit = replace(circuit, model=circuit.model[:_LONGEST_MODEL])
        breaker = self._used(circuit)
        try:
            breaker.admit()
        except Overloaded:
            if self._on_reject is not None:
                self._on_reject(circuit)
            raise
        return Passage(breaker)

    def states(self) -> Sequence[BreakerStatus]:
        """Return the breakers that are not closed, the least recently used first."""
        return tuple(breaker.status() for breaker in self._tripped.values())

    def _used(self, circuit: Circuit) -> _Breaker:
        for breakers in (self._closed, self._tripped):
            if (found := breakers.get(circuit)) is not None:
                breakers.move_to_end(circuit)
                return found
        made = self._closed[circuit] = _Breaker(
            circuit, rules=self._rules, clock=self._clock, changed=self._changed
        )
        if len(self._closed) + len(self._tripped) > _MOST_BREAKERS:
            self._forget_one()
        return made

    def _forget_one(self) -> None:
        # One that is closed, unless that could only be the one just made.
        breakers = self._closed if len(self._closed) > 1 else self._tripped
        circuit, forgotten = breakers.popitem(last=False)
        forgotten.generation += 1  # whoever has passed it is heard no more
        if forgotten.state is not State.CLOSED:
            self._tell(circuit, forgotten.state, State.CLOSED)

    def _changed(self, breaker: _Breaker, before: State) -> None:
        circuit = breaker.circuit
        if before is State.CLOSED:
            self._tripped[circuit] = self._closed.pop(circuit)
        elif breaker.state is State.CLOSED:
            self._closed[circuit] = self._tripped.pop(circuit)
        self._tell(circuit, before, breaker.state)

    def _tell(self, circuit: Circuit, before: State, after: State) -> None:
        if self._on_change is not None:
            self._on_change(circuit, before, after)


class NoBreakers:
    """In place of CircuitBreakers where they are switched off: everything passes."""

    def admit(self, circuit: Circuit) -> Passage:  # noqa: ARG002 - as CircuitBreakers
        """Let a request through; what is said of it goes nowhere."""
        return Passage(None)

    def states(self) -> Sequence[BreakerStatus]:
        """Return none."""
        return ()


class _Breaker:
    """One state, the counts that belong to it, and the generation that they are of."""

    __slots__ = (
        "_changed",
        "_clock",
        "_ends",
        "_failures",
        "_probes",
        "_since",
        "_successes",
        "circuit",
        "generation",
        "rules",
        "state",
    )

    def __init__(
        self,
        circuit: Circuit,
        *,
        rules: BreakerRules,
        clock: Clock,
        changed: Callable[[_Breaker, State], None],
    ) -> None:
        self.circuit = circuit
        self.rules = rules
        self.state = State.CLOSED
        self.generation = 0
        self._clock = clock
        self._changed = changed
        self._since = clock.seconds()
        self._ends = self._since + rules.interval
        """When the closed state's interval is over, or the open one's timeout."""
        self._failures = 0
        """In a row, while closed."""
        self._probes = 0
        """Under way, while half-open."""
        self._successes = 0
        """Of probes, while half-open."""

    def admit(self) -> None:
        """Count a request in, as a probe where it is one.

        Raises:
            Overloaded: not now.
        """
        now = self._clock.seconds()
        if self.state is State.OPEN:
            left = self._left(now, self.rules.timeout)
            if left > 0:
                raise _rejected(left)
            self._move(State.HALF_OPEN, now)
        if self.state is State.HALF_OPEN:
            if self._probes + self._successes >= self.rules.max_requests:
                raise _rejected(_PROBES_OUT_SECONDS)
            self._probes += 1

    def probing(self, generation: int) -> bool:
        """Return whether a request of `generation` is a probe on which a decision hangs."""
        return generation == self.generation and self.state is State.HALF_OPEN

    def success(self, generation: int) -> None:
        """Count one request of `generation` that went well."""
        if generation != self.generation:
            return
        self._failures = 0
        if self.state is State.HALF_OPEN:
            self._probes -= 1
            self._successes += 1
            if self._successes >= self.rules.max_requests:
                self._move(State.CLOSED, self._clock.seconds())

    def failure(self, generation: int) -> None:
        """Count one request of `generation` that the provider failed."""
        if generation != self.generation:
            return
        now = self._clock.seconds()
        if self.state is State.CLOSED:
            if self.rules.interval > 0 and self._left(now, self.rules.interval) <= 0:
                self._failures = 0
                self._ends = now + self.rules.interval
            self._failures += 1
            if self._failures < self.rules.failure_threshold:
                return
        self._move(State.OPEN, now)

    def release(self, generation: int) -> None:
        """Give back the place of a probe of which nothing is known."""
        if self.probing(generation):
            self._probes -= 1

    def status(self) -> BreakerStatus:
        """Return what an operator sees."""
        now = self._clock.seconds()
        opened = self.state is State.OPEN
        return BreakerStatus(
            circuit=self.circuit,
            state=self.state,
            since=min(self._since, now),
            seconds_left=self._left(now, self.rules.timeout) if opened else 0.0,
            probes=self._probes,
        )

    def _move(self, state: State, now: float) -> None:
        before, self.state = self.state, state
        self.generation += 1
        self._since = now
        self._ends = now + (self.rules.timeout if state is State.OPEN else self.rules.interval)
        self._failures = self._probes = self._successes = 0
        self._changed(self, before)

    def _left(self, now: float, longest: float) -> float:
        """Return the seconds until the state's time is up, also when the clock was set back."""
        if self._ends - now > longest:
            self._ends = now + longest
        return max(0.0, self._ends - now)


def _rejected(retry_after: float) -> Overloaded:
    # The established words, which people search for.
    return Overloaded("circuit breaker is open", retry_after=retry_after)
