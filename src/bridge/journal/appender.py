"""The journal of this process: what is appended here is never lost."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from structlog.typing import FilteringBoundLogger
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall

from bridge.domain.errors import Unavailable
from bridge.domain.ids import day_of
from bridge.domain.records import InterceptionEnded, InterceptionStarted, Record
from bridge.journal.commit import REFUSAL, Fsync, GroupCommit
from bridge.journal.directory import (
    RESERVE_NAME,
    Claim,
    claim_directory,
    delete_stored,
    load_checkpoint,
)
from bridge.journal.files import DiskFiles, Files, sync_directory
from bridge.journal.format import encode_body
from bridge.journal.reader import oldest_unsent, unsent_bytes
from bridge.journal.recovery import Found, lost_ends, recover
from bridge.journal.reserve import RESERVE_BYTES, Reserve
from bridge.journal.rolling import Rolling
from bridge.journal.room import Room
from bridge.journal.segment import Segment
from bridge.journal.thread import DiskThread, InThread

HOUSEKEEPING_SECONDS = 60.0
PROBE_SECONDS = 1.0
"""After a fault, how often it is looked whether the disk takes records again."""
_FRAME_BYTES = 40
"""About what a line has beside its record."""
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_TO_GO_ON_BYTES = 2 * RESERVE_BYTES
"""The reserve, and as much again for the next requests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalStatus:
    """How a journal is doing."""

    bytes: int
    """Of all journals below the root."""
    max_bytes: int
    unsent_bytes: int
    """Of this journal: not yet in the store."""
    oldest_unsent_at: datetime | None
    """When the oldest record of this journal that is not yet in the store was written."""
    accepting: bool
    """Whether new requests may begin."""
    problem: str | None
    """What an operator should know, in a sentence."""


def open_journal(
    *,
    root: Path,
    fsync: Literal["before_end", "group", "never"],
    max_bytes: int,
    segment_bytes: int,
    keep_seconds: float,
    reactor: Any,
    log: FilteringBoundLogger,
    on_append: Callable[[], None] | None = None,
    files: Files | None = None,
    in_thread: InThread | None = None,
) -> Journal:
    """Claim a directory, end what was left open in it, and return its journal, to be closed.

    Args:
        root: holds the directories of all processes; made if need be.
        fsync: when records are forced to disk.
        max_bytes: of all directories below `root`, beyond which no request may begin.
        segment_bytes: a segment that has so many is followed by a new one.
        keep_seconds: how long stored segments stay, for a replay.
        reactor: time (IReactorTime) and, unless `in_thread` is given, threads.
        log: bound logger.
        on_append: told after every append, within it; quick, and never raises.
        files: what touches the disk.
        in_thread: runs what waits for the disk; None makes a thread.

    Raises:
        OSError: the directory cannot be made, read or locked.
    """
    directory, claim = claim_directory(root)
    try:
        found = recover(directory)
        sync_directory(root)
    except BaseException:
        claim.release()
        raise
    return Journal(
        root=root,
        directory=directory,
        claim=claim,
        found=found,
        fsync=Fsync(fsync),
        max_bytes=max_bytes,
        segment_bytes=segment_bytes,
        keep_seconds=keep_seconds,
        reactor=reactor,
        log=log,
        on_append=on_append,
        files=files or DiskFiles(),
        in_thread=in_thread,
    )


class Journal:
    """Appends records to segments in a directory of its own; used on the reactor's thread only."""

    def __init__(
        self,
        *,
        root: Path,
        directory: Path,
        claim: Claim,
        found: Found,
        fsync: Fsync,
        max_bytes: int,
        segment_bytes: int,
        keep_seconds: float,
        reactor: Any,
        log: FilteringBoundLogger,
        on_append: Callable[[], None] | None,
        files: Files,
        in_thread: InThread | None,
    ) -> None:
        """Go on in `directory`, which is ours by `claim`; see `open_journal`."""
        self.directory = directory
        self._claim = claim
        self._keep_seconds = keep_seconds
        self._reactor = reactor
        self._log = log.bind(journal=directory.name)
        self._thread: DiskThread | None = None
        self._commit = GroupCommit(
            fsync=fsync,
            in_thread=in_thread or self._own_thread,
            reactor=reactor,
            write_again=self._write_again,
            log=self._log,
        )
        self._rolling = Rolling(
            directory=directory,
            next_segment=found.next_segment,
            seq=found.seq,
            segment_bytes=segment_bytes,
            files=files,
            clock=reactor,
            wrote=self._wrote,
            ended=self._commit.ended,
            log=self._log,
        )
        self._room = Room(root=root, max_bytes=max_bytes, clock=reactor)
        self._reserve = Reserve(path=directory / RESERVE_NAME, files=files)
        self._on_append = on_append
        self._problem: str | None = None
        self._probed_at = reactor.seconds()
        self._closed = False
        self._housekeeping: IDelayedCall | None = None
        self._begin(found)

    @property
    def accepting(self) -> bool:
        """Whether a new request may begin: there is room, and the disk takes records."""
        if self._closed:
            return False
        if self._problem is not None or self._commit.problem is not None:
            self._probe()
        healthy = self._problem is None and self._commit.problem is None
        return healthy and self._room.left_for_requests

    def append(self, records: Sequence[Record], *, final: bool = False) -> bool:
        """Write `records`, all of them or none; returns within microseconds.

        Args:
            records: in their order.
            final: they hold an end, which may use the space reserved for ends.

        Returns:
            Whether something in them had to be replaced, because the store could not hold it.

        Raises:
            Unavailable: they are not written.
        """
        if self._closed or (
            not final and (self._problem is not None or self._commit.problem is not None)
        ):
            raise Unavailable(REFUSAL)
        if not records:
            return False
        bodies: list[bytes] = []
        altered = False
        size = 0
        for record in records:
            body, changed = encode_body(record)
            bodies.append(body)
            size += len(body) + _FRAME_BYTES
            altered = altered or changed
        if not self._room.allows(size, beyond=RESERVE_BYTES if final else 0):
            raise Unavailable(REFUSAL)
        self._put(bodies, size, final=final)
        for record in records:
            if isinstance(record, InterceptionStarted):
                self._rolling.open[record.interception_id] = record.day
            elif isinstance(record, InterceptionEnded):
                self._rolling.open.pop(record.interception_id, None)
        if self._on_append is not None:
            self._on_append()
        return altered

    def durable(self) -> Deferred[None]:
        """Fire when everything appended so far is as safe as the configuration asks.

        The Deferred fails with Unavailable when the disk refuses.
        """
        return self._commit.durable()

    def on_disk(self) -> Deferred[None]:
        """Fire when everything appended so far would survive a power cut.

        At once under `never`. The Deferred fails with Unavailable when the disk refuses.
        """
        return self._commit.on_disk()

    def status(self) -> JournalStatus:
        """Return how it is doing; reads a little from the disk."""
        accepting = self.accepting
        self._room.measure()
        stored = load_checkpoint(self.directory)
        return JournalStatus(
            bytes=self._room.bytes,
            max_bytes=self._room.max_bytes,
            unsent_bytes=unsent_bytes(self.directory, stored),
            oldest_unsent_at=oldest_unsent(self.directory, stored),
            accepting=accepting,
            problem=self._sentence(accepting=accepting),
        )

    def begin_anew(self) -> None:
        """Begin a new segment, unless the newest holds nothing; the former one is finished.

        Raises:
            OSError: none can be begun; the newest goes on.
        """
        self._rolling.begin_if_older(0.0)

    def close(self) -> Deferred[None]:
        """Force the rest to disk and let go of the directory; what is open is lost."""
        return Deferred.fromCoroutine(self._close())

    def _begin(self, found: Found) -> None:
        """End what the previous owner left open, and take the reserve."""
        if found.cut:
            self._log.info("half a line cut off the journal's end", bytes=found.cut)
        try:
            self._reserve.fill()
        except OSError as e:
            self._fault(e)
        self._rolling.open.update({key: day_of(key) for key in found.open})
        if found.open:
            try:
                self.append(lost_ends(found, self._reactor.seconds()), final=True)
                self._log.warning("open interceptions ended as lost", count=len(found.open))
            except Unavailable:
                # They stay in the list of open ones, so the next start ends them.
                self._log.error("open interceptions not ended", count=len(found.open))
        self._housekeeping = self._reactor.callLater(HOUSEKEEPING_SECONDS, self._keep_house)

    async def _close(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._housekeeping is not None:
            self._housekeeping.cancel()
        self._rolling.finish()
        await self._commit.close()
        self._reserve.close()
        if self._thread is not None:
            self._thread.stop()
        self._claim.release()

    def _own_thread(self, work: Callable[[], None]) -> Deferred[None]:
        if self._thread is None:
            self._thread = DiskThread(reactor=self._reactor)
        return self._thread.run(work)

    def _put(self, bodies: Sequence[bytes], size: int, *, final: bool) -> None:
        """Write lines: on a fault in a new segment, for an end at last in the reserved space."""
        try:
            self._rolling.write(bodies)
            return
        except OSError as e:
            fault = e
        full = fault.errno in _FULL
        if self._problem is None:
            self._log.error("journal segment given up", error=str(fault))
        if not full or self._room.give_up_stored(size):
            try:
                self._rolling.write(bodies)
                return
            except OSError as e:
                fault = e
        self._fault(fault)
        while final and self._reserve.give_back(size):
            try:
                self._rolling.write(bodies)
                return
            except OSError as e:
                fault = e
        raise Unavailable(REFUSAL) from fault

    def _write_again(self, lines: Sequence[bytes]) -> None:
        self._rolling.write_again(lines)

    def _wrote(self, segment: Segment, data: bytes) -> None:
        self._room.bytes += len(data)
        self._commit.wrote(segment, data)

    def _fault(self, error: OSError) -> None:
        if self._problem is None:
            self._probed_at = self._reactor.seconds()
            self._log.error("journal takes no records", error=str(error))
        if error.errno in _FULL:
            self._problem = "the disk of the journal is full"
        else:
            self._problem = f"the disk of the journal fails: {error.strerror or error}"

    def _probe(self) -> None:
        """Look whether the disk takes records again; the reserve must be whole before it does.

        What is stored is given up for that: nobody asks for its room while requests are refused.
        """
        now = self._reactor.seconds()
        if 0 <= now - self._probed_at < PROBE_SECONDS:
            return
        self._probed_at = now
        self._commit.retry()
        if self._problem is None:
            return
        try:
            try:
                self._take_up()
            except OSError as e:
                if e.errno not in _FULL:
                    raise
                self._room.give_up_stored(_TO_GO_ON_BYTES)
                self._take_up()
        except OSError as e:
            self._fault(e)
        else:
            self._problem = None
            self._log.info("journal takes records again")

    def _take_up(self) -> None:
        self._reserve.fill()
        if not self._rolling.writing:
            self._rolling.begin()

    def _keep_house(self) -> None:
        """Delete what has been kept long enough; what is idle must not stay for ever."""
        self._housekeeping = self._reactor.callLater(HOUSEKEEPING_SECONDS, self._keep_house)
        now = self._reactor.seconds()
        try:
            self._rolling.begin_if_older(max(self._keep_seconds, HOUSEKEEPING_SECONDS))
        except OSError as e:
            self._log.warning("journal segment not followed by another", error=str(e))
        delete_stored(
            self.directory,
            checkpoint=load_checkpoint(self.directory),
            older_than=now - self._keep_seconds,
        )

    def _sentence(self, *, accepting: bool) -> str | None:
        found = self._problem or self._commit.problem or self._commit.doubt
        if found is None and not accepting and not self._closed:
            found = f"the journal is full: it may hold {self._room.max_bytes} bytes"
        return found
