"""Time as a value: the one place that turns reactor seconds into dates."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What gives the time; every Twisted IReactorTime does."""

    def seconds(self) -> float:
        """Return seconds since the epoch, UTC."""


def utc(seconds: float) -> datetime:
    """Return the aware UTC datetime of `seconds` since the epoch."""
    return datetime.fromtimestamp(seconds, UTC)


def milliseconds_between(start: float, end: float) -> int:
    """Return whole milliseconds from `start` to `end` (seconds), never negative."""
    return max(0, round((end - start) * 1000))
