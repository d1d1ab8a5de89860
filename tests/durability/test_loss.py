"""The loss test in small, with the scenarios that have no test of their own here."""

from __future__ import annotations

import os
import secrets
import tempfile
from pathlib import Path
from unittest import TestCase

from tests.durability.cases import SEED_VARIABLE
from tests.loss.__main__ import table
from tests.loss.scenarios import SCENARIOS, play, playable

REQUESTS = 200
RATE = 15.0


class LossTests(TestCase):
    """Real processes; nothing here needs a reactor."""

    def check(self, name: str, *, least_complete: int) -> None:
        (scenario,) = (each for each in SCENARIOS if each.name == name)
        if reason := playable(scenario):
            self.skipTest(reason)
        seed = int(os.environ.get(SEED_VARIABLE) or secrets.randbelow(2**31))
        print(f"\n{self.id()}: {SEED_VARIABLE}={seed}", flush=True)
        with tempfile.TemporaryDirectory(prefix="aibridge-loss-") as directory:
            row = play(scenario, Path(directory), seed=seed, requests=REQUESTS, rate=RATE)
        print(table([row]), flush=True)

        self.assertEqual(row["faults"], [])
        self.assertEqual(row["requests"], REQUESTS)
        self.assertGreater(row["complete"], least_complete)

    def test_database_killed_in_a_flush(self) -> None:
        self.check("c", least_complete=REQUESTS * 3 // 4)

    def test_the_journals_disk_full_with_everything_killed_too(self) -> None:
        self.check("e", least_complete=0)

    def test_power_cut(self) -> None:
        self.check("h1", least_complete=0)

    def test_fsync_that_fails_and_then_the_power(self) -> None:
        self.check("h4", least_complete=0)

    def test_a_flipped_byte(self) -> None:
        self.check("h5", least_complete=0)
