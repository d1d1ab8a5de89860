"""What a reload came to: a small file by which the command line hears of it."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

FILE = "reload.json"
_MODE = 0o600


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
    path = data_dir / FILE
    beside = path.with_name(f".{FILE}.{os.getpid()}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _MODE)
    try:
        os.write(descriptor, msgspec.json.encode(outcome))
    finally:
        os.close(descriptor)
    beside.rename(path)


def read_outcome(data_dir: Path) -> ReloadOutcome | None:
    """Return what the last reload, or the start, came to; None when nothing is known."""
    try:
        return msgspec.json.decode((data_dir / FILE).read_bytes(), type=ReloadOutcome)
    except (OSError, msgspec.DecodeError):
        return None
