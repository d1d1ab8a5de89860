"""The real bridge as a child process, for acceptance tests and the benchmark. No reactor needed.

Everything here blocks; a test whose own reactor must go on meanwhile (a fake upstream with open
streams) calls terminate() in a thread.
"""

from __future__ import annotations

import http.client
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import psycopg2
import yaml

from bridge.store.embedded.cluster import DATABASE, USER, address_of, password_of
from bridge.store.embedded.place import find_place, short_socket_directory
from bridge.store.errors import StoreError
from tests.support.fakes import unused_port

ROOT = Path(__file__).resolve().parents[2]
_ACTIVATED = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
handed_over = dict(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES="aibridge")
os.execve(sys.argv[2], sys.argv[2:], {**os.environ, **handed_over})
"""
"""Hands the socket of its first argument over, as systemd does, to the command after it."""
_POLL_SECONDS = 0.02
_START_SECONDS = 150.0
_STOP_SECONDS = 60.0


class NotReady(AssertionError):  # noqa: N818  # reads as a sentence
    """The bridge ended, or was not ready in time; the message holds what it wrote."""


class BridgeProcess:
    """One bridge in a directory of its own; start, stop and start it again as often as you like."""

    def __init__(
        self,
        *,
        directory: Path,
        settings: Mapping[str, Any] | None = None,
        environment: Mapping[str, str] | None = None,
        flags: Sequence[str] = (),
        socket_activated: bool = False,
    ) -> None:
        """Write the configuration file; nothing runs yet.

        Args:
            directory: holds the configuration file, the data directory and the output.
            settings: merged, mapping by mapping, over loopback ports and a data directory;
                a value None leaves the key out of the file.
            environment: added to a minimal one; nothing of this process' own gets through.
            flags: of `twistd aibridge`.
            socket_activated: whether its address is opened here and handed over, as systemd does:
                whoever connects while it is not running waits for it.
        """
        self.directory = directory
        self.data_dir = directory / "data"
        self._socket: socket.socket | None = None
        if socket_activated:
            self._socket = socket.create_server(("127.0.0.1", 0), backlog=1024)
            self.port = self._socket.getsockname()[1]
        else:
            self.port = unused_port()
        self.operations_port = unused_port()
        self.config = directory / "bridge.yaml"
        self.environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(directory),
            "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}",
            "PYTHONDONTWRITEBYTECODE": "1",
            **(environment or {}),
        }
        self.flags = list(flags)
        self.start_seconds = 0.0
        """How long the last start took until ready."""
        self._output = directory / "output.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._children: dict[int, bytes] = {}
        self.configure(settings or {})

    @property
    def pid(self) -> int:
        assert self._process is not None, "not started"
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def output(self) -> str:
        """What it has written to stdout and stderr in all its runs."""
        return self._output.read_text("utf-8", "replace") if self._output.exists() else ""

    def configure(self, settings: Mapping[str, Any]) -> None:
        """Write the configuration file anew."""
        written = {
            "listen": f"tcp:{self.port}:interface=127.0.0.1"
            if self._socket is None
            else "systemd:domain=INET:index=0",
            "operations_listen": f"tcp:{self.operations_port}:interface=127.0.0.1",
            "data_dir": str(self.data_dir),
            "log_human": "/dev/stderr",
        }
        self.config.write_text(yaml.safe_dump(_merged(written, settings), sort_keys=False))

    def start(self, *, until_ready: bool = True, seconds: float = _START_SECONDS) -> None:
        """Start it, and wait until it serves and, on a first start, has written its tokens.

        Raises:
            NotReady: it ended or took too long.
        """
        assert not self.running, "already running"
        twistd = Path(sys.executable).parent / "twistd"
        began = time.monotonic()
        with self._output.open("ab") as output:
            command = [
                *(sys.executable, str(twistd), "-n", "--pidfile=", "aibridge"),
                *("--config", str(self.config), *self.flags),
            ]
            handed_over: list[int] = []
            if self._socket is not None:
                handed_over.append(self._socket.fileno())
                command = [sys.executable, "-c", _ACTIVATED, str(handed_over[0]), *command]
            self._process = subprocess.Popen(
                command,
                cwd=self.directory,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=handed_over,
            )
        if until_ready:
            self.wait_until_ready(seconds=seconds)
            self.start_seconds = time.monotonic() - began

    def wait_until_ready(self, *, seconds: float = _START_SECONDS) -> None:
        """Wait for 200 at /readyz and for the tokens of the first start."""
        try:
            eventually(self._ready, seconds=seconds, what="the bridge to be ready")
        except AssertionError as e:
            raise NotReady(f"{e}\n{self.output}") from e

    def wait(self, *, seconds: float = _STOP_SECONDS) -> int:
        """Wait for its end and return the exit code; negative for a signal."""
        assert self._process is not None, "not started"
        return self._process.wait(seconds)

    def terminate(self, *, seconds: float = _STOP_SECONDS) -> int:
        """Ask it to stop, wait, and return the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait(seconds=seconds)

    def kill(self) -> None:
        """kill -9: no drain, no goodbye. Its database goes on running, as in real life."""
        self.signal(signal.SIGKILL)
        self.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._children.update(descendants(self.pid))
        os.kill(self.pid, number)

    def close(self) -> None:
        """Leave nothing behind outside the directory, whatever happened before: for addCleanup."""
        if self._socket is not None:
            self._socket.close()
        if self.running:
            try:
                self.terminate(seconds=20.0)
            except subprocess.TimeoutExpired:
                self.kill()
        for pid, command in self._children.items():
            if b"\0-D\0" in command and _command(pid) == command:  # not somebody else by now
                os.kill(pid, signal.SIGINT)  # to a postmaster: at once, whoever is connected
                eventually(partial(_gone, pid), seconds=20.0, what="its database to end")
        if (self.data_dir / "postgres").exists():
            home = find_place(self.data_dir, "").home
            if not home.is_relative_to(self.directory):  # root's databases live elsewhere
                shutil.rmtree(home)

    def token(self, kind: str = "dev") -> str:
        """Return the first start's token: `dev` to use, `admin` to manage."""
        return (self.data_dir / f"{kind}-token").read_text().strip()

    def database_address(self) -> str:
        """Return the address of the embedded database, for looking at rows directly."""
        place = find_place(self.data_dir, "")
        directory = short_socket_directory(place.run)
        return address_of(directory, USER, password_of(place, USER), DATABASE)

    def wait_for_database(self, *, seconds: float = _START_SECONDS) -> None:
        """Wait until the embedded database answers; the bridge is ready before."""

        def answers() -> bool:
            try:
                psycopg2.connect(self.database_address()).close()
            except (psycopg2.OperationalError, StoreError):
                return False
            return True

        eventually(answers, seconds=seconds, what="the database to answer")

    def database_pid(self) -> int | None:
        """Return the pid of the embedded database's postmaster, None when it is not our child."""
        found = [pid for pid, command in descendants(self.pid).items() if b"\0-D\0" in command]
        return min(found, default=None)

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        token: str | None = "dev",
        headers: Mapping[str, str] | None = None,
        port: int | None = None,
        seconds: float = 30.0,
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        """Send one request on a connection of its own; return status, headers and body.

        Args:
            method: of HTTP.
            path: and query.
            body: None for none.
            token: `dev`, `admin`, another token itself, or None.
            headers: more of them.
            port: another than the data plane's.
            seconds: for every single wait.
        """
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=seconds)
        sent = dict(headers or {})
        if token is not None:
            known = token in ("dev", "admin")
            sent.setdefault("Authorization", f"Bearer {self.token(token) if known else token}")
        try:
            connection.request(method, path, body, sent)
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()

    def _ready(self) -> bool:
        if not self.running:
            raise NotReady(f"it ended with {self.wait()}")
        try:
            status, _, _ = self.ask("GET", "/readyz", token=None, seconds=5.0)
        except OSError:
            return False
        return status == 200 and (self.data_dir / "dev-token").exists()


def eventually(
    condition: Callable[[], object],
    *,
    seconds: float,
    what: str,
    pause_seconds: float = _POLL_SECONDS,
) -> None:
    """Look at `condition` until it is true.

    Raises:
        AssertionError: it was not within `seconds`.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:g} s in vain for {what}")
        select.select((), (), (), pause_seconds)


def descendants(pid: int) -> dict[int, bytes]:
    """Return the running children of `pid`, and theirs, with their command lines."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_bytes().rpartition(b") ")[2].split()
            except OSError:
                continue  # it has just ended
            parents[int(entry.name)] = int(fields[1])
    found: dict[int, bytes] = {}
    generation = {pid}
    while generation:
        generation = {child for child, parent in parents.items() if parent in generation}
        found.update({child: _command(child) for child in generation})
    return found


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _gone(pid: int) -> bool:
    return not _command(pid)


def _merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, Mapping) and isinstance(below, Mapping):
            merged[key] = _merged(below, value)
        else:
            merged[key] = value
    return merged
