"""A key that a provider throttles or refuses is left alone, and no key for longer than that."""

from __future__ import annotations

import math

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from twisted.internet.task import Clock

from bridge.domain.errors import RateLimited, UpstreamUnreachable
from bridge.policy.keyring import KeyHealth, Keyring, KeyState
from tests.support.cases import BridgeTestCase

SAYS_NOTHING = ()


def says(seconds: object) -> list[tuple[bytes, bytes]]:
    return [(b"retry-after", str(seconds).encode("ascii"))]


class KeyringCase(BridgeTestCase):
    def keyring(self, *hints: str, out_seconds: float = math.inf) -> Keyring:
        return Keyring(hints or ("a", "b", "c"), clock=self.clock, out_seconds=out_seconds)

    def states(self, keyring: Keyring) -> list[KeyState]:
        return [each.state for each in keyring.health()]


class Told:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.events: list[tuple[str, object]] = []

    def put_away(self, reason: str) -> None:
        self.events.append(("put away", reason))

    def exhausted(self, outcome: str) -> None:
        self.events.append(("exhausted", outcome))

    def tried(self, count: int) -> None:
        self.events.append(("tried", count))


class EventTests(KeyringCase):
    def setUp(self) -> None:
        super().setUp()
        self.told = Told()
        self.ring = Keyring(("a", "b"), clock=self.clock, events=self.told)

    def test_a_key_is_put_away_once(self) -> None:
        self.ring.throttled(0, SAYS_NOTHING)
        self.ring.throttled(0, SAYS_NOTHING)
        self.ring.refused(1)
        self.ring.refused(1, "forbidden")

        self.assertEqual(
            self.told.events, [("put away", "rate_limited"), ("put away", "unauthorized")]
        )

    def test_it_is_told_what_a_request_came_to(self) -> None:
        self.ring.answered(1, tries=2)
        self.ring.throttled(0, SAYS_NOTHING)
        self.ring.exhausted()
        self.ring.refused(0, "forbidden")
        self.ring.refused(1)
        self.ring.exhausted()

        self.assertEqual(
            self.told.events,
            [
                ("tried", 2),
                ("put away", "rate_limited"),
                ("exhausted", "rate_limited"),
                ("put away", "forbidden"),
                ("put away", "unauthorized"),
                ("exhausted", "auth_failed"),
            ],
        )


class PickTests(KeyringCase):
    def test_the_first_is_used_as_long_as_it_can_be(self) -> None:
        keyring = self.keyring()

        self.assertEqual([keyring.pick() for _ in range(3)], [0, 0, 0])

    def test_a_throttled_one_is_passed_over(self) -> None:
        keyring = self.keyring()

        keyring.throttled(0, SAYS_NOTHING)

        self.assertEqual(keyring.pick(), 1)

    def test_what_this_request_has_tried_is_not_tried_again(self) -> None:
        keyring = self.keyring()

        self.assertEqual(keyring.pick({0}), 1)
        self.assertEqual(keyring.pick([1, 0]), 2)
        self.assertIsNone(keyring.pick((0, 1, 2)))

    def test_a_key_that_is_usable_at_once_again_is_not_tried_again_by_the_same_request(
        self,
    ) -> None:
        keyring = self.keyring("only")
        keyring.throttled(0, says(0))

        self.assertEqual(keyring.pick(), 0)
        self.assertIsNone(keyring.pick({0}))

    def test_no_keys_are_no_key(self) -> None:
        keyring = Keyring((), clock=self.clock)

        self.assertIsNone(keyring.pick())
        self.assertIsNone(keyring.shortest_wait())
        self.assertEqual((len(keyring), keyring.health()), (0, ()))


class CoolDownTests(KeyringCase):
    def test_it_ends_exactly_when_the_provider_said(self) -> None:
        keyring = self.keyring()

        self.assertEqual(keyring.throttled(0, says(7)), 7.0)

        self.clock.advance(6.75)
        self.assertEqual(keyring.pick(), 1)
        self.clock.advance(0.25)
        self.assertEqual(keyring.pick(), 0)

    def test_it_is_a_minute_where_nothing_can_be_read(self) -> None:
        keyring = self.keyring()

        self.assertEqual(keyring.throttled(0, SAYS_NOTHING), 60.0)
        self.assertEqual(keyring.throttled(1, says("nan")), 60.0)
        self.assertEqual(keyring.throttled(2, says(-5)), 60.0)

    def test_it_is_an_hour_at_most(self) -> None:
        keyring = self.keyring()

        self.assertEqual(keyring.throttled(0, says(365 * 86400)), 3600.0)
        self.assertEqual(keyring.throttled(1, says("1e999")), 3600.0)

    def test_a_longer_one_that_runs_already_stays(self) -> None:
        keyring = self.keyring()
        keyring.throttled(0, says(100))

        self.assertEqual(keyring.throttled(0, says(5)), 100.0)
        self.clock.advance(50)
        self.assertEqual(keyring.throttled(0, says(60)), 60.0)

    def test_an_answer_that_was_on_its_way_does_not_shorten_it(self) -> None:
        keyring = self.keyring()
        keyring.throttled(0, says(5))

        keyring.answered(0)

        self.assertEqual(keyring.pick(), 1)

    def test_a_clock_that_is_set_back_prolongs_it_at_most_once(self) -> None:
        keyring = self.keyring()
        keyring.throttled(0, says(5))
        self.clock.advance(3)
        self.clock.rightNow -= 86400

        self.assertEqual(keyring.pick(), 1)
        self.assertLessEqual(keyring.health()[0].since, self.clock.seconds())
        self.clock.advance(5)
        self.assertEqual(keyring.pick(), 0)

    def test_a_clock_that_is_set_back_does_not_bring_an_old_one_back(self) -> None:
        keyring = self.keyring()
        keyring.throttled(0, says(5))
        self.clock.advance(5)
        keyring.pick()

        self.clock.rightNow -= 3

        self.assertEqual(keyring.pick(), 0)

    def test_a_clock_that_is_set_back_leaves_good_keys_good(self) -> None:
        keyring = self.keyring()

        self.clock.rightNow -= 86400

        self.assertEqual(self.states(keyring), [KeyState.OK] * 3)
        self.assertLessEqual(keyring.health()[0].since, self.clock.seconds())


class RefusedTests(KeyringCase):
    def test_it_is_out_for_as_long_as_we_live(self) -> None:
        keyring = self.keyring()
        keyring.refused(0)

        self.clock.advance(10 * 365 * 86400)

        self.assertEqual(keyring.pick(), 1)

    def test_neither_an_answer_nor_a_cool_down_brings_it_back(self) -> None:
        keyring = self.keyring()
        keyring.refused(0)

        keyring.answered(0)
        keyring.throttled(0, says(1))
        self.clock.advance(2)

        self.assertEqual(keyring.pick(), 1)

    def test_it_may_be_tried_again_after_a_while_where_that_is_wanted(self) -> None:
        keyring = self.keyring(out_seconds=60)
        keyring.refused(0)

        self.assertEqual(self.states(keyring)[0], KeyState.OUT)
        self.clock.advance(60)

        self.assertEqual((keyring.pick(), self.states(keyring)[0]), (0, KeyState.OK))

    def test_twenty_dead_keys_are_no_key_and_no_wait(self) -> None:
        keyring = self.keyring(*(str(n) for n in range(20)))

        for index in range(20):
            keyring.refused(index)

        self.assertIsNone(keyring.pick())
        self.assertIsNone(keyring.shortest_wait())


class ExhaustedTests(KeyringCase):
    def test_the_shortest_wait_is_that_of_the_key_that_comes_back_first(self) -> None:
        keyring = self.keyring()
        keyring.throttled(0, says(50))
        keyring.throttled(1, says(20))
        keyring.refused(2)
        self.clock.advance(5)

        self.assertEqual(keyring.shortest_wait(), 15.0)

    def test_there_is_no_wait_while_one_is_usable(self) -> None:
        keyring = self.keyring()
        keyring.throttled(0, says(50))

        self.assertEqual(keyring.shortest_wait(), 0.0)

    def test_a_client_hears_when_to_come_again(self) -> None:
        keyring = self.keyring("a", "b")
        keyring.throttled(0, says(50))
        keyring.refused(1)

        error = keyring.exhausted()

        self.assertIsInstance(error, RateLimited)
        self.assertEqual((error.status, error.retry_after), (429, 50.0))

    def test_a_client_hears_that_waiting_is_of_no_use(self) -> None:
        keyring = self.keyring("a", "b")
        keyring.refused(0)
        keyring.refused(1)

        error = keyring.exhausted()

        self.assertIsInstance(error, UpstreamUnreachable)
        self.assertEqual((error.status, error.retry_after), (502, None))

    def test_a_client_hears_nothing_of_the_keys(self) -> None:
        keyring = self.keyring("sk-a...efgh")
        keyring.throttled(0, SAYS_NOTHING)
        throttled = keyring.exhausted().message
        keyring.refused(0)

        self.assertNotIn("sk-a", throttled + keyring.exhausted().message)


class HealthTests(KeyringCase):
    def test_an_operator_sees_every_key_and_since_when(self) -> None:
        keyring = self.keyring("a", "b", "c")
        start = self.clock.seconds()
        self.clock.advance(10)
        keyring.answered(0)
        keyring.throttled(1, says(30))
        keyring.refused(2)
        self.clock.advance(10)

        self.assertEqual(
            keyring.health(),
            (
                KeyHealth(
                    hint="a",
                    state=KeyState.OK,
                    since=start,
                    seconds_left=0.0,
                    answered_at=start + 10,
                ),
                KeyHealth(
                    hint="b",
                    state=KeyState.COOLING,
                    since=start + 10,
                    seconds_left=20.0,
                    answered_at=None,
                ),
                KeyHealth(
                    hint="c",
                    state=KeyState.OUT,
                    since=start + 10,
                    seconds_left=None,
                    answered_at=None,
                ),
            ),
        )

    def test_a_key_that_came_back_is_ok_since_then(self) -> None:
        keyring = self.keyring()
        keyring.throttled(0, says(30))
        back = self.clock.seconds() + 30
        self.clock.advance(100)

        self.assertEqual(keyring.health()[0].since, back)

    def test_a_state_that_is_confirmed_began_when_it_began(self) -> None:
        keyring = self.keyring()
        start = self.clock.seconds()
        keyring.throttled(0, says(30))
        keyring.refused(1)
        self.clock.advance(10)
        keyring.throttled(0, says(30))
        keyring.refused(1)

        self.assertEqual([each.since for each in keyring.health()[:2]], [start, start])

    def test_a_cooling_key_that_is_refused_is_out_since_then(self) -> None:
        keyring = self.keyring()
        keyring.throttled(0, says(30))
        self.clock.advance(10)
        keyring.refused(0)

        health = keyring.health()[0]

        self.assertEqual((health.state, health.since), (KeyState.OUT, self.clock.seconds()))


COUNT = 4
PLACES = st.integers(0, COUNT - 1)


class KeyringMachine(RuleBasedStateMachine):
    """The keyring beside what it should do: for each key the moment from which it is good."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.clock.rightNow = 1_790_000_000.0
        self.keyring = Keyring([str(n) for n in range(COUNT)], clock=self.clock)
        self.good_from = [self.clock.seconds()] * COUNT

    @rule(seconds=st.sampled_from((0.25, 1, 5, 59, 60, 61, 3600)))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(index=PLACES, asked=st.sampled_from((0, 1, 5, 61, 3601, 10**9)))
    def provider_throttles(self, index: int, asked: int) -> None:
        self.keyring.throttled(index, says(asked))
        self.cools(index, min(asked, 3600))

    @rule(index=PLACES, headers=st.sampled_from(((), says("soon"), says(-1))))
    def provider_throttles_without_a_word(
        self, index: int, headers: list[tuple[bytes, bytes]]
    ) -> None:
        self.keyring.throttled(index, headers)
        self.cools(index, 60)

    def cools(self, index: int, seconds: int) -> None:
        end = self.clock.seconds() + seconds
        self.good_from[index] = max(self.good_from[index], end)

    @rule(index=PLACES)
    def provider_refuses(self, index: int) -> None:
        self.keyring.refused(index)
        self.good_from[index] = math.inf

    @rule(index=PLACES)
    def provider_answers(self, index: int) -> None:
        self.keyring.answered(index)

    @rule(tried=st.sets(PLACES))
    def key_is_picked(self, tried: set[int]) -> None:
        now = self.clock.seconds()
        good = [n for n in range(COUNT) if self.good_from[n] <= now and n not in tried]
        assert self.keyring.pick(tried) == (good[0] if good else None)

    @invariant()
    def the_wait_is_the_shortest(self) -> None:
        wait = max(0.0, min(self.good_from) - self.clock.seconds())
        assert self.keyring.shortest_wait() == (None if wait == math.inf else wait)

    @invariant()
    def the_health_is_the_truth(self) -> None:
        now = self.clock.seconds()
        for good_from, health in zip(self.good_from, self.keyring.health(), strict=True):
            if good_from == math.inf:
                assert (health.state, health.seconds_left) == (KeyState.OUT, None)
            elif good_from > now:
                assert (health.state, health.seconds_left) == (KeyState.COOLING, good_from - now)
            else:
                assert (health.state, health.seconds_left) == (KeyState.OK, 0.0)
            assert health.since <= now


class AnyHistoryTests(BridgeTestCase):
    def test_no_key_is_used_before_its_time_nor_left_alone_after_it(self) -> None:
        run_state_machine_as_test(
            KeyringMachine,
            settings=settings(
                max_examples=100, stateful_step_count=40, deadline=None, derandomize=True
            ),
        )
