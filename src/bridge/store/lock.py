"""A lock between processes: a file that stays, held until released or until the holder dies."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


class Lock:
    """An exclusive lock that is held."""

    def __init__(self, fd: int) -> None:
        """Keep the locked file's descriptor."""
        self._fd = fd

    def release(self) -> None:
        """Let go; the file stays, because unlinking it would let two processes in."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def try_lock(path: Path, *, uid: int, gid: int) -> Lock | None:
    """Lock the file at `path`, made for `uid` if need be; None when another process holds it.

    Raises:
        OSError: the file cannot be opened, or is a symbolic link.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    fd = os.open(path, flags, 0o600)
    try:
        if os.fstat(fd).st_uid != uid and os.geteuid() == 0:
            os.fchown(fd, uid, gid)
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    except OSError:
        os.close(fd)
        raise
    return Lock(fd)
