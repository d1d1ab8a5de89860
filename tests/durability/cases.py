"""A bridge, a database of its own or not, a load against it, and the comparison at the end."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from unittest import TestCase

import psycopg2

from tests.durability.database import Database
from tests.durability.load import COMPLETE, CUT, Attempt, Job
from tests.durability.records import Records, attempts_in
from tests.support.bridge_process import ROOT, BridgeProcess, eventually

SEED_VARIABLE = "AIBRIDGE_TEST_SEED"
REQUESTS = 400
RATE = 100.0
LEAST_RATE = 50.0
CONNECTIONS = 32
_LOAD_SECONDS = 60.0
_STORED_SECONDS = 20.0
_WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"


class Sending:
    """A load under way in a process of its own."""

    def __init__(self, bridge: BridgeProcess, *, ledger: Path, seed: int, slowness: float) -> None:
        """Begin to send."""
        self._ledger = ledger
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.durability.load"],
            cwd=ROOT,
            env=bridge.environment,
            stdin=subprocess.PIPE,
        )
        job = Job(
            port=bridge.port,
            token=bridge.token(),
            ledger=str(ledger),
            seed=seed,
            rate=RATE,
            connections=CONNECTIONS,
            slowness=slowness,
        )
        self._write(json.dumps(asdict(job)).encode() + b"\n")

    @property
    def attempts(self) -> list[Attempt]:
        """What is over so far."""
        return attempts_in(self._ledger)

    @property
    def answered(self) -> int:
        """How many were answered completely so far."""
        return sum(each.outcome == COMPLETE and each.status == 200 for each in self.attempts)

    def wait_for(self, answered: int) -> None:
        """Wait until so many have been answered completely."""
        eventually(
            lambda: self.answered >= answered,
            seconds=_LOAD_SECONDS,
            what=f"{answered} answers",
        )

    def stop(self) -> list[Attempt]:
        """Begin no more, wait for the answers under way, and return all attempts."""
        if self._process.stdin is not None and not self._process.stdin.closed:
            self._process.stdin.close()
        assert self._process.wait(_LOAD_SECONDS) == 0
        return self.attempts

    def close(self) -> None:
        """Leave no process behind."""
        if self._process.stdin is not None and not self._process.stdin.closed:
            self._process.stdin.close()
        try:
            self._process.wait(_LOAD_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _write(self, data: bytes) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(data)
        self._process.stdin.flush()


class DurabilityTestCase(TestCase):
    """Real processes, killed and stopped; nothing here needs a reactor."""

    maxDiff = None  # noqa: N815  # the name in unittest

    def setUp(self) -> None:
        self.seed = int(os.environ.get(SEED_VARIABLE) or secrets.randbelow(2**31))
        print(f"\n{self.id()}: {SEED_VARIABLE}={self.seed}", flush=True)
        temporary = tempfile.TemporaryDirectory(prefix="aibridge-test-durability-")
        self.addCleanup(temporary.cleanup)
        self.directory = Path(temporary.name)

    def database(self) -> Database:
        """Return a database that the test can stop; it runs."""
        database = Database(directory=self.directory / "database")
        self.addCleanup(database.close)
        database.start()
        return database

    def bridge(self, *, database: Database | None = None, **settings: Any) -> BridgeProcess:
        """Return a started bridge with the demo provider, on `database` or an embedded one."""
        configured: dict[str, Any] = {
            "aibridge": {"providers": [{"name": "demo", "type": "demo"}]},
            **settings,
        }
        if database is not None:
            configured["database"] = database.address
        directory = self.directory / "bridge"
        directory.mkdir()
        bridge = BridgeProcess(directory=directory, settings=configured)
        self.addCleanup(bridge.close)
        bridge.start()
        return bridge

    def load(self, bridge: BridgeProcess, *, slowness: float = 1.0) -> Sending:
        """Begin a load."""
        ledger = self.directory / "ledger"
        sending = Sending(bridge, ledger=ledger, seed=self.seed, slowness=slowness)
        self.addCleanup(sending.close)
        return sending

    def wait_until_stored(
        self, bridge: BridgeProcess, records: Records, attempts: Sequence[Attempt]
    ) -> None:
        """Wait until nothing waits in the journal and nothing is open."""

        def stored() -> bool:
            status, _, body = bridge.ask("GET", "/status", token=None, port=bridge.operations_port)
            details = json.loads(body)
            return (
                status == 200
                and details["database"]["connected"]
                and details["writer"]["writing"]
                and details["writer"]["behind_records"] == 0
                and records.open() == 0
            )

        try:
            eventually(stored, seconds=_STORED_SECONDS, what="everything to be stored")
        except AssertionError as e:
            self.fail(f"{e}; seed {self.seed}: {records.faults(attempts)}")
        quarantine = bridge.data_dir / "journal" / "quarantine"
        self.assertEqual(list(quarantine.glob("*")), [])

    def compare(self, records: Records, attempts: Sequence[Attempt]) -> None:
        """Check that the load was one, and that every row is as the ledger says."""
        answered = sum(each.outcome == COMPLETE and each.status == 200 for each in attempts)
        seconds = max(a.sent_at for a in attempts) - min(a.sent_at for a in attempts)
        seen = Counter(f"{each.outcome} {each.status}" for each in attempts)
        print(
            f"{len(attempts)} attempts at {len(attempts) / seconds:.0f}/s: {dict(seen)}; "
            f"stored: {records.states()}",
            flush=True,
        )
        faults = records.faults(attempts)

        self.assertEqual(faults, [], f"seed {self.seed}: {len(faults)} faults")
        self.assertGreaterEqual(answered, REQUESTS)
        self.assertGreaterEqual(len(attempts) / seconds, LEAST_RATE)
        self.assertEqual(len({each.nonce for each in attempts}), len(attempts))
        eventually(
            records.sessions_agree, seconds=_STORED_SECONDS, what="sessions that count all once"
        )


def cut(attempts: Sequence[Attempt]) -> int:
    """Return how many answers broke off after they had begun."""
    return sum(each.outcome == CUT and each.status == 200 for each in attempts)


def running_at(attempts: Sequence[Attempt], at: float) -> int:
    """Return how many answers were under way at a time of the ledger's clock."""
    return sum(bool(each.seen_at) and each.seen_at <= at < each.over_at for each in attempts)


def time_now() -> float:
    """Return the time of the ledger's clock."""
    return time.monotonic()


def statements_waiting(database: Database) -> int:
    """Return how many of the bridge's statements wait for a lock."""
    connection = psycopg2.connect(database.address)
    try:
        with connection.cursor() as cursor:
            cursor.execute(_WAITING)
            return int(cursor.fetchone()[0])
    finally:
        connection.close()
