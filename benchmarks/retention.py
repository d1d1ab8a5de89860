"""The benchmark of retention: `python -m benchmarks.retention [--interceptions 10000000]`.

Fills an embedded database (10 million interceptions take about 15 GB), gives up one day after the
other by passes of the bridge's own retention, and looks at how long a pass takes and what it leaves
behind. The writer stores records in the full database and in an empty one on the same server, in
turn, and in the full one while a pass is under way. Everything is removed at the end.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import structlog
from twisted.internet.defer import Deferred
from twisted.internet.task import react

from benchmarks.report import Target, median_target, target_lines
from benchmarks.results import machine_line, save
from benchmarks.retention_fill import fill
from benchmarks.writing import Maker, Pace, append, opened, store
from bridge.retention import Retention
from bridge.store.embedded.server import EmbeddedServer
from bridge.store.migrations import migrate
from bridge.store.partitions import DERIVED, RECORDED, Partition, partitions
from bridge.store.pool import Pool
from bridge.store.rows import many

PASS_LIMIT_SECONDS = 1.0
WRITER_SHARE = 80.0
BLOAT_PERCENT = 1.0
_STATEMENT_SECONDS = 30.0
_CONNECTIONS = 4
_EMPTY = "bench_empty"
_SIZE = "SELECT pg_database_size(current_database())"
_DEAD = """
SELECT coalesce(sum(n_dead_tup), 0)::bigint FROM pg_stat_user_tables
WHERE relname ~ '_p[0-9]{8}$' AND right(relname, 8) < to_char(now() AT TIME ZONE 'UTC', 'YYYYMMDD')
"""
"""In partitions that the writer does not write to now, which updates a start when its end comes."""
_STORED = """
SELECT sum(greatest(reltuples, 0))::bigint FROM pg_class
WHERE relname ~ '^aibridge_interceptions_p[0-9]{8}$'
"""
_REST = f"""
SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint
FROM pg_class c
WHERE c.relkind = 'r' AND c.relname !~ '^({"|".join((*DERIVED, *RECORDED))})_p[0-9]{{8}}$'
"""  # constants only
"""Bytes of all tables that are no partition, the catalogue included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """What one pass of the retention did."""

    seconds: float
    interceptions: int
    """Of the day that went, as the database estimates."""
    left_bytes: int
    """By how much less the database shrank than its partitions had been large."""
    partition_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What was measured."""

    stored: int
    """Interceptions in the full database at first."""
    passes: Sequence[Pass]
    full: Sequence[Pace]
    empty: Sequence[Pace]
    during: Sequence[Pace]
    """In the full database while a pass was under way."""
    pass_during_seconds: Sequence[float]
    dead_rows: int
    """That the passes left in partitions."""
    rest_growth_bytes: int
    """Of tables that are no partition, the catalogue included, over all passes."""

    def targets(self) -> Sequence[Target]:
        """Return what was to be reached."""
        pairs = zip(self.full, self.empty, strict=True)
        left = sum(each.left_bytes for each in self.passes)
        gone = sum(each.partition_bytes for each in self.passes)
        return [
            median_target(
                f"retention of one day of {self.stored} interceptions",
                [each.seconds for each in self.passes],
                PASS_LIMIT_SECONDS,
                "s",
            ),
            median_target(
                "the same while the writer works",
                self.pass_during_seconds,
                PASS_LIMIT_SECONDS,
                "s",
            ),
            Target(
                what="not given back of what a day took",
                value=max(left, 0) / gone * 100,
                limit=BLOAT_PERCENT,
                at_least=False,
                unit="%",
            ),
            Target(what="dead rows left", value=self.dead_rows, limit=0, at_least=False, unit=""),
            median_target(
                "records stored per second",
                [full.per_second / empty.per_second * 100 for full, empty in pairs],
                WRITER_SHARE,
                "% of what an empty database takes",
                at_least=True,
            ),
        ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark and leave the process."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.retention", description=__doc__)
    parser.add_argument("--interceptions", type=int, default=10_000_000)
    parser.add_argument("--days", type=int, default=60)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--written", type=int, default=5000, help="interceptions at a time")
    parser.add_argument("--data-dir", type=Path, help="where the database is made; removed again")
    given = parser.parse_args(arguments)
    react(lambda reactor: Deferred.fromCoroutine(_run(reactor, given)))


async def _run(reactor: Any, given: argparse.Namespace) -> None:
    data_dir = Path(tempfile.mkdtemp(prefix="aibridge-bench-retention-", dir=given.data_dir))
    home: Path | None = None
    began = time.time()
    try:
        server = _server(reactor, data_dir, unsafe_fast=True)
        try:
            pool = _pool(reactor, await server.start())
            home = server.home
            await pool.start()
            await migrate(pool)
            await fill(
                pool,
                interceptions=given.interceptions,
                days=given.days,
                last=datetime.now(UTC).date() - timedelta(days=1),
                say=_say,
            )
            await pool.close()
        finally:
            await server.stop()
        # Anew, as it is shipped: what was cached is cold, and everything is made durable.
        server = _server(reactor, data_dir, unsafe_fast=False)
        try:
            full = _pool(reactor, await server.start())
            empty = await _second(reactor, server)
            await full.start()
            try:
                outcome = await measure(
                    reactor,
                    full,
                    empty,
                    data_dir / "journal",
                    repetitions=given.repetitions,
                    written=given.written,
                )
            finally:
                await full.close()
                await empty.close()
        finally:
            await server.stop()
    finally:
        for directory in (home, data_dir):
            if directory is not None:
                shutil.rmtree(directory, ignore_errors=True)
    found = outcome.targets()
    print(machine_line() + "\n")
    for name, paces in (
        ("full", outcome.full), ("empty", outcome.empty), ("full, with a pass", outcome.during)
    ):  # fmt: skip
        print(f"{statistics.median(each.per_second for each in paces):.0f} records/s: {name}")
    print(f"tables that are no partition grew by {outcome.rest_growth_bytes / 1e6:.1f} MB")
    print("\n" + target_lines(found))
    print(f"\n{save('retention', asdict(outcome), found, began)}")


async def measure(
    reactor: Any, full: Pool, empty: Pool, root: Path, *, repetitions: int, written: int
) -> Outcome:
    """Store in both databases and give up days of the full one, in turn.

    Args:
        reactor: the running one.
        full: has more days than twice the repetitions, and one, of interceptions.
        empty: a migrated database, best on the same server.
        root: of the journals; nobody else's.
        repetitions: how often.
        written: interceptions that are stored at a time.
    """
    maker = Maker()

    async def write(pool: Pool, count: int = written) -> Pace:
        journal = opened(root, reactor)
        try:
            wrote = await append(journal, maker.interceptions(count, time.time()))
            return await store(journal, wrote.records, pool, reactor)
        finally:
            await journal.close()
            shutil.rmtree(root)

    ((stored,),) = await _ask(full, _STORED)
    for pool in (full, empty):  # partitions of today and connections are there afterwards
        await write(pool, written // 5 + 1)
    paces: tuple[list[Pace], list[Pace]] = ([], [])
    passes = []
    ((before,),) = await _ask(full, _REST)
    for number in range(repetitions):
        for pool, found in sorted(
            zip((full, empty), paces, strict=True), key=lambda pair: (pair[0] is empty) ^ number % 2
        ):
            found.append(await write(pool))
        passes.append(await _pass(reactor, full))
    ((after,),) = await _ask(full, _REST)
    ((dead,),) = await _ask(full, _DEAD)
    during, waited = [], []
    for _ in range(repetitions):
        storing = Deferred.fromCoroutine(write(full))
        waited.append((await _pass(reactor, full)).seconds)
        during.append(await storing)
    return Outcome(
        stored=stored,
        passes=passes,
        full=paces[0],
        empty=paces[1],
        during=during,
        pass_during_seconds=waited,
        dead_rows=dead,
        rest_growth_bytes=after - before,
    )


async def _pass(reactor: Any, pool: Pool) -> Pass:
    """Let the oldest day go over its time, and make a pass."""
    found = await pool.transaction(partitions)
    oldest = min(each.day for each in found)
    leaving = [each for each in found if each.day == oldest]
    ((size,),) = await _ask(pool, _SIZE)
    retention = Retention(
        pool=pool,
        retention_seconds=await _seconds_since(pool, oldest + timedelta(days=1)),
        reactor=reactor,
        log=structlog.get_logger("benchmark"),
        journal_purge=_nothing,
    )
    began = time.perf_counter()
    await retention.pass_once()
    seconds = time.perf_counter() - began
    left = [each for each in await pool.transaction(partitions) if each.day == oldest]
    assert not left, f"{oldest} is still there"
    ((smaller,),) = await _ask(pool, _SIZE)
    partition_bytes = sum(each.size_bytes for each in leaving)
    return Pass(
        seconds=seconds,
        interceptions=_interceptions(leaving),
        left_bytes=partition_bytes - (size - smaller),
        partition_bytes=partition_bytes,
    )


async def _seconds_since(pool: Pool, day: date) -> float:
    """Return how long ago noon of `day` was, by the database's clock."""
    ((now,),) = await _ask(pool, "SELECT now()")
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    seconds: float = (now - noon).total_seconds()
    return seconds


async def _nothing(_: datetime) -> None:
    """Purge no journal: there is none of before."""


async def _second(reactor: Any, server: EmbeddedServer) -> Pool:
    """Make another database on the server, and return a pool that is started."""
    superuser = _pool(reactor, server.superuser_dsn)
    await superuser.start()
    await superuser.outside_transaction(f"CREATE DATABASE {_EMPTY} OWNER aibridge")
    await superuser.close()
    dsn = await server.start()
    address, _, name = dsn.partition("?")
    pool = _pool(reactor, f"{address.rpartition('/')[0]}/{_EMPTY}?{name}")
    await pool.start()
    await migrate(pool)
    return pool


def _interceptions(leaving: Sequence[Partition]) -> int:
    return sum(each.rows for each in leaving if each.table == RECORDED[-1])


async def _ask(pool: Pool, sql: str) -> Sequence[tuple[Any, ...]]:
    return await pool.transaction(lambda cursor: many(cursor, sql))


def _server(reactor: Any, data_dir: Path, *, unsafe_fast: bool) -> EmbeddedServer:
    log = structlog.get_logger("benchmark")
    return EmbeddedServer(
        data_dir=data_dir, run_as="", reactor=reactor, log=log, unsafe_fast=unsafe_fast
    )


def _pool(reactor: Any, dsn: str) -> Pool:
    log = structlog.get_logger("benchmark")
    return Pool(
        dsn=dsn,
        reactor=reactor,
        size=_CONNECTIONS,
        statement_seconds=_STATEMENT_SECONDS,
        log=log,
    )


def _say(text: str) -> None:
    print(f"… {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
