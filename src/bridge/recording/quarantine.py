"""The quarantine: lines that the store does not take, one private file each, with the reason.

**Shape** of a file in `journal/quarantine/`: one line of JSON (`Quarantined`), then the line as it
was found in the journal.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from uuid import UUID

import msgspec

from bridge.domain.clock import Clock, utc
from bridge.journal.files import open_private, private_directory
from bridge.journal.format import DamagedLine, JournalLine

DIRECTORY = "quarantine"
MAX_BYTES = 64 << 20
"""Beyond it the writer stops instead: so many lines mean that the store is wrong, not the lines."""

_SUFFIX = ".line"


class QuarantineFull(Exception):  # noqa: N818  # a state, not a mistake
    """No more lines are put aside until somebody has looked."""


class Quarantined(msgspec.Struct, frozen=True, kw_only=True):
    """Why a line was put aside, and what is known of it."""

    reason: str
    quarantined_at: datetime
    directory: str
    segment: int
    end_offset: int
    kind: str | None
    """None when the line could not be read; so are the next two."""
    interception_id: UUID | None
    day: date | None


class Quarantine:
    """The directory of lines put aside; nothing in it holds anybody up."""

    def __init__(self, *, root: Path, clock: Clock) -> None:
        """Use the quarantine below the journal's `root`; made with the first line."""
        self._root = root
        self.directory = root / DIRECTORY
        self._clock = clock
        sizes = [path.stat().st_size for path in _paths(root)]
        self.count = len(sizes)
        self._bytes = sum(sizes)

    def put(self, line: JournalLine | DamagedLine, *, directory: str, reason: str) -> bool:
        """Put `line` aside; False when it is there already.

        Args:
            line: as read.
            directory: name of the journal directory it was read from.
            reason: why.

        Raises:
            QuarantineFull: it holds as much as it may.
            OSError: the file cannot be written.
        """
        known = line if isinstance(line, JournalLine) else None
        raw = line.raw if isinstance(line, DamagedLine) else _as_found(line)
        content = msgspec.json.encode(
            Quarantined(
                reason=reason,
                quarantined_at=utc(self._clock.seconds()),
                directory=directory,
                segment=line.segment,
                end_offset=line.end_offset,
                kind=known.kind if known else None,
                interception_id=known.interception_id if known else None,
                day=known.day if known else None,
            )
        )
        content += b"\n" + raw + b"\n"
        # Found again after a crash it gets the same name.
        name = f"{directory}-{line.segment}-{line.end_offset}-{zlib.crc32(raw):08x}{_SUFFIX}"
        path = self.directory / name
        if path.exists():
            return False
        if self._bytes + len(content) > MAX_BYTES:
            raise QuarantineFull
        private_directory(self.directory)
        temporary = path.with_suffix(".new")
        fd = open_private(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        with os.fdopen(fd, "wb") as file:
            file.write(content)
        temporary.replace(path)
        self.count += 1
        self._bytes += len(content)
        return True

    def purge(self, cutoff: datetime) -> int:
        """Delete lines older than `cutoff`, and return how many that were.

        A line belongs to its day; one that cannot be read, to the moment it was put aside.
        """
        gone = 0
        for path, entry in list(quarantined(self._root)):
            day = entry.day
            old = entry.quarantined_at < cutoff if day is None else day < cutoff.date()
            if old:
                self._bytes -= path.stat().st_size
                path.unlink(missing_ok=True)
                gone += 1
        self.count -= gone
        return gone


def quarantined(root: Path) -> Iterator[tuple[Path, Quarantined]]:
    """Return what is known of each line put aside below the journal's `root`, and its file."""
    for path in sorted(_paths(root)):
        try:
            with path.open("rb") as file:
                yield path, msgspec.json.decode(file.readline(), type=Quarantined)
        except (OSError, msgspec.MsgspecError):
            continue  # purged meanwhile, or not ours


def _paths(root: Path) -> list[Path]:
    try:
        return [path for path in (root / DIRECTORY).iterdir() if path.suffix == _SUFFIX]
    except FileNotFoundError:
        return []


def _as_found(line: JournalLine) -> bytes:
    return b"%08x %s" % (zlib.crc32(line.body), line.body)
