"""The embedded server: started, watched, started again when it falls, stopped last."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from structlog.typing import FilteringBoundLogger
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThreadPool

from bridge.deferreds import limited, run_in_background, shielded
from bridge.periodic import Periodic
from bridge.store.embedded.cluster import (
    DATABASE,
    SUPERUSER,
    USER,
    address_of,
    check_version,
    log_tail,
    make_cluster,
    make_database,
    password_of,
    server_command,
)
from bridge.store.embedded.place import Place, find_place, short_socket_directory
from bridge.store.embedded.processes import (
    Running,
    accepts_connections,
    postmaster_pid,
    server_processes,
    start_process,
)
from bridge.store.embedded.program import copied_programs, programs_in_wheel
from bridge.store.errors import StoreError, StoreUnavailable
from bridge.store.lock import Lock, try_lock

RECOVERY_SECONDS = 600.0
"""After a crash the server may read its log for this long before it is ready."""
FAST_STOP_SECONDS = 60.0
"""A server asked to stop writes a checkpoint; after this it is made to leave without one."""
IMMEDIATE_STOP_SECONDS = 10.0
"""After this it is killed."""
POLL_SECONDS = 0.02
TAKE_OVER_SECONDS = 1.0
"""How often a process that uses another's server looks whether that one has left."""
FIRST_RESTART_SECONDS = 0.5
LAST_RESTART_SECONDS = 30.0
MAX_LOG_BYTES = 4 * 1024 * 1024
WATCH_SECONDS = 600.0


class EmbeddedServer:
    """The server of one data directory, run by whichever of our processes came first."""

    def __init__(
        self,
        *,
        data_dir: Path,
        run_as: str,
        reactor: Any,
        log: FilteringBoundLogger,
        unsafe_fast: bool = False,
    ) -> None:
        """Keep what to run; nothing is touched yet.

        Args:
            data_dir: the bridge's data directory.
            run_as: system user of the server when we are root; "" for the usual.
            reactor: time, processes and sockets.
            log: bound logger.
            unsafe_fast: for tests: a power cut costs everything, and nothing is done periodically.
        """
        self._data_dir = data_dir
        self._run_as = run_as
        self._reactor = reactor
        self._log = log
        self._unsafe_fast = unsafe_fast
        self._place: Place | None = None
        self._socket_directory: Path | None = None
        self._lock: Lock | None = None
        self._programs: Path | None = None
        self._running: Running | None = None
        self._later: Any = None
        self._working: Deferred[object] | None = None
        self._starting: Deferred[None] | None = None
        self._restart_seconds = FIRST_RESTART_SECONDS
        self._stopping = False
        self._watching = False
        self._watch = Periodic(
            name="bound database log", seconds=WATCH_SECONDS, work=self._bound_log, clock=reactor
        )

    @property
    def home(self) -> Path:
        """Where everything of the server is; known after `start`."""
        return self._at.home

    @property
    def pid(self) -> int | None:
        """The server's process; None when it does not run."""
        return postmaster_pid(self._at.cluster)

    @property
    def superuser_dsn(self) -> str:
        """The address with which everything is allowed; known after `start`."""
        return self._address(SUPERUSER, "postgres")

    @property
    def ready(self) -> bool:
        """Whether the server has said that it accepts connections."""
        return accepts_connections(self._at.cluster)

    @property
    def owned(self) -> bool:
        """Whether this process runs the server, and not another."""
        return self._lock is not None

    async def start(self) -> str:
        """Start the server, or find that another process of ours runs it, and return the address.

        May be called again after it failed, and does nothing while the server runs.

        Raises:
            WrongMajorVersion: the cluster is of another version of PostgreSQL.
            StoreError: it cannot run here.
            StoreUnavailable: it was not ready in time.
        """
        self._stopping = False
        if self._running is not None and self._running.exit_status is None and self.owned:
            return self._address(USER, DATABASE)
        self._place = place = find_place(self._data_dir, self._run_as)
        self._socket_directory = short_socket_directory(place.run)
        self._starting = Deferred()
        started = False
        try:
            self._lock = self._try_lock()
            if self._lock is not None:
                await self._begin()
            else:
                await self._wait_for_other()
            started = True
        except OSError as e:
            raise StoreError(
                f"The embedded database in {place.home} cannot be started: {e.strerror or e}."
            ) from e
        finally:
            if not started:
                await self._stop_all()
            self._starting.callback(None)
        return self._address(USER, DATABASE)

    async def stop(self) -> None:
        """Stop the server if it is ours; call it when nothing needs the database any more.

        A `start` under way fails with StoreUnavailable.
        """
        await self._stop_all()
        if self._starting is not None:
            await self._starting
            await self._stop_all()

    async def _stop_all(self) -> None:
        self._stopping = True
        if self._later is not None:
            self._later.cancel()
            self._later = None
        self._watching = False
        await self._watch.stop()
        if self._running is not None:
            await self._stop_running(self._running)
        if self._working is not None:
            await self._working
        if self._lock is not None:
            if self._socket_directory is not None and self._socket_directory.is_symlink():
                self._socket_directory.unlink(missing_ok=True)
            self._lock.release()
            self._lock = None

    @property
    def _at(self) -> Place:
        if self._place is None:
            raise StoreUnavailable("The embedded database has not been started.")
        return self._place

    def _address(self, user: str, database: str) -> str:
        directory = self._socket_directory or self._at.run
        return address_of(directory, user, password_of(self._at, user), database)

    def _try_lock(self) -> Lock | None:
        place = self._at
        return try_lock(place.lock, uid=place.keeper_uid, gid=place.keeper_gid)

    async def _begin(self) -> None:
        """Run the server in this process's care; we hold the lock."""
        place = self._at
        exists = check_version(place)
        await self._stop_survivors()
        self._programs = await self._find_programs()
        if self._stopping:
            raise StoreUnavailable("The embedded database is being stopped.")
        if not exists:
            self._log.info("embedded database being made", directory=str(place.home))
            await make_cluster(
                self._reactor,
                self._programs,
                place,
                unsafe_fast=self._unsafe_fast,
                started=self._started,
            )
        self._rotate_log()
        await self._run()
        database = make_database(self._reactor, place, self._socket_directory or place.run)
        await shielded(Deferred.fromCoroutine(database))
        if not self._unsafe_fast and not self._watching:
            self._watching = True
            self._watch.start(now=False)

    def _started(self, running: Running) -> None:
        self._running = running

    async def _find_programs(self) -> Path:
        if not self._at.private_copy:
            return programs_in_wheel()
        to = self._at.home / "program"
        pool = self._reactor.getThreadPool()
        found: Path = await deferToThreadPool(self._reactor, pool, copied_programs, to)
        return found

    async def _run(self) -> None:
        """Start the process, and wait until it accepts connections."""
        if self._programs is None or self._stopping:
            raise StoreUnavailable("The embedded database is being stopped.")
        place = self._at
        command = server_command(self._programs, place, unsafe_fast=self._unsafe_fast)
        begun = self._reactor.seconds()
        running = self._running = start_process(self._reactor, place, command)
        ready = False
        while not ready:
            if running.exit_status is not None:
                raise StoreUnavailable(
                    f"The embedded database did not start ({running.exit_status}): "
                    f"{log_tail(place)}"
                )
            if self._reactor.seconds() - begun > RECOVERY_SECONDS:
                raise StoreUnavailable(
                    f"The embedded database was not ready after {RECOVERY_SECONDS:.0f} s."
                )
            await self._pause()
            # An old pid file says "ready" too, until the new server has written its own.
            ready = postmaster_pid(place.cluster) == running.pid and accepts_connections(
                place.cluster
            )
        self._log.info(
            "embedded database ready",
            pid=running.pid,
            seconds=round(self._reactor.seconds() - begun, 2),
        )
        running.ended().addCallback(lambda _: self._fell(running))

    def _fell(self, running: Running) -> None:
        if self._stopping:
            return
        self._log.error(
            "embedded database ended by itself",
            status=running.exit_status,
            said=log_tail(self._at),
            restart_in=self._restart_seconds,
        )
        self._do_later(self._restart_seconds, "restart embedded database", self._restart)
        self._restart_seconds = min(2 * self._restart_seconds, LAST_RESTART_SECONDS)

    async def _restart(self) -> None:
        try:
            await self._begin()
        except (StoreError, OSError) as e:
            self._log.error("embedded database not started", reason=str(e))
            self._do_later(self._restart_seconds, "restart embedded database", self._restart)
            self._restart_seconds = min(2 * self._restart_seconds, LAST_RESTART_SECONDS)
        else:
            self._restart_seconds = FIRST_RESTART_SECONDS

    async def _wait_for_other(self) -> None:
        """Wait for the server of the process that holds the lock, and be ready to follow it."""
        begun = self._reactor.seconds()
        place = self._at
        while not (accepts_connections(place.cluster) and server_processes(place.cluster)):
            await self._pause()
            self._lock = self._try_lock()
            if self._lock is not None:
                await self._begin()
                return
            if self._reactor.seconds() - begun > RECOVERY_SECONDS:
                raise StoreUnavailable(
                    "Another process is starting the embedded database, and it is not ready yet."
                )
        self._do_later(TAKE_OVER_SECONDS, "take over embedded database", self._take_over)

    async def _take_over(self) -> None:
        self._lock = self._try_lock()
        if self._lock is None:
            self._do_later(TAKE_OVER_SECONDS, "take over embedded database", self._take_over)
            return
        self._log.info("embedded database taken over")
        await self._restart()

    def _do_later(self, seconds: float, name: str, work: Callable[[], Any]) -> None:
        def begin() -> None:
            self._later = None
            self._working = run_in_background(name, work())
            self._working.addBoth(done)

        def done(_: object) -> None:
            self._working = None

        if not self._stopping and self._later is None:
            self._later = self._reactor.callLater(seconds, begin)

    async def _stop_running(self, running: Running) -> None:
        for number, seconds in (
            (signal.SIGINT, FAST_STOP_SECONDS),
            (signal.SIGQUIT, IMMEDIATE_STOP_SECONDS),
            (signal.SIGKILL, IMMEDIATE_STOP_SECONDS),
        ):
            running.signal(number)
            try:
                await limited(running.ended(), seconds, self._reactor, _not_ended)
            except StoreUnavailable:
                self._log.warning("embedded database slow to stop", signal=number.name)
            else:
                return

    async def _stop_survivors(self) -> None:
        """Stop a server that outlived the process that ran it, so that ours can take its place."""
        cluster = self._at.cluster
        survivors = server_processes(cluster)
        if survivors:
            self._log.warning("embedded database of an earlier process stopped", pids=survivors)
        for number, seconds in (
            (signal.SIGINT, FAST_STOP_SECONDS),
            (signal.SIGQUIT, IMMEDIATE_STOP_SECONDS),
            (signal.SIGKILL, IMMEDIATE_STOP_SECONDS),
        ):
            master = postmaster_pid(cluster)
            # Without their master, its children know only the harder signals.
            if number is not signal.SIGINT or master in survivors:
                _signal_all([master] if master in survivors and master else survivors, number)
            begun = self._reactor.seconds()
            while survivors and self._reactor.seconds() - begun < seconds:
                await self._pause()
                survivors = server_processes(cluster)
            if not survivors:
                break
        # The number in it may belong to a stranger by now, and the server would not start.
        (cluster / "postmaster.pid").unlink(missing_ok=True)

    async def _pause(self) -> None:
        await deferLater(self._reactor, POLL_SECONDS, lambda: None)

    def _rotate_log(self) -> None:
        log = self._at.log
        try:
            if log.stat().st_size > MAX_LOG_BYTES // 4:
                log.replace(log.with_name("postgres.log.1"))
        except FileNotFoundError:
            return

    async def _bound_log(self) -> None:
        """Keep what a long-running server says within bounds: it holds the file open."""
        log = self._at.log
        if log.stat().st_size > MAX_LOG_BYTES:
            old = log.with_name("postgres.log.1")
            shutil.copyfile(log, old)
            old.chmod(0o600)
            os.truncate(log, 0)


def _signal_all(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def _not_ended() -> Exception:
    return StoreUnavailable("The embedded database did not stop in time.")
