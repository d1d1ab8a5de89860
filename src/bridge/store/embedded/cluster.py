"""Making a cluster and its database, and the parameters its server runs with."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bridge.store.address import Address
from bridge.store.connection import Connection, open_connection
from bridge.store.embedded.place import Place
from bridge.store.embedded.processes import Running, start_process
from bridge.store.embedded.program import MAJOR_VERSION
from bridge.store.errors import StoreError, WrongMajorVersion

SUPERUSER = "postgres"
USER = "aibridge"
DATABASE = "aibridge"
PORT = 5432
"""Only part of the socket's name."""

_PARAMETERS: tuple[str, ...] = (
    "listen_addresses=",
    # Relative to the cluster, so that no path is too long for a socket.
    "unix_socket_directories=../run",
    "unix_socket_permissions=0700",
    "max_connections=50",
    "shared_buffers=64MB",
    "max_wal_size=256MB",
    "wal_level=minimal",
    "max_wal_senders=0",
    "max_logical_replication_workers=0",
    "max_parallel_workers_per_gather=0",
    "max_parallel_maintenance_workers=0",
    "io_method=sync",
    "jit=off",
    "timezone=UTC",
    "log_timezone=UTC",
    "log_min_messages=warning",
    "log_checkpoints=off",
    # Statements and details of errors would carry prompts into the log.
    "log_min_error_statement=panic",
    "log_error_verbosity=terse",
    "logging_collector=off",
    "log_destination=stderr",
)
_FAST_PARAMETERS: tuple[str, ...] = (
    "fsync=off",
    "full_page_writes=off",
    "synchronous_commit=off",
    "autovacuum_naptime=1h",
)


def server_command(programs: Path, place: Place, *, unsafe_fast: bool) -> list[str]:
    """Return the command that runs the server in the foreground."""
    parameters = _PARAMETERS + (_FAST_PARAMETERS if unsafe_fast else ())
    command = [str(programs / "postgres"), "-D", str(place.cluster), "-p", str(PORT)]
    for parameter in parameters:
        command += ["-c", parameter]
    return command


def address_of(socket_directory: Path, user: str, password: str, database: str) -> str:
    """Return the address of a database on the server whose socket is in `socket_directory`."""
    host = quote(str(socket_directory), safe="")
    return f"postgresql://{user}:{password}@/{database}?host={host}&port={PORT}"


def password_of(place: Place, user: str) -> str:
    """Return the password of a database user, made at the first call.

    Raises:
        OSError: the file cannot be read or written.
    """
    path = place.home / ("password" if user == USER else f"{user}-password")
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        password = secrets.token_hex(32)
        _write_private(path, password, place.keeper_uid, place.keeper_gid)
        return password
    with os.fdopen(fd, encoding="ascii") as file:
        return file.read().strip()


def check_version(place: Place) -> bool:
    """Whether there is a cluster.

    Raises:
        WrongMajorVersion: it was made by another version of PostgreSQL.
    """
    try:
        found = (place.cluster / "PG_VERSION").read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return False
    if found != str(MAJOR_VERSION):
        raise WrongMajorVersion(
            f"The embedded database in {place.cluster} is of PostgreSQL {found}, and this version "
            f"of the bridge brings {MAJOR_VERSION}; dump it with the version that made it and "
            "restore it into a new one, or set `database` to an address."
        )
    return True


async def make_cluster(
    reactor: Any,
    programs: Path,
    place: Place,
    *,
    unsafe_fast: bool,
    started: Callable[[Running], object],
) -> None:
    """Make the cluster; what an interrupted attempt left is cleared away.

    Args:
        reactor: processes.
        programs: directory of initdb.
        place: where.
        unsafe_fast: do not wait for the disk.
        started: is told the process, so that it can be stopped.

    Raises:
        StoreError: initdb fails.
    """
    new = place.home / "cluster.new"
    if new.exists():
        shutil.rmtree(new)
    new.mkdir(mode=0o700)
    if os.geteuid() == 0:
        os.chown(new, place.uid, place.gid)
    # In the directory of the socket, because the server's user must be able to read it.
    password_file = place.run / "initial-password"
    password_file.unlink(missing_ok=True)
    _write_private(password_file, password_of(place, SUPERUSER), place.uid, place.gid)
    command = [
        str(programs / "initdb"),
        f"--pgdata={new}",
        f"--username={SUPERUSER}",
        f"--pwfile={password_file}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        # The same order everywhere, whatever the operating system's idea of a locale.
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--locale=C",
        *(["--no-sync"] if unsafe_fast else []),
    ]
    try:
        running = start_process(reactor, place, command)
        started(running)
        await running.ended()
    finally:
        password_file.unlink(missing_ok=True)
    if not running.succeeded:
        raise StoreError(
            f"The embedded database could not be made ({running.exit_status}): {log_tail(place)}"
        )
    new.rename(place.cluster)


async def make_database(reactor: Any, place: Place, socket_directory: Path) -> None:
    """Make the bridge's user and database where they are missing.

    Raises:
        StoreError: the server refuses.
    """
    password = password_of(place, SUPERUSER)
    connection = await open_connection(
        Address(address_of(socket_directory, SUPERUSER, password, "postgres")),
        reactor=reactor,
        statement_seconds=60.0,
        lost=_ignore,
    )
    try:
        if not await _exists(connection, "SELECT FROM pg_roles WHERE rolname = %s", (USER,)):
            await connection.execute(
                f"CREATE ROLE {USER} LOGIN PASSWORD %s", (password_of(place, USER),), seconds=60.0
            )
        if not await _exists(connection, "SELECT FROM pg_database WHERE datname = %s", (DATABASE,)):
            await connection.execute(f"CREATE DATABASE {DATABASE} OWNER {USER}", seconds=60.0)
    finally:
        connection.close()


def log_tail(place: Place) -> str:
    """Return the server's last words, in one line."""
    try:
        with place.log.open("rb") as file:
            file.seek(max(0, place.log.stat().st_size - 2000))
            lines = file.read().decode(errors="replace").split("\n")
    except OSError:
        return "it said nothing"
    said = [line.strip() for line in lines if line.strip()]
    return " / ".join(said[-3:]) or "it said nothing"


async def _exists(connection: Connection, sql: str, params: Sequence[str]) -> bool:
    cursor = await connection.execute(sql, params, seconds=60.0)
    return bool(cursor.rowcount)


def _ignore(_: Connection) -> None:
    """The next statement says what happened."""


def _write_private(path: Path, text: str, uid: int, gid: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    fd = os.open(path, flags, 0o600)
    with os.fdopen(fd, "w", encoding="ascii") as file:
        os.fchmod(fd, 0o600)
        if os.geteuid() == 0:
            os.fchown(fd, uid, gid)
        file.write(text)
        file.flush()
        os.fsync(fd)
