"""The journal line: `crc32hex SP json LF`, how it is written and how it is read back.

**Shape**: eight lower-case hex digits of the CRC-32 of the JSON, a space, the JSON object on one
line, a line feed. The object is a record of `bridge.domain.records` (or a `SegmentOpened`) with
`"v":1,"seq":N` in front: `v` is the version of this format, `seq` counts the lines of a directory.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, TypeVar, get_args
from uuid import UUID

import msgspec

from bridge.domain.records import AnyRecord, Record, TokenUsageRecorded

VERSION = 1
SEGMENT_OPENED = "segment_opened"

_CRC_LENGTH = 9  # eight digits and the space
_DEEPEST = 64  # levels of nesting kept when a record has to be made holdable
_LARGEST_INTEGER = 2**63
LONGEST_KEY = 512
"""Characters kept of what is indexed: Postgres refuses index rows over 2 704 bytes."""
_KEYS: dict[type[msgspec.Struct], tuple[str, ...]] = {
    record: tuple(
        name
        for name in record.__struct_fields__
        if name
        in {
            "client_session_id",
            "correlating_tool_call_id",
            "model",
            "object_id",
            "provider_item_id",
            "provider_response_id",
            "provider_tool_call_id",
            "response_id",
            "tool",
        }
    )
    for record in get_args(AnyRecord)
}
"""Per record, the members that a client or provider chose and that the store indexes."""
_COUNTS: dict[type[msgspec.Struct], tuple[str, ...]] = {
    TokenUsageRecorded: (
        "input_tokens",
        "output_tokens",
        "cache_read_input_tokens",
        "cache_write_input_tokens",
    )
}
"""Per record, the numbers that a provider chose, in columns that take no text."""
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_NUL_ESCAPE = b"\\u0000"
# An even number of backslashes before it, or none: otherwise it is the text "\u0000" itself.
_REAL_NUL_ESCAPE = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")
_ENCODER = msgspec.json.Encoder()


class OpenInterception(msgspec.Struct, frozen=True):
    """An interception begun and not yet ended."""

    id: UUID
    day: date


class SegmentOpened(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag=SEGMENT_OPENED
):
    """The first line of a segment: what was open when it began; older ones are not needed then."""

    at: datetime
    day: date
    open: list[OpenInterception]


class _Envelope(msgspec.Struct, frozen=True):
    """The few members of a line that are read without knowing its record."""

    v: int
    seq: int
    kind: str
    day: date
    interception_id: UUID | None = None


class _Moment(msgspec.Struct, frozen=True):
    """When the thing in a line happened."""

    at: datetime


_R = TypeVar("_R", bound=msgspec.Struct)

_ENVELOPE = msgspec.json.Decoder(_Envelope)
_MOMENT = msgspec.json.Decoder(_Moment)
_KINDS = frozenset(
    str(record.__struct_config__.tag) for record in (*get_args(AnyRecord), SegmentOpened)
)


@dataclass(frozen=True, slots=True)
class JournalLine:
    """A whole line with a right checksum, of a kind and version that this program knows."""

    seq: int
    kind: str
    day: date
    interception_id: UUID | None
    body: bytes
    """The JSON object, without the checksum."""
    segment: int
    end_offset: int
    """Where the next line begins in the segment."""


@dataclass(frozen=True, slots=True)
class DamagedLine:
    """A line that cannot be used: it goes to the quarantine, and reading goes on behind it."""

    raw: bytes
    """The line as found, without its line feed."""
    reason: str
    segment: int
    end_offset: int


def encode_line(record: Record, seq: int) -> bytes:
    """Return the line of `record`, with what Postgres cannot hold made holdable."""
    return frame(encode_body(record)[0], seq)


def encode_body(record: Record | SegmentOpened) -> tuple[bytes, bool]:
    """Return the JSON of `record`, and whether something in it had to be replaced.

    NUL and lone surrogates become U+FFFD, over-long ids are cut, and a count is at most the
    largest that its column can hold.
    """
    fitting = _fitting(record)
    altered = fitting is not record
    record = fitting
    try:
        body = _ENCODER.encode(record)
    except (UnicodeEncodeError, OverflowError, RecursionError, TypeError, ValueError):
        body = _ENCODER.encode(_holdable_record(record))
        altered = True
    if _NUL_ESCAPE in body:
        body, count = _REAL_NUL_ESCAPE.subn(rb"\1" + _REPLACEMENT.encode(), body)
        altered = altered or count > 0
    return body, altered


def frame(body: bytes, seq: int) -> bytes:
    """Return the line for a JSON object: version and number spliced in, checksum before."""
    head = b'{"v":1,"seq":%d,' % seq
    rest = memoryview(body)[1:]
    return b"".join((b"%08x " % zlib.crc32(rest, zlib.crc32(head)), head, rest, b"\n"))


def decode_line(raw: bytes, segment: int, end_offset: int) -> JournalLine | DamagedLine:
    """Read one line.

    Args:
        raw: the line without its line feed.
        segment: number of the segment it was found in.
        end_offset: where the next line begins.
    """
    body = raw[_CRC_LENGTH:]
    # Compared as bytes: int() would also take other spellings of the same number.
    if raw[:_CRC_LENGTH] != b"%08x " % zlib.crc32(body):
        return DamagedLine(raw, "wrong checksum", segment, end_offset)
    try:
        envelope = _ENVELOPE.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return DamagedLine(raw, "no envelope that this version can read", segment, end_offset)
    if envelope.v != VERSION:
        reason = f"written in format {envelope.v}, this version reads {VERSION}"
        return DamagedLine(raw, reason, segment, end_offset)
    if envelope.kind not in _KINDS:
        return DamagedLine(raw, "unknown kind", segment, end_offset)
    return JournalLine(
        envelope.seq,
        envelope.kind,
        envelope.day,
        envelope.interception_id,
        body,
        segment,
        end_offset,
    )


def moment_of(line: JournalLine) -> datetime | None:
    """Return when the thing in `line` happened; None when it does not say."""
    try:
        return _MOMENT.decode(line.body).at
    except msgspec.MsgspecError:
        return None


def opened_with(line: JournalLine) -> list[OpenInterception]:
    """Return what was open when the segment began of which `line` is the first.

    Raises:
        msgspec.MsgspecError: when it is not such a line.
    """
    return msgspec.json.decode(line.body, type=SegmentOpened).open


def _fitting(record: _R) -> _R:
    """Return `record` with over-long keys and over-large counts cut; itself when there are none."""
    for name in _KEYS.get(type(record), ()):
        value = getattr(record, name)
        if value is not None and len(value) > LONGEST_KEY:
            record = msgspec.structs.replace(record, **{name: value[:LONGEST_KEY]})
    for name in _COUNTS.get(type(record), ()):
        if getattr(record, name) >= _LARGEST_INTEGER:
            record = msgspec.structs.replace(record, **{name: _LARGEST_INTEGER - 1})
    return record


def _holdable_record(record: Record | SegmentOpened) -> dict[str, object]:
    config = record.__struct_config__
    members: dict[str, object] = {str(config.tag_field): config.tag}
    for name in record.__struct_fields__:
        members[name] = _holdable(getattr(record, name), 0)
    return members


def _holdable(value: Any, depth: int) -> object:
    if depth > _DEEPEST:
        return _REPLACEMENT
    match value:
        case None | bool() | int() | float() | UUID() | date():
            return value
        case str():
            return _holdable_text(value)
        case dict():
            return {
                _holdable_text(str(key)): _holdable(item, depth + 1) for key, item in value.items()
            }
        case list() | tuple() | set() | frozenset():
            return [_holdable(item, depth + 1) for item in value]
        case msgspec.Struct():
            return {
                name: _holdable(getattr(value, name), depth + 1) for name in value.__struct_fields__
            }
        case _:
            return f"<{type(value).__name__}>"


def _holdable_text(text: str) -> str:
    # Through UTF-16, so that two surrogates that form a character become that character.
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
