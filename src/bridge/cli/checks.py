"""What `aibridge doctor` finds on this machine: directories, the journal, limits, ports."""

from __future__ import annotations

import errno
import os
import resource
import socket
import stat
from collections.abc import Iterator
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure

from bridge.auth.bootstrap import ADMIN_TOKEN_FILE, DEV_TOKEN_FILE
from bridge.auth.snapshot import SnapshotUnusable, load_snapshot
from bridge.cli.journal import state_of
from bridge.cli.session import JOURNAL_DIRECTORY
from bridge.config import options
from bridge.config.settings import Settings
from bridge.domain.clock import utc
from bridge.domain.units import format_duration
from bridge.journal.directory import WRITER_LOCK_NAME, is_held
from bridge.listening import is_inherited
from bridge.reload_outcome import read_outcome

SNAPSHOT_FILE = "tokens.snapshot"
FILES_BESIDES_CONNECTIONS = 256
"""Descriptors for journals, logs, the database and providers' idle connections."""
FILES_OF_A_REQUEST = 2
"""The client's connection and the provider's."""
STALE_SECONDS = 60.0
"""Records that have waited longer for the database are in trouble."""
_OTHERS = 0o077


class State(StrEnum):
    """How a check came out."""

    OK = "ok"
    WARNING = "warning"
    """The bridge works, but not as well as it might, or not for long."""
    FAILED = "failed"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One check's result."""

    check: str
    """What was looked at, such as `database` or `provider anthropic`."""
    state: State
    says: str
    """What was found, a sentence."""
    advice: str = ""
    """What to do, a sentence; "" when nothing is."""


def ok(check: str, says: str) -> Finding:
    """Return that all is well."""
    return Finding(check=check, state=State.OK, says=says)


def warning(check: str, says: str, advice: str) -> Finding:
    """Return that something should be looked after."""
    return Finding(check=check, state=State.WARNING, says=says, advice=advice)


def failed(check: str, says: str, advice: str) -> Finding:
    """Return that the bridge cannot work like this."""
    return Finding(check=check, state=State.FAILED, says=says, advice=advice)


def local_findings(settings: Settings, reactor: Any) -> Iterator[Finding]:
    """Look at everything for which nobody has to be asked."""
    data_dir = settings[options.DATA_DIR].absolute()
    found = list(_data_dir(data_dir, settings))
    yield from found
    if all(each.state is State.OK or each.check != _DATA_DIR for each in found):
        now = reactor.seconds()
        yield from _journal(data_dir, settings, now)
        yield _snapshot(data_dir, settings, now)
    running = runs(data_dir)
    yield _files(data_dir, settings, running=running)
    yield from _ports(settings, reactor, running=running)
    yield from _siem(settings)


def _data_dir(data_dir: Path, settings: Settings) -> Iterator[Finding]:
    check = _DATA_DIR
    try:
        found = data_dir.stat()
    except FileNotFoundError:
        yield warning(
            check, f"{data_dir} does not exist yet.", "Start the bridge once, or correct data_dir."
        )
        return
    except OSError as error:
        yield failed(check, f"{data_dir}: {os.strerror(error.errno or 0)}.", _OTHER_USER)
        return
    if not stat.S_ISDIR(found.st_mode):
        yield failed(check, f"{data_dir} is no directory.", "Correct data_dir.")
        return
    if found.st_uid != os.geteuid() or not os.access(data_dir, os.W_OK | os.X_OK):
        yield failed(check, f"{data_dir} belongs to somebody else.", _OTHER_USER)
        return
    open_to_others = [
        path
        for path in (data_dir, *(data_dir / name for name in _PRIVATE_FILES))
        if path.exists() and path.stat().st_mode & _OTHERS
    ]
    if open_to_others:
        names = " and ".join(str(path) for path in open_to_others)
        yield failed(check, f"Others may enter or read {names}.", f"chmod go= {names}")
    else:
        yield ok(check, f"{data_dir} is ours alone.")
    yield _space(data_dir, settings)


_DATA_DIR = "data directory"
_OTHER_USER = "Run this as the user that runs the bridge, or correct the owner."
_PRIVATE_FILES = (ADMIN_TOKEN_FILE, DEV_TOKEN_FILE, SNAPSHOT_FILE, JOURNAL_DIRECTORY)


def _space(data_dir: Path, settings: Settings) -> Finding:
    disk = os.statvfs(data_dir)
    free = disk.f_bavail * disk.f_frsize
    wanted = settings[options.JOURNAL_MAX_BYTES]
    says = f"{_mebibytes(free)} are free for {data_dir}."
    if free < 64 << 20:
        return failed("disk space", says, "Make room: without it requests are refused.")
    if free < wanted:
        return warning(
            "disk space",
            f"{says} The journal alone may take {_mebibytes(wanted)}.",
            "Make room, or lower journal.max_bytes.",
        )
    return ok("disk space", says)


def _journal(data_dir: Path, settings: Settings, now: float) -> Iterator[Finding]:
    state = state_of(data_dir / JOURNAL_DIRECTORY, settings)
    used = f"{_mebibytes(state.bytes)} of {_mebibytes(state.max_bytes)} are used"
    waiting = "nothing waits for the database"
    late = False
    if state.oldest_unsent_at is not None:
        age = max(timedelta(), utc(now) - state.oldest_unsent_at)
        waiting = f"{state.unsent_bytes} bytes have waited for {_age(age)} for the database"
        late = age.total_seconds() > STALE_SECONDS
    says = f"{used}, {waiting}."
    if state.bytes >= state.max_bytes:
        yield failed(
            "journal", f"It is full: {says}", "Bring the database back, or raise journal.max_bytes."
        )
    elif late and not state.written_to_database:
        yield warning("journal", says, "Start the bridge: nobody sends them to the database.")
    elif late or state.bytes > 0.8 * state.max_bytes:
        yield warning("journal", says, "Look at the database, and at the log of the bridge.")
    else:
        yield ok("journal", says)
    if state.quarantined:
        yield warning(
            "quarantine",
            f"{state.quarantined} lines were put aside that the database does not take.",
            "See `aibridge journal quarantine list`; please report it, it is our fault.",
        )


def _snapshot(data_dir: Path, settings: Settings, now: float) -> Finding:
    check = "known tokens"
    grace = settings[options.OFFLINE_GRACE]
    try:
        snapshot = load_snapshot(data_dir / SNAPSHOT_FILE)
    except SnapshotUnusable as error:
        return warning(
            check,
            f"The file {SNAPSHOT_FILE} cannot be used: {error}.",
            "Delete it: the bridge writes a new one; until then it needs the database to start.",
        )
    if snapshot is None:
        return warning(
            check,
            "There is no snapshot of the tokens: a start needs the database.",
            "Start the bridge once with its database.",
        )
    age = max(0.0, now - snapshot.confirmed_at)
    says = f"{len(snapshot.issued.tokens)} tokens, confirmed {_age(timedelta(seconds=age))} ago."
    if age > grace:
        return warning(
            check,
            f"{says} That is longer than auth.offline_grace, {format_duration(grace)}.",
            "Without the database a start would know nobody; start the bridge with it.",
        )
    return ok(check, says)


def _files(data_dir: Path, settings: Settings, *, running: bool) -> Finding:
    """Compare how many files may be open with how many connections are allowed."""
    whose, limit = "this shell", resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    outcome = read_outcome(data_dir) if running else None
    if outcome is not None:
        found = _limit_of(outcome.pid)
        if found is not None:
            whose, limit = "the running bridge", found
    if limit == resource.RLIM_INFINITY:
        return ok("open files", f"As many as wanted in {whose}.")
    connections = settings[options.CONNECTIONS]
    wanted = FILES_OF_A_REQUEST * connections + FILES_BESIDES_CONNECTIONS
    says = f"{limit} in {whose}; limits.connections, {connections}, may need {wanted}."
    if limit < wanted:
        return warning(
            "open files",
            says,
            f"Set LimitNOFILE={wanted} in the systemd unit, or lower limits.connections.",
        )
    return ok("open files", says)


def _limit_of(pid: int) -> int | None:
    try:
        text = Path(f"/proc/{pid}/limits").read_text("ascii", "replace")
    except OSError:
        return None
    for line in text.splitlines():
        if line.startswith("Max open files"):
            soft = line.split()[3]
            return int(soft) if soft.isdecimal() else None
    return None


def _ports(settings: Settings, reactor: Any, *, running: bool) -> Iterator[Finding]:
    for description in settings[options.LISTEN]:
        yield _port("listen", description, reactor, running=running)
    if settings[options.OPERATIONS_LISTEN]:
        description = settings[options.OPERATIONS_LISTEN]
        yield _port("operations_listen", description, reactor, running=running)


def _port(option: str, description: str, reactor: Any, *, running: bool) -> Finding:
    check = f"{option} {description}"
    if is_inherited(description):
        return ok(check, "systemd opens it, so nothing was tried here.")
    got: list[Any] = []
    try:
        serverFromString(reactor, description).listen(Factory()).addBoth(got.append)
    except (ValueError, TypeError, OSError, ImportError) as error:
        return failed(check, f"It is no address to listen on: {error}.", f"Correct {option}.")
    if got and not isinstance(got[0], Failure):
        got[0].stopListening()
        if running:
            return warning(
                check,
                "It is free, although the bridge of this data directory runs.",
                "Was it changed since the start? It is in force after a restart.",
            )
        return ok(check, "It is free.")
    reason = got[0].value if got else OSError(errno.EAGAIN, "")
    if isinstance(reason, CannotListenError):
        reason = reason.socketError
    code = getattr(reason, "errno", None)
    if code == errno.EADDRINUSE:
        if running:
            return ok(check, "The running bridge has it.")
        return failed(
            check,
            "Another program has it.",
            "Stop that (`ss -lptn` names it), or choose another address.",
        )
    if code == errno.EACCES:
        return failed(
            check,
            "This user may not listen there.",
            "Choose a port from 1024 on, or give the service CAP_NET_BIND_SERVICE.",
        )
    if isinstance(reason, socket.gaierror) or code == errno.EADDRNOTAVAIL:
        return failed(check, "This machine does not have that address.", f"Correct {option}.")
    return failed(check, f"It cannot be listened on: {reason}.", f"Correct {option}.")


def _siem(settings: Settings) -> Iterator[Finding]:
    if not settings[options.SIEM_FILE]:
        return
    path = Path(settings[options.SIEM_FILE]).absolute()
    check = "SIEM file"
    try:
        there = path.parent.is_dir()
        odd = there and path.exists() and not path.is_file()
    except OSError as error:
        yield failed(check, f"{path}: {os.strerror(error.errno or 0)}.", _SIEM_ADVICE)
        return
    if not there:
        yield failed(check, f"The directory {path.parent} does not exist.", _SIEM_ADVICE)
    elif odd:
        yield failed(check, f"{path} is no regular file.", "Name another in siem.file.")
    elif not os.access(path if path.exists() else path.parent, os.W_OK, effective_ids=True):
        yield failed(check, f"{path} cannot be written by this user.", _SIEM_ADVICE)
    else:
        yield ok(check, f"{path} can be written.")


_SIEM_ADVICE = "Make it writable for the bridge's user; until then events wait in the database."


def runs(data_dir: Path) -> bool:
    """Return whether a bridge runs on this data directory."""
    try:
        return is_held(data_dir / JOURNAL_DIRECTORY / WRITER_LOCK_NAME)
    except OSError:
        return False


def _mebibytes(count: int) -> str:
    return f"{count / (1 << 20):,.0f} MiB"


def _age(age: timedelta) -> str:
    return format_duration(float(int(age.total_seconds())))
