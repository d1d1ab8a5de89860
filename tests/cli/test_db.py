"""`aibridge db` and the session of a command; real databases, so the real reactor."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.utils import getProcessOutputAndValue

from bridge.auth.audit import change
from bridge.cli.db import apply_changes, read_status, rows_of
from bridge.cli.session import Session, with_store
from bridge.config.load import load
from bridge.config.settings import Settings
from bridge.journal.directory import WRITER_LOCK_NAME, segments, try_lock
from bridge.journal.files import private_directory
from bridge.store.embedded.processes import server_processes
from bridge.store.errors import StoreError
from bridge.store.rows import one
from tests.support.embedded import EmbeddedTestCase, Script, environment
from tests.support.postgres import SharedServer, StoreTestCase

_COMMAND = "from bridge.cli.main import main; main()"
_INTERRUPTED = """
import os, signal, sys
from pathlib import Path
from twisted.internet.defer import Deferred
from bridge.cli.session import run_with_store
from bridge.config.load import load
async def wait(session):
    print("waiting", flush=True)
    await Deferred()
run_with_store(load(None, {"data-dir": sys.argv[1]}, {}), wait)
"""


class SessionTests(StoreTestCase):
    """A database that is not embedded."""

    def settings(self, dsn: str | None = None) -> Settings:
        self.data_dir = Path(self.mktemp()).absolute()
        flags = {"database": dsn or self.dsn, "data-dir": str(self.data_dir)}
        return load(None, flags, {})

    async def empty(self) -> str:
        dsn = await SharedServer.empty_database()
        self.addCleanup(lambda: Deferred.fromCoroutine(SharedServer.drop(dsn)))
        return dsn

    async def test_status_shows_versions(self) -> None:
        found = await with_store(reactor, self.settings(), read_status, schema_ready=False)

        rows = dict(rows_of(found))
        self.assertTrue(rows["server"].startswith("PostgreSQL "))
        self.assertEqual(rows["can be used"], "yes")
        self.assertEqual(rows["pending"], "nothing")

    async def test_commands_wait_for_migrate(self) -> None:
        settings = self.settings(await self.empty())

        refused = Deferred.fromCoroutine(with_store(reactor, settings, read_status))
        error = await self.assertFailure(refused, StoreError)
        self.assertIn("aibridge db migrate", str(error))
        count = await with_store(reactor, settings, apply_changes, schema_ready=False)

        self.assertGreater(count, 0)
        self.assertEqual((await with_store(reactor, settings, read_status)).pending, ())

    async def test_audit_record_is_stored_when_no_bridge_runs(self) -> None:
        await with_store(reactor, self.settings(), _audited)

        self.assertEqual(await self.fetch("SELECT action FROM audit_log"), [("user.create",)])

    async def test_audit_record_is_left_to_a_running_bridge(self) -> None:
        settings = self.settings()
        root = self.data_dir / "journal"
        private_directory(root)
        claim = try_lock(root / WRITER_LOCK_NAME)
        assert claim is not None
        self.addCleanup(claim.release)

        await with_store(reactor, settings, _audited)

        self.assertEqual(await self.fetch("SELECT action FROM audit_log"), [])
        self.assertEqual(len(segments(root / "0001")), 1)

    async def test_failing_work_leaves_nothing_open(self) -> None:
        async def fail(session: Session) -> None:
            await _audited(session)
            raise KeyError("no")

        failing = Deferred.fromCoroutine(with_store(reactor, self.settings(), fail))

        await self.assertFailure(failing, KeyError)
        self.assertEqual(await self.fetch("SELECT count(*) FROM audit_log"), [(1,)])

    async def test_exit_code_tells_whether_the_database_can_be_used(self) -> None:
        empty = await self.empty()
        self.settings()
        flags = {"AIBRIDGE_DATABASE": empty, "AIBRIDGE_DATA_DIR": str(self.data_dir)}

        out, code = await _aibridge(flags, "db", "status", "--json")
        self.assertEqual((json.loads(out)["usable"], code), (False, 1))
        self.assertNotIn(empty.partition("@")[0], out)
        out, code = await _aibridge(flags, "db", "migrate")
        self.assertEqual(code, 0, out)
        out, code = await _aibridge(flags, "db", "status", "--json")
        self.assertEqual((json.loads(out)["usable"], code), (True, 0))

    async def test_unreachable_database_is_one_sentence(self) -> None:
        flags = {"AIBRIDGE_DATABASE": "postgresql://u:secret@127.0.0.1:1/d"}

        out, code = await _aibridge(flags, "db", "status")

        self.assertEqual(code, 3)
        self.assertIn("The database at u@127.0.0.1:1/d cannot be reached", out)
        self.assertNotIn("Traceback", out)
        self.assertNotIn("secret", out)


class EmbeddedSessionTests(EmbeddedTestCase):
    """The embedded database, whose server may or may not run."""

    def settings(self) -> Settings:
        return load(None, {"data-dir": str(self.data_dir)}, {})

    async def test_database_that_never_was_is_not_made(self) -> None:
        missing = Deferred.fromCoroutine(with_store(reactor, self.settings(), _seven))

        error = await self.assertFailure(missing, StoreError)

        self.assertIn("start the bridge once", str(error))

    async def test_running_server_is_used_and_left_alone(self) -> None:
        server = self.new_server()
        dsn = await server.start()

        await with_store(reactor, self.settings(), apply_changes, schema_ready=False)

        self.assertEqual(await with_store(reactor, self.settings(), _seven), 7)
        self.assertEqual(await self.ask(dsn, "SELECT 1"), (1,))

    async def test_server_is_started_and_stopped_where_none_runs(self) -> None:
        server = self.new_server()
        await server.start()
        await server.stop()

        self.assertEqual(await with_store(reactor, self.settings(), _seven), 7)

        self.assertEqual(server_processes(server.home / "cluster"), [])

    async def test_interrupted_command_stops_the_server_it_started(self) -> None:
        server = self.new_server()
        await server.start()
        await server.stop()
        script = Script(_INTERRUPTED, str(self.data_dir))
        self.assertEqual(await script.line(), "waiting")

        script.transport.signalProcess("INT")
        await script.over

        self.assertEqual(server_processes(server.home / "cluster"), [])


async def _seven(session: Session) -> Any:
    (seven,) = await session.pool.transaction(lambda cursor: one(cursor, "SELECT 7"))
    return seven


async def _audited(session: Session) -> None:
    now = session.reactor.seconds()
    record = change("user.create", target="alice", now=now, source="command line")
    await session.audit([record])


async def _aibridge(environ: dict[str, str], *arguments: str) -> tuple[str, int]:
    """Return what `aibridge` printed, and its exit code."""
    out, err, code = await getProcessOutputAndValue(
        sys.executable, ["-c", _COMMAND, *arguments], env={**environment(), **environ}, path="/"
    )
    return (out + err).decode(), code
