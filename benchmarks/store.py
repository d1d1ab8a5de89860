"""The store's benchmark: `python -m benchmarks.store [--interceptions 2000000] [--data-dir DIR]`.

Fills an embedded database with made-up records, asks it what people and programs ask, and says how
long that took. With --data-dir the database stays there, and a later run asks the same one.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence, Set
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import structlog
from twisted.internet.defer import Deferred
from twisted.internet.task import react

from benchmarks.store_ask import ask, explain, questions
from benchmarks.store_export import export
from benchmarks.store_fill import Size, derive, fill, tidy
from bridge.store.embedded.server import EmbeddedServer
from bridge.store.export import Format
from bridge.store.migrations import migrate
from bridge.store.partitions import stored_days
from bridge.store.pool import Pool

RESULTS = Path(__file__).parent / "results"
_STATEMENT_SECONDS = 30.0


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark and leave the process."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.store", description=__doc__)
    parser.add_argument("--interceptions", type=int, default=Size().interceptions)
    parser.add_argument("--days", type=int, default=Size().days)
    parser.add_argument("--searchable-days", type=int, default=Size().searchable_days)
    parser.add_argument("--data-dir", type=Path, help="a directory that stays; default: none does")
    parser.add_argument("--times", type=int, default=20, help="each question is asked so often")
    parser.add_argument("--exported-days", type=int, default=15, help="the newest so many days")
    parser.add_argument(
        "--only", choices=("questions", "export"), help="a part; records that are there stay so"
    )
    given = parser.parse_args(arguments)
    size = Size(
        interceptions=given.interceptions,
        days=given.days,
        searchable_days=given.searchable_days,
    )
    parts = {"questions", "export"} if given.only is None else {given.only}
    how = (given.data_dir, given.times, given.exported_days, parts)
    react(lambda reactor: Deferred.fromCoroutine(_run(reactor, size, *how)))


async def _run(
    reactor: Any, size: Size, kept: Path | None, times: int, exported: int, parts: Set[str]
) -> None:
    data_dir = kept or Path(tempfile.mkdtemp(prefix="aibridge-bench-store-"))
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    home: Path | None = None
    try:
        home = await _filled(reactor, size, data_dir, tidied="questions" in parts)
        # Anew, as it is shipped: what was cached is cold, and everything is made durable.
        server = _server(reactor, data_dir, unsafe_fast=False)
        try:
            dsn = await server.start()
            if "questions" in parts:
                await _measured(reactor, dsn, times)
            for form in Format if "export" in parts else ():
                since = _yesterday() - timedelta(days=exported - 1)
                print(await export(server, data_dir, form, since=since), flush=True)
        finally:
            await server.stop()
    finally:
        if kept is None:
            for directory in (home, data_dir):
                if directory is not None:
                    shutil.rmtree(directory, ignore_errors=True)


async def _measured(reactor: Any, dsn: str, times: int) -> None:
    """Ask everything, print how long it took, and write down the plans."""
    pool = _pool(reactor, dsn, size=1)
    await pool.start()
    try:
        asked = await questions(pool)
        answered = []
        print(
            f"{'':40}{'cold ms':>9}{'p50 ms':>9}{'p95 ms':>9}{'limit':>7}"
            f"{'server CPU':>12}{'ours':>7}"
        )
        for question in asked:
            found = await ask(pool, question, times=times)
            answered.append(found)
            print(
                f"{question.name:40}{found.cold_ms:9.1f}{found.p50:9.1f}{found.p95:9.1f}"
                f"{question.limit_ms:7.0f}{found.server_cpu_ms:12.1f}{found.our_cpu_ms:7.1f}"
                f"{'' if found.in_time else '  too slow'}",
                flush=True,
            )
        moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        RESULTS.mkdir(exist_ok=True)
        plans = RESULTS / f"store-{moment}.txt"
        plans.write_text("\n\n".join([await explain(pool, each) for each in asked]) + "\n")
        print(f"plans: {plans}")
    finally:
        await pool.close()


async def _filled(reactor: Any, size: Size, data_dir: Path, *, tidied: bool) -> Path:
    """Make sure that the records are there, and return where the server lives.

    Args:
        reactor: runs.
        size: how many, if there are none.
        data_dir: of the database.
        tidied: whether what follows from records that are there is brought up to date.
    """
    server = _server(reactor, data_dir, unsafe_fast=True)
    try:
        pool = _pool(reactor, await server.start())
        await pool.start()
        try:
            await migrate(pool)
            if not await pool.transaction(stored_days, read_only=True):
                await fill(pool, size, last=_yesterday(), say=_say)
            elif tidied:
                await derive(pool, searchable=size.searchable_days, say=_say)
                await tidy(pool)
        finally:
            await pool.close()
    finally:
        await server.stop()
    return server.home


def _server(reactor: Any, data_dir: Path, *, unsafe_fast: bool) -> EmbeddedServer:
    log = structlog.get_logger("benchmark")
    return EmbeddedServer(
        data_dir=data_dir, run_as="", reactor=reactor, log=log, unsafe_fast=unsafe_fast
    )


def _pool(reactor: Any, dsn: str, *, size: int = 3) -> Pool:
    log = structlog.get_logger("benchmark")
    return Pool(dsn=dsn, reactor=reactor, size=size, statement_seconds=_STATEMENT_SECONDS, log=log)


def _yesterday() -> date:
    return datetime.now(UTC).date() - timedelta(days=1)


def _say(text: str) -> None:
    print(f"… {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
