"""Writes down, in a bridge under test, what every fsync made safe; and lets some fail.

Imported by Python itself at its start, when this directory is in PYTHONPATH.

AIBRIDGE_LOSS_SYNCS names the file to append to: `F size path` for a file and the size that it had
before its fsync began, `D path` and a `N path` for each name in a directory. While the file that
AIBRIDGE_LOSS_EIO names is there, an fsync of a file removes it and fails with EIO.
"""

import errno
import os
import stat
from pathlib import Path

_LOG = os.environ.get("AIBRIDGE_LOSS_SYNCS", "")
_FAIL = os.environ.get("AIBRIDGE_LOSS_EIO", "")
_fsync, _fdatasync = os.fsync, os.fdatasync


def _noted(real):
    def sync(fd):
        path = Path(f"/proc/self/fd/{fd}").readlink()
        before = os.fstat(fd)
        if stat.S_ISDIR(before.st_mode):
            lines = [f"D {path}"] + [f"N {each}" for each in path.iterdir()]
        else:
            lines = [f"F {before.st_size} {path}"]
            if _FAIL and Path(_FAIL).exists():
                Path(_FAIL).unlink()
                raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(fd)
        fd_log = os.open(_LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd_log, ("\n".join(lines) + "\n").encode())
        finally:
            os.close(fd_log)

    return sync


if _LOG:
    os.fsync, os.fdatasync = _noted(_fsync), _noted(_fdatasync)
