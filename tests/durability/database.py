"""A PostgreSQL that is not the bridge's: started and stopped by the test, in a child process.

`python -m tests.durability.database DIRECTORY` prints the address as one line on stdout when the
server answers, and stops it when stdin ends: it never outlives whoever started it.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psycopg2
import structlog
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.stdio import StandardIO
from twisted.python.failure import Failure

from bridge.store.embedded.place import find_place
from bridge.store.embedded.processes import postmaster_pid, server_processes
from bridge.store.embedded.server import EmbeddedServer
from tests.support.bridge_process import ROOT

_START_SECONDS = 60.0
_STOP_SECONDS = 30.0


class Database:
    """A server with one empty database, for a bridge that is told its address."""

    def __init__(self, *, directory: Path, safe: bool = False) -> None:
        """Keep the cluster in `directory`; nothing runs yet.

        Args:
            directory: of the cluster.
            safe: what is committed survives a kill of the server, as it does where nobody asked for
                more speed.
        """
        self.address = ""
        """The same after every start."""
        self._directory = directory
        self._safe = safe
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        self._directory.mkdir(mode=0o700, exist_ok=True)
        said = self._directory / "output.log"
        with said.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(self._directory), str(int(self._safe))],
                cwd=ROOT,
                env={
                    "PATH": os.environ.get("PATH", os.defpath),
                    "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}",
                    "PYTHONDONTWRITEBYTECODE": "1",
                },
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                text=True,
            )
        assert self._process.stdout is not None
        readable, _, _ = select.select((self._process.stdout,), (), (), _START_SECONDS)
        self.address = self._process.stdout.readline().strip() if readable else ""
        assert self.address, f"the database did not start: {said.read_text()}"

    def stop(self) -> None:
        """Stop the server; afterwards nothing of it runs."""
        if self._process is None:
            return
        process, self._process = self._process, None
        assert process.stdin is not None
        process.stdin.close()
        process.wait(_STOP_SECONDS)
        assert process.stdout is not None
        process.stdout.close()
        assert server_processes(self._home / "cluster") == []

    def kill(self) -> None:
        """Kill the server with SIGKILL, whatever it is doing; it is started again at once."""
        self._signal(signal.SIGKILL)

    def pause(self) -> None:
        """Let nobody else connect, who waits then; who is connected goes on."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let those connect who wait."""
        self._signal(signal.SIGCONT)

    @property
    def away(self) -> bool:
        """Whether nobody can connect."""
        try:
            psycopg2.connect(self.address).close()
        except psycopg2.OperationalError:
            return True
        return False

    def close(self) -> None:
        """Leave nothing behind outside the directory."""
        self.stop()
        home = self._home
        if not home.is_relative_to(self._directory):  # root's clusters live elsewhere
            shutil.rmtree(home)

    def _signal(self, number: signal.Signals) -> None:
        pid = postmaster_pid(self._home / "cluster")
        assert pid is not None
        os.kill(pid, number)

    @property
    def _home(self) -> Path:
        return find_place(self._directory, "").home


class _UntilClosed(Protocol):
    """Waits for the end of stdin."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        from twisted.internet import reactor

        if reactor.running:
            reactor.stop()


def main() -> None:
    """Run the server of the directory named on the command line until stdin ends."""
    from twisted.internet import reactor

    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    server = EmbeddedServer(
        data_dir=Path(sys.argv[1]),
        run_as="",
        reactor=reactor,
        log=structlog.get_logger("test").bind(),
        unsafe_fast=sys.argv[2] == "0",
    )

    async def start() -> None:
        try:
            print(await server.start(), flush=True)
        except BaseException:
            reactor.stop()
            raise

    StandardIO(_UntilClosed())
    reactor.callWhenRunning(lambda: Deferred.fromCoroutine(start()))
    reactor.addSystemEventTrigger(
        "before", "shutdown", lambda: Deferred.fromCoroutine(server.stop())
    )
    reactor.run()


if __name__ == "__main__":
    main()
