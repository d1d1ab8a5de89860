"""Large pages: what a process runs through all the time is mapped with fewer entries.

After a pause the processor has forgotten where pages are, and in a virtual machine it is slow to
find them again; a request touches some thousand pages of 4 KiB. Linux (6.1 and later) puts what is
there into pages of 2 MiB when it is asked to; nothing is asked where it is set to `never`. What is
used later is left alone: looking for a large page in the middle of a request would take long.

Source: madvise(2), proc_pid_smaps(5) (read 2026-11-26).
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterator
from pathlib import Path

LARGE_PAGE_BYTES = 2 << 20
_SMAPS = Path("/proc/self/smaps")
_SETTING = Path("/sys/kernel/mm/transparent_hugepage/enabled")
_MAPPING = re.compile(r"([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ (\d+) *(.*)")
_RESIDENT = re.compile(r"Rss: +(\d+) kB")
_LEAST_SHARE = 0.5
"""Of a mapping that is in use; of others, such as stacks, large pages would be mostly empty."""
_MADV_COLLAPSE = 25


def use_large_pages() -> int:
    """Have the memory that is in use now put into large pages, as far as the system does that.

    Returns:
        How many bytes were; 0 where that is not known, or not done.
    """
    try:
        if "[never]" in _SETTING.read_text():
            return 0
        mappings = _SMAPS.read_text()
        advise = ctypes.CDLL(None, use_errno=True).madvise
    except (OSError, AttributeError):  # not Linux, or not told
        return 0
    advise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    collapsed = 0
    for begin, size in worth_it(mappings):
        if advise(begin, size, _MADV_COLLAPSE) == 0:
            collapsed += size
    return collapsed


def worth_it(smaps: str) -> Iterator[tuple[int, int]]:
    """Yield begin and length, in bytes, of what lies in whole large pages and is in use.

    Args:
        smaps: what Linux says of a process' memory.
    """
    begin = end = 0
    for line in smaps.splitlines():
        if (found := _MAPPING.fullmatch(line)) is not None:
            begin, end = int(found[1], 16), int(found[2], 16)
            if found[3] != "rw-p" or found[4] != "0" or found[5] not in ("", "[heap]"):
                end = begin
        elif end > begin and (resident := _RESIDENT.fullmatch(line)) is not None:
            first = -(-begin // LARGE_PAGE_BYTES) * LARGE_PAGE_BYTES
            size = end // LARGE_PAGE_BYTES * LARGE_PAGE_BYTES - first
            if size > 0 and int(resident[1]) * 1024 >= _LEAST_SHARE * (end - begin):
                yield first, size
