"""Scrubbing: what journals and quarantine still hold of erased users goes, line by line.

Only segments that are finished and stored are written anew; what is not stored yet is blanked when
it is stored. A segment's other lines stay as they are, for a replay.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any, Protocol, TypeVar
from uuid import UUID

import msgspec

from bridge.journal.directory import (
    directories,
    load_checkpoint,
    segment_path,
    segment_size,
    segments,
    try_claim,
)
from bridge.journal.files import open_private
from bridge.journal.format import JournalLine
from bridge.journal.reader import lines_of
from bridge.recording.quarantine import quarantined
from bridge.store.connection import Cursor
from bridge.store.erasure import theirs
from bridge.store.partitions import day_literal, uuid_array

T = TypeVar("T")

_BLANK: Mapping[str, Mapping[str, object]] = {
    "interception_started": {
        "prompt": None,
        "user_agent": "",
        "client_session_id": None,
        "metadata": {},
    },
    "interception_ended": {"error_message": None},
    "tool_usage": {"input": "", "invocation_error": None, "metadata": {}},
    "model_thought": {"content": ""},
}
"""By kind of line, the members that hold content, and what takes their place."""

_SUFFIX = ".scrubbed"

InThread = Callable[[Callable[[], Any]], Awaitable[Any]]


class Transactions(Protocol):
    """Where statements run."""

    async def transaction(self, work: Callable[[Cursor], Awaitable[T]]) -> T:
        """Run `work` in one transaction; raises StoreError."""


async def scrub(
    *, root: Path, pool: Transactions, erased: Mapping[UUID, str], in_thread: InThread
) -> int:
    """Take the content of erased users out of finished, stored segments and the quarantine.

    Args:
        root: of the journals.
        pool: knows whose interceptions are whose.
        erased: the pseudonyms of erased users.
        in_thread: runs what reads and writes much of the disk.

    Returns:
        How many lines were blanked, or removed from the quarantine.

    Raises:
        StoreError: not now.
        OSError: a segment cannot be written anew; it stays as it is.
    """
    count = 0
    for directory in directories(root):
        # Of a process that is gone the newest segment is finished too, as long as nobody takes it.
        claim = try_claim(directory)
        try:
            numbers = segments(directory) if claim is not None else segments(directory)[:-1]
            count += await _scrub_segments(directory, numbers, pool, in_thread)
        finally:
            if claim is not None:
                claim.release()
    return count + await _scrub_quarantine(root, pool, erased)


async def _scrub_segments(
    directory: Path, numbers: Sequence[int], pool: Transactions, in_thread: InThread
) -> int:
    """Scrub those of `numbers` that are stored to their end; return how many lines that were."""
    _tidy(directory)
    count = 0
    stored = load_checkpoint(directory)
    for number in numbers:
        if (number, segment_size(directory, number)) > (stored.segment, stored.offset):
            break
        found = await in_thread(lambda n=number: _interceptions(directory, n))  # type: ignore[misc]
        mine = await _of_erased(pool, found)
        if mine:
            at_end = number == stored.segment
            count += await in_thread(
                lambda n=number, m=mine, e=at_end: _rewrite(  # type: ignore[misc]
                    directory, n, m, read_to_end=e
                )
            )
    return count


def _tidy(directory: Path) -> None:
    """Remove what a process that was killed left half written."""
    for left_over in directory.glob(f"*{_SUFFIX}"):
        pid = left_over.name.removesuffix(_SUFFIX).rpartition(".")[2]
        if not Path(f"/proc/{pid}").exists():
            left_over.unlink(missing_ok=True)


def _interceptions(directory: Path, number: int) -> dict[date, set[UUID]]:
    """Return the interceptions of which a segment holds content, by day."""
    found: dict[date, set[UUID]] = {}
    for line in lines_of(directory, number):
        if isinstance(line, JournalLine) and line.interception_id and _content_in(line):
            found.setdefault(line.day, set()).add(line.interception_id)
    return found


async def _of_erased(pool: Transactions, found: Mapping[date, set[UUID]]) -> dict[UUID, str]:
    mine: dict[UUID, str] = {}
    for day, identifiers in found.items():
        mine |= await pool.transaction(
            lambda cursor, day=day, ids=identifiers: theirs(  # type: ignore[misc]
                cursor, day_literal(day), uuid_array(ids)
            )
        )
    return mine


def _rewrite(directory: Path, number: int, mine: Mapping[UUID, str], *, read_to_end: bool) -> int:
    """Write a segment anew without the content of `mine`; at any moment the file is whole.

    Args:
        directory: of the segment.
        number: of the segment.
        mine: interceptions whose content goes, and what their user is called.
        read_to_end: whether the writer stands at the segment's end, which must not move away.
    """
    path = segment_path(directory, number)
    temporary = path.with_suffix(f".{os.getpid()}{_SUFFIX}")
    count = 0
    try:
        found = path.stat()
        fd = open_private(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        with os.fdopen(fd, "wb") as file:
            for line in lines_of(directory, number):
                if not isinstance(line, JournalLine):
                    file.write(line.raw + b"\n")
                    continue
                body = line.body
                whose = mine.get(line.interception_id) if line.interception_id else None
                if whose is not None and _content_in(line):
                    body = _blanked(line, whose)
                    count += 1
                file.write(b"%08x %s\n" % (zlib.crc32(body), body))
            file.flush()
            os.fsync(file.fileno())
        # It is as old as it was, so that it is not kept any longer.
        os.utime(temporary, ns=(found.st_atime_ns, found.st_mtime_ns))
        # A reader may stand at its end: what it would find behind that is half a line. Names may
        # be longer than before; once the reader has moved on, that does not matter.
        if (read_to_end and temporary.stat().st_size > found.st_size) or not path.exists():
            return 0
        temporary.replace(path)
        return count
    except FileNotFoundError:
        return 0  # it was given up meanwhile
    finally:
        temporary.unlink(missing_ok=True)


def _content_in(line: JournalLine) -> bool:
    """Return whether a line holds content that is not blank."""
    blank = _BLANK.get(line.kind)
    if blank is None:
        return False
    members = msgspec.json.decode(line.body)
    return any(members[name] != value for name, value in blank.items() if name in members) or any(
        each["content"] is not None for each in members.get("tool_results", ())
    )


def _blanked(line: JournalLine, pseudonym: str) -> bytes:
    members = msgspec.json.decode(line.body)
    members.update({name: each for name, each in _BLANK[line.kind].items() if name in members})
    for each in members.get("tool_results", ()):
        each["content"] = None
    if "username" in members:
        members["username"] = pseudonym
    return msgspec.json.encode(members)


async def _scrub_quarantine(root: Path, pool: Transactions, erased: Mapping[UUID, str]) -> int:
    """Remove lines of erased users from the quarantine."""
    found = [(path, entry, path.read_bytes()) for path, entry in quarantined(root)]
    by_day: dict[date, set[UUID]] = {}
    for _, entry, _raw in found:
        if entry.day is not None and entry.interception_id is not None:
            by_day.setdefault(entry.day, set()).add(entry.interception_id)
    mine = await _of_erased(pool, by_day) if by_day else {}
    names = [str(initiator).encode() for initiator in erased]
    count = 0
    for path, entry, raw in found:
        # The start itself may be among these lines, and then nobody else knows whose it was.
        if entry.interception_id in mine or any(name in raw for name in names):
            path.unlink(missing_ok=True)
            count += 1
    return count
