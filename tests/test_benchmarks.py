"""The benchmark's code runs: its load against its upstream, and its table of made-up numbers."""

from __future__ import annotations

from unittest import TestCase

from benchmarks import measures
from benchmarks.gateways import ChatUpstream
from benchmarks.measures import Delay, Memory, Streaming, Throughput
from benchmarks.records import Arrival
from benchmarks.report import Numbers, peer_targets, table, target_lines, targets
from benchmarks.servers import Cores, DemoUpstream


def numbers(per_second: float, delay: float, missing: int = 0) -> Numbers:
    return Numbers(
        throughput=[
            Throughput(per_second=per_second, cpu_microseconds=600.0, busy=1.0, done=1000),
        ],
        streaming=[Streaming(cpu_microseconds=50.0, done=32)],
        delay=[Delay(p50=delay, p99=delay * 2, done=100)],
        memory=Memory(held=80_000_000, per_stream=40_000.0, done=232),
        idle_bytes=80 * 1024 * 1024,
        arrivals=[Arrival(expected=1000, found=1000 - missing, seconds=1.0)],
    )


class LoadTests(TestCase):
    def setUp(self) -> None:
        self.cores = Cores()
        self.upstream = DemoUpstream()
        self.addCleanup(self.upstream.stop)
        self.upstream.start(self.cores)

    def test_requests_streams_and_delays_are_counted(self) -> None:
        fast = measures.throughput(self.upstream, self.cores, 0.2)
        paced = measures.streaming(self.upstream, self.cores, 10)
        waited = measures.delay(self.upstream, self.cores, 5)

        self.assertGreater(fast.done, 32)
        self.assertEqual((paced.done, waited.done), (32, 5))
        self.assertGreater(waited.p50, 0.0)

    def test_answers_other_than_200_are_no_result(self) -> None:
        self.upstream.headers = {"x-api-key": "wrong"}

        with self.assertRaisesRegex(measures.LoadFailed, "401"):
            measures.throughput(self.upstream, self.cores, 0.1)


class PeersTests(TestCase):
    def setUp(self) -> None:
        self.cores = Cores()
        self.upstream = ChatUpstream()
        self.addCleanup(self.upstream.stop)
        self.upstream.start(self.cores)

    def test_the_model_says_what_is_answered(self) -> None:
        fast = measures.throughput(self.upstream, self.cores, 0.2)
        paced = measures.streaming(self.upstream, self.cores, 10, 3)

        self.assertGreater(fast.done, 32)
        self.assertEqual(paced.done, 3)

    def test_the_bridge_is_held_against_each_that_was_measured(self) -> None:
        measured = {
            "bare": numbers(900.0, 0.001),
            "bridge": numbers(1000.0, 0.001),
            "LiteLLM": numbers(60.0, 0.001),
        }
        found = {f"{each.what}, {each.unit}": each for each in peer_targets(measured)}

        self.assertEqual(
            {name: each.reached for name, each in found.items()},
            {
                "requests/s, x LiteLLM": False,
                "CPU per streamed event, x LiteLLM": False,
                "requests/s, x bare": True,
            },
        )


class ReportTests(TestCase):
    def setUp(self) -> None:
        self.measured = {
            "direct": Numbers(delay=[Delay(p50=0.0002, p99=0.0004, done=100)]),
            "bare": numbers(1600.0, 0.0015),
            "bridge before_end": numbers(800.0, 0.0018, missing=1),
        }

    def test_table_compares_with_bare(self) -> None:
        line = table(self.measured).splitlines()[-1]

        self.assertEqual(line.split()[:5], ["bridge", "before_end", "800", "50", "%"])

    def test_targets_say_what_was_reached_and_what_missed(self) -> None:
        lines = target_lines(targets(self.measured)).splitlines()

        self.assertIn("MISSED    requests/s with before_end: 50 % of bare (at least 60)", lines)
        self.assertIn("reached   time to first byte, added p50: 1.6 ms (at most 2)", lines)
        self.assertIn("MISSED    records missing: 1 (at most 0)", lines)
