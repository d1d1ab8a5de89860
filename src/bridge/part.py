"""What a process is among those of one bridge: the only one, the parent, or one of its workers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from bridge.database import Server
from bridge.demo.process import DemoAddress
from bridge.policy.shared_limits import SharedLimits
from bridge.telemetry.counts import Counts


class Journals(Protocol):
    """What is appended to somewhere."""

    def begin_anew(self) -> Awaitable[None] | None:
        """Finish the segments; what they hold can then be changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What is different from a process that is the whole bridge; by default nothing."""

    processes: int = 1
    """Among how many what there is once in a process, as memory, is divided."""
    is_worker: bool = False
    """Whether it only serves: the parent stores, follows, deletes, and runs what is run once."""
    server: Server | None = None
    """Tells a worker where the database is."""
    demo: DemoAddress | None = None
    """Where the parent runs the demo provider."""
    shared: SharedLimits | None = None
    """What all workers count for limits that hold for them together."""
    stored: Callable[[], Awaitable[None]] | None = None
    """Comes back when what all processes have written down until now is in the database."""
    journals: Journals | None = None
    """Those of the workers."""
    together: Callable[[Mapping[str, Any]], dict[str, Any]] | None = None
    """Adds to the parent's details those of its workers."""
    counts: Callable[[], Sequence[Counts]] = tuple
    """What the workers have counted, for the metrics."""
    not_ready: Callable[[], str | None] = lambda: None
    """Why no worker should get requests, in a word."""
    refreshed: Callable[[], Awaitable[None]] | None = None
    """Comes back when what the workers say is new."""
