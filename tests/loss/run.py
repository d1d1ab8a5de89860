"""One row of the table: bridge, database, upstream and clients, each a process of its own."""

from __future__ import annotations

import json
import os
import random
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psycopg2

from tests.durability.database import Database
from tests.loss.client import Attempt, Job
from tests.loss.ledger import Outcome, Stored, Terms, asked_in, attempts_in, compared
from tests.loss.power import SITE, cut_power
from tests.support.bridge_process import ROOT, BridgeProcess, descendants, eventually
from tests.support.fakes import unused_port

_STORED_SECONDS = 120.0
_COMMAND_SECONDS = 300.0
_TORN = "no end of line in a finished segment"
_LOCK = "LOCK TABLE aibridge_legs IN SHARE ROW EXCLUSIVE MODE"
_WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"


class Run:
    """What a scenario plays with; `close` leaves nothing behind outside the directory.

    The bridge's address is held open for it, as by systemd: see etc/aibridge.socket.
    """

    def __init__(
        self,
        *,
        directory: Path,
        seed: int,
        requests: int,
        rate: float,
        tmpfs_bytes: int = 0,
        instrumented: bool = False,
        faults_percent: int = 0,
        environment: Mapping[str, str] | None = None,
        **settings: Any,
    ) -> None:
        """Start everything but the clients.

        Args:
            directory: for everything; made.
            seed: of all that is left to chance.
            requests: how many.
            rate: how many of them in a second.
            tmpfs_bytes: size of a disk of its own for the journal; 0 for none.
            instrumented: whether fsyncs are noted, for power cuts.
            faults_percent: how many in a hundred requests the upstream does not answer well.
            environment: added to the bridge's.
            settings: of the bridge.
        """
        directory.mkdir(parents=True)
        self.directory = directory
        self.requests = requests
        self.chance = random.Random(seed)
        self.terms = Terms()
        self.notes: list[str] = []
        self._seed, self._rate = seed, rate
        self._processes: list[subprocess.Popen[Any]] = []
        self._clients: subprocess.Popen[bytes] | None = None
        self._mounted: Path | None = None
        self._faults_percent = faults_percent
        self._settings: dict[str, Any] = {}
        self._syncs, self.eio = directory / "syncs", directory / "eio"
        self.database = Database(directory=directory / "database", safe=True)
        self.bridge: BridgeProcess | None = None
        try:
            self.database.start()
            added = dict(environment or {})
            if instrumented:
                path = f"{SITE}{os.pathsep}{ROOT / 'src'}{os.pathsep}{ROOT}"
                added |= {"PYTHONPATH": path, "AIBRIDGE_LOSS_SYNCS": str(self._syncs)}
                added["AIBRIDGE_LOSS_EIO"] = str(self.eio)
            self._start_bridge(tmpfs_bytes, added, settings)
        except BaseException:
            self.close()
            raise

    @property
    def running(self) -> BridgeProcess:
        """The bridge."""
        assert self.bridge is not None
        return self.bridge

    @property
    def journal(self) -> Path:
        """Where its journals are."""
        return self.running.data_dir / "journal"

    @property
    def stored(self) -> Stored:
        """What it has stored."""
        return Stored(self.database.address)

    @property
    def seconds(self) -> float:
        """How long the load takes."""
        return self.requests / self._rate

    @property
    def part(self) -> float:
        """How much of the load is due by now."""
        return (time.monotonic() - self._began) / self.seconds

    @property
    def attempts(self) -> list[Attempt]:
        """What the clients have seen so far."""
        return attempts_in(self.directory / "clients.log")

    @property
    def workers(self) -> list[int]:
        """The processes that serve, where there are several."""
        _, _, body = self.running.ask(
            "GET", "/status", token=None, port=self.running.operations_port
        )
        return [each["pid"] for each in json.loads(body)["workers"]]

    def begin(self) -> None:
        """Let the clients begin."""
        self._clients = subprocess.Popen(
            [sys.executable, "-m", "tests.loss.client"],
            cwd=ROOT,
            env=self.running.environment,
            stdin=subprocess.PIPE,
        )
        self._processes.append(self._clients)
        job = Job(
            port=self.running.port,
            token=self.running.token(),
            ledger=str(self.directory / "clients.log"),
            seed=self._seed,
            requests=self.requests,
            rate=self._rate,
        )
        assert self._clients.stdin is not None
        self._clients.stdin.write(json.dumps(asdict(job)).encode() + b"\n")
        self._clients.stdin.flush()
        self._began = time.monotonic()

    def wait_for(self, part: float) -> None:
        """Wait until so much of the load, from 0 to 1, is due."""
        due = self._began + part * self.requests / self._rate
        while time.monotonic() < due:
            select.select((), (), (), min(0.05, max(0.0, due - time.monotonic())))

    def wait_for_clients(self) -> None:
        """Wait until every request is over."""
        assert self._clients is not None
        assert self._clients.wait(self.requests / self._rate + 180.0) == 0

    def kill_and_start(self) -> None:
        """`kill -9`, and a start at once."""
        self.running.kill()
        self.running.start()

    def kill_database_in_a_flush(self) -> None:
        """Hold up a transaction of the writer in the middle, and `kill -9` the server there."""
        connection = psycopg2.connect(self.database.address)
        try:
            with connection.cursor() as cursor:
                cursor.execute(_LOCK)
                eventually(
                    lambda: self.stored.ask(_WAITING)[0][0] > 0,
                    seconds=30.0,
                    what="the writer to wait for the table",
                )
                self.database.kill()
        finally:
            connection.close()
        eventually(lambda: not self.database.away, seconds=60.0, what="the database to be back")

    def cut_power(self) -> float:
        """Kill the bridge, take from its journal what was not on the disk, and start it again.

        Returns:
            When the power went, by the clients' clock.
        """
        workers = descendants(self.running.pid)
        at = time.monotonic()
        self.running.kill()
        for pid in workers:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue  # it has left with its parent
        taken = cut_power(self.journal, self._syncs, self.chance)
        self.notes.append(f"a power cut took {taken} bytes")
        self.running.start()
        return at

    def note_full(self) -> None:
        """Note how full the journal's own disk is."""
        found = os.statvfs(self.journal)
        used = 1 - found.f_bavail / found.f_blocks
        self.notes.append(
            f"the journal's disk of {found.f_blocks * found.f_frsize >> 20} MiB was {used:.0%} full"
        )

    def reload(self, number: int) -> None:
        """Put other keys in force, while answers run."""
        providers = [
            {**each, "key": f"sk-{number}-loss"} for each in self._settings["aibridge"]["providers"]
        ]
        self.running.configure({**self._settings, "aibridge": {"providers": providers}})
        self.running.signal(signal.SIGHUP)

    def command(self, *arguments: str) -> str:
        """Run `aibridge` with the bridge's configuration, and return what it says to people."""
        done = subprocess.run(
            [sys.executable, "-m", "bridge.cli", "--config", str(self.running.config), *arguments],
            env=self.running.environment,
            cwd=self.directory,
            capture_output=True,
            text=True,
            timeout=_COMMAND_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    def wait_until_stored(self) -> None:
        """Wait until nothing waits in the journal and nothing is open; what is not, is a fault."""
        try:
            eventually(self._all_stored, seconds=_STORED_SECONDS, what="everything to be stored")
        except AssertionError as e:
            self.notes.append(str(e))

    def outcome(self) -> Outcome:
        """Compare the ledgers with the database."""
        asked = asked_in(self.directory / "upstream.log")
        outcome = compared(self.attempts, asked, self.stored, self.terms)
        if (opened := self.stored.open()) and not self.terms.unended:
            outcome.note("wrong_state", f"{opened} without an end")
        found = [path.read_text() for path in (self.journal / "quarantine").glob("*")]
        torn = [text for text in found if self.terms.power and _TORN in text]
        if torn:
            # Of a segment given up after a fault; its lines were written again into the next.
            self.notes.append(f"{len(torn)} half lines put aside")
            found = [text for text in found if text not in torn]
        if len(found) != bool(self.terms.damaged):
            outcome.note("other", f"{len(found)} files in quarantine: {found}"[:1000])
        return outcome

    def close(self) -> None:
        """Stop everything that was started here."""
        if self.bridge is not None:
            self.bridge.close()
        for process in reversed(self._processes):
            if process.stdin is not None and not process.stdin.closed:
                process.stdin.close()
            try:
                process.wait(10.0)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.database.close()
        if self._mounted is not None:
            subprocess.run(["umount", str(self._mounted)], check=True)

    def _start_bridge(
        self, tmpfs_bytes: int, environment: dict[str, str], settings: dict[str, Any]
    ) -> None:
        port = unused_port()
        ledger = self.directory / "upstream.log"
        command = [sys.executable, "-m", "tests.loss.upstream", str(port), str(ledger)]
        upstream = subprocess.Popen(
            [*command, str(self._faults_percent)],
            cwd=ROOT,
            env={"PATH": os.environ.get("PATH", os.defpath), "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._processes.append(upstream)
        assert upstream.stdout is not None
        assert upstream.stdout.readline() == b"ready\n"
        here = f"http://127.0.0.1:{port}"
        providers = [
            {"name": "anthropic", "type": "anthropic", "base_url": here, "key": "sk-ant-loss"},
            {"name": "openai", "type": "openai", "base_url": f"{here}/v1", "key": "sk-loss"},
        ]
        self._settings = {
            "database": self.database.address,
            "aibridge": {"providers": providers},
            **settings,
        }
        home = self.directory / "bridge"
        home.mkdir()
        self.bridge = BridgeProcess(
            directory=home,
            settings=self._settings,
            environment=environment,
            socket_activated=True,
        )
        if tmpfs_bytes:
            self.journal.mkdir(parents=True, mode=0o700)
            size = f"size={tmpfs_bytes},mode=0700"
            subprocess.run(
                ["mount", "-t", "tmpfs", "-o", size, "none", str(self.journal)], check=True
            )
            self._mounted = self.journal
        self.bridge.start()

    def _all_stored(self) -> bool:
        bridge = self.running
        status, _, body = bridge.ask("GET", "/status", token=None, port=bridge.operations_port)
        details = json.loads(body)
        return bool(
            status == 200
            and details["database"]["connected"]
            and details["writer"]["writing"]
            and details["writer"]["behind_records"] == 0
            and details["gateway"]["requests_running"] == 0
            and (self.terms.unended or self.stored.open() == 0)
        )
