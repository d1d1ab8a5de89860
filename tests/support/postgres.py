"""Tests on a real PostgreSQL: one embedded server for the whole run, a fresh database for each.

With AIBRIDGE_TEST_POSTGRES, the address of a superuser on another server (14 or later), that one is
used instead; its databases `template_bridge_*` and `test_*` are ours.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import tempfile
from pathlib import Path
from typing import Any

import structlog
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from bridge.store.embedded.processes import server_processes
from bridge.store.embedded.server import EmbeddedServer
from bridge.store.migrations import migrate
from bridge.store.pool import Cursor, Pool
from bridge.store.rows import Row, many

_PREFIX = "aibridge-test-postgres-"
_OTHER_SERVER = os.environ.get("AIBRIDGE_TEST_POSTGRES", "")
_DATABASE = re.compile(r"(postgres(?:ql)?://[^/]*/)[^?]*")


class StoreTestCase(TestCase):
    """Needs the real reactor, because a real server is spoken to."""

    timeout = 60
    statement_seconds = 10.0
    connections = 3

    async def setUp(self) -> None:
        self.log = structlog.get_logger("test")
        server = await SharedServer.started()
        self.dsn = await server.new_database()
        self.pool = self.new_pool()
        await self.pool.start()

    async def tearDown(self) -> None:
        await self.pool.close()
        await SharedServer.drop(self.dsn)

    async def fetch(self, sql: str, *params: object) -> list[Row]:
        """Run one statement and return its rows."""

        async def ask(cursor: Cursor) -> list[Row]:
            return await many(cursor, sql, params or None)

        return await self.pool.transaction(ask)

    def new_pool(self, dsn: str | None = None, **options: Any) -> Pool:
        """Return a pool on the test's database, closed with the test."""
        arguments: dict[str, Any] = {
            "dsn": dsn or self.dsn,
            "reactor": reactor,
            "size": self.connections,
            "statement_seconds": self.statement_seconds,
            "log": structlog.get_logger("test"),
            **options,
        }
        pool = Pool(**arguments)
        self.addCleanup(pool.close)
        return pool

    def superuser_dsn(self) -> str:
        """Return the address of the server's `postgres` database, for its superuser."""
        return SharedServer.superuser_dsn


class SharedServer:
    """The server of this process; it ends with the run."""

    running: EmbeddedServer | None = None
    """None for another server."""
    superuser_dsn = _OTHER_SERVER
    _user_dsn = ""
    _count = 0

    @classmethod
    async def started(cls) -> type[SharedServer]:
        """Start it at the first call, with a migrated database to copy."""
        if cls._user_dsn:
            return cls
        if _OTHER_SERVER:
            cls._user_dsn = _OTHER_SERVER
        else:
            await cls._start()
        await cls._create(_template())
        reactor.addSystemEventTrigger("before", "shutdown", cls._clear)
        pool = _pool(cls._dsn_of(_template()))
        await pool.start()
        await migrate(pool)
        await pool.close()
        return cls

    @classmethod
    async def new_database(cls) -> str:
        """Make a database like the template and return its address."""
        return await cls._create(cls._next_name(), f"TEMPLATE {_template()}")

    @classmethod
    async def empty_database(cls) -> str:
        """Make a database without any table and return its address."""
        return await cls._create(cls._next_name())

    @classmethod
    async def drop(cls, dsn: str) -> None:
        """Drop a database, whoever is still connected."""
        name = dsn.partition("?")[0].rpartition("/")[2]
        await cls._administer(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    @classmethod
    async def _start(cls) -> None:
        _sweep()
        data_dir = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
        log = structlog.get_logger("test")
        server = EmbeddedServer(
            data_dir=data_dir, run_as="", reactor=reactor, log=log, unsafe_fast=True
        )
        reactor.addSystemEventTrigger("after", "shutdown", _end, server, data_dir)
        cls._user_dsn = await server.start()
        cls.superuser_dsn = server.superuser_dsn
        cls.running = server

    @classmethod
    def _clear(cls) -> Deferred[None] | None:
        if not _OTHER_SERVER:
            return None
        return Deferred.fromCoroutine(cls.drop(cls._dsn_of(_template())))

    @classmethod
    async def _create(cls, name: str, more: str = "") -> str:
        owner = "OWNER aibridge" if cls.running is not None else ""
        await cls._administer(f"CREATE DATABASE {name} {more} {owner}")
        return cls._dsn_of(name)

    @classmethod
    def _next_name(cls) -> str:
        cls._count += 1
        return f"test_{os.getpid()}_{cls._count}"

    @classmethod
    def _dsn_of(cls, database: str) -> str:
        return _DATABASE.sub(rf"\g<1>{database}", cls._user_dsn, count=1)

    @classmethod
    async def _administer(cls, sql: str) -> None:
        pool = _pool(cls.superuser_dsn)
        await pool.start()
        try:
            await pool.outside_transaction(sql)
        finally:
            await pool.close()


def _template() -> str:
    return f"template_bridge_{os.getpid()}"


def _pool(dsn: str) -> Pool:
    log = structlog.get_logger("test")
    return Pool(dsn=dsn, reactor=reactor, size=1, statement_seconds=30.0, log=log)


def _end(server: EmbeddedServer, data_dir: Path) -> None:
    """Stop the server without a reactor, and leave nothing behind."""
    pid = server.pid
    if pid is not None and pid in server_processes(server.home / "cluster"):
        os.kill(pid, signal.SIGQUIT)
        # Waits, and leaves the exit status to the reactor's own child handling.
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    shutil.rmtree(server.home, ignore_errors=True)
    shutil.rmtree(data_dir, ignore_errors=True)


def _sweep() -> None:
    """Clear away the servers of runs that were killed."""
    for data_dir in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        runner = data_dir.name.removeprefix(_PREFIX).partition("-")[0]
        if Path(f"/proc/{runner}").exists():
            continue
        location = data_dir / "postgres" / "location"
        inside = location.read_text().strip() if location.exists() else data_dir / "postgres"
        home = Path(inside)
        for pid in server_processes(home / "cluster"):
            os.kill(pid, signal.SIGQUIT)
        shutil.rmtree(home, ignore_errors=True)
        shutil.rmtree(data_dir, ignore_errors=True)
