"""A file that events are appended to, whoever moves, cuts or deletes it meanwhile.

Blocks on the disk: use it in a thread, one call at a time.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
# O_NONBLOCK says nothing to a file; it keeps a named pipe from hanging us before it is refused.
_PRIVATE = 0o600
_TRIES = 3


class EventFile:
    """Appends whole lines, safe on the disk when `append` comes back.

    A file that was renamed or deleted (logrotate's `create`) is let go of and a new one begun; one
    that was cut (`copytruncate`) is written on from its new end. What was written to a file that
    was taken away meanwhile is written again to the next: a line twice is better than none.
    """

    def __init__(self, path: Path, *, sync: Callable[[int], None] = os.fsync) -> None:
        """Open nothing yet.

        Args:
            path: of the file; its directory is there.
            sync: comes back when the disk has what was written to a descriptor.
        """
        self._path = path
        self._sync = sync
        self._descriptor = -1

    def append(self, lines: bytes) -> None:
        """Append `lines`, each ended by a line feed, and come back when the disk has them.

        A line that was left unfinished, by a crash or a full disk, is ended first; readers find one
        broken line there, and the whole one after it.

        Raises:
            OSError: nothing or a part was written; append all of it again.
        """
        for _ in range(_TRIES):
            self._open()
            end = self._write(lines)
            self._sync(self._descriptor)
            if self._in_place() and os.fstat(self._descriptor).st_size >= end:
                return
        raise OSError(errno.EBUSY, "The file is taken away again and again", str(self._path))

    def reopen(self) -> None:
        """Let go of the file; the next line opens it anew."""
        self.close()

    def close(self) -> None:
        """Close the file."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _open(self) -> None:
        if self._descriptor >= 0 and self._in_place():
            return
        self.close()
        descriptor = os.open(self._path, _FLAGS, _PRIVATE)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(errno.EINVAL, "Not a regular file", str(self._path))
            os.fchmod(descriptor, _PRIVATE)
            # The name must outlive a power cut as well as the lines.
            directory = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        except OSError:
            os.close(descriptor)
            raise
        self._descriptor = descriptor

    def _in_place(self) -> bool:
        """Whether the open file is still the one of that name."""
        try:
            there = self._path.stat()
        except FileNotFoundError:
            return False
        ours = os.fstat(self._descriptor)
        return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)

    def _write(self, lines: bytes) -> int:
        """Write all of `lines`, and return the size that the file has then at least."""
        size = os.fstat(self._descriptor).st_size
        torn = size > 0 and os.pread(self._descriptor, 1, size - 1) not in (b"\n", b"")
        left = memoryview(b"\n" + lines if torn else lines)
        while left:
            written = os.write(self._descriptor, left)
            left = left[written:]
            size += written
        return size
