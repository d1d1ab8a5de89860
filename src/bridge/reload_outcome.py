"""What a reload came to: a small file by which the command line hears of it."""

from __future__ import annotations

from pathlib import Path

import msgspec

from bridge.whole_file import write_whole

FILE = "reload.json"


class ReloadOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What `data_dir/reload.json` holds; written at the start, too."""

    pid: int
    at: float
    """When, in seconds since the epoch."""
    problems: tuple[str, ...]
    """Why nothing was changed; empty when it was."""
    providers: tuple[str, ...]
    waiting: tuple[str, ...]
    """Options that were changed, and are in force only after a restart."""


def write_outcome(data_dir: Path, outcome: ReloadOutcome) -> None:
    """Write the file, whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    write_whole(data_dir / FILE, msgspec.json.encode(outcome))


def read_outcome(data_dir: Path) -> ReloadOutcome | None:
    """Return what the last reload, or the start, came to; None when nothing is known."""
    try:
        return msgspec.json.decode((data_dir / FILE).read_bytes(), type=ReloadOutcome)
    except (OSError, msgspec.DecodeError):
        return None
