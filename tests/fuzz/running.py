"""Runs a target for a time, or for so many executions, from a seed."""

from __future__ import annotations

import time
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.fuzz.targets import STRATEGIES, Target

_ROUND = 200
_STEPS = 20


def fuzz(target: Target, *, seconds: float, number: int) -> tuple[int, int]:
    """Run rounds of executions, the first from the seed `number`, until the time is over.

    Returns:
        How many executions there were, and the seed of the last round.

    Raises:
        Exception: what the target's property raised; hypothesis has printed the example.
    """
    deadline = time.monotonic() + seconds
    count = 0
    while True:
        count += once(target, executions=_ROUND, number=number)
        if time.monotonic() >= deadline:
            return count, number
        number += 1


def once(target: Target, *, executions: int, number: int) -> int:
    """Run one round from the seed `number`, and return how many executions it took."""
    counted = [0]
    chosen = settings(
        max_examples=executions,
        stateful_step_count=_STEPS,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    if target.machine is not None:
        counting: Any = type(
            target.machine.__name__, (target.machine,), {"__init__": _counting(target, counted)}
        )
        _seeded_machine(counting, chosen, number)
        return counted[0]
    assert target.run is not None
    property_ = target.run

    @seed(number)
    @chosen
    @given(STRATEGIES[property_])
    def run(drawn: tuple[Any, ...]) -> None:
        counted[0] += 1
        property_(*drawn)

    run()
    return counted[0]


def _counting(target: Target, counted: list[int]) -> Any:
    def init(self: Any) -> None:
        counted[0] += 1
        target.machine.__init__(self)  # type: ignore[union-attr, misc]

    return init


def _seeded_machine(machine: Any, chosen: settings, number: int) -> None:
    machine._hypothesis_internal_use_seed = number
    run_state_machine_as_test(seed(number)(machine), settings=chosen)
