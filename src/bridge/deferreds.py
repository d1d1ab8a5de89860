"""Small tools for Deferreds: shielding, time limits, background work with a name."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import structlog
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

T = TypeVar("T")

_log = structlog.get_logger("bridge.background")


def shielded(work: Deferred[T]) -> Deferred[T]:
    """Return a Deferred with `work`'s result whose cancellation only detaches the waiter."""
    detached = False

    def detach(_: Deferred[T]) -> None:
        nonlocal detached
        detached = True

    outer: Deferred[T] = Deferred(detach)

    def settle(result: T | Failure) -> None:
        if not detached:
            outer.callback(result)

    work.addBoth(settle)
    return outer


def limited(
    work: Deferred[T], seconds: float, clock: IReactorTime, error: Callable[[], Exception]
) -> Deferred[T]:
    """Cancel `work` after `seconds`, and fail with `error()` whatever it makes of that."""

    def as_error(value: object, _: float) -> Any:
        # Called only when the time was up. twisted.web wraps the CancelledError in its own errors.
        if isinstance(value, Failure):
            raise error()
        return value

    return work.addTimeout(seconds, clock, as_error)


def run_in_background(name: str, work: Coroutine[Any, Any, object]) -> Deferred[object]:
    """Start `work`; a failure is logged under `name` and goes nowhere else."""

    def failed(failure: Failure) -> None:
        if failure.check(CancelledError) is None:
            _log.error("background work failed", work=name, exc_info=failure.value)

    return Deferred.fromCoroutine(work).addErrback(failed)
