"""A worker's process, as its parent sees it: started with what it inherits, spoken to, killed."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import structlog
from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

import bridge
from bridge.demo.process import DemoProcess
from bridge.systemd import SOCKET_VARIABLE
from bridge.workers.messages import (
    FROM_PARENT,
    TO_PARENT,
    Address,
    FromParent,
    FromWorker,
    Hello,
    Lines,
    Stop,
    from_worker,
    line_of,
)

_NOT_INHERITED = frozenset({SOCKET_VARIABLE, "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"})
# systemd speaks to the parent only.

_log = structlog.get_logger("bridge.workers")


class Child(ProcessProtocol):
    """One run of a worker."""

    def __init__(
        self, heard: Callable[[FromWorker], None], ended: Callable[[str], None], log: Any
    ) -> None:
        """Be spawned; see `Spawning`."""
        self._ended = ended
        self._log = log
        self._lines = Lines(lambda line: heard(from_worker(line)))
        self.ended: Deferred[None] = Deferred()
        """Fires when the process is gone."""
        self.stopping = False
        """Whether it was told to stop."""
        self.pid: int | None = None
        self.transport: Any = None

    def connectionMade(self) -> None:
        """Know its number."""
        self.pid = self.transport.pid

    def tell(self, message: FromParent) -> None:
        """Say something; one that is going hears no more."""
        if isinstance(message, Stop):
            self.stopping = True
        if self.pid is not None and FROM_PARENT in self.transport.pipes:
            self.transport.writeToChild(FROM_PARENT, line_of(message))

    def kill(self) -> None:
        """End it by force."""
        try:
            self.transport.signalProcess("KILL")
        except ProcessExitedAlready:
            return

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        """Hear what it says."""
        if childFD != TO_PARENT:
            return
        try:
            self._lines.feed(data)
        except (ValueError, msgspec.MsgspecError) as error:
            self._log.error("worker not understood, and killed", pid=self.pid, reason=str(error))
            self.kill()

    def processEnded(self, reason: Failure) -> None:
        """Tell that it is gone."""
        self._ended(reason.getErrorMessage())
        self.ended.callback(None)


@dataclass(slots=True, kw_only=True)
class Spawning:
    """How workers are started. Nothing that is secret is on their command line."""

    reactor: Any
    environ: Mapping[str, str]
    """Of the parent: the configuration may refer to it."""
    directory: str
    """In which the parent was started: relative paths of the configuration begin there."""
    config: str
    """The configuration file; "" for none."""
    flags: Mapping[str, str]
    data_dir: Path
    log_human: str
    demo: DemoProcess | None
    content: bytes = b""
    """What the configuration file said when it was last put in force."""

    def spawn(
        self,
        *,
        number: int,
        processes: int,
        memory: int,
        addresses: Sequence[tuple[str, socket.socket, bool]],
        pairs: Sequence[tuple[socket.socket, socket.socket]],
        heard: Callable[[FromWorker], None],
        ended: Callable[[str], None],
    ) -> Child:
        """Start worker `number` of `processes`.

        Args:
            number: counted from 0.
            processes: how many there are.
            memory: descriptor of what all count.
            addresses: description, its socket, and whether it is the worker's own.
            pairs: where each worker takes connections from others, and where these send them.
            heard: told of all that it says.
            ended: told, once, why it is gone.
        """
        child = Child(heard, ended, _log)
        first = TO_PARENT + 2
        inherited = [each for _, each, _ in addresses]
        takes = first + len(inherited)
        inherited.append(pairs[number][0])
        ways = {}
        for n, (_, send) in enumerate(pairs):
            if n != number:
                ways[n] = first + len(inherited)
                inherited.append(send)
        hello = Hello(
            number=number,
            processes=processes,
            config=self.config,
            content=self.content,
            flags=dict(self.flags),
            data_dir=str(self.data_dir),
            log_human=self.log_human,
            addresses=[
                Address(description=text, fd=first + n, family=int(each.family), apart=apart)
                for n, (text, each, apart) in enumerate(addresses)
            ],
            takes=takes,
            ways=ways,
            memory=TO_PARENT + 1,
            demo_url=self.demo.base_url if self.demo is not None else "",
            demo_secret=self.demo.secret.reveal() if self.demo is not None else "",
        )
        nothing = os.open(os.devnull, os.O_RDONLY)
        try:
            self.reactor.spawnProcess(
                child,
                sys.executable,
                args=(sys.executable, "-P", "-m", "bridge.workers"),
                env=self._environment(),
                path=self.directory,
                childFDs={
                    0: nothing, 1: 1, 2: 2, FROM_PARENT: "w", TO_PARENT: "r",
                    TO_PARENT + 1: memory,
                    **{first + n: each.fileno() for n, each in enumerate(inherited)},
                },
            )  # fmt: skip
        finally:
            os.close(nothing)
        child.tell(hello)
        return child

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in self.environ.items() if name not in _NOT_INHERITED}
        source = str(Path(str(bridge.__file__)).resolve().parents[1])
        before = kept.get("PYTHONPATH")
        return {**kept, "PYTHONPATH": f"{source}{os.pathsep}{before}" if before else source}
