"""The comparison with other gateways: `python -m benchmarks.peers [--quick] [--only NAMES]`.

All speak Chat Completions to the same upstream, are asked by the same client, have one core each in
turn, and take turns within a repetition; medians of ratios within a repetition are taken. The
bridge records everything while it is measured, and all of it is looked for afterwards.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from benchmarks import measures
from benchmarks.gateways import GATEWAYS, ChatUpstream, NginxToChat, installed
from benchmarks.records import Records
from benchmarks.report import Numbers, arrival_lines, peer_targets, table, target_lines
from benchmarks.servers import (
    AwsUpstream,
    Bridge,
    Child,
    Cores,
    Server,
    interrupt_as_exit,
    nginx_program,
    resident_bytes,
)
from benchmarks.speech import CHAT_BY_MODEL

RESULTS = Path(__file__).parent / "results"
_WARM_SECONDS = 2.0
_STREAMS = 8
"""At once: as many as the slowest of them keeps up with."""


class _BareToChat(Child):
    path = CHAT_BY_MODEL.path
    speech = CHAT_BY_MODEL


class _BridgeToChat(Bridge):
    path = f"/openai{CHAT_BY_MODEL.path}"
    speech = CHAT_BY_MODEL


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare, print the table, and return the exit code: 1 when a record is missing."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short repetition")
    parser.add_argument("--repetitions", type=int, default=0, help="default 5, with --quick 1")
    parser.add_argument("--only", default="", help="besides bare and the bridge: names of them")
    given = parser.parse_args(arguments)
    repetitions = given.repetitions or (1 if given.quick else 5)
    seconds, events = (2.0, 200) if given.quick else (5.0, 500)
    chosen = {name.lower() for name in given.only.split(",") if name}
    interrupt_as_exit()
    cores = Cores()
    began = time.time()
    numbers: dict[str, Numbers] = {}
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="aibridge-bench-")))
        upstream, aws = ChatUpstream(), AwsUpstream()
        for each in (upstream, aws):
            stack.callback(each.stop)
            each.start(cores)
        bridge = _BridgeToChat(
            fsync="before_end", directory=directory / "bridge", upstream=upstream, aws=aws
        )
        bridge.name = "bridge"
        others = [
            each
            for each in (*_nginx(directory, upstream), *installed(directory, upstream, events))
            if not chosen or each.name.lower() in chosen
        ]
        bare = _BareToChat(
            name="bare",
            arguments=["benchmarks.bare", str(upstream.port)],
            secret=upstream.secret,
        )
        servers: list[Server] = [bare, bridge, *others]
        for server in servers:
            _say(f"starting {server.name}")
            stack.callback(server.stop)
            server.start(cores)
            numbers[server.name] = Numbers(idle_bytes=resident_bytes(server.pid))
        records = Records(bridge)
        for server in servers:
            done = measures.throughput(server, cores, _WARM_SECONDS).done
            _recorded(server, bridge, records, numbers, done)
        for n in range(1, repetitions + 1):
            _say(f"repetition {n} of {repetitions}")
            for server in servers:
                own = numbers[server.name]
                fast = measures.throughput(server, cores, seconds)
                own.throughput.append(fast)
                _recorded(server, bridge, records, numbers, fast.done)
                try:
                    paced = measures.streaming(server, cores, events, _STREAMS)
                except measures.LoadFailed as problem:
                    if server in (bare, bridge):
                        raise
                    _say(f"{server.name} gave no whole streams: {problem}")
                    continue
                own.streaming.append(paced)
                _recorded(server, bridge, records, numbers, paced.done)
    _report(numbers, cores, began)
    return 1 if any(own.missing for own in numbers.values()) else 0


def _nginx(directory: Path, upstream: ChatUpstream) -> Sequence[Server]:
    program = nginx_program()
    if program is None:
        return ()
    return (NginxToChat(program=program, directory=directory / "nginx", upstream=upstream),)


def _recorded(
    server: Server, bridge: Bridge, records: Records, numbers: dict[str, Numbers], done: int
) -> None:
    if server is bridge:
        records.expect(done)
        numbers[server.name].arrivals.append(records.arrival())


def _report(numbers: dict[str, Numbers], cores: Cores, began: float) -> None:
    found = peer_targets(numbers)
    load = os.getloadavg()[0]
    print(f"\nChat Completions; server on core {cores.server}; load, upstream and Postgres on core "
          f"{cores.rest}; {platform.python_implementation()} {platform.python_version()}; "
          f"load average {load:.1f}\n")  # fmt: skip
    print(table(numbers))
    print("\n" + arrival_lines(numbers))
    print("\n" + target_lines(found))
    left_out = [gateway.name for gateway in GATEWAYS if gateway.name not in numbers]
    if left_out:
        print(f"\nnot installed, or not chosen: {', '.join(left_out)} (make bench-peers installs)")
    RESULTS.mkdir(exist_ok=True)
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(began))
    raw = {
        "at": moment,
        "python": platform.python_version(),
        "load_average": load,
        "servers": {name: asdict(own) for name, own in numbers.items()},
        "targets": [{**asdict(target), "reached": target.reached} for target in found],
    }
    (RESULTS / f"peers-{moment}.json").write_text(json.dumps(raw, indent=1) + "\n")


def _say(text: str) -> None:
    print(f"… {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
