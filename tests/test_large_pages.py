"""Large pages: which memory is worth them, and that asking for them harms nobody."""

from __future__ import annotations

import platform
from pathlib import Path

from twisted.trial.unittest import SkipTest

from bridge.large_pages import LARGE_PAGE_BYTES, use_large_pages, worth_it
from tests.support.cases import BridgeTestCase

_BEGIN = 0x7F0000000000


def _mapping(begin: int, size: int, kind: str = "rw-p", *, resident: int, name: str = "") -> str:
    return (
        f"{begin:x}-{begin + size:x} {kind} 00000000 00:00 0 {name}\n"
        f"Size: {size // 1024} kB\nRss: {resident // 1024} kB\nPss: 4 kB\n"
    )


def _large_bytes() -> int:
    """Return how much of this process' memory is in large pages."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return next(int(each.split()[1]) for each in lines if each.startswith("AnonHugePages")) * 1024


class LargePagesTests(BridgeTestCase):
    def test_whole_pages_of_memory_in_use_are_worth_it(self) -> None:
        size = 3 * LARGE_PAGE_BYTES
        smaps = _mapping(_BEGIN + 4096, size, resident=size)

        found = list(worth_it(smaps))

        self.assertEqual(found, [(_BEGIN + LARGE_PAGE_BYTES, 2 * LARGE_PAGE_BYTES)])

    def test_the_heap_is_worth_it(self) -> None:
        size = 2 * LARGE_PAGE_BYTES
        smaps = _mapping(_BEGIN, size, resident=size, name="[heap]")

        self.assertEqual(list(worth_it(smaps)), [(_BEGIN, size)])

    def test_what_is_mostly_empty_small_or_not_ours_alone_is_left_alone(self) -> None:
        size = 2 * LARGE_PAGE_BYTES
        for smaps in (
            _mapping(_BEGIN, size, resident=size // 3),
            _mapping(_BEGIN, LARGE_PAGE_BYTES // 2, resident=LARGE_PAGE_BYTES // 2),
            _mapping(_BEGIN, size, "r-xp", resident=size),
            _mapping(_BEGIN, size, "rw-s", resident=size),
            _mapping(_BEGIN, size, resident=size, name="[stack]"),
            _mapping(_BEGIN, size, resident=size, name="/lib/x.so").replace(" 0 /", " 77 /"),
            "no such thing",
        ):
            self.assertEqual(list(worth_it(smaps)), [], smaps)

    def test_what_is_in_memory_goes_there_and_stays_as_it_is(self) -> None:
        setting = Path("/sys/kernel/mm/transparent_hugepage/enabled")
        release = tuple(map(int, platform.release().split(".")[:2]))
        if release < (6, 1) or not setting.exists() or "[never]" in setting.read_text():
            raise SkipTest("This system has no large pages for whoever asks.")
        kept = [str(n) * 50 for n in range(200_000)]
        before = _large_bytes()

        gained = use_large_pages()

        self.assertGreater(gained, 0)
        self.assertEqual(gained % LARGE_PAGE_BYTES, 0)
        self.assertGreater(_large_bytes(), before)
        self.assertEqual(kept, [str(n) * 50 for n in range(200_000)])
