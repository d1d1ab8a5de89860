"""The server's processes: starting one as its user, and finding those that outlived us."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from bridge.store.embedded import launch
from bridge.store.embedded.place import Place

_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


class Running(ProcessProtocol):
    """A process of ours."""

    def __init__(self) -> None:
        """Nothing runs yet."""
        self.pid = 0
        """The process's number."""
        self.exit_status: str | None = None
        """How it ended, in words; None while it runs."""
        self.succeeded = False
        self._waiting: list[Deferred[None]] = []

    def connectionMade(self) -> None:
        """Remember what the transport forgets at the end."""
        self.pid = int(self.transport.pid) if self.transport is not None else 0

    def ended(self) -> Deferred[None]:
        """Return a Deferred that fires when it has ended."""
        waiting: Deferred[None] = Deferred(self._forget)
        if self.exit_status is not None:
            waiting.callback(None)
        else:
            self._waiting.append(waiting)
        return waiting

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; nothing happens if it has ended."""
        if self.exit_status is None:
            os.kill(self.pid, number)

    def processEnded(self, reason: Failure) -> None:
        """Tell who waits."""
        status = reason.value
        number = getattr(status, "signal", None)
        code = getattr(status, "exitCode", None)
        self.exit_status = f"signal {number}" if number is not None else f"exit status {code}"
        self.succeeded = code == 0
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(None)

    def _forget(self, waiting: Deferred[None]) -> None:
        if waiting in self._waiting:
            self._waiting.remove(waiting)


def start_process(reactor: Any, place: Place, command: Sequence[str]) -> Running:
    """Start `command` as the server's user, its output appended to the server's log."""
    running = Running()
    log_fd = open_log(place)
    null_fd = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    try:
        interpreter = [sys.executable, "-I", "-S", launch.__file__]
        reactor.spawnProcess(
            running,
            sys.executable,
            [*interpreter, str(place.uid), str(place.gid), *command],
            env=_ENVIRONMENT,
            path="/",
            # Files instead of pipes: the server can outlive us and go on writing.
            childFDs={0: null_fd, 1: log_fd, 2: log_fd},
        )
    finally:
        os.close(log_fd)
        os.close(null_fd)
    return running


def open_log(place: Place) -> int:
    """Open the server's log for appending, and return its descriptor."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
    fd = os.open(place.log, flags, 0o600)
    if os.geteuid() == 0:
        os.fchown(fd, place.keeper_uid, place.keeper_gid)
    os.fchmod(fd, 0o600)
    return fd


def server_processes(cluster: Path) -> list[int]:
    """Return the processes that have `cluster` open as a server, whoever started them."""
    try:
        wanted = cluster.stat()
        numbers = [int(name) for name in os.listdir("/proc") if name.isdecimal()]  # noqa: PTH208
    except FileNotFoundError:
        return []
    found = []
    for number in numbers:
        try:
            program = os.readlink(f"/proc/{number}/exe").removesuffix(" (deleted)")  # noqa: PTH115
            here = os.stat(f"/proc/{number}/cwd")  # noqa: PTH116
        except OSError:
            continue  # ended meanwhile, or another user's
        same = (here.st_dev, here.st_ino) == (wanted.st_dev, wanted.st_ino)
        if same and program.endswith("/postgres"):
            found.append(number)
    return found


def postmaster_pid(cluster: Path) -> int | None:
    """Return the number in the server's own pid file; None when there is none."""
    lines = _pid_file(cluster)
    return int(lines[0]) if lines and lines[0].isdecimal() else None


def accepts_connections(cluster: Path) -> bool:
    """Whether the server has written down that it is ready."""
    lines = _pid_file(cluster)
    return len(lines) >= 8 and lines[7] == "ready"


def _pid_file(cluster: Path) -> list[str]:
    try:
        text = (cluster / "postmaster.pid").read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    return [line.strip() for line in text.splitlines()]
