"""The benchmarks that need bridges as processes, made short: every record and byte comes."""

from __future__ import annotations

from unittest import TestCase

from benchmarks import paced, paced_report, workers
from benchmarks.paced import Extent
from benchmarks.servers import Cores

SHORT = Extent(
    small=3, requests=5, large=1, events=5, events_alone=5, handshakes=3, streams=(1, 50)
)


class BenchmarkRunTests(TestCase):
    def test_paced_run_compares_all_bytes_and_finds_all_records(self) -> None:
        found, sessions = paced.measure(
            Cores(), extent=SHORT, repetitions=1, only={"bridge", "bridge TLS"}
        )

        self.assertEqual(list(found), ["direct", "bridge", "bridge TLS"])
        asked = {name: list(each.measured) for name, each in found.items()}
        self.assertEqual(
            asked["direct"],
            ["1 kB bodies", "100 kB bodies", "2 MB bodies", "1 streams", "50 streams"],
        )
        self.assertEqual(
            asked["bridge TLS"],
            ["100 kB bodies", "50 streams", "new connections", "new connections, sessions resumed"],
        )
        several = [
            one for each in found.values() for turns in each.measured.values() for one in turns
        ]
        self.assertEqual(sum(one.different for one in several), 0)
        self.assertEqual([each.missing for each in found.values()], [0, 0, 0])
        self.assertGreater(sessions["handshakes"], 0)
        numbers = {name: each.measured for name, each in found.items()}
        self.assertIn("bridge TLS", paced_report.tables(numbers))
        self.assertEqual(len(paced_report.charts(numbers)), 3)

    def test_workers_are_compared_until_the_last_record_is_stored(self) -> None:
        outcome = workers.measure(Cores(), repetitions=1, seconds=0.5, warm_seconds=0.5)

        self.assertEqual(outcome.missing, 0)
        (one,), (two,) = outcome.one, outcome.two
        for cost in (one, two):
            self.assertGreater(cost.requests, 10)
            self.assertGreater(cost.cpu_microseconds, 0.0)
        (share,) = outcome.busiest_percent
        self.assertGreaterEqual(share, 50.0)
        self.assertLessEqual(share, workers.BUSIEST_PERCENT)
