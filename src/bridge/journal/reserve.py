"""The reserve: bytes of the disk taken in advance, given back when an end must be written."""

from __future__ import annotations

import os
from pathlib import Path

from bridge.journal.files import Files, open_private

RESERVE_BYTES = 1 << 20
"""Some 1 500 ends."""
_STEP = 1 << 16


class Reserve:
    """A file that holds nothing, only space."""

    def __init__(self, *, path: Path, files: Files) -> None:
        """Keep the space in the file at `path`; none is taken yet."""
        self._path = path
        self._files = files
        self._fd = -1
        self.size = 0

    @property
    def whole(self) -> bool:
        """Whether all of it is there."""
        return self.size >= RESERVE_BYTES

    def fill(self) -> None:
        """Take what is missing.

        Raises:
            OSError: there is not so much space; some of it may have been taken.
        """
        if self._fd < 0:
            self._fd = open_private(self._path, os.O_RDWR | os.O_CREAT)
        try:
            self._files.allocate(self._fd, RESERVE_BYTES)
        finally:
            self.size = os.fstat(self._fd).st_size

    def give_back(self, wanted: int) -> bool:
        """Free `wanted` bytes, or all that are left; False when there were none.

        Little by little: what is freed may be taken by anybody on this disk.
        """
        if self.size <= 0:
            return False
        left = max(0, self.size - max(_STEP, -(-wanted // _STEP) * _STEP))
        try:
            self._files.truncate(self._fd, left)
        except OSError:
            return False
        self.size = left
        return True

    def close(self) -> None:
        """Give all of it back and remove the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            self.size = 0
        self._path.unlink(missing_ok=True)
