"""A command's time with the database: connected, with a place for its audit records, cleaned up."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
import structlog
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import react

from bridge.cli.configuration import Configuration
from bridge.config import options
from bridge.config.settings import Settings
from bridge.domain.records import AuditRecorded
from bridge.journal.appender import Journal, open_journal
from bridge.journal.directory import WRITER_LOCK_NAME, try_lock
from bridge.recording.writer import Writer
from bridge.store.embedded.server import EmbeddedServer
from bridge.store.errors import StoreError
from bridge.store.migrations import check_schema, migrate
from bridge.store.pool import Pool
from bridge.store.writes import write_batch
from bridge.telemetry.logs import configure

T = TypeVar("T")

JOURNAL_DIRECTORY = "journal"
EMBEDDED_DIRECTORY = "postgres"
STORE_SECONDS = 5.0
"""How long a command waits for its audit records to reach the database; they are safe before."""
_EMBEDDED = "embedded"
_CONNECTIONS = 2
_INTERRUPTED = 130

_log = structlog.get_logger("bridge.cli")


class NoDatabase(StoreError):  # noqa: N818  # reads as a sentence
    """Nobody has made an embedded database where it should be."""


class Session:
    """What a command works with; made and ended by `with_store`."""

    def __init__(self, *, settings: Settings, reactor: Any, pool: Pool, dsn: str = "") -> None:
        """Keep what is ready; the journal is opened at the first audit record."""
        self.settings = settings
        self.dsn = dsn
        """The address of the database, with its password."""
        self.reactor = reactor
        self.pool = pool
        self._journal: Journal | None = None

    async def audit(self, records: Sequence[AuditRecorded]) -> None:
        """Keep audit records: safe on disk when this comes back, in the database soon after.

        Raises:
            Unavailable: the disk does not take them.
        """
        if self._journal is None:
            fsync: Any = self.settings[options.JOURNAL_FSYNC]  # one of three words, checked there
            self._journal = open_journal(
                root=self._journal_root,
                fsync=fsync,
                max_bytes=self.settings[options.JOURNAL_MAX_BYTES],
                segment_bytes=self.settings[options.JOURNAL_SEGMENT_BYTES],
                keep_seconds=self.settings[options.JOURNAL_KEEP],
                reactor=self.reactor,
                log=structlog.get_logger("bridge.journal"),
            )
        self._journal.append(records)
        await self._journal.durable()

    async def end(self) -> None:
        """Store what was audited, unless the bridge does, and hang up."""
        if self._journal is not None:
            await self._journal.close()
            self._journal = None
            await self._store_audit()
        await self.pool.close()

    @property
    def _journal_root(self) -> Path:
        return self.settings[options.DATA_DIR] / JOURNAL_DIRECTORY

    async def _store_audit(self) -> None:
        claim = try_lock(self._journal_root / WRITER_LOCK_NAME)
        if claim is None:
            return  # the bridge's writer finds our directory
        claim.release()
        writer = Writer(
            journal_root=self._journal_root,
            pool=self.pool,
            write_batch=write_batch,
            reactor=self.reactor,
            log=structlog.get_logger("bridge.writer"),
            cutoff=lambda: None,
            keep_seconds=self.settings[options.JOURNAL_KEEP],
        )
        writer.start()
        try:
            await writer.flush(limit_seconds=STORE_SECONDS)
        except StoreError as e:
            _log.warning("audit record waits in the journal", reason=str(e))
        finally:
            await writer.stop()


def run_with_store(
    settings: Settings,
    work: Callable[[Session], Awaitable[T]],
    *,
    schema_ready: bool = True,
    create: bool = False,
) -> T:
    """Run `work` with the database in a reactor of its own, and return what it returns.

    Args:
        settings: of the bridge whose database it is.
        work: is given the session.
        schema_ready: make sure that the schema is this version's before.
        create: make an embedded database that is not there.

    Raises:
        StoreError: the database cannot be used.
    """
    act_as_owner(settings[options.DATA_DIR])
    return run_in_reactor(
        lambda reactor: with_store(
            reactor, settings, work, schema_ready=schema_ready, create=create
        )
    )


def run_on_the_database_only(
    configuration: Configuration, work: Callable[[Session], Awaitable[T]], *, instead: str
) -> T:
    """Do the same for a command that asks no bridge, also where others do by AIBRIDGE_URL.

    Args:
        configuration: of the bridge whose database it is.
        work: is given the session.
        instead: what of the API does as much, for whoever has only that.

    Raises:
        StoreError: the database cannot be used.
    """
    try:
        return run_with_store(configuration.settings, work)
    except NoDatabase as error:
        url = configuration.environ.get("AIBRIDGE_URL")
        if not url:
            raise
        msg = (
            "This command works on the database only, on the machine of the bridge, and does not "
            f"ask $AIBRIDGE_URL; over the API there is {instead}. {error}"
        )
        raise NoDatabase(msg) from error


def run_in_reactor(work: Callable[[Any], Coroutine[Any, Any, T]], *, level: str = "warning") -> T:
    """Run `work` in a reactor of its own, which it is given, and return what it returns.

    Args:
        work: cancelled when the process is to end, and waited for.
        level: the least severe messages that are shown.
    """
    outcome: list[T] = []
    failure: list[BaseException] = []

    async def main(reactor: Any) -> None:
        streams = configure(
            log_human="/dev/stderr", log_json="", level=level, clock=reactor, cache=False
        )
        running = Deferred.fromCoroutine(work(reactor))
        over: Deferred[None] = Deferred()

        def interrupted() -> Deferred[None] | None:
            if over.called:
                return None
            running.cancel()
            return over  # the reactor waits until the server that we may have started is stopped

        reactor.addSystemEventTrigger("before", "shutdown", interrupted)
        try:
            outcome.append(await running)
        except CancelledError:
            failure.append(click.exceptions.Exit(_INTERRUPTED))
        except Exception as e:  # noqa: BLE001  # it is raised again outside of the reactor
            failure.append(e)
        finally:
            streams.close()
            over.callback(None)

    def begin(reactor: Any) -> Deferred[None]:
        return Deferred.fromCoroutine(main(reactor))

    try:
        react(begin)
    except SystemExit:
        pass  # its way to say that it is done
    if failure:
        raise failure[0]
    if not outcome:
        raise click.exceptions.Exit(_INTERRUPTED)
    return outcome[0]


async def with_store(
    reactor: Any,
    settings: Settings,
    work: Callable[[Session], Awaitable[T]],
    *,
    schema_ready: bool = True,
    create: bool = False,
) -> T:
    """Run `work` with the database: the bridge's running one, or else a server that we start.

    Args:
        reactor: for everything.
        settings: of the bridge whose database it is.
        work: is given the session.
        schema_ready: make sure that the schema is this version's before.
        create: make an embedded database that is not there.

    Raises:
        StoreError: the database cannot be used.
    """
    address = settings[options.DATABASE_ADDRESS].reveal()
    server = _server(reactor, settings, create=create) if address == _EMBEDDED else None
    try:
        dsn = await server.start() if server is not None else address
        pool = Pool(
            dsn=dsn,
            reactor=reactor,
            size=_CONNECTIONS,
            statement_seconds=settings[options.STATEMENT],
            log=structlog.get_logger("bridge.database"),
        )
        session = Session(settings=settings, reactor=reactor, pool=pool, dsn=dsn)
        try:
            await pool.start()
            if schema_ready:
                # Beside a running bridge of another version we change nothing unasked.
                ours = server is not None and server.owned
                await (_migrated(pool) if ours else check_schema(pool))
            return await work(session)
        finally:
            await session.end()
    finally:
        if server is not None:
            await server.stop()


def _server(reactor: Any, settings: Settings, *, create: bool) -> EmbeddedServer:
    data_dir = settings[options.DATA_DIR]
    try:
        exists = (data_dir / EMBEDDED_DIRECTORY).is_dir()
    except PermissionError:
        raise StoreError(
            f"{data_dir} belongs to somebody else; run this as the user that runs the bridge."
        ) from None
    if not exists and not create:
        # Most likely the wrong file or the wrong directory; an empty database would hide that.
        raise NoDatabase(
            f"There is no database in {data_dir.absolute()} yet; start the bridge once, or name "
            "its configuration with --config."
        )
    return EmbeddedServer(
        data_dir=data_dir,
        run_as=settings[options.RUN_AS],
        reactor=reactor,
        log=structlog.get_logger("bridge.embedded"),
    )


def _migrated(pool: Pool) -> Coroutine[Any, Any, None]:
    async def work() -> None:
        await migrate(pool)

    return work()


def act_as_owner(data_dir: Path) -> None:
    """Give up root's rights where the bridge has none: it could not read files that root makes.

    The real user id stays, so that the audit log can tell who it was.
    """
    if os.geteuid() != 0:
        return
    try:
        owner = data_dir.stat()
    except OSError:
        return
    if owner.st_uid != 0:
        os.setgroups([])
        os.setegid(owner.st_gid)
        os.seteuid(owner.st_uid)
