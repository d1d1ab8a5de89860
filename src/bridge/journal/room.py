"""Room: how many bytes all journals below one root hold, and what may be given up for more."""

from __future__ import annotations

from pathlib import Path

from bridge.domain.clock import Clock
from bridge.journal.directory import bytes_in, delete_stored, directories, load_checkpoint

MEASURE_SECONDS = 2.0
"""How old a measurement may be: other processes write too, and stored segments go away."""
_MOST_HEADROOM = 4 << 20


class Room:
    """Counts our own appends exactly and everything else every few seconds."""

    def __init__(self, *, root: Path, max_bytes: int, clock: Clock) -> None:
        """Allow `max_bytes` for all directories below `root`."""
        self._root = root
        self._clock = clock
        self._headroom = min(max_bytes // 16, _MOST_HEADROOM)
        self._measured_at = float("-inf")
        self._gave_nothing_at = float("-inf")
        self.max_bytes = max_bytes
        self.bytes = 0
        """As known now."""

    @property
    def left_for_requests(self) -> bool:
        """Whether a new request may begin; the last part is left for those under way."""
        self.measure(MEASURE_SECONDS)
        return self.allows(self._headroom + 1)

    def allows(self, extra: int, *, beyond: int = 0) -> bool:
        """Return whether `extra` bytes fit, if need be after giving up what is stored.

        Args:
            extra: bytes that are about to be written.
            beyond: bytes by which they may exceed the limit.
        """
        if self.bytes + extra <= self.max_bytes + beyond:
            return True
        self.measure(MEASURE_SECONDS)
        over = self.bytes + extra - self.max_bytes - beyond
        return over <= 0 or self.give_up_stored(over)

    def measure(self, seconds: float = 0.0) -> None:
        """Look at the disk, unless that was done less than `seconds` ago."""
        now = self._clock.seconds()
        if 0 <= now - self._measured_at < seconds:
            return
        self._measured_at = now
        self.bytes = sum(map(bytes_in, directories(self._root)))

    def give_up_stored(self, wanted: int) -> bool:
        """Delete segments that are kept although they are in the store; whether that was enough.

        Looks again at the earliest MEASURE_SECONDS after a look that found nothing.
        """
        now = self._clock.seconds()
        if 0 <= now - self._gave_nothing_at < MEASURE_SECONDS:
            return False
        freed = 0
        for directory in directories(self._root):
            if freed >= wanted:
                break
            freed += delete_stored(
                directory,
                checkpoint=load_checkpoint(directory),
                older_than=None,
                enough=wanted - freed,
            )
        self.bytes -= freed
        if freed < wanted:
            self._gave_nothing_at = now
        return freed >= wanted
