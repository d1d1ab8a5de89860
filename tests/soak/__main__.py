"""`make soak`: half an hour of load with aborts, faults of the upstream and reloads; a verdict.

    make soak                        half an hour
    make soak SOAK_SECONDS=300 SOAK_RATE=20

The exit code is 1 when memory, file descriptors, Deferreds, delayed calls or connections grew.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import select
import signal
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from tests.loss.ledger import attempts_in
from tests.loss.run import Run
from tests.soak.samples import Sample, verdict
from tests.support.bridge_process import ROOT, eventually

SECONDS = 1800.0
RATE = 40.0
SAMPLES = 180
RELOADS = 30
FAULTS_PERCENT = 5
_SITE = Path(__file__).resolve().parent / "site"
_ANSWER_SECONDS = 30.0


def soak(directory: Path, *, seconds: float, rate: float, seed: int) -> list[Sample]:
    """Put a bridge under load for so long, and return what was seen of it."""
    counts = directory / "counts"
    run = Run(
        directory=directory / "run",
        seed=seed,
        requests=int(seconds * rate),
        rate=rate,
        faults_percent=FAULTS_PERCENT,
        environment={
            "PYTHONPATH": f"{_SITE}{os.pathsep}{ROOT / 'src'}{os.pathsep}{ROOT}",
            "AIBRIDGE_SOAK_COUNTS": str(counts),
        },
    )
    samples = []
    try:
        run.begin()
        # What is looked at is a bridge under load, not one whose clients are still starting.
        eventually(lambda: _requests(run), seconds=_ANSWER_SECONDS, what="the first answer")
        began = time.monotonic()
        every = seconds / SAMPLES
        for n in range(1, SAMPLES + 1):
            _wait_until(began + n * every)
            if n % (SAMPLES // RELOADS) == 0:
                run.reload(n)
            samples.append(_sample(run, counts, time.monotonic() - began))
        run.wait_for_clients()
        run.wait_until_stored()
        assert run.running.running, "the bridge ended"
    finally:
        run.close()
    return samples


def _sample(run: Run, counts: Path, seconds: float) -> Sample:
    counts.unlink(missing_ok=True)
    run.running.signal(signal.SIGUSR2)
    eventually(counts.exists, seconds=_ANSWER_SECONDS, what="the bridge to count its objects")
    found = json.loads(counts.read_text())
    process = Path(f"/proc/{run.running.pid}")
    status = (process / "status").read_text()
    rss = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return Sample(
        seconds=round(seconds, 1),
        requests=_requests(run),
        rss_bytes=int(rss.split()[1]) * 1024,
        file_descriptors=sum(1 for _ in (process / "fd").iterdir()),
        deferreds=found["Deferred"],
        delayed_calls=found["DelayedCall"],
        connections=found["Server"] + found["Client"],
        objects=found["objects"],
    )


def _requests(run: Run) -> int:
    """Return how many requests the clients have an end of."""
    ledger = run.directory / "clients.log"
    return ledger.read_bytes().count(b"\n") if ledger.exists() else 0


def _wait_until(due: float) -> None:
    select.select((), (), (), max(0.0, due - time.monotonic()))


def main() -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak")
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--rate", type=float, default=RATE)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--json", type=Path, default=None, help="where the samples are written")
    given = parser.parse_args()
    # So that nothing is left behind by who is told to end either.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    seed = given.seed if given.seed is not None else secrets.randbelow(2**31)
    print(f"seed {seed}, {given.seconds:g} s at {given.rate:g} requests/s", flush=True)
    with tempfile.TemporaryDirectory(prefix="aibridge-soak-") as name:
        directory = Path(name)
        samples = soak(directory, seconds=given.seconds, rate=given.rate, seed=seed)
        attempts = attempts_in(directory / "run" / "clients.log")
    found = verdict(samples)
    for sample in samples[:: max(1, len(samples) // 12)]:
        print(sample)
    seen: dict[str, int] = {}
    for attempt in attempts:
        kind = f"{attempt.outcome} {attempt.status}"
        seen[kind] = seen.get(kind, 0) + 1
    print(f"the clients saw {dict(sorted(seen.items()))}")
    print(found)
    if given.json is not None:
        given.json.write_text(json.dumps([asdict(each) for each in samples], indent=1) + "\n")
    return int(not found.flat)


if __name__ == "__main__":
    sys.exit(main())
