"""Servers of tests about the embedded server, and scripts that run as somebody else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from unittest import SkipTest

import structlog
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

import bridge
import twisted
from bridge.store.embedded.processes import server_processes
from bridge.store.embedded.server import EmbeddedServer
from bridge.store.pool import Pool
from bridge.store.rows import none, one

RUN_A_SERVER = """
import os, sys
from pathlib import Path
import structlog
from twisted.internet import reactor
from twisted.internet.defer import Deferred
uid, data_dir, wanted = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
if uid:
    os.setgroups([]); os.setgid(uid); os.setuid(uid)
from bridge.store.embedded.server import EmbeddedServer
async def main():
    log = structlog.wrap_logger(structlog.PrintLogger(sys.stderr))
    server = EmbeddedServer(
        data_dir=data_dir, run_as="", reactor=reactor, log=log, unsafe_fast=True
    )
    try:
        await server.start()
        print("ready", server.pid, server.home, flush=True)
        if wanted == "stop":
            await server.stop()
            reactor.stop()
    except Exception as e:
        print("failed", e, flush=True)
        reactor.stop()
reactor.callWhenRunning(lambda: Deferred.fromCoroutine(main()))
reactor.run()
"""


class EmbeddedTestCase(TestCase):
    """Gives each test a data directory, and leaves no process behind."""

    timeout = 60

    def setUp(self) -> None:
        self.data_dir = Path(tempfile.mkdtemp(prefix="aibridge-test-embedded-"))
        self.data_dir.chmod(0o700)
        self.servers: list[EmbeddedServer] = []

    async def tearDown(self) -> None:
        homes = set()
        for server in reversed(self.servers):
            await server.stop()
            homes.add(server.home)
        for home in homes:
            self.assertEqual(server_processes(home / "cluster"), [])
            shutil.rmtree(home, ignore_errors=True)
        shutil.rmtree(self.data_dir, ignore_errors=True)

    def new_server(self, **options: Any) -> EmbeddedServer:
        arguments: dict[str, Any] = {
            "data_dir": self.data_dir,
            "run_as": "",
            "reactor": reactor,
            "log": structlog.get_logger("test"),
            "unsafe_fast": True,
            **options,
        }
        server = EmbeddedServer(**arguments)
        self.servers.append(server)
        return server

    async def ask(self, dsn: str, sql: str) -> Any:
        log = structlog.get_logger("test")
        pool = Pool(dsn=dsn, reactor=reactor, size=1, statement_seconds=10.0, log=log)
        try:
            await pool.start()
            return await pool.transaction(lambda cursor: one(cursor, sql))
        finally:
            await pool.close()

    async def execute(self, dsn: str, sql: str) -> None:
        log = structlog.get_logger("test")
        pool = Pool(dsn=dsn, reactor=reactor, size=1, statement_seconds=10.0, log=log)
        await pool.start()
        await pool.transaction(lambda cursor: none(cursor, sql))
        await pool.close()

    async def until(self, true: Any) -> None:
        """Come back when `true()` is; the test's own limit bounds it."""
        while not true():
            await deferLater(reactor, 0.02)


class Script(ProcessProtocol):
    """A Python script in a process of its own; gives its first line, and tells its end."""

    def __init__(self, text: str, *arguments: str, interpreter: str = sys.executable) -> None:
        self.over: Deferred[None] = Deferred()
        self._first: Deferred[str] = Deferred()
        self._said = ""
        self._complained = ""
        command = [interpreter, "-c", text, *arguments]
        reactor.spawnProcess(self, interpreter, command, env=environment(), path="/")

    def line(self) -> Deferred[str]:
        return self._first

    def outReceived(self, data: bytes) -> None:
        self._said += data.decode()
        if "\n" in self._said and not self._first.called:
            self._first.callback(self._said.partition("\n")[0])

    def errReceived(self, data: bytes) -> None:
        self._complained += data.decode()

    def processEnded(self, reason: object) -> None:
        if not self._first.called:
            self._first.callback(self._said + self._complained)
        self.over.callback(None)


def output(script: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
        cwd="/",
        env=environment(),
    )
    return done.stdout + done.stderr


def environment() -> dict[str, str]:
    """Let a script find what this process can import, whatever its interpreter and directory."""
    libraries = [Path(bridge.__file__).parents[1], Path(twisted.__file__).parents[1]]
    return {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(map(str, libraries))}


def interpreter_for_others() -> str:
    """Return a Python of our version that every user can run; skip the test where there is none."""
    for candidate in (sys.executable, "/usr/bin/python3"):
        found = Path(candidate).resolve()
        if found.exists() and all(parent.stat().st_mode & 0o001 for parent in found.parents):
            version = subprocess.check_output(
                [found, "-c", "import sys; print(sys.version_info[:2])"], text=True
            )
            if version.strip() == str(sys.version_info[:2]):
                return str(found)
    raise SkipTest("no Python that other users can run")
