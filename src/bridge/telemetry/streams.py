"""Where log lines go: a descriptor that the process was started with, or a file of ours."""

from __future__ import annotations

import os
import stat
from pathlib import Path

_DESCRIPTORS = {
    "/dev/stderr": 2, "/dev/fd/2": 2, "/proc/self/fd/2": 2,
    "/dev/stdout": 1, "/dev/fd/1": 1, "/proc/self/fd/1": 1,
}  # fmt: skip
# Never opened by path: under journald that is a socket, and opening it fails.

_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
# O_NONBLOCK says nothing to a file; it keeps a named pipe without a reader from hanging the start.


class LogTargetError(Exception):
    """A log cannot be written where it was asked for; the message is one sentence."""


class Stream:
    """One place for lines; whole lines go out in one write, and a failing write is only counted."""

    def __init__(self, target: str) -> None:
        """Open `target`: a path, /dev/stderr, /dev/stdout, or "" for nowhere.

        Raises:
            LogTargetError: the file cannot be opened.
        """
        self._target = target
        self._owned = bool(target) and target not in _DESCRIPTORS
        self._descriptor = _opened(target) if self._owned else _DESCRIPTORS.get(target, -1)
        self._torn = False
        self.lost = 0
        """Lines that could not be written whole."""

    @property
    def open(self) -> bool:
        """Whether lines go anywhere."""
        return self._descriptor >= 0

    def write(self, line: bytes) -> None:
        """Write `line`, which ends with a newline; an error counts it as lost and says nothing."""
        if self._descriptor < 0:
            return
        left = memoryview(b"\n" + line if self._torn else line)
        try:
            while left:
                left = left[os.write(self._descriptor, left) :]
                self._torn = bool(left)
        except OSError:
            self.lost += 1

    def reopen(self) -> None:
        """Open a file anew, so that a moved log is let go of; the old one stays if that fails.

        Raises:
            LogTargetError: the file cannot be opened.
        """
        if self._owned and self._descriptor >= 0:
            fresh = _opened(self._target)
            os.close(self._descriptor)
            self._descriptor = fresh
            self._torn = False

    def close(self) -> None:
        """Write no more; a file is closed, the process's own descriptors stay."""
        descriptor, self._descriptor = self._descriptor, -1
        if self._owned and descriptor >= 0:
            os.close(descriptor)


def _opened(target: str) -> int:
    path = Path(target)
    if not path.parent.is_dir():
        msg = (
            f"The log file {target} cannot be written: the directory {path.parent} does not exist."
        )
        raise LogTargetError(msg)
    try:
        descriptor = os.open(path, _FLAGS, 0o600)
    except OSError as e:
        msg = f"The log file {target} cannot be written: {os.strerror(e.errno or 0)}."
        raise LogTargetError(msg) from e
    try:
        # A device or pipe (/dev/null) is not ours to change.
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.fchmod(descriptor, 0o600)
    except OSError as e:
        os.close(descriptor)
        msg = f"The log file {target} cannot be made private to us: {os.strerror(e.errno or 0)}."
        raise LogTargetError(msg) from e
    return descriptor
