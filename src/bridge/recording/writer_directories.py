"""The journals that the writer follows: its own process's, others', and those of nobody."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from structlog.typing import FilteringBoundLogger
from twisted.internet.interfaces import IReactorTime

from bridge.journal.adoption import adopt
from bridge.journal.directory import (
    Checkpoint,
    delete_stored,
    directories,
    load_checkpoint,
    remove_directory,
    save_checkpoint,
    segment_size,
    segments,
    try_claim,
)
from bridge.journal.files import DiskFiles
from bridge.journal.reader import Tail, last_seq, oldest_unsent, unsent_bytes
from bridge.journal.thread import InThread


class Followed:
    """One directory and how far it is stored."""

    def __init__(self, directory: Path) -> None:
        """Begin at the directory's checkpoint."""
        self.directory = directory
        self.stored = load_checkpoint(directory)
        self.tail = Tail(directory=directory, start=self.stored)
        self.adopted_at: Checkpoint | None = None
        """Its end when it was last looked at for what is open."""

    def rewind(self) -> None:
        """Go back to where it is stored."""
        self.tail.close()
        self.tail = Tail(directory=self.directory, start=self.stored)

    def save(self, stored: Checkpoint) -> None:
        """Note how far it is stored; on a full disk stored segments are given up for that.

        Raises:
            OSError: it cannot be written down; after a restart some is stored again, to no effect.
        """
        self.stored = stored
        try:
            save_checkpoint(self.directory, stored)
        except OSError:
            delete_stored(self.directory, checkpoint=stored, older_than=None)
            save_checkpoint(self.directory, stored)


class Directories:
    """All directories below the root."""

    def __init__(
        self,
        *,
        root: Path,
        keep_seconds: float,
        reactor: IReactorTime,
        in_thread: InThread,
        log: FilteringBoundLogger,
    ) -> None:
        """Follow what is below `root`.

        Args:
            root: of all journals.
            keep_seconds: how long the stored segments of an orphan stay.
            reactor: gives the time.
            in_thread: runs what reads much of the disk.
            log: bound logger.
        """
        self._root = root
        self._keep_seconds = keep_seconds
        self._reactor = reactor
        self._in_thread = in_thread
        self._log = log
        self._followed: dict[Path, Followed] = {}

    def all(self) -> Iterable[Followed]:
        """Return every directory there is now, by number."""
        found = directories(self._root)
        for gone in self._followed.keys() - set(found):
            self._followed.pop(gone).tail.close()
        for directory in found:
            if directory not in self._followed:
                self._followed[directory] = Followed(directory)
        return [self._followed[directory] for directory in found]

    def rewind(self) -> None:
        """Read again what was read and not stored."""
        for followed in self._followed.values():
            followed.rewind()

    def close(self) -> None:
        """Close all files."""
        for followed in self._followed.values():
            followed.tail.close()
        self._followed.clear()

    async def tidy(self) -> None:
        """Adopt what is nobody's: end what is open there, remove what was kept long enough."""
        for followed in self.all():
            try:
                await self._tidy(followed)
            except OSError as e:
                self._log.error(
                    "orphaned journal not tidied", journal=followed.directory.name, error=str(e)
                )

    async def _tidy(self, followed: Followed) -> None:
        directory = followed.directory
        claim = try_claim(directory)
        if claim is None:
            return  # its process lives
        try:
            if end_of(directory) != followed.adopted_at:
                await self._in_thread(lambda: self._adopt(directory))
                followed.adopted_at = end_of(directory)
            if unsent_bytes(directory, followed.stored) == 0:
                delete_stored(
                    directory,
                    checkpoint=followed.stored,
                    older_than=self._reactor.seconds() - self._keep_seconds,
                    last_too=True,
                )
                if not segments(directory) and remove_directory(directory):
                    followed.tail.close()
                    self._followed.pop(directory, None)
        finally:
            claim.release()

    def _adopt(self, directory: Path) -> None:
        lost = adopt(directory, clock=self._reactor, files=DiskFiles(), log=self._log)
        if lost:
            self._log.warning(
                "interceptions of a process that is gone ended as lost",
                journal=directory.name,
                count=lost,
            )


def end_of(directory: Path) -> Checkpoint:
    """Return the place behind everything that is in `directory` now."""
    numbers = segments(directory)
    if not numbers:
        return Checkpoint()
    return Checkpoint(segment=numbers[-1], offset=segment_size(directory, numbers[-1]))


def reached(directory: Path, target: Checkpoint) -> bool:
    """Return whether everything before `target` is in the store, or nothing is left to store."""
    stored = load_checkpoint(directory)
    if (stored.segment, stored.offset) >= (target.segment, target.offset):
        return True
    return unsent_bytes(directory, stored) == 0


def backlog(root: Path) -> tuple[int, int, datetime | None]:
    """Return lines and bytes that wait for the store, and when the oldest record was written."""
    lines, size, oldest = 0, 0, None
    for directory in directories(root):
        stored = load_checkpoint(directory)
        unsent = unsent_bytes(directory, stored)
        if not unsent:
            continue
        size += unsent
        lines += max(0, last_seq(directory) - stored.seq)
        moment = oldest_unsent(directory, stored)
        if moment is not None:
            oldest = moment if oldest is None else min(oldest, moment)
    return lines, size, oldest


def purge_segments(root: Path, cutoff: datetime) -> int:
    """Delete stored segments last written before `cutoff`; return how many bytes that gave back."""
    return sum(
        delete_stored(
            directory, checkpoint=load_checkpoint(directory), older_than=cutoff.timestamp()
        )
        for directory in directories(root)
    )
