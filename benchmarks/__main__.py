"""The benchmark's program: `python -m benchmarks [--quick] [--only bridge,nginx]`.

Every server under test is pinned to one core; the load, the upstream and the bridge's Postgres
share another one. The servers take turns within a repetition, and medians of ratios within a
repetition are taken, because machines have moods. Exit code 1 when a record is missing.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from benchmarks import measures
from benchmarks.records import Records
from benchmarks.report import Numbers, arrival_lines, table, target_lines, targets
from benchmarks.servers import (
    AwsUpstream,
    Bridge,
    Cores,
    DemoUpstream,
    InOtherWords,
    Nginx,
    Server,
    bare,
    interrupt_as_exit,
    nginx_program,
    pids_of,
    resident_bytes,
)
from benchmarks.speech import BEDROCK, CHAT, RESPONSES
from tests.support.bridge_process import eventually

RESULTS = Path(__file__).parent / "results"
_IDLE_SECONDS = 2.0


class Run:
    """One run: the servers, what is known of them, and the order of the measurements."""

    def __init__(self, *, quick: bool, repetitions: int, cores: Cores) -> None:
        self.numbers: dict[str, Numbers] = {}
        self._servers: list[Server] = []
        self._records: dict[str, Records] = {}
        self._cores = cores
        self._repetitions = repetitions
        self._seconds = 2.0 if quick else 3.0
        self._events = 200 if quick else 500
        self._count = 100 if quick else 300

    def add(self, server: Server, *, started: bool = False) -> None:
        """Start a server and take it into the run."""
        _say(f"starting {server.name}")
        if not started:
            server.start(self._cores)
        own = self.numbers[server.name] = Numbers()
        self._servers.append(server)
        if isinstance(server, InOtherWords):
            return
        if isinstance(server, Bridge):
            own.first_start_seconds = server.first_start_seconds
            own.later_start_seconds = server.later_start_seconds
            self._records[server.name] = Records(server)
        _let_be(_IDLE_SECONDS)
        own.idle_bytes = sum(map(resident_bytes, pids_of(server)))
        if server.name != "direct":
            # Before any other load: streams would live in what that has left behind.
            own.memory = measures.memory(server, self._cores)
            self._answered(server, own.memory.done)

    def measure(self) -> None:
        """Do everything, the servers in turn."""
        proxies = [server for server in self._servers if server.name != "direct"]
        spoken = [server for server in self._servers if not isinstance(server, InOtherWords)]
        for server in proxies:  # connections, code paths and caches are there afterwards
            self._answered(server, measures.throughput(server, self._cores, 1.0).done)
        for n in range(1, self._repetitions + 1):
            _say(f"repetition {n} of {self._repetitions}: requests")
            for server in proxies:
                fast = measures.throughput(server, self._cores, self._seconds)
                self.numbers[server.name].throughput.append(fast)
                self._answered(server, fast.done)
            _say(f"repetition {n} of {self._repetitions}: streams")
            for server in proxies:
                paced = measures.streaming(server, self._cores, self._events)
                self.numbers[server.name].streaming.append(paced)
                self._answered(server, paced.done)
            _say(f"repetition {n} of {self._repetitions}: delays")
            for server in spoken:
                waited = measures.delay(server, self._cores, self._count)
                self.numbers[server.name].delay.append(waited)
                self._answered(server, waited.done)

    def _answered(self, server: Server, count: int) -> None:
        """Look for the records of what was just answered, before anybody else has the machine."""
        if isinstance(server, InOtherWords):
            server = server.bridge
        records = self._records.get(server.name)
        if records is not None:
            records.expect(count)
            self.numbers[server.name].arrivals.append(records.arrival())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark, print the table, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short repetition")
    parser.add_argument("--repetitions", type=int, default=0, help="default 5, with --quick 1")
    parser.add_argument(
        "--only", default="bridge,nginx", help="besides bare: bridge, workers, nginx"
    )
    given = parser.parse_args(arguments)
    chosen = set(given.only.split(","))
    interrupt_as_exit()
    cores = Cores()
    if not cores.apart:
        _say("there is one core only: the load takes its time from what it measures")
    run = Run(
        quick=given.quick,
        repetitions=given.repetitions or (1 if given.quick else 5),
        cores=cores,
    )
    began = time.time()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="aibridge-bench-")))
        upstream, aws = DemoUpstream(), AwsUpstream()
        for each in (upstream, aws):
            stack.callback(each.stop)
            each.start(cores)
        run.add(upstream, started=True)
        for server in _proxies(chosen, directory, upstream, aws, stack.callback):
            run.add(server)
        run.measure()
    _report(run, cores, began)
    missing = sum(own.missing for own in run.numbers.values())
    return 1 if missing else 0


def _proxies(
    chosen: set[str],
    directory: Path,
    upstream: DemoUpstream,
    aws: AwsUpstream,
    at_end: Callable[[Callable[[], None]], object],
) -> Sequence[Server]:
    """Return the servers under test in their order; each is stopped at the end."""
    servers: list[Server] = [bare(upstream)]
    if "bridge" in chosen:
        bridges = [
            Bridge(fsync=fsync, directory=directory / fsync, upstream=upstream, aws=aws)
            for fsync in ("before_end", "group")
        ]
        spoken = (CHAT, RESPONSES, BEDROCK)
        servers += [bridges[0], *(InOtherWords(bridges[0], speech) for speech in spoken)]
        servers.append(bridges[1])
    if "workers" in chosen:
        servers += [
            Bridge(
                fsync="before_end",
                directory=directory / f"workers{count}",
                upstream=upstream,
                aws=aws,
                workers=count,
            )
            for count in (1, 2)
        ]
    program = nginx_program()
    if "nginx" in chosen and program is not None:
        servers.append(Nginx(program=program, directory=directory / "nginx", upstream=upstream))
    elif "nginx" in chosen:
        _say("nginx is not installed, and left out")
    for server in servers:
        at_end(server.stop)
    return servers


def _report(run: Run, cores: Cores, began: float) -> None:
    found = targets(run.numbers)
    load = os.getloadavg()[0]
    print(f"\nserver on core {cores.server}; load, upstream and Postgres on core {cores.rest}; "
          f"{platform.python_implementation()} {platform.python_version()}; "
          f"load average {load:.1f}\n")  # fmt: skip
    print(table(run.numbers))
    print("\n" + arrival_lines(run.numbers))
    print("\n" + target_lines(found))
    RESULTS.mkdir(exist_ok=True)
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(began))
    raw = {
        "at": moment,
        "python": platform.python_version(),
        "load_average": load,
        "servers": {name: asdict(own) for name, own in run.numbers.items()},
        "targets": [{**asdict(target), "reached": target.reached} for target in found],
    }
    (RESULTS / f"{moment}.json").write_text(json.dumps(raw, indent=1) + "\n")


def _let_be(seconds: float) -> None:
    """Give a server time to come to rest."""
    end = time.monotonic() + seconds
    eventually(lambda: time.monotonic() >= end, seconds=seconds + 5.0, what="rest")


def _say(text: str) -> None:
    print(f"… {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
