"""DemoProcess: the demo upstream as a child, on one port for as long as the parent lives."""

from __future__ import annotations

import secrets
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IProcessTransport
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

import bridge
from bridge.deferreds import limited
from bridge.domain.errors import Unavailable
from bridge.domain.identity import Secret

_START_SECONDS = 20.0
_STOP_SECONDS = 5.0
_FIRST_PAUSE_SECONDS = 0.5
_LONGEST_PAUSE_SECONDS = 30.0
_STEADY_SECONDS = 60.0
"""A child that lived this long is started again after the first, short pause."""
_BACKLOG = 1024
_SOCKET_IN_CHILD = 3
_LONGEST_SAYING = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoAddress:
    """Where the demo upstream is and what opens it; both stay when its process is replaced."""

    base_url: str
    secret: Secret


class DemoProcess:
    """Runs the demo upstream, and runs it again when it dies.

    The listening socket belongs to this process and is inherited by the child: the port survives
    the child, nobody else can take it in between, and connections made meanwhile wait in it.
    """

    def __init__(self, *, reactor: Any, log: Any) -> None:
        """Take a port, because providers are told of it before anything starts; run nothing yet.

        Args:
            reactor: spawns the process and tells the time.
            log: a structlog logger.
        """
        self._reactor = reactor
        self._log = log
        self._socket: socket.socket | None = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.bind(("127.0.0.1", 0))
        self.base_url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.secret = Secret(secrets.token_urlsafe(32))
        """What requests must carry as x-api-key or as bearer token."""
        self._child: _Child | None = None
        self._restart: IDelayedCall | None = None
        self._pause_seconds = _FIRST_PAUSE_SECONDS
        self._started_at = 0.0

    async def start(self) -> DemoAddress:
        """Start the child and return its address once it serves.

        Raises:
            Unavailable: it ended, or said nothing, before it served; or it was stopped before.
        """
        if self._socket is None:
            raise _not_started()
        self._socket.listen(_BACKLOG)
        self._socket.setblocking(False)  # the child's accept() must not wait
        child = self._spawn(self._socket)
        try:
            await limited(child.ready, _START_SECONDS, self._reactor, _not_started)
        except Unavailable:
            await self.stop()
            raise
        self._log.info("demo upstream started", address=self.base_url, pid=child.pid)
        return DemoAddress(base_url=self.base_url, secret=self.secret)

    async def stop(self) -> None:
        """End the child, by force when it does not go, and give up the port: for good."""
        if self._restart is not None and self._restart.active():
            self._restart.cancel()
        self._restart = None
        listening, self._socket = self._socket, None
        if listening is not None:
            listening.close()
        child, self._child = self._child, None
        if child is not None:
            kill = self._reactor.callLater(_STOP_SECONDS, child.kill)
            child.close()
            await child.ended
            if kill.active():
                kill.cancel()

    def _spawn(self, listening: socket.socket) -> _Child:
        child = _Child(self._log, self._ended)
        # Only what it needs: nothing of our environment, which may hold providers' keys.
        environment = {
            "AIBRIDGE_DEMO_SECRET": self.secret.reveal(),
            "PYTHONPATH": str(Path(str(bridge.__file__)).resolve().parents[1]),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        arguments = (sys.executable, "-P", "-m", "bridge.demo", "--fd", str(_SOCKET_IN_CHILD))
        self._started_at = self._reactor.seconds()
        self._child = child
        self._reactor.spawnProcess(
            child,
            sys.executable,
            args=arguments,
            env=environment,
            childFDs={0: "w", 1: "r", 2: "r", _SOCKET_IN_CHILD: listening.fileno()},
        )
        return child

    def _ended(self, child: _Child, reason: Failure) -> None:
        if self._socket is None or child is not self._child:
            return  # stop() asked for it
        self._child = None
        if self._reactor.seconds() - self._started_at >= _STEADY_SECONDS:
            self._pause_seconds = _FIRST_PAUSE_SECONDS
        self._log.warning(
            "demo upstream ended",
            reason=reason.getErrorMessage(),
            restart_seconds=self._pause_seconds,
        )
        self._restart = self._reactor.callLater(self._pause_seconds, self._spawn, self._socket)
        self._pause_seconds = min(self._pause_seconds * 2, _LONGEST_PAUSE_SECONDS)


class _Child(ProcessProtocol):
    """One run of the program."""

    def __init__(self, log: Any, ended: Callable[[_Child, Failure], None]) -> None:
        self._log = log
        self._ended = ended
        self.pid: int | None = None
        self.ready: Deferred[None] = Deferred()
        """Fires when the program serves; fails with Unavailable when it ends before."""
        self.ended: Deferred[None] = Deferred()
        self._served = False

    def connectionMade(self) -> None:
        process: Any = self.transport
        self.pid = process.pid

    def outReceived(self, data: bytes) -> None:  # noqa: ARG002  # Twisted's signature
        if not self._served:  # the one line that it writes names the port that we know
            self._served = True
            self.ready.callback(None)

    def errReceived(self, data: bytes) -> None:
        said = data.decode("utf-8", "replace").rstrip()[:_LONGEST_SAYING]
        self._log.warning("demo upstream complained", said=said)

    def processEnded(self, reason: Failure) -> None:
        if not self._served:
            self._served = True
            self.ready.addErrback(lambda _: None)  # after a restart nobody waits for it
            self.ready.errback(_not_started())
        self._ended(self, reason)
        self.ended.callback(None)

    def close(self) -> None:
        """Ask it to end, by closing its stdin."""
        process: IProcessTransport | None = self.transport
        if process is not None:
            process.closeStdin()

    def kill(self) -> None:
        """End it by force."""
        process: IProcessTransport | None = self.transport
        if process is not None:
            process.signalProcess("KILL")


def _not_started() -> Unavailable:
    return Unavailable("The demo upstream did not start.")
