"""The four things a journal does to an open file, in one place so that a test can misbehave."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

PRIVATE_DIRECTORY = 0o700
PRIVATE_FILE = 0o600


class Files(Protocol):
    """What may go wrong on a disk; every method raises OSError as `os` does."""

    def write(self, fd: int, data: bytes, /) -> int:
        """Append, and return how many bytes were taken."""

    def truncate(self, fd: int, length: int, /) -> None:
        """Cut the file to `length`."""

    def sync(self, fd: int, /) -> None:
        """Return when all that was written would survive a power cut."""

    def allocate(self, fd: int, length: int, /) -> None:
        """Take `length` bytes of the disk for the file."""


class DiskFiles:
    """The real disk."""

    write = staticmethod(os.write)
    truncate = staticmethod(os.ftruncate)
    # The size is part of what fdatasync keeps; only times are not.
    sync = staticmethod(os.fdatasync)

    def allocate(self, fd: int, length: int, /) -> None:
        """Take `length` bytes of the disk for the file."""
        os.posix_fallocate(fd, 0, length)


def private_directory(path: Path) -> None:
    """Make `path` a directory that only its owner can enter, whatever the umask."""
    path.mkdir(mode=PRIVATE_DIRECTORY, parents=True, exist_ok=True)
    path.chmod(PRIVATE_DIRECTORY)


def open_private(path: Path, flags: int) -> int:
    """Open a file that only its owner can read, whatever the umask, and return its descriptor."""
    fd = os.open(path, flags | os.O_CLOEXEC, PRIVATE_FILE)
    try:
        os.fchmod(fd, PRIVATE_FILE)
    except OSError:
        os.close(fd)
        raise
    return fd


def sync_directory(path: Path) -> None:
    """Return when the names in `path` would survive a power cut."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
