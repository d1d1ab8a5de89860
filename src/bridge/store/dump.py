"""The database in one file and back: PostgreSQL's own pg_dump, pg_restore and psql from the wheel.

A dump is consistent while the bridge runs: it is read in one transaction. It is restored in one
transaction too, what it replaces included: a restore that fails has changed nothing.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any, cast

import psycopg2
from psycopg2.extensions import parse_dsn
from twisted.internet.defer import CancelledError
from twisted.internet.threads import deferToThreadPool

from bridge.deferreds import shielded
from bridge.store.connection import Cursor
from bridge.store.embedded import launch
from bridge.store.embedded.program import MAJOR_VERSION, programs_in_wheel
from bridge.store.errors import StoreError
from bridge.store.pool import Pool
from bridge.store.rows import many, one

_SERVICE = "aibridge"
_PIECE_BYTES = 1 << 18
_SAID_BYTES = 4096
# What pg_restore 18 always sets first, and servers before 17 do not know.
_TIMEOUT = b"SET transaction_timeout = 0;\n"
_KNOWS_THE_TIMEOUT = 17

_SERVER = "SELECT current_setting('server_version_num')::integer / 10000"
_TABLES = """
SELECT relname FROM pg_class
WHERE relkind IN ('r', 'p') AND relnamespace = current_schema()::regnamespace
  AND NOT relispartition
  AND (relname ~ '^(aibridge_|audit_log)' OR relname IN ('users', 'api_tokens'))
ORDER BY 1
"""
_FUNCTIONS = """
SELECT oid::regprocedure::text FROM pg_proc
WHERE pronamespace = current_schema()::regnamespace AND proname ~ '^aibridge_'
ORDER BY 1
"""
_ROWS = "SELECT EXISTS (SELECT FROM {})"
_HOLDING = ("users", "api_tokens", "aibridge_interceptions", "audit_log")
"""Tables whose rows nobody else could give back."""


async def dump(reactor: Any, pool: Pool, dsn: str, file: Path) -> None:
    """Write the whole database to `file`, which must not exist; whoever works goes on.

    Args:
        reactor: threads.
        pool: connected to the database.
        dsn: its address.
        file: gets pg_dump's own format, compressed, with mode 0600.

    Raises:
        StoreUnavailable: the server cannot be asked.
        StoreError: the server is too new; pg_dump cannot be run, or fails.
    """
    await _server_version(pool)
    arguments = ["--format=custom", "--no-owner", "--no-privileges", f"--file={file}"]

    def work(programs: _Programs) -> None:
        dumping = programs.start("pg_dump", arguments)
        programs.finish("pg_dump", dumping)
        file.chmod(0o600)

    await _in_thread(reactor, dsn, work)


async def restore(reactor: Any, pool: Pool, dsn: str, file: Path) -> None:
    """Put the dump in the place of all that is the bridge's in the database; others' tables stay.

    Raises:
        StoreUnavailable: the server cannot be asked.
        StoreError: the programs cannot be run, or one fails; the database is as it was.
    """
    version = await _server_version(pool)
    drops = await pool.transaction(_drops, read_only=True)

    def work(programs: _Programs) -> None:
        # Without psql's own --single-transaction, which commits what it has when its input breaks
        # off: here COMMIT is sent when pg_restore has ended well.
        arguments = ["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--output=/dev/null"]
        sending = programs.start("psql", arguments, stdin=subprocess.PIPE)
        reading = programs.start(
            "pg_restore",
            ["--no-owner", "--no-privileges", "--file=-", str(file)],
            stdout=subprocess.PIPE,
        )
        try:
            _pass_on(reading, sending, drops, omitted=version < _KNOWS_THE_TIMEOUT)
            programs.finish("pg_restore", reading)
            _write(sending, b"\nCOMMIT;\n")
            cast("IO[bytes]", sending.stdin).close()
        except BrokenPipeError:
            programs.finish("psql", sending)
            raise StoreError("psql ended before it had everything.") from None
        programs.finish("psql", sending)

    await _in_thread(reactor, dsn, work)


async def holds_something(cursor: Cursor) -> bool:
    """Whether the database has users, tokens, records or audit rows."""
    there = {name for (name,) in await many(cursor, _TABLES)}
    for table in _HOLDING:
        if table in there and (await one(cursor, _ROWS.format(table)))[0]:
            return True
    return False


async def _drops(cursor: Cursor) -> bytes:
    """Return the statements that drop all that is the bridge's."""
    tables = [f'DROP TABLE IF EXISTS "{name}" CASCADE;' for (name,) in await many(cursor, _TABLES)]
    functions = [
        f"DROP FUNCTION IF EXISTS {name} CASCADE;" for (name,) in await many(cursor, _FUNCTIONS)
    ]
    return "\n".join([*tables, *functions, ""]).encode()


def check_version(version: int) -> None:
    """Make sure that the programs in the wheel know a server of this major version.

    Raises:
        StoreError: it is later.
    """
    if version > MAJOR_VERSION:
        raise StoreError(
            f"The server is PostgreSQL {version}, and the bridge brings pg_dump and pg_restore "
            f"{MAJOR_VERSION}, which cannot work with it; use those of the server."
        )


async def _server_version(pool: Pool) -> int:
    (version,) = await pool.transaction(lambda cursor: one(cursor, _SERVER), read_only=True)
    check_version(version)
    return int(version)


def _pass_on(
    reading: subprocess.Popen[bytes],
    sending: subprocess.Popen[bytes],
    drops: bytes,
    *,
    omitted: bool,
) -> None:
    """Give one program's output to another, in a transaction that stays open."""
    source = cast("IO[bytes]", reading.stdout)
    _write(sending, b"SET client_min_messages = warning;\nBEGIN;\n" + drops)
    begin = source.read(_PIECE_BYTES)
    _write(sending, begin.replace(_TIMEOUT, b"", 1) if omitted else begin)
    while piece := source.read(_PIECE_BYTES):
        _write(sending, piece)


def _write(process: subprocess.Popen[bytes], data: bytes) -> None:
    stream = cast("IO[bytes]", process.stdin)
    stream.write(data)
    stream.flush()


async def _in_thread(reactor: Any, dsn: str, work: Callable[[_Programs], None]) -> None:
    """Run `work` in a thread; when cancelled, end its programs first."""
    with tempfile.TemporaryDirectory(prefix="aibridge-dump-") as directory:
        programs = _Programs(dsn, Path(directory))
        working = deferToThreadPool(reactor, reactor.getThreadPool(), work, programs)
        try:
            await shielded(working)
        except CancelledError:
            programs.kill()
            await working
            raise
        finally:
            programs.kill()


class _Programs:
    """PostgreSQL's programs, connected to one database, in a private directory for the time."""

    def __init__(self, dsn: str, directory: Path) -> None:
        """Write a connection service file: neither arguments nor variables carry the password.

        Raises:
            StoreError: the address cannot be read, or written there.
        """
        service = directory / "service"
        service.touch(mode=0o600)
        service.write_text(_service_text(dsn), encoding="utf-8")
        self._directory = directory
        self._environment = {
            "PATH": "/usr/bin:/bin",
            "LC_ALL": "C",
            "TZ": "UTC",
            "HOME": str(directory),
            "PGSERVICEFILE": str(service),
            "PGSERVICE": _SERVICE,
            "PGAPPNAME": "aibridge",
        }
        self._running: list[subprocess.Popen[bytes]] = []

    def start(
        self,
        name: str,
        arguments: Sequence[str],
        *,
        stdin: int = subprocess.DEVNULL,
        stdout: int = subprocess.DEVNULL,
    ) -> subprocess.Popen[bytes]:
        """Start one.

        Raises:
            StoreError: it is not there.
        """
        program = programs_in_wheel() / name
        if not program.is_file():
            raise StoreError(f"{name} is not in the installed package of PostgreSQL.")
        # Through `launch`, so that it has one user's rights, and not root's by half.
        launched = [sys.executable, "-I", "-S", launch.__file__, str(os.geteuid())]
        with self._said(name).open("wb") as said:
            process = subprocess.Popen(  # noqa: S603  # our own arguments
                [*launched, str(os.getegid()), str(program), "--no-password", *arguments],
                stdin=stdin,
                stdout=stdout,
                stderr=said,
                cwd="/",
                env=self._environment,
            )
        self._running.append(process)
        return process

    def finish(self, name: str, process: subprocess.Popen[bytes]) -> None:
        """Wait for its end.

        Raises:
            StoreError: it failed.
        """
        code = process.wait()
        if code == 0:
            return
        with self._said(name).open("rb") as file:
            said = file.read(_SAID_BYTES).decode(errors="replace").strip().split("\n")
        raise StoreError(f"{name} failed ({code}): {' / '.join(said[:3]) or 'it said nothing'}")

    def kill(self) -> None:
        """Leave none running; a transaction that was not committed is undone by the server."""
        for process in self._running:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None and not stream.closed:
                    _closed(stream)

    def _said(self, name: str) -> Path:
        return self._directory / f"{name}.log"


def _closed(stream: Any) -> None:
    try:
        stream.close()
    except BrokenPipeError:
        return  # what was still to be written has no reader


def _service_text(dsn: str) -> str:
    try:
        given = parse_dsn(dsn)
    except psycopg2.Error:
        raise StoreError("The address of the database cannot be read.") from None
    lines = [f"{name}={value}" for name, value in given.items() if name != "application_name"]
    if any("\n" in line or line != line.rstrip() for line in lines):
        raise StoreError(
            "The address of the database has a value with a line break or a space at its end, "
            "which pg_dump cannot be told."
        )
    return "\n".join([f"[{_SERVICE}]", *lines, ""])
