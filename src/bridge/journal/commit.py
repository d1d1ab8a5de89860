"""Group commit: what was appended is forced to disk in a thread, for many waiters at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum

from structlog.typing import FilteringBoundLogger
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from bridge.domain.errors import Unavailable
from bridge.journal.segment import Segment
from bridge.journal.thread import InThread

GROUP_SECONDS = 0.020
"""Under `group`, the longest time for which a record is not forced to disk."""
UNWAITED_SECONDS = 1.0
"""Under `before_end`, the same for records that nobody waits for."""
STUCK_SECONDS = 10.0
"""Longest wait for an fsync; then ends are withheld and requests refused until it returns."""
REMEMBERED_BYTES = 16 << 20
"""What is kept in memory of what is not on disk, to write it again should an fsync fail."""
REFUSAL = "The bridge cannot write its records at the moment."
"""What a client is told."""

Write = Callable[[Sequence[bytes]], None]


class Fsync(StrEnum):
    """When records are forced to disk."""

    BEFORE_END = "before_end"
    """Whoever asks for durability waits for it."""
    GROUP = "group"
    """Soon; nobody waits."""
    NEVER = "never"
    """When the system likes."""


class GroupCommit:
    """One fsync at a time; whoever asks while it runs shares the next."""

    def __init__(
        self,
        *,
        fsync: Fsync,
        in_thread: InThread,
        reactor: IReactorTime,
        write_again: Write,
        log: FilteringBoundLogger,
    ) -> None:
        """Commit with `in_thread`.

        Args:
            fsync: when.
            in_thread: runs an fsync and fires when it is done.
            reactor: for the time of what nobody waits for.
            write_again: writes lines into a new segment after an fsync failed; raises OSError.
            log: bound logger.
        """
        self._fsync = fsync
        self._in_thread = in_thread
        self._reactor = reactor
        self._write_again = write_again
        self._log = log
        self._dirty: list[Segment] = []
        self._ended: list[Segment] = []
        self._lines: list[bytes] = []
        self._remembered = 0
        self._forgot = False
        self._waiters: list[Deferred[None]] = []
        self._served: list[Deferred[None]] = []
        self._syncing: list[Segment] = []
        self._idle: Deferred[None] | None = None
        self._timer: IDelayedCall | None = None
        self._closing = False
        self.problem: str | None = None
        """What keeps records from being forced to disk; set until an fsync succeeds again."""
        self.doubt: str | None = None
        """What may not survive a power cut although it was accepted; stays until the restart."""

    def wrote(self, segment: Segment, data: bytes) -> None:
        """Note that `data` was appended to `segment`."""
        if self._fsync is Fsync.NEVER:
            return
        if not self._dirty or self._dirty[-1] is not segment:
            self._dirty.append(segment)
        if self._remembered + len(data) <= REMEMBERED_BYTES:
            self._lines.append(data)
            self._remembered += len(data)
        else:
            self._forgot = True
        if self._timer is None:
            self._arm()

    def ended(self, segment: Segment) -> None:
        """Note that nothing more is written to `segment`, and close it as soon as may be."""
        self._ended.append(segment)
        self._close_ended()

    def durable(self) -> Deferred[None]:
        """Fire when what was appended so far is on disk; at once unless ends wait for that.

        The Deferred fails with Unavailable when it cannot be forced to disk.
        """
        return self.on_disk() if self._fsync is Fsync.BEFORE_END else succeed(None)

    def on_disk(self) -> Deferred[None]:
        """Fire when what was appended so far is on disk, at once when it is never forced there.

        The Deferred fails with Unavailable when it cannot be forced to disk.
        """
        if not self._dirty and not self._syncing and self.problem is None:
            return succeed(None)
        waiter: Deferred[None] = Deferred(self._leave)
        self._waiters.append(waiter)
        if self.problem is not None:
            self._refuse()
        else:
            self._begin()
        return waiter

    def retry(self) -> None:
        """Try again after a problem: in a new segment, because the old one tells nothing."""
        if self.problem is not None and self._idle is None and self._save():
            self._begin()

    async def close(self) -> None:
        """Force the rest to disk and close the files; nothing is appended any more."""
        self._closing = True
        self._disarm()
        if self._dirty and self.problem is None:
            self._begin()
        if self._idle is not None:
            await self._idle
        self._refuse()
        self._dirty = []
        self._close_ended()

    def _begin(self) -> None:
        """Begin to commit; what is asked for meanwhile is seen to by the same run."""
        if self._idle is not None:
            return
        self._idle = Deferred()

        def over(result: object) -> None:
            idle, self._idle = self._idle, None
            if isinstance(result, Failure):
                self._log.error("journal commit broke", exc_info=result.value)
                self._fail("internal error")
            if self._dirty and not self._closing:
                self._arm()
            if idle is not None:
                idle.callback(None)

        Deferred.fromCoroutine(self._run()).addBoth(over)

    async def _run(self) -> None:
        """Commit once, and on as long as somebody waits."""
        failures = 0
        while self._dirty:
            self._syncing, self._dirty = self._dirty, []
            lines, self._lines, self._remembered = self._lines, [], 0
            forgot, self._forgot = self._forgot, False
            self._served, self._waiters = self._waiters, []
            watch = self._reactor.callLater(STUCK_SECONDS, self._stuck)
            try:
                await self._in_thread(self._sync)
            except CancelledError:
                raise
            except Exception as e:  # noqa: BLE001  # whatever it was, nothing is known to be on disk
                failures += 1
                self._lines[:0] = lines
                self._waiters[:0] = self._served
                self._served = []
                self._forgot = self._forgot or forgot
                self._syncing = []
                self._log.error(
                    "journal could not be forced to disk", error=str(e), lines=len(self._lines)
                )
                if failures > 1 or not self._save():
                    self._fail(str(e))
                    return
                continue
            finally:
                if watch.active():
                    watch.cancel()
            failures = 0
            self._done()
            if not self._waiters and not self._closing:
                return

    def _done(self) -> None:
        """Tell those who waited for the fsync that has just come back."""
        self._syncing = []
        self._close_ended()
        if self.problem is not None:
            self.problem = None
            self._log.info("journal is forced to disk again")
        if not self._dirty:
            # Who came meanwhile asked for what this one has done.
            self._served += self._waiters
            self._waiters = []
        served, self._served = self._served, []
        for waiter in served:
            if not waiter.called:  # it may have been cancelled while the disk was busy
                waiter.callback(None)

    def _sync(self) -> None:
        for segment in self._syncing:
            segment.sync()

    def _save(self) -> bool:
        """Write what is not known to be on disk into a new segment; False when that fails too."""
        if self._forgot:
            self.doubt = "some records may not survive a power cut: the disk failed under them"
        lines, self._lines, self._remembered = self._lines, [], 0
        self._dirty, self._forgot = [], False
        try:
            self._write_again(lines)
        except OSError as e:
            self._lines = lines
            self._remembered = sum(map(len, lines))
            self._fail(str(e))
            return False
        finally:
            self._close_ended()
        return True

    def _stuck(self) -> None:
        self._log.error("journal's disk does not answer", seconds=STUCK_SECONDS)
        self._fail(f"the disk has not answered for {STUCK_SECONDS:.0f} s")

    def _fail(self, reason: str) -> None:
        self.problem = f"records cannot be forced to disk: {reason}"
        self._refuse()

    def _refuse(self) -> None:
        waiters = [*self._served, *self._waiters]
        self._served, self._waiters = [], []
        for waiter in waiters:
            if not waiter.called:
                waiter.errback(Unavailable(REFUSAL))

    def _leave(self, waiter: Deferred[None]) -> None:
        if waiter in self._waiters:
            self._waiters.remove(waiter)

    def _close_ended(self) -> None:
        in_use = {*self._dirty, *self._syncing}
        for segment in self._ended:
            if segment not in in_use:
                segment.close()
        self._ended = [segment for segment in self._ended if segment in in_use]

    def _arm(self) -> None:
        if self._timer is None and self._idle is None and not self._closing:
            seconds = GROUP_SECONDS if self._fsync is Fsync.GROUP else UNWAITED_SECONDS
            self._timer = self._reactor.callLater(seconds, self._due)

    def _due(self) -> None:
        # Perhaps set by a write that is on disk long since: then it is early, or for nothing.
        self._timer = None
        if self._dirty and self.problem is None:
            self._begin()

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
