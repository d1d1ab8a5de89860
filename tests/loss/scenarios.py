"""What happens in the middle of the load, each a row of the table.

A scenario starts a `Run`, does its worst, says by `terms` what that excuses, and leaves the bridge
running with everything on its way to the database.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from bridge.journal.directory import directories, load_checkpoint, segment_path, segments
from tests.loss.ledger import Terms
from tests.loss.run import Run

_OUTAGE_SECONDS = 30.0
_LONG_SECONDS = 60.0
_RESERVE_BYTES = 5 << 18
_JOURNAL_BYTES_PER_REQUEST = 3000

Start = Callable[..., Run]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A row."""

    name: str
    title: str
    play: Callable[[Start], Run]
    few_refused: bool
    """Whether at most one request in a hundred may find nobody."""
    needs_root: bool = False


def _database_stopped(start: Start) -> Run:
    run = start()
    run.begin()
    run.wait_for(0.2)
    run.database.stop()
    # The whole pause where the load is long enough to have room for it.
    seconds = min(_OUTAGE_SECONDS, 0.5 * run.seconds)
    run.wait_for(0.2 + seconds / run.seconds)
    run.database.start()
    run.notes.append(f"PostgreSQL was away for {seconds:.0f} s")
    run.wait_for_clients()
    return run


def _bridge_killed(start: Start) -> Run:
    run = start()
    run.terms = Terms(killed=True)
    run.begin()
    for part in _moments(run):
        run.wait_for(part)
        run.kill_and_start()
        run.notes.append(f"ready again after {run.running.start_seconds:.1f} s")
    run.wait_for_clients()
    return run


def _database_killed(start: Start) -> Run:
    run = start()
    run.begin()
    for part in (0.3, 0.6):
        run.wait_for(part)
        run.kill_database_in_a_flush()
    run.wait_for_clients()
    return run


def _disk_full(start: Start) -> Run:
    run = start(tmpfs_bytes=_small_disk)
    run.terms = Terms(withheld=True)
    run.begin()
    run.wait_for(0.1)
    run.database.stop()
    run.wait_for(0.7)
    run.note_full()
    run.database.start()
    run.wait_for_clients()
    return run


def _all_of_them(start: Start) -> Run:
    run = start(tmpfs_bytes=_small_disk)
    run.terms = Terms(killed=True, withheld=True)
    run.begin()
    run.wait_for(0.1)
    run.database.stop()
    run.wait_for(0.3)
    run.kill_and_start()
    run.wait_for(0.6)
    run.note_full()
    run.running.kill()
    # It is not ready before there is room for records, which the database makes.
    run.running.start(until_ready=False)
    run.database.start()
    run.running.wait_until_ready()
    run.wait_for(0.75)
    run.kill_database_in_a_flush()
    run.wait_for(0.85)
    run.kill_and_start()
    run.wait_for_clients()
    return run


def _stopped(start: Start) -> Run:
    run = start()
    run.begin()
    run.wait_for(run.chance.uniform(0.3, 0.7))
    run.running.terminate(seconds=120.0)
    run.running.start()
    run.notes.append(f"ready again after {run.running.start_seconds:.1f} s")
    run.wait_for_clients()
    return run


def _worker_killed(start: Start) -> Run:
    run = start(workers=2)
    run.terms = Terms(killed=True)
    run.begin()
    for part in _moments(run):
        run.wait_for(part)
        os.kill(run.chance.choice(run.workers), signal.SIGKILL)
    run.wait_for_clients()
    return run


def _power_lost(
    fsync: str, forgotten_seconds: float, *, workers: int = 0
) -> Callable[[Start], Run]:
    def play(start: Start) -> Run:
        run = start(instrumented=True, journal={"fsync": fsync}, workers=workers)
        cuts = []
        run.begin()
        for part in _moments(run):
            run.wait_for(part)
            cuts.append(run.cut_power())
        run.terms = Terms(
            power=True,
            unended=fsync == "never",
            cuts=tuple(cuts),
            forgotten_seconds=forgotten_seconds,
        )
        run.wait_for_clients()
        return run

    return play


def _fsync_fails(start: Start) -> Run:
    """After each fault the power goes, so that what the failed fsync had not kept is gone."""
    run = start(instrumented=True)
    run.terms = Terms(power=True, withheld=True)
    run.begin()
    for part in _moments(run):
        run.wait_for(part)
        run.eio.touch()
        deadline = time.monotonic() + 30.0
        while run.eio.exists() and time.monotonic() < deadline:
            run.wait_for(run.part + 0.2 / run.seconds)
        assert not run.eio.exists(), "no fsync came"
        run.wait_for(run.part + run.chance.uniform(0.0, 0.5) / run.seconds)
        run.cut_power()
    run.wait_for_clients()
    return run


def _byte_flipped(start: Start) -> Run:
    """In a line that is not in the database yet, while the bridge is down."""
    run = start()
    run.begin()
    run.wait_for(0.2)
    run.database.stop()
    run.wait_for(0.6)
    run.running.kill()
    damaged = _flip_a_byte(run)
    run.terms = Terms(killed=True, damaged=frozenset({str(damaged)}))
    run.running.start()
    run.database.start()
    run.wait_for_clients()
    return run


def _restored(start: Start) -> Run:
    run = start()
    run.begin()
    run.wait_for(0.4)
    run.command("backup", str(run.directory / "backup"))
    run.wait_for_clients()
    run.wait_until_stored()
    run.running.terminate()
    said = run.command("restore", "--replace", str(run.directory / "backup"))
    since = said.rpartition("--since ")[2].strip()
    run.notes.append(run.command("journal", "replay", "--since", since).strip())
    run.running.start()
    return run


def _moments(run: Run) -> list[float]:
    """Return three moments of a long load, and one of a short one, which is over soon."""
    if run.seconds < _LONG_SECONDS:
        return [run.chance.uniform(0.2, 0.4)]
    return [(n + run.chance.uniform(0.2, 0.8)) / 3 for n in range(3)]


def _flip_a_byte(run: Run) -> UUID:
    for directory in directories(run.journal):
        stored = load_checkpoint(directory)
        for number in segments(directory):
            path = segment_path(directory, number)
            data = path.read_bytes()
            begin = stored.offset if number == stored.segment else 0
            if number < stored.segment or len(data) - begin < 20_000:
                continue
            # A line well behind the checkpoint, and not the head of a segment.
            at = data.index(b"\n", begin + (len(data) - begin) // 2) + 1
            line = data[at : data.index(b"\n", at)]
            identifier = UUID(json.loads(line.partition(b" ")[2])["interception_id"])
            with path.open("r+b") as file:
                file.seek(at + len(line) // 2)
                file.write(bytes([line[len(line) // 2] ^ 0x01]))
            run.notes.append(f"a byte of {path.name} flipped")
            return identifier
    raise AssertionError("no journal has a line that is not stored")


def _small_disk(requests: int) -> int:
    """Too small for what is written while the database is away."""
    return _RESERVE_BYTES + requests * _JOURNAL_BYTES_PER_REQUEST // 3


SCENARIOS = (
    Scenario(
        name="a",
        title="PostgreSQL stopped for 30 s",
        play=_database_stopped,
        few_refused=True,
    ),
    Scenario(
        name="b",
        title="``kill -9`` of the bridge, three times",
        play=_bridge_killed,
        few_refused=True,
    ),
    Scenario(
        name="c",
        title="``kill -9`` of PostgreSQL during a flush",
        play=_database_killed,
        few_refused=True,
    ),
    Scenario(
        name="d",
        title="the journal's disk full",
        play=_disk_full,
        few_refused=False,
        needs_root=True,
    ),
    Scenario(
        name="e",
        title="a, b, c and d in one",
        play=_all_of_them,
        few_refused=False,
        needs_root=True,
    ),
    Scenario(name="f", title="SIGTERM under load", play=_stopped, few_refused=True),
    Scenario(
        name="g",
        title="two workers, one killed",
        play=_worker_killed,
        few_refused=True,
    ),
    Scenario(
        name="h1",
        title="power cut three times, ``before_end``",
        play=_power_lost("before_end", 0.0),
        few_refused=False,
    ),
    Scenario(
        name="h2",
        title="power cut three times, ``group``",
        # 20 ms until an fsync begins, as long as it takes, and as late as a busy machine is.
        play=_power_lost("group", 1.0),
        few_refused=False,
    ),
    Scenario(
        name="h3",
        title="power cut three times, ``never``",
        play=_power_lost("never", float("inf")),
        few_refused=False,
    ),
    Scenario(
        name="h4",
        title="fsync fails, then the power",
        play=_fsync_fails,
        few_refused=False,
    ),
    Scenario(
        name="h6",
        title="power cut three times, two workers",
        play=_power_lost("before_end", 0.0, workers=2),
        few_refused=False,
    ),
    Scenario(
        name="h5", title="a byte of the journal flipped", play=_byte_flipped, few_refused=False
    ),
    Scenario(
        name="i",
        title="restored from an older backup, replayed",
        play=_restored,
        few_refused=True,
    ),
)


def playable(scenario: Scenario) -> str:
    """Return why a scenario cannot be played here; "" when it can."""
    if scenario.needs_root and os.geteuid() != 0:
        return "needs root, to mount a small disk"
    return ""


def play(
    scenario: Scenario, directory: Path, *, seed: int, requests: int, rate: float
) -> dict[str, Any]:
    """Play one, and return its row: the outcome's counts, notes, seconds and a verdict."""
    began = time.monotonic()
    runs: list[Run] = []

    def start(**more: Any) -> Run:
        size = more.pop("tmpfs_bytes", None)
        bytes_ = size(requests) if size is not None else 0
        run = Run(
            directory=directory / scenario.name,
            seed=seed,
            requests=requests,
            rate=rate,
            tmpfs_bytes=bytes_,
            **more,
        )
        runs.append(run)
        return run

    try:
        run = scenario.play(start)
        run.wait_until_stored()
        outcome = run.outcome()
        notes = run.notes
    finally:
        for each in runs:
            each.close()
    share = outcome.refused / max(1, outcome.requests)
    problems = [
        *(["requests are missing"] if outcome.requests != requests else []),
        *(["records are wrong"] if outcome.faults else []),
        *(["too many were refused"] if scenario.few_refused and share > 0.01 else []),
    ]
    return {
        "scenario": scenario.name,
        "title": scenario.title,
        "seed": seed,
        "rate": rate,
        "seconds": round(time.monotonic() - began, 1),
        **outcome.as_json(),
        "notes": notes,
        "problems": problems,
    }
