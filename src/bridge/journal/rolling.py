"""The segment being written and its successors: when one is full or failed, another is begun."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from uuid import UUID

from structlog.typing import FilteringBoundLogger

from bridge.domain.clock import Clock, utc
from bridge.journal.files import Files
from bridge.journal.format import OpenInterception, SegmentOpened, encode_body, frame
from bridge.journal.segment import Segment


class Rolling:
    """Writes lines to the newest segment; whatever writes raises OSError when it cannot."""

    def __init__(
        self,
        *,
        directory: Path,
        next_segment: int,
        seq: int,
        segment_bytes: int,
        files: Files,
        clock: Clock,
        wrote: Callable[[Segment, bytes], None],
        ended: Callable[[Segment], None],
        log: FilteringBoundLogger,
    ) -> None:
        """Begin no segment yet.

        Args:
            directory: holds the segments.
            next_segment: number of the first that is begun.
            seq: number of the last line there is.
            segment_bytes: a segment that has so many is followed by a new one.
            files: what touches the disk.
            clock: gives the time of segments.
            wrote: told of everything written.
            ended: told of a segment that is not written any more; closes it.
            log: bound logger.
        """
        self._directory = directory
        self._next = next_segment
        self._seq = seq
        self._segment_bytes = segment_bytes
        self._files = files
        self._clock = clock
        self._wrote = wrote
        self._ended = ended
        self._log = log
        self._segment: Segment | None = None
        self._roll_at = segment_bytes
        self._header_bytes = 0
        self._began_at = 0.0
        self.open: dict[UUID, date] = {}
        """Interceptions begun and not ended; written at the head of every segment."""

    @property
    def writing(self) -> bool:
        """Whether there is a segment that takes lines."""
        return self._segment is not None

    def write(self, bodies: Sequence[bytes]) -> int:
        """Append the lines of `bodies` in one write, all or none, and return their bytes."""
        segment = self._current()
        seq = self._seq
        lines = []
        for body in bodies:
            seq += 1
            lines.append(frame(body, seq))
        written = self._append(segment, lines[0] if len(lines) == 1 else b"".join(lines))
        self._seq = seq
        return written

    def write_again(self, lines: Sequence[bytes]) -> int:
        """Write lines that may be lost into a new segment, and return their bytes."""
        self.finish()
        segment = self.begin()
        return self._append(segment, b"".join(lines)) if lines else 0

    def begin(self) -> Segment:
        """Begin a new segment; the one before it stays in use if that fails."""
        now = self._clock.seconds()
        header = SegmentOpened(
            at=utc(now),
            day=utc(now).date(),
            open=[OpenInterception(id=key, day=day) for key, day in self.open.items()],
        )
        line = frame(encode_body(header)[0], self._seq + 1)
        number, self._next = self._next, self._next + 1
        segment = Segment(directory=self._directory, number=number, files=self._files)
        try:
            segment.write(line)
        except OSError:
            segment.discard()
            raise
        self.finish()
        self._seq += 1
        self._segment = segment
        self._roll_at = self._segment_bytes
        self._header_bytes = len(line)
        self._began_at = now
        self._wrote(segment, line)
        return segment

    def begin_if_older(self, seconds: float) -> None:
        """Begin a new segment if the newest holds a record and was begun `seconds` ago."""
        segment = self._segment
        if segment is None or segment.size <= self._header_bytes:
            return
        if self._clock.seconds() - self._began_at >= seconds:
            self.begin()

    def sync(self) -> None:
        """Force the newest segment to disk; for who has no group commit, and in a thread."""
        if self._segment is not None:
            self._segment.sync()

    def finish(self) -> None:
        """Write no more to the newest segment."""
        segment, self._segment = self._segment, None
        if segment is not None:
            self._ended(segment)

    def _current(self) -> Segment:
        segment = self._segment
        if segment is None:
            return self.begin()
        if segment.size < self._roll_at:
            return segment
        try:
            return self.begin()
        except OSError as e:
            # No file can be opened; this one still takes lines.
            self._roll_at = segment.size + self._segment_bytes // 16
            self._log.warning("journal segment not followed by another", error=str(e))
            return segment

    def _append(self, segment: Segment, data: bytes) -> int:
        try:
            segment.write(data)
        except OSError:
            self.finish()
            raise
        self._wrote(segment, data)
        return len(data)
