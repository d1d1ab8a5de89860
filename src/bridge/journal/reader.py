"""Reading behind an appender: whole lines only, at any cut, from the checkpoint on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from bridge.journal.directory import (
    Checkpoint,
    load_checkpoint,
    segment_path,
    segment_size,
    segments,
)
from bridge.journal.format import (
    SEGMENT_OPENED,
    DamagedLine,
    JournalLine,
    decode_line,
    moment_of,
)

PIECE_BYTES = 1 << 20
"""The most that is read from a file in one go, on the reactor's thread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What one `Tail.read` found."""

    lines: tuple[JournalLine, ...]
    damaged: tuple[DamagedLine, ...]
    end: Checkpoint
    """The checkpoint once all of it is stored."""
    caught_up: bool
    """There was nothing more to read."""


class Tail:
    """Follows the segments of one directory; the file may grow and gain successors meanwhile."""

    def __init__(self, *, directory: Path, start: Checkpoint | None = None) -> None:
        """Begin at `start`, or where the directory's checkpoint says."""
        self.directory = directory
        self._position = load_checkpoint(directory) if start is None else start
        self._ahead = b""  # read from the file, not yet returned
        self._fd = -1

    @property
    def position(self) -> Checkpoint:
        """Where the next line begins."""
        return self._position

    def remaining(self) -> int:
        """Return how many bytes there are behind the position."""
        return unsent_bytes(self.directory, self._position)

    def close(self) -> None:
        """Close the file, keep the position."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        self._ahead = b""

    def sync(self) -> None:
        """Force what is in the file to disk, whoever has written it; waits for the disk.

        Raises:
            OSError: the disk refuses.
        """
        if self._fd >= 0:
            os.fdatasync(self._fd)

    def read(self, *, max_records: int, piece_bytes: int = PIECE_BYTES) -> Batch:
        """Return the next whole lines: at most `max_records`, from at most one piece of file."""
        lines: list[JournalLine] = []
        damaged: list[DamagedLine] = []
        caught_up = False
        while b"\n" not in self._ahead and not caught_up:
            segment = self._position.segment
            caught_up = not self._read_on(piece_bytes, damaged)
            if self._position.segment == segment:
                break
        position = self._position
        data, begin, offset, seq = self._ahead, 0, position.offset, position.seq
        while len(lines) + len(damaged) < max_records:
            end = data.find(b"\n", begin)
            if end < 0:
                break
            offset += end + 1 - begin
            line = decode_line(data[begin:end], position.segment, offset)
            begin = end + 1
            if isinstance(line, DamagedLine):
                damaged.append(line)
                continue
            seq = max(seq, line.seq)  # lines saved from a bad file come again in the next one
            if line.kind != SEGMENT_OPENED:
                lines.append(line)
        self._ahead = data[begin:]
        self._position = Checkpoint(segment=position.segment, offset=offset, seq=seq)
        return Batch(
            lines=tuple(lines), damaged=tuple(damaged), end=self._position, caught_up=caught_up
        )

    def _read_on(self, piece_bytes: int, damaged: list[DamagedLine]) -> bool:
        """Read a piece, if need be of the next segment; False when there is none yet."""
        # Listed before reading: if a successor exists now, an empty read means "finished".
        successor = next((n for n in segments(self.directory) if n > self._position.segment), None)
        piece = self._piece(piece_bytes)
        if piece:
            self._ahead += piece
            return True
        if successor is None:
            return False
        end = self._position.offset + len(self._ahead)
        # What a failed write left is cut off by the appender, maybe after we read it.
        if self._ahead and segment_size(self.directory, self._position.segment) >= end:
            reason = "no end of line in a finished segment"
            damaged.append(DamagedLine(self._ahead, reason, self._position.segment, end))
        self.close()
        self._position = Checkpoint(segment=successor, offset=0, seq=self._position.seq)
        return True

    def _piece(self, piece_bytes: int) -> bytes:
        if self._fd < 0:
            try:
                path = segment_path(self.directory, self._position.segment)
                self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                return b""
        return os.pread(self._fd, piece_bytes, self._position.offset + len(self._ahead))


def lines_of(directory: Path, number: int) -> Iterator[JournalLine | DamagedLine]:
    """Return all whole lines of one segment, the header included; what follows the last is left."""
    rest, offset = b"", 0
    try:
        file = segment_path(directory, number).open("rb", buffering=0)
    except FileNotFoundError:
        return
    with file:
        while piece := file.read(PIECE_BYTES):
            rest += piece
            begin = 0
            while (end := rest.find(b"\n", begin)) >= 0:
                offset += end + 1 - begin
                yield decode_line(rest[begin:end], number, offset)
                begin = end + 1
            rest = rest[begin:]


def unsent_bytes(directory: Path, stored: Checkpoint) -> int:
    """Return how many bytes of `directory` lie behind the checkpoint."""
    sizes = 0
    for number in segments(directory):
        if number > stored.segment:
            sizes += segment_size(directory, number)
        elif number == stored.segment:
            sizes += max(0, segment_size(directory, number) - stored.offset)
    return sizes


def last_seq(directory: Path) -> int:
    """Return the sequence number of the newest whole line, 0 when no segment holds one."""
    for number in reversed(segments(directory)):
        size = segment_size(directory, number)
        reach = 1 << 16
        while size:
            begin = max(0, size - reach)
            try:
                with segment_path(directory, number).open("rb", buffering=0) as file:
                    data = os.pread(file.fileno(), size - begin, begin)
            except FileNotFoundError:
                break
            # Without what may be half a line before the first line feed in view.
            whole = data.split(b"\n")[0 if begin == 0 else 1 : -1]
            for raw in reversed(whole):
                line = decode_line(raw, number, 0)
                if isinstance(line, JournalLine):
                    return line.seq
            if begin == 0:
                break
            reach *= 8
    return 0


def oldest_unsent(directory: Path, stored: Checkpoint) -> datetime | None:
    """Return when the first record not yet stored was written; None when all are."""
    tail = Tail(directory=directory, start=stored)
    try:
        while True:
            batch = tail.read(max_records=1, piece_bytes=PIECE_BYTES)
            if batch.lines:
                return moment_of(batch.lines[0])
            if batch.caught_up:
                return None
    finally:
        tail.close()
