"""The soak test in small, and its verdicts on made-up processes that grow."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from unittest import TestCase

from tests.soak.__main__ import soak
from tests.soak.samples import Sample, verdict
from tests.support.cases import BridgeTestCase

SECONDS = 18.0
RATE = 15.0
_FLAT = Sample(
    seconds=0.0,
    requests=0,
    rss_bytes=80_000_000,
    file_descriptors=40,
    deferreds=100,
    delayed_calls=20,
    connections=30,
    objects=100_000,
)


class VerdictTests(BridgeTestCase):
    def samples(self, change: Callable[[Sample, int], Sample]) -> list[Sample]:
        """Return samples of 40 000 requests; the first quarter is the warm-up."""
        return [change(replace(_FLAT, requests=n * 1000), n) for n in range(40)]

    def test_a_process_that_only_warms_up_is_flat(self) -> None:
        found = verdict(
            self.samples(
                lambda each, n: replace(each, rss_bytes=60_000_000 + min(n, 9) * 2_000_000)
            )
        )

        self.assertTrue(found.flat, str(found))
        self.assertIn("flat: 29000 requests", str(found))

    def test_memory_that_grows_with_every_request_is_seen(self) -> None:
        found = verdict(
            self.samples(lambda each, n: replace(each, rss_bytes=80_000_000 + n * 150_000))
        )

        self.assertFalse(found.flat)
        self.assertAlmostEqual(found.rss_bytes_per_10_000, 1_500_000, delta=1000)

    def test_file_descriptors_that_are_left_open_are_seen(self) -> None:
        found = verdict(self.samples(lambda each, n: replace(each, file_descriptors=40 + n)))

        self.assertFalse(found.flat)
        self.assertIn("GREW", str(found))
        self.assertEqual(list(found.grown), ["file_descriptors"])

    def test_deferreds_that_nobody_waits_for_are_seen(self) -> None:
        found = verdict(self.samples(lambda each, n: replace(each, deferreds=100 + 5 * n)))

        self.assertEqual(list(found.grown), ["deferreds"])


class SoakTests(TestCase):
    """Real processes; nothing here needs a reactor."""

    def test_a_bridge_under_load_is_looked_at_again_and_again(self) -> None:
        """Too short to say whether it grows; all that is judged later is seen."""
        with tempfile.TemporaryDirectory(prefix="aibridge-soak-") as directory:
            samples = soak(Path(directory), seconds=SECONDS, rate=RATE, seed=1)
        found = verdict(samples)
        print(f"\n{found}", flush=True)

        self.assertGreater(samples[-1].requests, SECONDS * RATE / 2)
        self.assertGreater(min(each.deferreds for each in samples), 0)
        self.assertGreater(max(each.connections for each in samples), 1)
        self.assertLess(samples[-1].deferreds, 500)
