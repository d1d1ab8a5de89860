"""A worker: serves clients on sockets that it has inherited, and does what its parent says."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.stdio import StandardIO
from twisted.python.failure import Failure

from bridge.assembly import Bridge, assemble
from bridge.config import options
from bridge.config.load import load
from bridge.config.settings import ConfigErrors, Settings
from bridge.deferreds import limited
from bridge.demo.process import DemoAddress
from bridge.domain.errors import BridgeError
from bridge.domain.identity import Secret
from bridge.lifecycle import StartFailed
from bridge.part import Part
from bridge.policy.shared_limits import SharedLimits, map_shared
from bridge.telemetry.logs import LogStreams, configure
from bridge.workers.life import WorkerLifecycle
from bridge.workers.messages import (
    FROM_PARENT,
    TO_PARENT,
    BeginAnew,
    Flush,
    Flushed,
    FromParent,
    FromWorker,
    Hello,
    Lines,
    Ping,
    Pulse,
    Ready,
    Reload,
    Reloaded,
    Stop,
    Stored,
    from_parent,
    line_of,
)

FLUSH_SECONDS = 2.0
"""How long a request waits for other workers' records to be in the database."""
CLOSE_SECONDS = 2.0
_FAILED_EXIT = 1

_log = structlog.get_logger("bridge.worker")


class Worker:
    """One worker from its first to its last moment."""

    def __init__(self, hello: Hello, *, reactor: Any, environ: Mapping[str, str]) -> None:
        """Be what the parent said; nothing runs yet.

        Raises:
            ConfigErrors: the configuration cannot be used any more.
        """
        self._hello = hello
        self._reactor = reactor
        self._environ = environ
        self._lifecycle: WorkerLifecycle | None = None
        self._bridge: Bridge | None = None
        self._database: Deferred[str] = Deferred()
        self._flushes: dict[int, Deferred[None]] = {}
        self._flush_number = 0
        self._stopping = False
        with in_a_file(hello.content) as path:
            self._settings = load(path if hello.config else None, hello.flags, environ)
        self._streams: LogStreams = configure(
            log_human=hello.log_human,
            log_json=self._settings[options.LOG_JSON],
            level=self._settings[options.LOG_LEVEL],
            clock=reactor,
        )
        structlog.contextvars.bind_contextvars(worker=hello.number + 1)
        self._pipe = _Pipe(self._told, self._parent_gone)

    def start(self) -> None:
        """Serve."""
        pipes: Any = StandardIO  # whose signature is another on Windows
        pipes(self._pipe, stdin=FROM_PARENT, stdout=TO_PARENT, reactor=self._reactor)
        # Ctrl-C reaches all processes of a terminal, and the parent says when to stop.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        self._reactor.addSystemEventTrigger("before", "shutdown", self._stop)
        hello, settings = self._hello, self._settings
        shared = SharedLimits(
            map_shared(hello.memory, hello.processes),
            processes=hello.processes,
            me=hello.number,
        )
        demo = None
        if hello.demo_url:
            demo = DemoAddress(base_url=hello.demo_url, secret=Secret(hello.demo_secret))
        try:
            self._bridge = assemble(
                settings,
                reactor=self._reactor,
                streams=self._streams,
                data_dir=Path(hello.data_dir),
                part=Part(
                    processes=hello.processes,
                    is_worker=True,
                    server=_Told(self._database),
                    demo=demo,
                    shared=shared,
                    stored=self._stored,
                ),
            )
            self._lifecycle = WorkerLifecycle(
                hello=hello,
                shared=shared,
                bridge=self._bridge,
                on_ready=lambda _: self._ready(),
                on_failure=self._failed,
            )
            self._lifecycle.start()
        except (StartFailed, BridgeError, OSError) as error:
            self._failed(error)
            return
        self._ready_when_known()

    def _read(self) -> Settings:
        config = self._hello.config
        return load(Path(config) if config else None, self._hello.flags, self._environ)

    def _told(self, line: bytes) -> None:
        message: FromParent = from_parent(line)
        match message:
            case Stored(address=address):
                if not self._database.called:
                    self._database.callback(address)
            case Flushed(number=number):
                waiting = self._flushes.pop(number, None)
                if waiting is not None:
                    waiting.callback(None)
            case Reload():
                self._tell(Reloaded(problems=self._reload()))
            case Stop():
                self._end()
            case Ping() | BeginAnew():
                if self._bridge is not None:
                    self._asked(self._bridge, message)
            case Hello():
                _log.error("greeted twice")

    def _asked(self, bridge: Bridge, message: Ping | BeginAnew) -> None:
        if isinstance(message, Ping):
            bridge.retention.follow(message.cutoff)
            self._pulse(bridge, message.number)
            return
        try:
            bridge.journal.begin_anew()
        except OSError as error:
            _log.error("journal not begun anew", reason=str(error))

    def _pulse(self, bridge: Bridge, number: int = 0) -> None:
        self._tell(
            Pulse(
                number=number,
                not_ready=bridge.status.not_ready(),
                details=bridge.status.details(),
                counts=bridge.metrics.counts(),
            )
        )

    def _reload(self) -> list[str]:
        self._streams.reopen()
        if self._lifecycle is None:
            return []
        try:
            settings = self._read()
            self._lifecycle.reload(settings)
        except ConfigErrors as errors:
            return list(errors.problems)
        except (OSError, ValueError) as error:
            return [str(error)]
        self._streams.set_level(settings[options.LOG_LEVEL])
        self._lifecycle.reloaded(succeeded=True)
        return []

    def _ready(self) -> None:
        self._tell(Ready())

    def _ready_when_known(self) -> None:
        """Say so at once when the last run's tokens are known, before the database is there."""
        if self._bridge is not None and self._bridge.directory.ready:
            self._ready()

    async def _stored(self) -> None:
        self._flush_number += 1
        number = self._flush_number

        def forget(_: Deferred[None]) -> None:
            self._flushes.pop(number, None)

        waiting: Deferred[None] = Deferred(forget)
        self._flushes[number] = waiting
        self._tell(Flush(number=number))
        try:
            await limited(waiting, FLUSH_SECONDS, self._reactor, TimeoutError)
        except TimeoutError:
            _log.warning("records of other workers are not in the database yet")

    def _tell(self, message: FromWorker) -> None:
        self._pipe.send(line_of(message))

    def _parent_gone(self) -> None:
        if not self._stopping:
            _log.warning("the parent is gone; running answers may end")
            if self._lifecycle is not None:
                self._lifecycle.parent_gone()
            self._end()

    def _failed(self, error: Exception) -> None:
        _log.error("worker failed to start", reason=str(error))
        self._end()

    def _end(self) -> None:
        if not self._stopping:
            self._stopping = True
            self._reactor.callWhenRunning(self._reactor.stop)

    def _stop(self) -> Deferred[None] | None:
        """Drain, before the reactor's shutdown goes on; also after a SIGTERM of somebody's."""
        self._stopping = True
        return Deferred.fromCoroutine(self._drain())

    async def _drain(self) -> None:
        if self._lifecycle is not None:
            await self._lifecycle.stop()
        if self._bridge is not None:
            self._pulse(self._bridge)  # so that what was counted last is not lost
        await self._pipe.close(self._reactor)


class _Pipe(Protocol):
    """The way to and from the parent."""

    transport: Any

    def __init__(self, told: Callable[[bytes], None], gone: Callable[[], None]) -> None:
        self._lines = Lines(told)
        self._gone = gone
        self._closed: Deferred[None] | None = None

    def send(self, line: bytes) -> None:
        """Tell the parent, if it still listens."""
        if self.transport is not None:
            self.transport.write(line)

    async def close(self, reactor: Any) -> None:
        """Say no more, once everything is said or CLOSE_SECONDS are over."""
        if self.transport is None:
            return
        self._closed = Deferred()
        self.transport.loseConnection()
        try:
            await limited(self._closed, CLOSE_SECONDS, reactor, TimeoutError)
        except TimeoutError:
            _log.warning("the parent does not listen")

    def dataReceived(self, data: bytes) -> None:
        self._lines.feed(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: ARG002
        self.transport = None
        closed, self._closed = self._closed, None
        if closed is not None:
            closed.callback(None)
        self._gone()


class _Told:
    """The database's server, as a worker knows it."""

    def __init__(self, address: Deferred[str]) -> None:
        self._address = address
        self._known = ""
        self._waiting: list[Deferred[str]] = []
        address.addCallback(self._is)

    async def start(self) -> str:
        """Return the address once the parent has told it."""
        if not self._known:
            waiting: Deferred[str] = Deferred()
            self._waiting.append(waiting)
            return await waiting
        return self._known

    async def stop(self) -> None:
        """Leave it alone: it is the parent's."""

    def _is(self, address: str) -> None:
        self._known = address
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(address)


@contextmanager
def in_a_file(content: bytes) -> Iterator[Path]:
    """Give a file with this content, which nobody else can find."""
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.seek(0)
        yield Path(f"/dev/fd/{file.fileno()}")


def hello_from(fd: int) -> Hello:
    """Read the parent's first line, and no more."""
    data = bytearray()
    while not data.endswith(b"\n"):
        piece = os.read(fd, 1)
        if not piece:
            raise SystemExit(_FAILED_EXIT)  # the parent was gone before it could say anything
        data += piece
    message = from_parent(bytes(data))
    if not isinstance(message, Hello):
        raise SystemExit(_FAILED_EXIT)
    return message
