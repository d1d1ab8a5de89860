"""What is done for a process that is gone: its half line cut off, its open interceptions ended."""

from __future__ import annotations

from pathlib import Path

from structlog.typing import FilteringBoundLogger

from bridge.domain.clock import Clock
from bridge.domain.ids import day_of
from bridge.journal.files import Files
from bridge.journal.format import encode_body
from bridge.journal.recovery import lost_ends, recover
from bridge.journal.rolling import Rolling
from bridge.journal.segment import Segment

_UNLIMITED = 1 << 62


def adopt(directory: Path, *, clock: Clock, files: Files, log: FilteringBoundLogger) -> int:
    """End as lost what was open in `directory`, and return how many that were; runs in a thread.

    The caller holds the claim.

    Raises:
        OSError: the directory cannot be read or written; nothing is lost by trying again.
    """
    found = recover(directory)
    if not found.open:
        return 0
    rolling = Rolling(
        directory=directory,
        next_segment=found.next_segment,
        seq=found.seq,
        segment_bytes=_UNLIMITED,
        files=files,
        clock=clock,
        wrote=lambda _segment, _data: None,
        ended=Segment.close,
        log=log,
    )
    rolling.open.update({key: day_of(key) for key in found.open})
    try:
        rolling.write([encode_body(end)[0] for end in lost_ends(found, clock.seconds())])
        rolling.sync()
    finally:
        rolling.finish()
    return len(found.open)
