"""Tests on a real PostgreSQL: one embedded server for the whole run, a fresh database for each."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from pathlib import Path
from typing import Any

import structlog
from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from bridge.store.embedded.processes import server_processes
from bridge.store.embedded.server import EmbeddedServer
from bridge.store.migrations import migrate
from bridge.store.pool import Cursor, Pool
from bridge.store.rows import Row, many

_PREFIX = "aibridge-test-postgres-"
_TEMPLATE = "template_bridge"


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
        assert SharedServer.running is not None
        return SharedServer.running.superuser_dsn


class SharedServer:
    """The server of this process; it ends with the run."""

    running: EmbeddedServer | None = None
    _user_dsn = ""
    _count = 0

    @classmethod
    async def started(cls) -> type[SharedServer]:
        """Start it at the first call, with a migrated database to copy."""
        if cls.running is None:
            _sweep()
            data_dir = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
            server = EmbeddedServer(
                data_dir=data_dir,
                run_as="",
                reactor=reactor,
                log=structlog.get_logger("test"),
                unsafe_fast=True,
            )
            reactor.addSystemEventTrigger("after", "shutdown", _end, server, data_dir)
            cls._user_dsn = await server.start()
            cls.running = server
            await cls._administer(f"CREATE DATABASE {_TEMPLATE} OWNER aibridge")
            pool = _pool(cls._dsn_of(_TEMPLATE))
            await pool.start()
            await migrate(pool)
            await pool.close()
        return cls

    @classmethod
    async def new_database(cls) -> str:
        """Make a database like the template and return its address."""
        cls._count += 1
        name = f"test_{cls._count}"
        await cls._administer(f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE} OWNER aibridge")
        return cls._dsn_of(name)

    @classmethod
    async def empty_database(cls) -> str:
        """Make a database without any table and return its address."""
        cls._count += 1
        name = f"test_{cls._count}"
        await cls._administer(f"CREATE DATABASE {name} OWNER aibridge")
        return cls._dsn_of(name)

    @classmethod
    async def drop(cls, dsn: str) -> None:
        """Drop a database, whoever is still connected."""
        name = dsn.partition("@/")[2].partition("?")[0]
        await cls._administer(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    @classmethod
    def _dsn_of(cls, database: str) -> str:
        return cls._user_dsn.replace("@/aibridge?", f"@/{database}?")

    @classmethod
    async def _administer(cls, sql: str) -> None:
        assert cls.running is not None
        pool = _pool(cls.running.superuser_dsn)
        await pool.start()
        try:
            await pool.outside_transaction(sql)
        finally:
            await pool.close()


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
