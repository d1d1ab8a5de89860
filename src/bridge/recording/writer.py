"""The writer: reads behind all journals below one root and sends their records to the store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from structlog.typing import FilteringBoundLogger
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall

from bridge.deferreds import limited, run_in_background
from bridge.domain.errors import Unavailable
from bridge.journal.directory import WRITER_LOCK_NAME, Checkpoint, Claim, directories, try_lock
from bridge.journal.files import private_directory
from bridge.journal.format import DamagedLine, JournalLine
from bridge.journal.reader import Batch
from bridge.journal.thread import DiskThread, InThread
from bridge.recording.quarantine import Quarantine
from bridge.recording.writer_batches import Batches, Stopped, Transactions, WriteBatch
from bridge.recording.writer_directories import (
    Directories,
    Followed,
    backlog,
    end_of,
    purge_segments,
    reached,
)
from bridge.store.errors import StoreUnavailable

BATCH_RECORDS = 1000
BATCH_BYTES = 1 << 20
BATCH_SECONDS = 0.25
"""How long records gather before they are sent, whoever wrote them; a request that comes while a
batch is made waits for it, so there are few of them."""
BATCH_APPENDS = 200
"""So many of this process' own are sent without waiting for that."""
LEFT_SECONDS = 0.05
"""How long little of what a batch has left may gather more."""
MUCH_BYTES = 1 << 17
"""With more than this waiting the next batch is sent at once."""
TIDY_SECONDS = 30.0
LOCK_SECONDS = 30.0
"""How often it is tried to become the writer while another process is."""
TROUBLE_SECONDS = 1.0
"""After a fault of the disk or our own."""
FLUSH_SECONDS = 10.0
KEEP_SECONDS = 86400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterStatus:
    """How far the store is behind the journals."""

    writing: bool
    """Whether this process is the one that writes."""
    behind_records: int
    """Counts the heads of segments too."""
    behind_bytes: int
    oldest_unsent_at: datetime | None
    problem: str | None
    """Why nothing is being stored; None when it is."""
    quarantined: int
    """Lines put aside and still there."""
    outdated: int
    """Records since the start that were older than the retention, so not stored."""


@dataclass(slots=True, eq=False)
class _Flush:
    """Somebody who waits until what there was is stored."""

    targets: dict[Path, Checkpoint]
    over: Deferred[None]


class Writer:
    """Follows every journal; only the process that holds the lock stores."""

    def __init__(
        self,
        *,
        journal_root: Path,
        pool: Transactions,
        write_batch: WriteBatch,
        reactor: Any,
        log: FilteringBoundLogger,
        cutoff: Callable[[], datetime | None],
        keep_seconds: float = KEEP_SECONDS,
        in_thread: InThread | None = None,
    ) -> None:
        """Keep the collaborators; nothing starts yet.

        Args:
            journal_root: holds the directories of all processes.
            pool: where transactions run; not owned.
            write_batch: stores lines; what is there already stays as it is.
            reactor: time (IReactorTime) and, unless `in_thread` is given, threads.
            log: bound logger.
            cutoff: gives the moment before which records are not stored any more; None stores all.
            keep_seconds: how long stored segments of a process that is gone stay, for a replay.
            in_thread: runs what reads much of the disk; None makes a thread.
        """
        self._root = journal_root
        self._reactor = reactor
        self._log = log
        self._cutoff = cutoff
        private_directory(journal_root)
        self._quarantine = Quarantine(root=journal_root, clock=reactor)
        self._batches = Batches(pool=pool, write_batch=write_batch, reactor=reactor, log=log)
        self._thread: DiskThread | None = None
        self._directories = Directories(
            root=journal_root,
            keep_seconds=keep_seconds,
            reactor=reactor,
            in_thread=in_thread or self._own_thread,
            log=log,
        )
        self._lock: Claim | None = None
        self._refused_lock = False
        self._tidied_at = float("-inf")
        self._unsaved: str | None = None
        self._trouble: str | None = None
        self._stopping = False
        self._running: Deferred[object] | None = None
        self._sleeping: tuple[IDelayedCall, Deferred[None]] | None = None
        self._sleeps_soundly = False
        self._appended = 0
        self._left = False
        self._flushes: list[_Flush] = []
        self._outdated = 0
        self._on_disk: Callable[[], Deferred[None]] | None = None
        self._own: Path | None = None

    def store_after(self, on_disk: Callable[[], Deferred[None]]) -> None:
        """Store nothing that a power cut could still take from the journal.

        The store would know of an interception whose end nobody could write any more.

        Args:
            on_disk: fires when what this process has appended is on disk.
        """
        self._on_disk = on_disk

    def force_others_to_disk(self, own: Path) -> None:
        """Likewise of what other processes that live append; `own` is this one's directory."""
        self._own = own

    def start(self) -> None:
        """Start to follow and to store."""
        if self._running is None:
            self._running = run_in_background("journal writer", self._run())

    async def stop(self) -> None:
        """Store no more: a transaction under way ends, the rest stays in the journal."""
        self._stopping = True
        self._batches.stop()
        self._wake()
        running, self._running = self._running, None
        if running is not None:
            await running
        for flush in list(self._flushes):
            self._fail_flush(flush)
        self._directories.close()
        if self._lock is not None:
            self._lock.release()
            self._lock = None
        if self._thread is not None:
            self._thread.stop()
            self._thread = None

    def notify(self) -> None:
        """Note that something was appended; with BATCH_APPENDS a batch is sent at once."""
        self._appended += 1
        if self._many and not self._sleeps_soundly:
            self._wake()

    async def flush(self, *, limit_seconds: float = FLUSH_SECONDS) -> None:
        """Return when everything that is in the journals now is stored, by whichever process.

        Raises:
            StoreUnavailable: it is not within `limit_seconds`.
        """
        flush = _Flush({each: end_of(each) for each in directories(self._root)}, Deferred())
        self._flushes.append(flush)
        self._wake()
        try:
            await limited(flush.over, limit_seconds, self._reactor, self._not_flushed)
        finally:
            if flush in self._flushes:
                self._flushes.remove(flush)

    async def purge(self, cutoff: datetime) -> int:
        """Delete what is kept of before `cutoff`: quarantined lines, and segments already stored.

        Returns:
            How many quarantined lines are gone.
        """
        purge_segments(self._root, cutoff)
        return self._quarantine.purge(cutoff)

    def status(self) -> WriterStatus:
        """Return how far the store is behind; reads a little from the disk."""
        records, size, oldest = backlog(self._root)
        return WriterStatus(
            writing=self._lock is not None,
            behind_records=records,
            behind_bytes=size,
            oldest_unsent_at=oldest,
            problem=self._problem,
            quarantined=self._quarantine.count,
            outdated=self._outdated,
        )

    @property
    def _many(self) -> bool:
        return self._appended >= BATCH_APPENDS

    @property
    def _problem(self) -> str | None:
        return self._batches.problem or self._trouble or self._unsaved

    async def _run(self) -> None:
        while not self._stopping:
            if not self._locked():
                self._settle_flushes()
                await self._sleep(BATCH_SECONDS if self._flushes else LOCK_SECONDS, soundly=True)
                continue
            try:
                if self._due_to_tidy():
                    await self._directories.tidy()
                much = await self._round()
            except Stopped:
                return
            except CancelledError:
                raise
            except Exception as e:  # noqa: BLE001  # records must go on being stored
                # What was read and not stored is read again.
                self._directories.rewind()
                if self._trouble is None:
                    self._log.exception("journal not stored")
                self._trouble = f"{type(e).__name__}: {e}"
                await self._sleep(TROUBLE_SECONDS, soundly=True)
                continue
            self._trouble = None
            self._settle_flushes()
            if much or self._flushes or self._many:
                await self._sleep(0.0)
            else:
                await self._sleep(LEFT_SECONDS if self._left else BATCH_SECONDS)

    async def _round(self) -> bool:
        """Send a batch of every journal, and return whether much is left."""
        self._appended, self._left = 0, False
        much = False
        for followed in self._directories.all():
            batch = followed.tail.read(max_records=BATCH_RECORDS, piece_bytes=BATCH_BYTES)
            await self._send(followed, batch)
            if not batch.caught_up:
                remaining = followed.tail.remaining()
                much = much or remaining > MUCH_BYTES
                self._left = self._left or remaining > 0
        return much

    async def _send(self, followed: Followed, batch: Batch) -> None:
        name = followed.directory.name
        for damaged in batch.damaged:
            self._put_aside(damaged, name, damaged.reason)
        lines = self._current(batch.lines)
        if lines:
            await self._forced_to_disk(followed)
            await self._batches.store(
                lines, lambda line, reason: self._put_aside(line, name, reason)
            )
        if batch.end == followed.stored:
            return
        try:
            followed.save(batch.end)
            self._unsaved = None
        except OSError as e:
            if self._unsaved is None:
                self._log.error("checkpoint not written", journal=name, error=str(e))
            self._unsaved = f"the journal's checkpoint cannot be written: {e.strerror}"

    async def _forced_to_disk(self, followed: Followed) -> None:
        if self._on_disk is None:
            return
        try:
            if self._own is None or followed.directory == self._own:
                await self._on_disk()
            else:
                await self._own_thread(followed.tail.sync)
        except (Unavailable, OSError):
            return  # a disk that fails is no place to wait for: the store is the safer one now

    def _current(self, lines: tuple[JournalLine, ...]) -> tuple[JournalLine, ...]:
        """Return those that the retention does not forbid; whole days, as it drops them."""
        cutoff = self._cutoff()
        if cutoff is None:
            return lines
        day = cutoff.date()
        current = tuple(line for line in lines if line.day >= day)
        if len(current) < len(lines) and not self._outdated:
            # Rightly so after a long time without the database; or this machine's clock is behind.
            self._log.warning(
                "records older than the retention are not stored",
                oldest_day=min(line.day for line in lines).isoformat(),
                kept_since=day.isoformat(),
            )
        self._outdated += len(lines) - len(current)
        return current

    def _put_aside(self, line: JournalLine | DamagedLine, name: str, reason: str) -> None:
        if self._quarantine.put(line, directory=name, reason=reason):
            self._log.error(
                "journal line quarantined",
                journal=name,
                segment=line.segment,
                end_offset=line.end_offset,
                reason=reason,
            )

    def _locked(self) -> bool:
        if self._lock is None:
            self._lock = try_lock(self._root / WRITER_LOCK_NAME)
            if self._lock is not None:
                self._log.info("journal writer works", journal=str(self._root))
            elif not self._refused_lock:
                self._refused_lock = True
                self._log.info("another process writes this journal to the store")
        return self._lock is not None

    def _due_to_tidy(self) -> bool:
        now = self._reactor.seconds()
        if 0 <= now - self._tidied_at < TIDY_SECONDS:
            return False
        self._tidied_at = now
        return True

    def _settle_flushes(self) -> None:
        for flush in list(self._flushes):
            flush.targets = {
                directory: target
                for directory, target in flush.targets.items()
                if not reached(directory, target)
            }
            if not flush.targets:
                self._flushes.remove(flush)
                flush.over.callback(None)

    def _fail_flush(self, flush: _Flush) -> None:
        self._flushes.remove(flush)
        flush.over.errback(self._not_flushed())

    def _not_flushed(self) -> StoreUnavailable:
        reason = self._problem or "it takes too long"
        return StoreUnavailable(f"Records wait in the journal, they are not stored: {reason}")

    def _own_thread(self, work: Callable[[], None]) -> Deferred[None]:
        if self._thread is None:
            self._thread = DiskThread(reactor=self._reactor)
        return self._thread.run(work)

    async def _sleep(self, seconds: float, *, soundly: bool = False) -> None:
        """Wait; unless `soundly`, BATCH_APPENDS shorten it."""
        if self._stopping:
            return
        over: Deferred[None] = Deferred()
        self._sleeps_soundly = soundly
        self._sleeping = (self._reactor.callLater(seconds, self._wake_up), over)
        await over

    def _wake_up(self) -> None:
        if self._sleeping is not None:
            over = self._sleeping[1]
            self._sleeping = None
            over.callback(None)

    def _wake(self) -> None:
        """End the wait now, but not within the caller's turn."""
        if self._sleeping is not None:
            self._sleeping[0].reset(0)
