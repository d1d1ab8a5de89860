"""Base cases: synchronous tests with a clock, and helpers for coroutines."""

from __future__ import annotations

import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

T = TypeVar("T")


class BridgeTestCase(SynchronousTestCase):
    """No reactor, no network, no threads, no sleep: time moves by `self.clock.advance()`."""

    def setUp(self) -> None:
        super().setUp()
        self.clock = Clock()
        self.clock.rightNow = 1_790_000_000.0  # 2026-09-21, so that dates look like dates

    def result_of(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine that must not wait, and return its result."""
        return self.successResultOf(Deferred.fromCoroutine(coroutine))

    def failure_of(self, coroutine: Coroutine[Any, Any, object], error: type[BaseException]) -> Any:
        """Run a coroutine that must fail with `error`, and return the exception."""
        return self.failureResultOf(Deferred.fromCoroutine(coroutine), error).value

    def temporary_directory(self) -> Path:
        """Return a new empty directory that goes away with the test."""
        holder = tempfile.TemporaryDirectory(prefix="aibridge-test-")
        self.addCleanup(holder.cleanup)
        return Path(holder.name)
