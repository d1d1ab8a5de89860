"""The open load and what is made of it: times, digests, jitter, TLS, tables and bars."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import tempfile
import threading
from dataclasses import replace
from pathlib import Path
from unittest import TestCase
from xml.etree import ElementTree as ET

from benchmarks import paced, paced_report
from benchmarks.chart import Chart, write_chart
from benchmarks.gateways import MessagesUpstream, Terminator
from benchmarks.open_load import Load, Result
from benchmarks.paced import Contender
from benchmarks.report import target_lines
from benchmarks.servers import Cores
from tests.support.certificates import Authority


class OpenLoadTests(TestCase):
    def setUp(self) -> None:
        self.cores = Cores()
        self.upstream = MessagesUpstream()
        self.addCleanup(self.upstream.stop)
        self.upstream.start(self.cores)
        self.contender = Contender(server=self.upstream)

    def test_every_body_is_compared_and_every_time_is_kept(self) -> None:
        job = paced._job(self.contender, 1_000, events=5, count=20, per_second=200.0)

        result, cpu = paced._run(job, self.upstream, self.cores)

        self.assertEqual((result.done, result.different), (20, 0))
        self.assertEqual((len(result.first_bytes), len(result.whole)), (20, 20))
        self.assertGreater(min(result.first_bytes), 0.0)
        self.assertGreaterEqual(result.seconds, 19 / 200)
        self.assertGreater(cpu, 0.0)
        # What the chunks held, without their framing.
        self.assertEqual(result.bytes % 20, 0)
        self.assertEqual(len(result.sha256), len(hashlib.sha256().hexdigest()))

    def test_another_body_than_the_expected_is_counted(self) -> None:
        job = paced._job(
            self.contender, 1_000, events=5, count=3, per_second=200.0, sha256="0" * 64
        )

        result, _ = paced._run(job, self.upstream, self.cores)

        self.assertEqual((result.done, result.different), (3, 3))

    def test_the_pace_of_streams_is_looked_at(self) -> None:
        job = paced._job(self.contender, 1_000, events=20, paced=True, count=3, per_second=100.0)

        result, _ = paced._run(job, self.upstream, self.cores)

        self.assertEqual(result.events, 60)
        self.assertEqual(len(result.jitter), 57)
        self.assertGreater(min(result.whole), 19 * 0.01)

    def test_a_server_that_stalls_is_charged_for_all_that_had_to_wait(self) -> None:
        job = paced._job(self.contender, 1_000, events=5, count=10, per_second=100.0)
        load = Load(job)
        os.kill(self.upstream.pid, signal.SIGSTOP)
        going_on = threading.Timer(0.4, os.kill, (self.upstream.pid, signal.SIGCONT))
        self.addCleanup(going_on.join)
        going_on.start()

        load.run()

        # All were sent at their times, a hundredth of a second apart, and answered together.
        first = load.result.first_bytes
        self.assertEqual(len(first), 10)
        self.assertGreater(min(first), 0.2)
        self.assertGreater(max(first) - min(first), 0.05)

    def test_tls_is_spoken_and_sessions_are_resumed(self) -> None:
        directory = Path(tempfile.mkdtemp(prefix="aibridge-test-tls-"))
        self.addCleanup(shutil.rmtree, directory)
        authority = Authority.root()
        key, certificate = authority.issue("127.0.0.1").write(directory)
        trusted = directory / "authority.pem"
        trusted.write_bytes(authority.certificate_pem)
        secured = Terminator(certificate=certificate, key=key, upstream=self.upstream)
        self.addCleanup(secured.stop)
        secured.start(self.cores)
        contender = replace(self.contender, port=secured.port, authority=str(trusted))
        plain = paced._job(self.contender, 1_000, events=5, count=1, per_second=50.0)
        direct, _ = paced._run(plain, self.upstream, self.cores)

        job = paced._job(
            contender,
            1_000,
            events=5,
            count=5,
            per_second=20.0,
            fresh=True,
            resumed=True,
            sha256=direct.sha256,
        )
        result, _ = paced._run(job, self.upstream, self.cores)

        self.assertEqual((result.done, result.different), (5, 0))
        self.assertGreater(result.sessions_resumed, 0)
        self.assertEqual(secured.counts(), {"handshakes": 5, "resumed": result.sessions_resumed})

    def test_a_refusal_is_no_result(self) -> None:
        job = paced._job(self.contender, 1_000, events=5, count=1, per_second=50.0)
        unknown = replace(job, body=json.dumps({"model": "nobody", "stream": True}))

        with self.assertRaisesRegex(RuntimeError, "404"):
            paced._run(unknown, self.upstream, self.cores)


class ReportTests(TestCase):
    def setUp(self) -> None:
        size, streams = paced_report.key_of("100 kB"), paced_report.key_of(50)
        self.numbers = {
            name: {
                size: [paced_report.measured(self.result(first), 0.5)],
                streams: [paced_report.measured(self.result(first, jitter), 0.5)],
            }
            for name, first, jitter in (
                ("direct", 0.001, 0.001),
                ("bare", 0.002, 0.002),
                ("bridge", 0.0025, 0.007),
            )
        }

    def result(self, first: float, jitter: float = 0.0) -> Result:
        return Result(
            done=100,
            first_bytes=[first] * 100,
            whole=[first * 2] * 100,
            jitter=[jitter] * 100 if jitter else [],
            events=100,
            seconds=2.0,
            bytes=100_000,
        )

    def test_what_is_added_to_asking_directly_is_judged(self) -> None:
        lines = target_lines(paced_report.targets(self.numbers, missing=1)).splitlines()

        later = "time to first byte added at 50 requests/s of 100 kB"
        self.assertEqual(
            lines,
            [
                f"reached   {later}, p50: 1.5 ms (at most 2)",
                f"reached   {later}, p99: 1.5 ms (at most 10)",
                "MISSED    jitter between events added, 50 streams of 100/s, p99: 6 ms (at most 5)",
                "reached   bodies that differ: 0 (at most 0)",
                "MISSED    records missing: 1 (at most 0)",
            ],
        )

    def test_tables_name_every_server(self) -> None:
        found = paced_report.tables(self.numbers)

        self.assertEqual(found.count("\nbridge "), 2)
        self.assertIn("0 different", found)

    def test_the_chart_is_drawn_to_scale_and_escaped(self) -> None:
        directory = Path(tempfile.mkdtemp(prefix="aibridge-test-chart-"))
        self.addCleanup(shutil.rmtree, directory)
        path = directory / "chart.svg"
        bars = [("<bare>", [2.0]), ("bridge", [3.0, 4.0, 5.0])]

        write_chart(path, [Chart(title="Later & later", bars=bars, limit=8.0)], "today")

        drawn = ET.fromstring(path.read_text())
        spaced = "{http://www.w3.org/2000/svg}"
        widths = [
            float(each.attrib["width"])
            for each in drawn.iter(f"{spaced}rect")
            if each.attrib["fill"] != "#fff"
        ]
        self.assertEqual(widths, [120.0, 240.0])
        texts = [each.text for each in drawn.iter(f"{spaced}text")]
        self.assertIn("<bare>", texts)
        self.assertIn("4.00", texts)
