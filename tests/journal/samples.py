"""Records, disks and threads for the tests of the journal and of what reads it."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import structlog
from structlog.testing import CapturingLogger
from structlog.typing import FilteringBoundLogger
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import Clock

from bridge.domain.clock import utc
from bridge.domain.ids import day_of, uuid7
from bridge.domain.records import (
    InterceptionEnded,
    InterceptionStarted,
    Record,
    ToolUsageRecorded,
)
from bridge.journal.appender import Journal, open_journal
from bridge.journal.directory import directories, segments
from bridge.journal.files import DiskFiles
from bridge.journal.format import SEGMENT_OPENED, DamagedLine, JournalLine
from bridge.journal.reader import lines_of
from bridge.journal.thread import InThread

_PROJECT = Path(__file__).parents[2]

NOW = 1_790_000_000.0


def started(identifier: UUID, at: float = NOW, prompt: str = "hello") -> InterceptionStarted:
    return InterceptionStarted(
        id=identifier,
        day=day_of(identifier),
        at=utc(at),
        interception_id=identifier,
        traffic="intercepted",
        initiator_id=UUID(int=7),
        username="ada",
        api_key_id="0123456789Ab",
        provider="anthropic",
        provider_name="claude-eu",
        api="messages",
        method="POST",
        route="/v1/messages",
        model="demo-text",
        streaming=True,
        client="Claude Code",
        client_session_id="s-1",
        user_agent="claude-cli/2",
        correlating_tool_call_id=None,
        credential_kind="centralized",
        credential_hint="sk-a...wxyz",
        prompt=prompt,
        bytes_in=10,
        partially_observed=False,
        metadata={},
    )


def ended(identifier: UUID, at: float = NOW, status: str = "completed") -> InterceptionEnded:
    return InterceptionEnded(
        id=uuid7(at),
        day=day_of(identifier),
        at=utc(at),
        interception_id=identifier,
        status=status,
        http_status=200,
        ttfb_ms=5,
        duration_ms=10,
        bytes_out=100,
        response_sha256=None,
        client_sha256=None,
        response_id="msg_1",
        stop_reason="end_turn",
        error_type=None,
        error_message=None,
        credential_hint=None,
        partially_observed=False,
    )


def tool(identifier: UUID, n: int = 1, at: float = NOW, text: str = "ls") -> ToolUsageRecorded:
    return ToolUsageRecorded(
        id=uuid7(at),
        day=day_of(identifier),
        at=utc(at),
        interception_id=identifier,
        n=n,
        provider_response_id="msg_1",
        provider_tool_call_id=f"toolu_{n}",
        provider_item_id=None,
        tool="Bash",
        input=text,
        server_url=None,
        injected=False,
        invocation_error=None,
        metadata={},
    )


class BadDisk(DiskFiles):
    """A disk that can be full and whose fsync can fail."""

    def __init__(self) -> None:
        self.capacity: int | None = None
        """Bytes there are for all files together; None is no limit."""
        self.write_errors: list[int] = []
        """Taken one by one by the next writes."""
        self.sync_errors: list[int] = []
        self.truncate_errors: list[int] = []
        self.synced: list[int] = []
        """Inodes, in the order in which they were forced to disk."""
        self._sizes: dict[int, int] = {}
        self._paths: dict[Path, int] = {}

    def write(self, fd: int, data: bytes, /) -> int:
        if self.write_errors:
            raise _error(self.write_errors.pop(0))
        room = len(data) if self.capacity is None else self.capacity - self._used()
        if room <= 0:
            raise _error(errno.ENOSPC)
        taken = os.write(fd, data[:room])
        self._note(fd)
        return taken

    def truncate(self, fd: int, length: int, /) -> None:
        if self.truncate_errors:
            raise _error(self.truncate_errors.pop(0))
        os.ftruncate(fd, length)
        self._note(fd)

    def sync(self, fd: int, /) -> None:
        if self.sync_errors:
            raise _error(self.sync_errors.pop(0))
        os.fdatasync(fd)
        self.synced.append(os.fstat(fd).st_ino)

    def allocate(self, fd: int, length: int, /) -> None:
        found = os.fstat(fd).st_size
        used = self._used()
        if self.capacity is not None and used + length - found > self.capacity:
            raise _error(errno.ENOSPC)
        os.posix_fallocate(fd, 0, length)
        self._note(fd)

    def fill(self) -> None:
        """Somebody else takes all that is left."""
        self.capacity = self._used()

    def _used(self) -> int:
        """Return what all files hold that are still there."""
        for path in [each for each in self._paths if not each.exists()]:
            self._sizes.pop(self._paths.pop(path), None)
        return sum(self._sizes.values())

    def _note(self, fd: int) -> None:
        found = os.fstat(fd)
        self._sizes[found.st_ino] = found.st_size
        self._paths[Path(f"/proc/self/fd/{fd}").readlink()] = found.st_ino


class ManualThread:
    """Work for a thread, done when the test says so."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Callable[[], None], Deferred[None]]] = []

    def run(self, work: Callable[[], None]) -> Deferred[None]:
        over: Deferred[None] = Deferred()
        self.waiting.append((work, over))
        return over

    def finish(self) -> None:
        """Do the oldest piece of work."""
        work, over = self.waiting.pop(0)
        maybeDeferred(work).chainDeferred(over)


def at_once(work: Callable[[], None]) -> Deferred[None]:
    return maybeDeferred(work)


def logger(into: CapturingLogger) -> FilteringBoundLogger:
    """Return a logger whose calls are kept in `into`."""
    bound: FilteringBoundLogger = structlog.wrap_logger(
        into,
        processors=[_phrase],
        wrapper_class=structlog.make_filtering_bound_logger(0),
    )
    return bound


def said(log: CapturingLogger, level: str) -> list[str]:
    """Return what was logged at `level`."""
    return [call.args[0] for call in log.calls if call.method_name == level]


def new_journal(
    root: Path,
    clock: Clock,
    *,
    log: CapturingLogger | None = None,
    fsync: Any = "never",
    max_bytes: int = 1 << 30,
    segment_bytes: int = 1 << 20,
    keep_seconds: float = 86400.0,
    files: DiskFiles | None = None,
    in_thread: InThread = at_once,
    on_append: Callable[[], None] | None = None,
) -> Journal:
    return open_journal(
        root=root,
        fsync=fsync,
        max_bytes=max_bytes,
        segment_bytes=segment_bytes,
        keep_seconds=keep_seconds,
        reactor=clock,
        log=logger(log or CapturingLogger()),
        on_append=on_append,
        files=files,
        in_thread=in_thread,
    )


def abandon(journal: Journal) -> None:
    """Let go of a journal as a process does that is killed."""
    journal._claim.release()
    if journal._housekeeping is not None:
        journal._housekeeping.cancel()
    journal._commit._disarm()
    journal._reserve.close()
    if journal._rolling._segment is not None:
        journal._rolling._segment.close()


def all_lines(directory: Path) -> list[JournalLine | DamagedLine]:
    """Return the lines of every segment, the heads included."""
    return [line for number in segments(directory) for line in lines_of(directory, number)]


def stored_kinds(root: Path) -> list[str]:
    """Return the kinds of all records below `root`, in order."""
    return [
        line.kind if isinstance(line, JournalLine) else line.reason
        for directory in directories(root)
        for line in all_lines(directory)
        if isinstance(line, DamagedLine) or line.kind != SEGMENT_OPENED
    ]


def append_all(journal: Journal, records: Sequence[Record]) -> None:
    """Append one record after the other."""
    for record in records:
        journal.append([record])


def killed_process(root: Path, records: int) -> tuple[UUID, int]:
    """Have another process append to a journal below `root`, and kill it in the middle.

    Returns:
        The interception that it never ended, and the number of the last of its records of which
        it said that it was appended; at least `records`.
    """
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.journal.appending_child", str(root)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=_PROJECT,
        env={"PYTHONPATH": f"{_PROJECT / 'src'}:{_PROJECT}"},
    )
    assert child.stdout is not None
    with child:
        identifier = UUID(child.stdout.readline().strip())
        for _ in range(records):
            child.stdout.readline()
        child.kill()
        said_last = child.stdout.read().split()
    return identifier, int(said_last[-1]) if said_last else records


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def _phrase(_: object, __: str, event: Any) -> str:
    return str(event["event"])
