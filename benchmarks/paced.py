"""How much later everything comes at a given pace: `python -m benchmarks.paced [--quick]`.

The upstream asked directly, bare Klein + treq, nginx and the bridge in several set-ups get the same
open load in turn, repetition by repetition: requests of 1 kB, 100 kB and 2 MB at a steady rate, and
1, 50 and 500 streams side by side. Times count from when a request should have been sent. What is
added is the difference to asking directly within a repetition. All bytes are compared by digest
with what the upstream says directly, and all records are looked for.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import paced_report
from benchmarks.chart import write_chart
from benchmarks.gateways import MessagesUpstream, Terminator
from benchmarks.open_load import Job, Result
from benchmarks.paced_report import SIZE_JUDGED, STREAMS_JUDGED, Measured, key_of
from benchmarks.records import Records
from benchmarks.report import target_lines
from benchmarks.results import machine_line, save
from benchmarks.servers import (
    AwsUpstream,
    Bridge,
    Cores,
    Nginx,
    Server,
    bare,
    interrupt_as_exit,
    nginx_program,
    pids_of,
    pin,
    running_seconds,
)
from benchmarks.speech import conversation, model_of
from tests.support.bridge_process import ROOT
from tests.support.certificates import Authority
from tests.support.fakes import unused_port

SIZES = {"1 kB": 1_000, "100 kB": 100_000, "2 MB": 2_000_000}
_RATES = {"1 kB": 50.0, "100 kB": 50.0, "2 MB": 5.0}
STREAMS = (1, STREAMS_JUDGED, 500)
_INTERVAL_SECONDS = 0.01
_EVENT_CHARACTERS = 40
_EVENTS_BEFORE = 3
"""Start, block start, ping."""
_NO_CONTENTS = dict.fromkeys(("prompts", "tool_inputs", "thoughts", "tool_results"), "off")
_WARM_REQUESTS = 100
_READY = 32
"""Connections there are before the first request."""
_QUICK = "bare,bridge,bridge TLS"
_NEW_CONNECTIONS = 50.0
"""Handshakes a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """How much is done in one repetition."""

    small: int = 75
    requests: int = 120
    large: int = 10
    events: int = 500
    """Of each of 50 streams."""
    events_alone: int = 200
    events_of_many: int = 60
    """Of each of 500 streams: more at a time than anything on one core keeps up with."""
    handshakes: int = 100
    streams: Sequence[int] = STREAMS


QUICK = Extent(
    small=25,
    requests=50,
    large=3,
    events=50,
    events_alone=50,
    handshakes=20,
    streams=(1, STREAMS_JUDGED),
)


@dataclass(slots=True, kw_only=True)
class Contender:
    """One server, and what is known of it."""

    server: Server
    port: int = 0
    """Where it is asked; 0 is the server's own."""
    authority: str = ""
    """File of who vouches for it; empty for one without TLS."""
    records: Records | None = None
    missing: int = 0
    measured: dict[str, list[Measured]] = field(default_factory=dict)
    """By what was asked."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return the exit code: 1 when a byte differs or a record is missing."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.paced", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="one short repetition, and fewer of them"
    )
    parser.add_argument("--repetitions", type=int, default=0, help="default 5, with --quick 1")
    parser.add_argument("--only", default="", help="names of contenders, besides direct")
    parser.add_argument("--chart", type=Path, help="an SVG file that is written")
    given = parser.parse_args(arguments)
    interrupt_as_exit()
    began = time.time()
    contenders, upstream_sessions = measure(
        Cores(),
        extent=QUICK if given.quick else Extent(),
        repetitions=given.repetitions or (1 if given.quick else 5),
        only={name for name in (given.only or (_QUICK if given.quick else "")).split(",") if name},
    )
    measured = {name: each.measured for name, each in contenders.items()}
    missing = sum(each.missing for each in contenders.values())
    found = paced_report.targets(measured, missing=missing)
    print(machine_line() + "\n")
    print(paced_report.tables(measured))
    print("\n" + paced_report.handshake_lines(measured, upstream_sessions))
    print("\n" + target_lines(found))
    raw = {
        "servers": {
            name: {
                what: [asdict(one) for one in several] for what, several in each.measured.items()
            }
            for name, each in contenders.items()
        },
        "upstream_sessions": upstream_sessions,
    }
    print(f"\n{save('paced', raw, found, began)}")
    if given.chart is not None:
        write_chart(given.chart, paced_report.charts(measured), paced_report.caption(began))
        print(given.chart)
    wrong = sum(
        each.different for own in measured.values() for several in own.values() for each in several
    )
    return 1 if wrong or missing else 0


def measure(
    cores: Cores, *, extent: Extent, repetitions: int, only: set[str]
) -> tuple[dict[str, Contender], dict[str, int]]:
    """Start the contenders and let them take turns.

    Returns:
        What was found of each, and the TLS handshakes with the upstream.
    """
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="aibridge-bench-")))
        authority = Authority.root("Benchmark")
        key, certificate = authority.issue("127.0.0.1").write(directory)
        trusted = directory / "authority.pem"
        trusted.write_bytes(authority.certificate_pem)
        upstream, aws = MessagesUpstream(), AwsUpstream()
        secured = None
        for each in (upstream, aws):
            stack.callback(each.stop)
            each.start(cores)
        contenders = {"direct": Contender(server=upstream)}
        for name, make in _makers(directory, upstream, aws).items():
            if only and name not in only:
                continue
            server = make()
            stack.callback(server.stop)
            _say(f"starting {name}")
            server.start(cores)
            contenders[name] = Contender(server=server)
        if not only or "bridge TLS" in only:
            secured = Terminator(certificate=certificate, key=key, upstream=upstream)
            stack.callback(secured.stop)
            secured.start(cores)
            port = unused_port()
            bridge = _with_tls(directory, port, key, certificate, trusted, secured, upstream, aws)
            stack.callback(bridge.stop)
            _say("starting bridge TLS")
            bridge.start(cores)
            contenders["bridge TLS"] = Contender(server=bridge, port=port, authority=str(trusted))
        for contender in contenders.values():
            if isinstance(contender.server, Bridge):
                contender.records = Records(contender.server)
        for contender in contenders.values():  # code paths and caches are there afterwards
            warm = _job(contender, 1_000, events=5, count=_WARM_REQUESTS, per_second=_RATES["1 kB"])
            result, _ = _run(warm, contender.server, cores)
            if contender.records is not None:
                contender.records.expect(result.done)
                contender.missing = contender.records.arrival().missing
        for number in range(repetitions):
            _repetition(contenders, cores, extent, f"{number + 1} of {repetitions}")
        return contenders, {} if secured is None else secured.counts()


def _makers(
    directory: Path, upstream: MessagesUpstream, aws: AwsUpstream
) -> dict[str, Callable[[], Server]]:
    """Return what makes each contender, by its name."""

    def bridge(name: str, workers: int = 0, more: dict[str, Any] | None = None) -> Server:
        return Bridge(
            fsync="before_end",
            directory=directory / name,
            upstream=upstream,
            aws=aws,
            workers=workers,
            more=more,
        )

    found: dict[str, Callable[[], Server]] = {
        "bare": lambda: bare(upstream),
        "bridge": lambda: bridge("bridge"),
        "bridge no contents": lambda: bridge("blank", more={"record": _NO_CONTENTS}),
        "bridge 1 worker": lambda: bridge("workers1", 1),
        "bridge 2 workers": lambda: bridge("workers2", 2),
    }
    program = nginx_program()
    if program is None:
        _say("nginx is not installed, and left out")
    else:
        found["nginx"] = lambda: Nginx(
            program=program, directory=directory / "nginx", upstream=upstream
        )
    return found


def _with_tls(
    directory: Path,
    port: int,
    key: Path,
    certificate: Path,
    trusted: Path,
    secured: Terminator,
    upstream: MessagesUpstream,
    aws: AwsUpstream,
) -> Bridge:
    """Return a bridge that speaks TLS with clients, on a port, and with the upstream."""
    bridge = Bridge(
        fsync="before_end",
        directory=directory / "tls",
        upstream=upstream,
        aws=aws,
        base_url=f"https://127.0.0.1:{secured.port}",
    )
    secure = f"ssl:{port}:interface=127.0.0.1:privateKey={key}:certKey={certificate}"
    plain = f"tcp:{bridge.port}:interface=127.0.0.1"  # where it is looked whether it is ready
    settings = {**bridge.settings, "listen": [plain, secure], "ca_file": str(trusted)}
    bridge.process.configure(settings)
    return bridge


def _repetition(contenders: dict[str, Contender], cores: Cores, extent: Extent, which: str) -> None:
    digests: dict[str, str] = {}

    def turn(what: str, job: Callable[[Contender], Job], names: Sequence[str]) -> None:
        _say(f"repetition {which}: {what}")
        for name in names:
            contender = contenders[name]
            asked = job(contender)
            result, cpu = _run(asked, contender.server, cores)
            # The first is asked directly, of whoever is compared with that.
            digests.setdefault(what, result.sha256)
            contender.measured.setdefault(what, []).append(paced_report.measured(result, cpu))
            if contender.records is not None:
                contender.records.expect(result.done)
                contender.missing = max(contender.missing, contender.records.arrival().missing)

    # The other set-ups of the bridge are asked for what is judged only.
    usual = [name for name in contenders if name in ("direct", "bare", "nginx", "bridge")]
    counts = {"1 kB": extent.small, "100 kB": extent.requests, "2 MB": extent.large}
    for size, length in SIZES.items():
        turn(
            key_of(size),
            lambda each, size=size, length=length: _job(  # type: ignore[misc]  # bound at once
                each,
                length,
                events=5,
                count=counts[size],
                per_second=_RATES[size],
                sha256=digests.get(key_of(size), ""),
            ),
            list(contenders) if size == SIZE_JUDGED else usual,
        )
    for streams in extent.streams:
        events = extent.events_alone if streams == 1 else extent.events
        if streams > STREAMS_JUDGED:
            events = extent.events_of_many
        turn(
            key_of(streams),
            lambda each, streams=streams, events=events: _job(  # type: ignore[misc]  # bound at once
                each,
                1_000,
                events=events,
                paced=True,
                count=streams,
                per_second=float(streams),  # all begin within a second
                sha256=digests.get(key_of(streams), ""),
            ),
            list(contenders) if streams == STREAMS_JUDGED else usual,
        )
    if "bridge TLS" in contenders:
        for resumed in (False, True):
            turn(
                key_of(resumed),
                lambda each, resumed=resumed: _job(  # type: ignore[misc]  # bound at once
                    each,
                    1_000,
                    events=5,
                    count=extent.handshakes,
                    per_second=_NEW_CONNECTIONS,
                    fresh=True,
                    resumed=resumed,
                ),
                [name for name in ("bridge", "bridge TLS") if name in contenders],
            )


def _job(
    contender: Contender,
    length: int,
    *,
    events: int,
    paced: bool = False,
    fresh: bool = False,
    **more: Any,
) -> Job:
    """Return a request of about `length` bytes for a stream."""
    server = contender.server
    model = model_of(
        {
            "x-demo-events": str(events),
            "x-demo-event-bytes": str(_EVENT_CHARACTERS),
            "x-demo-interval": str(_INTERVAL_SECONDS if paced else 0.0),
        }
    )
    return Job(
        port=contender.port or server.port,
        path=server.path,
        headers={
            "Content-Type": "application/json",
            "anthropic-version": "2023-06-01",
            **server.headers,
        },
        body=conversation(model, length),
        ready_connections=0 if fresh else _READY,
        events_before=_EVENTS_BEFORE,
        events=events if paced else 0,
        interval_seconds=_INTERVAL_SECONDS,
        authority=contender.authority,
        fresh=fresh,
        **more,
    )


def _run(job: Job, server: Server, cores: Cores) -> tuple[Result, float]:
    """Run a load in a process of its own; return what came, and the server's processor time."""
    pids = pids_of(server)
    before = sum(map(running_seconds, pids))
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.open_load"],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        pin(process.pid, cores.rest)
        line, _ = process.communicate(json.dumps(asdict(job)) + "\n")
    result = Result(**json.loads(line)) if line else Result(problem="the load broke")
    if result.problem or result.done != job.count:
        raise RuntimeError(f"{server.name}, port {job.port}: {result.problem or result.done}")
    return result, sum(map(running_seconds, pids)) - before


def _say(text: str) -> None:
    print(f"… {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
