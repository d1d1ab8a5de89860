"""How far a file that was being exported to has come: its last whole record."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

import msgspec

from bridge.domain.errors import BadRequest
from bridge.store.export import HEADINGS, Format

_PIECE = 1 << 20
_RECORD_ENDS = b"\r\n"
_ID_CHARACTERS = 36


class _Identified(msgspec.Struct):
    id: UUID


def resume_point(path: Path, format_: Format) -> tuple[int, UUID | None]:
    """Return how many bytes of the file are whole, and the id of the last interception in them.

    Without one whole interception that is nothing at all: the export begins anew.

    Raises:
        BadRequest: the file is no export of that format.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        begin, end = _last_csv(file) if format_ is Format.CSV else _last_line(file)
        if end == 0:
            return 0, None
        file.seek(begin)
        record = file.read(end - begin)
    try:
        if format_ is Format.CSV:
            return end, UUID(record[1 : 1 + _ID_CHARACTERS].decode("ascii"))
        return end, msgspec.json.decode(record, type=_Identified).id
    except (ValueError, msgspec.MsgspecError) as error:
        raise BadRequest(f"{path} is no export as {format_.value}; name another file.") from error


def _last_line(file: BinaryIO) -> tuple[int, int]:
    """Return where the last whole line begins and ends; 0 and 0 without one."""
    end = _newline_before(file, file.seek(0, os.SEEK_END)) + 1
    if end == 0:
        return 0, 0
    return _newline_before(file, end - 1) + 1, end


def _newline_before(file: BinaryIO, end: int) -> int:
    """Return where the last line feed before `end` is; -1 without one."""
    while end > 0:
        begin = max(0, end - _PIECE)
        file.seek(begin)
        found = file.read(end - begin).rfind(b"\n")
        if found >= 0:
            return begin + found
        end = begin
    return -1


def _last_csv(file: BinaryIO) -> tuple[int, int]:
    """Return the same of a CSV, in whose quotes lines may end; it has to be read as a whole."""
    heading = HEADINGS[Format.CSV].encode()
    file.seek(0)
    if file.read(len(heading)) != heading:
        return 0, 0
    begin, end = 0, 0
    offset, quoted, before = len(heading), False, b""
    while piece := file.read(_PIECE):
        at = offset
        for number, part in enumerate(piece.split(b'"')):
            if number:
                quoted = not quoted
                before = b'"'
                at += 1
            if not quoted:
                # The end of a record may be cut in two by pieces.
                text = before + part
                start = 0
                while (found := text.find(_RECORD_ENDS, start)) >= 0:
                    start = found + len(_RECORD_ENDS)
                    begin, end = end, at - len(before) + start
            at += len(part)
            if part:
                before = part[-1:]
        offset += len(piece)
    return (begin or len(heading), end) if end else (0, 0)
