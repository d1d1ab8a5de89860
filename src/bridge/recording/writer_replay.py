"""Replay: what the journals still hold is sent to the store again, after that was set back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from bridge.domain.clock import utc
from bridge.journal.directory import directories, segment_path, segments
from bridge.journal.format import SEGMENT_OPENED, JournalLine, moment_of
from bridge.journal.reader import lines_of
from bridge.recording.writer import BATCH_BYTES, BATCH_RECORDS
from bridge.recording.writer_batches import Transactions, WriteBatch
from bridge.store.errors import StoreError, StoreUnavailable


@dataclass(slots=True, kw_only=True)
class Replayed:
    """What a replay did."""

    since: datetime
    records: int = 0
    """Sent, whether the store had them already or not."""
    refused: int = 0
    """Of those, the ones that the store does not take."""
    outdated: int = 0
    """Not sent, because the retention has passed."""
    damaged: int = 0
    """Lines that cannot be read."""
    reason: str | None = None
    """Why the first of the refused was."""


async def replay(
    *,
    root: Path,
    since: datetime,
    cutoff: datetime | None,
    pool: Transactions,
    write_batch: WriteBatch,
    reactor: IReactorTime,
) -> Replayed:
    """Send every record from `since` on that is in the journals; what is stored stays as it is.

    Args:
        root: of the journals; only read.
        since: earlier records are left out.
        cutoff: records of earlier days are left out; None for none.
        pool: where transactions run.
        write_batch: stores lines.
        reactor: lets others work between batches.

    Raises:
        StoreUnavailable: the store went away; doing it all again is harmless.
    """
    outcome = Replayed(since=since)
    for batch in _batches(root, since, cutoff, outcome):
        await _send(batch, pool, write_batch, outcome)
        await deferLater(reactor, 0)
    return outcome


async def _send(
    batch: Sequence[JournalLine], pool: Transactions, write_batch: WriteBatch, outcome: Replayed
) -> None:
    try:
        await pool.transaction(lambda cursor: write_batch(cursor, batch))
    except StoreUnavailable:
        raise
    except StoreError as e:
        if len(batch) > 1:
            half = len(batch) // 2
            await _send(batch[:half], pool, write_batch, outcome)
            await _send(batch[half:], pool, write_batch, outcome)
            return
        outcome.refused += 1
        outcome.reason = outcome.reason or str(e)
    outcome.records += len(batch)


def _batches(
    root: Path, since: datetime, cutoff: datetime | None, outcome: Replayed
) -> Iterator[list[JournalLine]]:
    batch: list[JournalLine] = []
    size = 0
    for line in _lines(root, since, outcome):
        if cutoff is not None and line.day < cutoff.date():
            outcome.outdated += 1
            continue
        batch.append(line)
        size += len(line.body)
        if len(batch) >= BATCH_RECORDS or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _lines(root: Path, since: datetime, outcome: Replayed) -> Iterator[JournalLine]:
    for directory in directories(root):
        begun = False
        for number in segments(directory):
            if not _reaches(segment_path(directory, number), since):
                continue
            for line in lines_of(directory, number):
                if not isinstance(line, JournalLine):
                    outcome.damaged += 1
                elif line.kind != SEGMENT_OPENED:
                    # Lines are in the order of writing; a lost end tells of an earlier moment.
                    begun = begun or _moment(line) >= since
                    if begun:
                        yield line


def _moment(line: JournalLine) -> datetime:
    return moment_of(line) or utc(0)


def _reaches(path: Path, since: datetime) -> bool:
    """Whether the segment was written to at `since` or later."""
    try:
        return path.stat().st_mtime >= since.timestamp()
    except FileNotFoundError:
        return False
