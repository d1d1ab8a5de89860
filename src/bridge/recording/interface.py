"""What a recorder works with: where records are safe, where they are said, and what counts them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from twisted.internet.defer import Deferred

from bridge.domain.interception import Interception, ToolResult
from bridge.domain.records import Record


class Journal(Protocol):
    """Where records are safe."""

    def append(self, records: Sequence[Record], *, final: bool = False) -> bool:
        """Write `records`, and say whether something in them had to be replaced to be kept.

        Raises Unavailable. `final` may use the space kept for ends.
        """

    def durable(self) -> Deferred[None]:
        """Fire when everything appended so far is as safe as the configuration asks."""


class RecordLog(Protocol):
    """Where records are also written as log lines."""

    def write(self, record: Record, interception: Interception) -> None:
        """Write `record`, which belongs to `interception`."""


class Tally(Protocol):
    """What counts the records of one interception."""

    def add(self, records: Sequence[Record]) -> None:
        """Count `records`, which are written down; never raises."""


class Counting(Protocol):
    """What makes metrics of records."""

    def begin(
        self, interception: Interception, *, prompted: bool, results: Sequence[ToolResult] = ()
    ) -> Tally:
        """Return what counts the records of an accepted interception."""
