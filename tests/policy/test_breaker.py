"""A model that its provider cannot serve is left alone, and looked at again by a few."""

from __future__ import annotations

from dataclasses import replace

from bridge.domain.errors import Overloaded
from bridge.policy.breaker import (
    BreakerRules,
    BreakerStatus,
    Circuit,
    CircuitBreakers,
    NoBreakers,
    Passage,
    State,
)
from tests.support.cases import BridgeTestCase

SONNET = Circuit(provider="anthropic", route="/v1/messages", model="sonnet")
HAIKU = replace(SONNET, model="haiku")
RULES = BreakerRules(failure_threshold=2, interval=10.0, timeout=30.0, max_requests=1)

CLOSED, OPEN, HALF_OPEN = State.CLOSED, State.OPEN, State.HALF_OPEN


class BreakerCase(BridgeTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.changes: list[tuple[Circuit, State, State]] = []
        self.breakers = self.made(RULES)

    def made(self, rules: BreakerRules) -> CircuitBreakers:
        return CircuitBreakers(
            rules=rules, clock=self.clock, on_change=lambda *change: self.changes.append(change)
        )

    def let(self, status: int, circuit: Circuit = SONNET) -> None:
        """Make a request that passes and is answered with `status`."""
        self.breakers.admit(circuit).answered(status)

    def trip(self, circuit: Circuit = SONNET) -> None:
        """Open the breaker of `circuit`."""
        self.let(503, circuit)
        self.let(503, circuit)

    def probes(self, count: int) -> list[Passage]:
        """Open the breaker, wait, and return `count` probes."""
        self.trip()
        self.clock.advance(30)
        return [self.breakers.admit(SONNET) for _ in range(count)]

    def rejection(self, circuit: Circuit = SONNET) -> Overloaded:
        error = self.assertRaises(Overloaded, self.breakers.admit, circuit)
        assert isinstance(error, Overloaded)
        return error

    def state(self, circuit: Circuit = SONNET) -> State:
        return next(
            (each.state for each in self.breakers.states() if each.circuit == circuit), CLOSED
        )


class ClosedTests(BreakerCase):
    def test_failures_in_a_row_open_it(self) -> None:
        self.let(429)
        self.assertEqual(self.changes, [])
        self.let(429)

        self.assertEqual(self.changes, [(SONNET, CLOSED, OPEN)])
        self.rejection()

    def test_a_success_between_them_begins_the_row_anew(self) -> None:
        self.let(503)
        self.let(200)
        self.let(503)

        self.assertEqual(self.state(), CLOSED)

    def test_overload_has_four_statuses(self) -> None:
        opened = []
        for status in (429, 503, 504, 529):
            circuit = replace(SONNET, model=str(status))
            self.let(status, circuit)
            self.let(status, circuit)
            opened.append(self.state(circuit))

        self.assertEqual(opened, [OPEN] * 4)

    def test_other_errors_are_about_the_request(self) -> None:
        for status in (500, 502, 400, 401, 403, 404):
            self.let(503)
            self.let(status)

        self.assertEqual(self.state(), CLOSED)

    def test_which_statuses_count_can_be_said(self) -> None:
        self.breakers = self.made(replace(RULES, statuses=frozenset({503})))

        self.let(429)
        self.let(429)

        self.assertEqual(self.state(), CLOSED)

    def test_failures_without_a_status_count(self) -> None:
        """No connection, a limit that fired, an overload in mid-stream: none has a status."""
        self.breakers.admit(SONNET).failed()
        self.breakers.admit(SONNET).failed()

        self.assertEqual(self.state(), OPEN)

    def test_an_overload_in_mid_stream_counts_though_the_answer_began_well(self) -> None:
        for _ in range(2):
            passage = self.breakers.admit(SONNET)
            passage.began()
            passage.failed()

        self.assertEqual(self.state(), OPEN)

    def test_a_client_that_leaves_says_nothing_about_the_provider(self) -> None:
        self.let(503)
        self.breakers.admit(SONNET).abandoned()
        self.let(503)

        self.assertEqual(self.state(), OPEN)

    def test_failures_are_forgotten_after_the_interval(self) -> None:
        self.let(503)
        self.clock.advance(10)
        self.let(503)

        self.assertEqual(self.state(), CLOSED)
        self.clock.advance(9.5)
        self.let(503)
        self.assertEqual(self.state(), OPEN)

    def test_without_an_interval_they_are_not(self) -> None:
        self.breakers = self.made(replace(RULES, interval=0.0))
        self.let(503)
        self.clock.advance(10**6)

        self.let(503)

        self.assertEqual(self.state(), OPEN)

    def test_requests_that_take_longer_than_the_interval_count_when_they_end(self) -> None:
        slow = [self.breakers.admit(SONNET) for _ in range(2)]
        self.clock.advance(600)

        for passage in slow:
            passage.failed()

        self.assertEqual(self.state(), OPEN)

    def test_one_models_failures_are_not_anothers(self) -> None:
        self.trip(SONNET)

        self.let(200, HAIKU)
        self.let(200, replace(SONNET, provider="other"))
        self.let(200, replace(SONNET, route="/v1/other"))

        self.assertEqual(len(self.breakers.states()), 1)


class OpenTests(BreakerCase):
    def test_a_rejection_says_how_long_it_is_still_open(self) -> None:
        self.trip()
        self.clock.advance(12)

        error = self.rejection()

        self.assertEqual((error.status, error.code), (503, "overloaded"))
        self.assertEqual(error.message, "circuit breaker is open")
        self.assertEqual(error.retry_after, 18.0)

    def test_each_rejection_is_told_once(self) -> None:
        rejected: list[Circuit] = []
        self.breakers = CircuitBreakers(rules=RULES, clock=self.clock, on_reject=rejected.append)
        self.trip()
        self.assertEqual(rejected, [])

        self.rejection()
        self.rejection()

        self.assertEqual(rejected, [SONNET, SONNET])

    def test_who_waits_as_long_as_told_is_let_through(self) -> None:
        self.trip()
        self.clock.advance(self.rejection().retry_after or 0)

        self.breakers.admit(SONNET)

        self.assertEqual(self.changes[-1], (SONNET, OPEN, HALF_OPEN))

    def test_results_of_requests_from_before_are_ignored(self) -> None:
        late = [self.breakers.admit(SONNET) for _ in range(3)]
        self.trip()
        self.clock.advance(20)

        late[0].failed()
        late[1].succeeded()
        late[2].abandoned()

        self.assertEqual(self.rejection().retry_after, 10.0)

    def test_a_clock_that_is_set_back_prolongs_it_at_most_once(self) -> None:
        self.trip()
        self.clock.advance(29)
        self.clock.rightNow -= 86400

        self.assertEqual(self.rejection().retry_after, 30.0)
        self.clock.advance(30)
        self.breakers.admit(SONNET)

    def test_an_operator_sees_what_is_open_and_for_how_long(self) -> None:
        self.let(200, HAIKU)
        self.trip()
        opened = self.clock.seconds()
        self.clock.advance(10)

        self.assertEqual(
            self.breakers.states(),
            (BreakerStatus(circuit=SONNET, state=OPEN, since=opened, seconds_left=20.0, probes=0),),
        )


class HalfOpenTests(BreakerCase):
    def test_a_good_probe_closes_it(self) -> None:
        (probe,) = self.probes(1)

        probe.answered(200)

        self.assertEqual(
            [change[1:] for change in self.changes],
            [(CLOSED, OPEN), (OPEN, HALF_OPEN), (HALF_OPEN, CLOSED)],
        )
        self.let(200)

    def test_a_failed_probe_opens_it_for_the_whole_time_again(self) -> None:
        (probe,) = self.probes(1)

        probe.answered(429)

        self.assertEqual(self.changes[-1], (SONNET, HALF_OPEN, OPEN))
        self.assertEqual(self.rejection().retry_after, 30.0)

    def test_of_five_at_once_two_pass_when_two_may(self) -> None:
        self.breakers = self.made(replace(RULES, max_requests=2))
        probes = self.probes(2)
        rejections = [self.rejection() for _ in range(3)]

        for probe in probes:
            probe.answered(200)

        self.assertEqual([error.retry_after for error in rejections], [1.0] * 3)
        self.assertEqual(self.state(), CLOSED)

    def test_all_probes_have_to_succeed(self) -> None:
        self.breakers = self.made(replace(RULES, max_requests=3))
        probes = self.probes(3)

        probes[0].succeeded()
        probes[1].succeeded()
        self.assertEqual(self.state(), HALF_OPEN)
        self.rejection()
        probes[2].failed()

        self.assertEqual(self.state(), OPEN)

    def test_what_other_probes_say_after_a_failure_is_ignored(self) -> None:
        self.breakers = self.made(replace(RULES, max_requests=3))
        probes = self.probes(3)

        probes[0].failed()
        probes[1].failed()
        probes[2].succeeded()

        self.assertEqual([change[2] for change in self.changes], [OPEN, HALF_OPEN, OPEN])

    def test_a_probe_whose_client_leaves_makes_room_for_another(self) -> None:
        (probe,) = self.probes(1)
        self.rejection()

        probe.abandoned()

        self.assertEqual(self.state(), HALF_OPEN)
        self.let(200)
        self.assertEqual(self.state(), CLOSED)

    def test_what_is_said_twice_counts_once(self) -> None:
        self.breakers = self.made(replace(RULES, max_requests=2))
        probe, other = self.probes(2)

        probe.abandoned()
        probe.abandoned()
        probe.failed()
        other.succeeded()
        other.succeeded()
        other.abandoned()

        self.assertEqual(self.state(), HALF_OPEN)
        self.breakers.admit(SONNET)
        self.rejection()

    def test_a_probe_that_begins_well_does_not_keep_the_others_waiting(self) -> None:
        (probe,) = self.probes(1)

        probe.began()
        probe.began()

        self.assertEqual(self.state(), CLOSED)
        probe.succeeded()
        self.assertEqual(len(self.changes), 3)

    def test_a_probe_that_begins_well_and_fails_is_a_failure(self) -> None:
        self.breakers = self.made(replace(RULES, max_requests=2))
        probe, _ = self.probes(2)

        probe.began()
        self.assertEqual(self.state(), HALF_OPEN)
        probe.failed()

        self.assertEqual(self.state(), OPEN)

    def test_a_probe_that_begins_well_and_is_left_has_succeeded(self) -> None:
        self.breakers = self.made(replace(RULES, max_requests=2))
        probe, other = self.probes(2)

        probe.began()
        probe.abandoned()
        self.assertEqual(self.breakers.states()[0].probes, 1)
        other.succeeded()

        self.assertEqual(self.state(), CLOSED)

    def test_failures_from_before_do_not_count_once_it_is_closed(self) -> None:
        late = self.breakers.admit(SONNET)
        (probe,) = self.probes(1)
        probe.succeeded()
        self.let(503)

        late.failed()

        self.assertEqual(self.state(), CLOSED)
        self.let(503)
        self.assertEqual(self.state(), OPEN)

    def test_results_of_requests_from_before_are_not_those_of_probes(self) -> None:
        late = [self.breakers.admit(SONNET) for _ in range(4)]
        self.probes(1)

        late[0].began()
        late[1].succeeded()
        late[2].failed()
        late[3].abandoned()

        self.assertEqual(self.state(), HALF_OPEN)
        self.rejection()

    def test_a_probe_that_begins_and_ends_well_has_succeeded_once(self) -> None:
        self.breakers = self.made(replace(RULES, max_requests=3))
        probe, *_ = self.probes(3)

        probe.began()
        probe.succeeded()

        (status,) = self.breakers.states()
        self.assertEqual((status.state, status.probes), (HALF_OPEN, 2))

    def test_an_operator_sees_how_many_probes_are_out(self) -> None:
        self.probes(1)

        (status,) = self.breakers.states()

        self.assertEqual((status.state, status.probes, status.seconds_left), (HALF_OPEN, 1, 0.0))


class BoundedTests(BreakerCase):
    def many(self, count: int) -> list[Circuit]:
        return [replace(SONNET, model=f"made-up-{n}") for n in range(count)]

    def test_names_that_clients_make_up_do_not_fill_the_memory(self) -> None:
        for circuit in self.many(10_100):
            self.let(200, circuit)

        self.assertEqual(len(self.breakers._closed), 10_000)

    def test_what_is_open_stays_known(self) -> None:
        self.trip()
        for circuit in self.many(10_100):
            self.let(200, circuit)

        self.rejection()

    def test_the_least_recently_used_is_forgotten_first(self) -> None:
        first, second, *others = self.many(10_001)
        for circuit in (first, second, *others[:-1]):
            self.let(503, circuit)
        self.breakers.admit(first).abandoned()

        self.let(200, others[-1])

        self.let(503, first)
        self.assertEqual(self.state(first), OPEN)
        self.let(503, second)
        self.assertEqual(self.state(second), CLOSED)

    def test_when_all_are_open_the_oldest_is_closed_and_said_to_be(self) -> None:
        circuits = self.many(10_000)
        for circuit in circuits:
            self.trip(circuit)

        self.trip(SONNET)

        self.assertEqual(len(self.breakers.states()), 10_000)
        self.assertEqual(self.changes[-2:], [(circuits[0], OPEN, CLOSED), (SONNET, CLOSED, OPEN)])

    def test_a_request_of_one_that_was_forgotten_is_heard_no_more(self) -> None:
        self.let(503)
        late = self.breakers.admit(SONNET)
        for circuit in self.many(10_000):
            self.let(200, circuit)

        late.failed()

        self.assertEqual(self.changes, [])

    def test_a_name_of_any_length_is_kept_short(self) -> None:
        circuit = replace(SONNET, model="m" * 1_000_000)

        self.trip(circuit)

        self.rejection(circuit)
        self.assertEqual(len(self.breakers.states()[0].circuit.model), 200)


class SwitchedOffTests(BridgeTestCase):
    def test_everything_passes_whatever_is_said(self) -> None:
        breakers = NoBreakers()

        for _ in range(100):
            breakers.admit(SONNET).answered(503)
            breakers.admit(SONNET).failed()
        passage = breakers.admit(SONNET)
        passage.began()
        passage.succeeded()
        passage.abandoned()

        self.assertEqual(breakers.states(), ())
