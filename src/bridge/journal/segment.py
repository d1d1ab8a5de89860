"""One segment while it is written: all of an append or nothing, given up at its first fault."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from bridge.journal.directory import segment_path
from bridge.journal.files import Files, open_private, sync_directory


class Segment:
    """A file that only grows.

    After any fault it is given up and another is begun: a reader may already have seen what a
    failed write left behind, and an error of fsync is reported once only, whatever was lost.
    """

    def __init__(self, *, directory: Path, number: int, files: Files) -> None:
        """Make segment `number`.

        Raises:
            OSError: it cannot be made, or is there already.
        """
        self.number = number
        self.size = 0
        self._directory = directory
        self._files = files
        self._path = segment_path(directory, number)
        self._fd = open_private(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND)
        self._named = False

    def write(self, data: bytes) -> None:
        """Append all of `data`, in one call.

        Raises:
            OSError: nothing of it is in the file, and nothing may be written to it any more.
        """
        try:
            taken = self._files.write(self._fd, data)
            if taken != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            try:
                self._files.truncate(self._fd, self.size)
            except OSError:
                pass  # a reader drops half a line at the end of a finished segment
            raise
        self.size += len(data)

    def sync(self) -> None:
        """Return when all of it would survive a power cut; runs in a thread.

        Raises:
            OSError: some of it may be lost, and asking again would not tell.
        """
        self._files.sync(self._fd)
        if not self._named:
            sync_directory(self._directory)
            self._named = True

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def discard(self) -> None:
        """Close the file and remove it."""
        self.close()
        self._path.unlink(missing_ok=True)
