"""The benchmark of journal and writer: `python -m benchmarks.journal [--interceptions 7000]`.

Records with prompts of 2 kB are appended to a journal as fast as one process can, then sent to an
embedded database by the writer: alone, and beside the followers that derive sessions, usage and the
search index from the records, as in a running bridge. Everything shares two cores. Every record is
looked for in the database afterwards.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import structlog
from twisted.internet.defer import Deferred
from twisted.internet.task import react

from benchmarks.report import Target, median_target, target_lines
from benchmarks.results import machine_line, save
from benchmarks.servers import tree_seconds
from benchmarks.writing import RECORDS, Appends, Maker, Pace, append, opened, store
from bridge.store.embedded.server import EmbeddedServer
from bridge.store.followers import Followers
from bridge.store.migrations import migrate
from bridge.store.pool import Pool
from bridge.store.rows import one

APPENDED = 20_000.0
STORED = 10_000.0
_CORES = 2
_CONNECTIONS = 8
_STATEMENT_SECONDS = 30.0
_STORED = """
SELECT (SELECT count(*) FROM aibridge_interceptions WHERE ended_at IS NOT NULL)
     + (SELECT count(*) FROM aibridge_user_prompts)
     + (SELECT count(*) FROM aibridge_token_usages) + (SELECT count(*) FROM aibridge_legs)
"""
"""A start and its end are one row of interceptions and one of prompts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What storing took."""

    pace: Pace
    writer_cpu_microseconds: float
    """Processor time of this process for each record."""
    server_cpu_microseconds: float
    """Processor time of the database for each record, the followers' share included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What was measured, repetition by repetition."""

    appended: Sequence[Pace]
    alone: Sequence[Stored]
    followed: Sequence[Stored]
    missing: int
    """Records that are not in the database."""

    def targets(self) -> Sequence[Target]:
        """Return what was to be reached."""
        return [
            _target("records appended", [each.per_second for each in self.appended], APPENDED),
            _target(
                "records stored, nobody following",
                [each.pace.per_second for each in self.alone],
                STORED,
            ),
            _target(
                "records stored beside the followers",
                [each.pace.per_second for each in self.followed],
                STORED,
            ),
            Target(what="records missing", value=self.missing, limit=0, at_least=False, unit=""),
        ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark and leave the process."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.journal", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of it, once")
    parser.add_argument("--interceptions", type=int, default=0, help="in each repetition")
    parser.add_argument("--repetitions", type=int, default=0, help="default 5, with --quick 1")
    parser.add_argument("--data-dir", type=Path, help="where the database is made; removed again")
    given = parser.parse_args(arguments)
    react(
        lambda reactor: Deferred.fromCoroutine(
            _run(
                reactor,
                given.interceptions or (1_000 if given.quick else 7_000),
                given.repetitions or (1 if given.quick else 5),
                given.data_dir,
            )
        )
    )


async def _run(reactor: Any, interceptions: int, repetitions: int, where: Path | None) -> None:
    # Who is started now has these cores too.
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:_CORES])
    data_dir = Path(tempfile.mkdtemp(prefix="aibridge-bench-journal-", dir=where))
    log = structlog.get_logger("benchmark")
    server = EmbeddedServer(data_dir=data_dir, run_as="", reactor=reactor, log=log)
    began = time.time()
    try:
        pool = Pool(
            dsn=await server.start(),
            reactor=reactor,
            size=_CONNECTIONS,
            statement_seconds=_STATEMENT_SECONDS,
            log=log,
        )
        await pool.start()
        try:
            await migrate(pool)
            outcome = await measure(
                reactor,
                pool,
                data_dir / "journal",
                interceptions=interceptions,
                repetitions=repetitions,
                server_pid=server.pid,
            )
        finally:
            await pool.close()
    finally:
        await server.stop()
        for directory in (server.home, data_dir):
            shutil.rmtree(directory, ignore_errors=True)
    _report(outcome, began)
    if outcome.missing:
        sys.exit(1)


async def measure(
    reactor: Any,
    pool: Pool,
    root: Path,
    *,
    interceptions: int,
    repetitions: int,
    server_pid: int | None,
) -> Outcome:
    """Append and store, with and without followers in turn.

    Args:
        reactor: the running one.
        pool: of a migrated database.
        root: of the journals; nobody else's.
        interceptions: so many each time.
        repetitions: how often.
        server_pid: of the database, to look at its processor time; None when it is not ours.
    """
    maker = Maker()
    appended: list[Pace] = []
    stored: tuple[list[Stored], list[Stored]] = ([], [])
    (before,) = await pool.transaction(lambda cursor: one(cursor, _STORED))
    await _once(reactor, pool, root, maker.interceptions(interceptions // 10, time.time()))
    for number in range(2 * repetitions):
        followers = Followers(pool=pool, reactor=reactor, log=structlog.get_logger("benchmark"))
        following = number % 2 == 1
        appends = maker.interceptions(interceptions, time.time())
        if following:
            followers.start()
        served = _server_seconds(server_pid)
        wrote, pace, ours = await _once(reactor, pool, root, appends)
        served = _server_seconds(server_pid) - served
        await followers.stop()
        appended.append(wrote)
        stored[following].append(
            Stored(
                pace=pace,
                writer_cpu_microseconds=ours / pace.records * 1e6,
                server_cpu_microseconds=served / pace.records * 1e6,
            )
        )
    (after,) = await pool.transaction(lambda cursor: one(cursor, _STORED))
    wanted = RECORDS * (interceptions // 10 + 2 * repetitions * interceptions)
    return Outcome(
        appended=appended, alone=stored[0], followed=stored[1], missing=wanted - (after - before)
    )


def _server_seconds(pid: int | None) -> float:
    """Return the processor time of a database and of all that it has started."""
    if pid is None:
        return 0.0
    return tree_seconds(pid)


async def _once(reactor: Any, pool: Pool, root: Path, appends: Appends) -> tuple[Pace, Pace, float]:
    """Append and store; return how fast each went, and our processor time for storing."""
    journal = opened(root, reactor)
    try:
        wrote = await append(journal, appends)
        used = time.process_time()
        pace = await store(journal, wrote.records, pool, reactor)
        used = time.process_time() - used
    finally:
        await journal.close()
        shutil.rmtree(root)
    return wrote, pace, used


def _target(what: str, values: Sequence[float], limit: float) -> Target:
    return median_target(what, values, limit, "records/s", at_least=True)


def _report(outcome: Outcome, began: float) -> None:
    found = outcome.targets()
    print(machine_line() + "\n")
    for name, several in (("alone", outcome.alone), ("beside followers", outcome.followed)):
        ours = statistics.median(each.writer_cpu_microseconds for each in several)
        served = statistics.median(each.server_cpu_microseconds for each in several)
        print(
            f"stored {name}: {ours:.0f} µs of the writer for a record, {served:.0f} of PostgreSQL"
        )
    print("\n" + target_lines(found))
    print(f"\n{save('journal', asdict(outcome), found, began)}")


if __name__ == "__main__":
    main()
