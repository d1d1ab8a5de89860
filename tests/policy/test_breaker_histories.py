"""Whatever happens in whatever order, breakers do what their rules say and no more."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from twisted.internet.task import Clock

from bridge.domain.errors import Overloaded
from bridge.policy.breaker import BreakerRules, Circuit, CircuitBreakers, Passage, State
from tests.support.cases import BridgeTestCase

RULES = BreakerRules(failure_threshold=3, interval=10.0, timeout=30.0, max_requests=2)
CIRCUITS = tuple(
    Circuit(provider="anthropic", route="/v1/messages", model=model) for model in ("a", "b")
)
RECENT = st.integers(0, 4)
"""Which of the last requests something happens to; ended ones among them."""


@dataclass(eq=False)
class Request:
    """A request that was let through, as the model sees it."""

    circuit: Circuit
    passage: Passage
    era: int
    """How many changes of state there had been."""
    probe: bool
    good: bool = False
    """Whether its success has been counted."""
    ended: bool = False


class Expected:
    """One breaker, by the letter of the rules, with nothing but a list of its requests."""

    def __init__(self, now: float) -> None:
        self.state = State.CLOSED
        self.since = now
        self.window = now
        self.row = 0
        self.eras = 0
        self.requests: list[Request] = []

    def become(self, state: State, now: float) -> None:
        self.state, self.since, self.window, self.row = state, now, now, 0
        self.eras += 1

    def probes(self, *, good: bool) -> int:
        """Count this era's probes that succeeded, or those that nothing is known of yet."""
        return sum(
            1
            for each in self.requests
            if each.era == self.eras and each.probe and (each.good if good else not known(each))
        )


def known(request: Request) -> bool:
    return request.good or request.ended


class BreakerMachine(RuleBasedStateMachine):
    """The breakers of two models beside what they should do."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.clock.rightNow = 1_790_000_000.0
        self.changes: list[tuple[Circuit, State, State]] = []
        self.breakers = CircuitBreakers(
            rules=RULES, clock=self.clock, on_change=lambda *change: self.changes.append(change)
        )
        self.expected: dict[Circuit, Expected] = {}
        self.requests: list[Request] = []

    @rule(seconds=st.sampled_from((0.5, 1, 4, 9.5, 10, 29.5, 30, 31)))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(circuit=st.sampled_from(CIRCUITS))
    def provider_is_overloaded(self, circuit: Circuit) -> None:
        for _ in range(RULES.failure_threshold):
            if self.request_comes(circuit):
                self.request_fails(0)

    @rule(circuit=st.sampled_from(CIRCUITS))
    def provider_recovers(self, circuit: Circuit) -> None:
        self.clock.advance(RULES.timeout)
        self.request_comes(circuit)

    @rule(circuit=st.sampled_from(CIRCUITS), times=st.integers(1, 3))
    def requests_come(self, circuit: Circuit, times: int) -> None:
        for _ in range(times):
            self.request_comes(circuit)

    def recent(self, which: int) -> Request:
        return self.requests[-1 - which % len(self.requests)]

    def request_comes(self, circuit: Circuit) -> bool:
        now = self.clock.seconds()
        expected = self.expected.setdefault(circuit, Expected(now))
        wait = None
        if expected.state is State.OPEN:
            left = expected.since + RULES.timeout - now
            if left > 0:
                wait = left
            else:
                expected.become(State.HALF_OPEN, now)
        probing = expected.state is State.HALF_OPEN
        taken = expected.probes(good=True) + expected.probes(good=False)
        if probing and taken >= RULES.max_requests:
            wait = 1.0

        try:
            passage = self.breakers.admit(circuit)
        except Overloaded as error:
            assert error.retry_after == wait
            return False
        assert wait is None
        request = Request(circuit=circuit, passage=passage, era=expected.eras, probe=probing)
        expected.requests.append(request)
        self.requests.append(request)
        return True

    @precondition(lambda self: self.requests)
    @rule(which=RECENT)
    def answer_begins(self, which: int) -> None:
        request = self.recent(which)
        request.passage.began()
        if request.probe and not request.ended:
            self.succeed(request)

    @precondition(lambda self: self.requests)
    @rule(which=RECENT, status=st.sampled_from((200, 400, 500)))
    def request_succeeds(self, which: int, status: int) -> None:
        request = self.recent(which)
        request.passage.answered(status)
        if not request.ended:
            self.succeed(request)
            request.ended = True

    def succeed(self, request: Request) -> None:
        expected = self.expected[request.circuit]
        if request.era != expected.eras or request.good:
            return
        request.good = True
        expected.row = 0
        if request.probe and expected.probes(good=True) >= RULES.max_requests:
            expected.become(State.CLOSED, self.clock.seconds())

    @precondition(lambda self: self.requests)
    @rule(which=RECENT)
    def request_fails(self, which: int) -> None:
        now = self.clock.seconds()
        request = self.recent(which)
        request.passage.failed()
        expected = self.expected[request.circuit]
        if not request.ended and request.era == expected.eras:
            if now - expected.window >= RULES.interval:
                expected.window, expected.row = now, 0
            expected.row += 1
            if request.probe or expected.row >= RULES.failure_threshold:
                expected.become(State.OPEN, now)
        request.ended = True

    @precondition(lambda self: self.requests)
    @rule(which=RECENT)
    def client_leaves(self, which: int) -> None:
        request = self.recent(which)
        request.passage.abandoned()
        request.ended = True

    @invariant()
    def states_are_as_expected(self) -> None:
        seen = {each.circuit: each for each in self.breakers.states()}
        for circuit, expected in self.expected.items():
            status = seen.pop(circuit, None)
            assert (status.state if status else State.CLOSED) is expected.state
            if status is not None:
                assert status.since == expected.since
                assert status.probes == expected.probes(good=False)
        assert seen == {}

    @invariant()
    def there_are_never_more_probes_than_may_be(self) -> None:
        assert all(each.probes <= RULES.max_requests for each in self.breakers.states())

    @invariant()
    def every_change_begins_where_the_last_one_ended(self) -> None:
        states: dict[Circuit, State] = {}
        for circuit, before, after in self.changes:
            assert states.get(circuit, State.CLOSED) is before is not after
            states[circuit] = after


class AnyHistoryTests(BridgeTestCase):
    def test_breakers_do_what_the_rules_say(self) -> None:
        run_state_machine_as_test(
            BreakerMachine,
            settings=settings(
                max_examples=150, stateful_step_count=50, deadline=None, derandomize=True
            ),
        )
