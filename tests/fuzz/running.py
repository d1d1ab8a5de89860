"""Runs a target for a time, or for so many executions, from a seed."""

from __future__ import annotations

import time
from typing import Any

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.fuzz.targets import Target

_ROUND = 200
_STEPS = 20


def fuzz(target: Target, *, seconds: float, seed: int) -> tuple[int, int]:
    """Run rounds of executions until the time is over.

    Returns:
        How many executions there were, and the seed of the last round.

    Raises:
        Exception: what the target's property raised; hypothesis has printed the example.
    """
    deadline = time.monotonic() + seconds
    count = 0
    while True:
        count += once(target, executions=_ROUND, seed=seed)
        if time.monotonic() >= deadline:
            return count, seed
        seed += 1


def once(target: Target, *, executions: int, seed: int) -> int:
    """Run one round, and return how many executions it took."""
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
        _seeded_machine(counting, chosen, seed)
        return counted[0]
    assert target.run is not None
    inner = target.run.hypothesis.inner_test  # type: ignore[attr-defined]

    def counted_run(**drawn: Any) -> None:
        counted[0] += 1
        inner(**drawn)

    _seeded(target.run, counted_run, chosen, seed)
    return counted[0]


def _counting(target: Target, counted: list[int]) -> Any:
    def init(self: Any) -> None:
        counted[0] += 1
        target.machine.__init__(self)  # type: ignore[union-attr, misc]

    return init


def _seeded_machine(machine: Any, chosen: settings, number: int) -> None:
    machine._hypothesis_internal_use_seed = number
    run_state_machine_as_test(seed(number)(machine), settings=chosen)


def _seeded(run: Any, counted_run: Any, chosen: settings, number: int) -> None:
    """Run with the inner test exchanged for one that counts, for the time."""
    inner = run.hypothesis.inner_test
    run.hypothesis.inner_test = counted_run
    try:
        seed(number)(chosen(run))()
    finally:
        run.hypothesis.inner_test = inner
