"""What systemd is told of a service of Type=notify, and the watchdog that it keeps."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from typing import Any

from twisted.internet.task import LoopingCall

SOCKET_VARIABLE = "NOTIFY_SOCKET"
_WATCHDOG_VARIABLE, _WATCHDOG_PID_VARIABLE = "WATCHDOG_USEC", "WATCHDOG_PID"


class Systemd:
    """Tells systemd how the service is; says nothing where nobody listens.

    The watchdog is fed from the reactor: a process that is stuck is ended and started again.
    """

    def __init__(self, environ: Mapping[str, str], *, reactor: Any) -> None:
        """Find out from the environment who listens."""
        self._path = environ.get(SOCKET_VARIABLE, "")
        self._reactor = reactor
        self._socket: socket.socket | None = None
        self._watchdog = LoopingCall(self._tell, "WATCHDOG=1")
        self._watchdog.clock = reactor
        self._watchdog_seconds = _watchdog_seconds(environ)

    def ready(self, status: str) -> None:
        """Say that the start, or a reload, is over, and begin to feed the watchdog."""
        self._tell("READY=1", f"STATUS={status}")
        if self._path and self._watchdog_seconds and not self._watchdog.running:
            self._watchdog.start(self._watchdog_seconds / 2)

    def status(self, status: str) -> None:
        """Say in a sentence how it is."""
        self._tell(f"STATUS={status}")

    def reloading(self) -> None:
        """Say that the configuration is being read; `ready` ends it."""
        moment = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._tell("RELOADING=1", f"MONOTONIC_USEC={moment}")

    def stopping(self, status: str) -> None:
        """Say that the service ends; the watchdog goes on being fed."""
        self._tell("STOPPING=1", f"STATUS={status}")

    def close(self) -> None:
        """Say no more."""
        if self._watchdog.running:
            self._watchdog.stop()
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _tell(self, *assignments: str) -> None:
        if not self._path:
            return
        address = "\0" + self._path[1:] if self._path.startswith("@") else self._path
        try:
            if self._socket is None:
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                self._socket.setblocking(False)
            self._socket.sendto("\n".join(assignments).encode(), address)
        except OSError:
            return  # systemd is being restarted, or slow; there is nobody else to tell


def _watchdog_seconds(environ: Mapping[str, str]) -> float:
    """Return within what systemd wants a sign of life from this process; 0 for never."""
    microseconds = environ.get(_WATCHDOG_VARIABLE, "")
    pid = environ.get(_WATCHDOG_PID_VARIABLE, "")
    if not microseconds.isdecimal() or (pid and pid != str(os.getpid())):
        return 0.0
    return int(microseconds) / 1e6
