"""What a process left behind: the end of its last segment, and who was still being served."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID

import msgspec

from bridge.domain.clock import utc
from bridge.domain.ids import day_of, uuid7
from bridge.domain.interception import EndState
from bridge.domain.records import InterceptionEnded, InterceptionStarted
from bridge.journal.directory import load_checkpoint, segment_path, segment_size, segments
from bridge.journal.format import (
    SEGMENT_OPENED,
    JournalLine,
    moment_of,
    opened_with,
)
from bridge.journal.reader import last_seq, lines_of

_STARTED = str(InterceptionStarted.__struct_config__.tag)
_ENDED = str(InterceptionEnded.__struct_config__.tag)
_EXPLANATION = "The bridge stopped before the end of this exchange was written down."


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a claimed directory holds."""

    next_segment: int
    """Old segments are never written again: a reader may have seen what was cut off."""
    seq: int
    """Of the newest line."""
    open: dict[UUID, datetime]
    """Interceptions begun and not ended, and the last moment at which each is known to have run."""
    cut: int
    """Bytes of half a line cut off at the end of the last segment."""


def recover(directory: Path) -> Found:
    """Cut off a torn tail and find what is open; the caller holds the claim.

    Raises:
        OSError: it cannot be read or cut.
    """
    numbers = segments(directory)
    stored = load_checkpoint(directory)
    cut = _cut_tail(directory, numbers[-1]) if numbers else 0
    return Found(
        # Above the checkpoint, or it would never be read.
        next_segment=max(numbers[-1] if numbers else 0, stored.segment) + 1,
        seq=max(last_seq(directory), stored.seq),
        open=_open_at_the_end(directory, numbers),
        cut=cut,
    )


def lost_ends(found: Found, now: float) -> list[InterceptionEnded]:
    """Return the ends of what was found open.

    Args:
        found: by `recover`.
        now: seconds since the epoch.
    """
    return [
        InterceptionEnded(
            id=uuid7(now),
            day=day_of(interception_id),
            at=last,
            interception_id=interception_id,
            status=EndState.LOST.value,
            http_status=None,
            ttfb_ms=None,
            duration_ms=None,
            bytes_out=0,
            response_sha256=None,
            client_sha256=None,
            response_id=None,
            stop_reason=None,
            error_type=None,
            error_message=_EXPLANATION,
            credential_hint=None,
            partially_observed=True,
        )
        for interception_id, last in found.open.items()
    ]


def _cut_tail(directory: Path, number: int) -> int:
    """Cut the last segment behind its last line feed, and return how many bytes that were."""
    size = segment_size(directory, number)
    with segment_path(directory, number).open("r+b", buffering=0) as file:
        end = size
        while end > 0:
            begin = max(0, end - (1 << 16))
            file.seek(begin)
            found = file.read(end - begin).rfind(b"\n")
            if found >= 0:
                end = begin + found + 1
                break
            end = begin
        if end < size:
            file.truncate(end)
    return size - end


def _open_at_the_end(directory: Path, numbers: list[int]) -> dict[UUID, datetime]:
    """Read from the newest segment whose first line is whole."""
    begin = 0
    for index in range(len(numbers) - 1, -1, -1):
        first = next(lines_of(directory, numbers[index]), None)
        if isinstance(first, JournalLine) and first.kind == SEGMENT_OPENED:
            begin = index
            break
    running: dict[UUID, datetime] = {}
    for number in numbers[begin:]:
        for line in lines_of(directory, number):
            if isinstance(line, JournalLine):
                _follow(line, running)
    return running


def _follow(line: JournalLine, running: dict[UUID, datetime]) -> None:
    moment = moment_of(line) or utc(0)
    if line.kind == SEGMENT_OPENED:
        try:
            opened = opened_with(line)
        except msgspec.MsgspecError:
            return  # a header of our own that cannot be read is reported by who stores the lines
        for interception in opened:
            running[interception.id] = max(moment, running.get(interception.id, moment))
    elif line.interception_id is not None:
        if line.kind == _ENDED:
            running.pop(line.interception_id, None)
        elif line.kind == _STARTED or line.interception_id in running:
            running[line.interception_id] = max(moment, running.get(line.interception_id, moment))
