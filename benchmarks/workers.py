"""What a second worker costs: `python -m benchmarks.workers [--quick]`.

A bridge with one worker and a bridge with two share one core and are loaded at the same time, so
that whatever the machine is up to meets both alike; in turns, the same comparison scatters by a
third. Counted is the processor time of all processes of a bridge, the parent and its writer
included, until every record of the load is in PostgreSQL: a writer that is behind when the load
ends must not look cheap. Then 20 clients connect and stay, and it is looked at who has them.
"""

from __future__ import annotations

import argparse
import http.client
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from benchmarks import measures
from benchmarks.records import Arrival, Records
from benchmarks.report import Target, median_target, target_lines
from benchmarks.results import machine_line, save
from benchmarks.servers import (
    AwsUpstream,
    Bridge,
    Cores,
    DemoUpstream,
    interrupt_as_exit,
    running_seconds,
)

SHARE = 0.9
BUSIEST_PERCENT = 65.0
CLIENTS = 20
_WARM_SECONDS = 3.0
_ESTABLISHED = "01"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Of requests to one bridge, in one repetition."""

    requests: int
    cpu_microseconds: float
    """Of all its processes, for each."""
    per_second: float
    arrival: Arrival


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What was measured, repetition by repetition."""

    one: Sequence[Cost]
    two: Sequence[Cost]
    busiest_percent: Sequence[float]
    """Of the connections, with the worker that had most of them; two workers."""

    @property
    def missing(self) -> int:
        """Records that never came."""
        return max(each.arrival.missing for each in (*self.one, *self.two))

    def targets(self) -> Sequence[Target]:
        """Return what was to be reached."""
        pairs = zip(self.one, self.two, strict=True)
        return [
            median_target(
                "requests per CPU second with 2 workers",
                [one.cpu_microseconds / two.cpu_microseconds for one, two in pairs],
                SHARE,
                "x 1 worker",
                at_least=True,
            ),
            Target(
                what=f"busiest worker's share of {CLIENTS} connections, the worst time",
                value=max(self.busiest_percent),
                limit=BUSIEST_PERCENT,
                at_least=False,
                unit="%",
                values=tuple(self.busiest_percent),
            ),
            Target(what="records missing", value=self.missing, limit=0, at_least=False, unit=""),
        ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare, print, and return the exit code: 1 when a record is missing."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.workers", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="short repetitions, and few")
    parser.add_argument("--repetitions", type=int, default=0, help="default 8, with --quick 2")
    given = parser.parse_args(arguments)
    interrupt_as_exit()
    began = time.time()
    outcome = measure(
        Cores(),
        repetitions=given.repetitions or (2 if given.quick else 8),
        seconds=1.5 if given.quick else 4.0,
    )
    found = outcome.targets()
    print(machine_line() + "\n")
    for name, costs in (("1 worker", outcome.one), ("2 workers", outcome.two)):
        each = "  ".join(f"{cost.cpu_microseconds:.0f}" for cost in costs)
        print(f"CPU µs for a request, {name}: {each}")
    print("\n" + target_lines(found))
    print(f"\n{save('workers', asdict(outcome), found, began)}")
    return 1 if outcome.missing else 0


def measure(
    cores: Cores, *, repetitions: int, seconds: float, warm_seconds: float = _WARM_SECONDS
) -> Outcome:
    """Start two bridges, and load them."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="aibridge-bench-")))
        upstream, aws = DemoUpstream(), AwsUpstream()
        for each in (upstream, aws):
            stack.callback(each.stop)
            each.start(cores)
        bridges = []
        for count in (1, 2):
            bridge = Bridge(
                fsync="before_end",
                directory=directory / f"workers{count}",
                upstream=upstream,
                aws=aws,
                workers=count,
            )
            stack.callback(bridge.stop)
            _say(f"starting a bridge with {count} of them")
            bridge.start(cores)
            bridges.append(bridge)
        records = [Records(bridge) for bridge in bridges]
        costs: tuple[list[Cost], list[Cost]] = ([], [])
        busiest = []
        threads = stack.enter_context(ThreadPoolExecutor(len(bridges)))

        def together(seconds: float) -> Sequence[Cost]:
            return list(threads.map(partial(_cost, cores=cores, seconds=seconds), bridges, records))

        together(warm_seconds)
        for number in range(repetitions):
            _say(f"repetition {number + 1} of {repetitions}")
            for own, cost in zip(costs, together(seconds), strict=True):
                own.append(cost)
            busiest.append(_busiest_percent(bridges[1]))
        return Outcome(one=costs[0], two=costs[1], busiest_percent=busiest)


def _cost(bridge: Bridge, records: Records, *, cores: Cores, seconds: float) -> Cost:
    pids = bridge.pids
    before = sum(map(running_seconds, pids))
    answered = measures.throughput(bridge, cores, seconds)
    records.expect(answered.done)
    arrival = records.arrival()
    used = sum(map(running_seconds, pids)) - before
    return Cost(
        requests=answered.done,
        cpu_microseconds=used / answered.done * 1e6,
        per_second=answered.per_second,
        arrival=arrival,
    )


def _busiest_percent(bridge: Bridge) -> float:
    """Let clients connect one after the other and stay; return what the busiest worker has."""
    clients = [http.client.HTTPConnection("127.0.0.1", bridge.port) for _ in range(CLIENTS)]
    try:
        for client in clients:
            client.request("GET", "/healthz")
            client.getresponse().read()
        held = [_connections(pid, bridge.port) for pid in bridge.pids]
        assert sum(held) == CLIENTS, f"{CLIENTS} connected, {held} are held"
        return max(held) / CLIENTS * 100
    finally:
        for client in clients:
            client.close()


def _connections(pid: int, port: int) -> int:
    """Return how many connections to a port of this machine a process has accepted."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    fields = [line.split() for line in lines]
    accepted = {
        f"socket:[{each[9]}]"
        for each in fields
        if int(each[1].partition(":")[2], 16) == port and each[3] == _ESTABLISHED
    }
    held = 0
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            held += str(entry.readlink()) in accepted
        except FileNotFoundError:
            continue  # it has just been closed
    return held


def _say(text: str) -> None:
    print(f"… {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
