"""A small private file that others find whole: as it was, or as it is now."""

from __future__ import annotations

import os
from pathlib import Path

_MODE = 0o600


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read, in one step for whoever reads it.

    Raises:
        OSError: it cannot be written; what was there stays.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _MODE)
    try:
        os.write(descriptor, content)
    finally:
        os.close(descriptor)
    beside.rename(path)
