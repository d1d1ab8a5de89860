"""Heads of HTTP messages: written at once, and read at once where nothing in them is odd.

Twisted writes and reads a head header by header, through objects that check and copy each one
again: a third of what a small request costs. The strict expressions here match what nearly all
programs send, all of it or nothing; whatever they do not match is left to Twisted's own parsers.

Source: RFC 9112, sections 2 to 5 (read 2026-11-25).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

import msgspec
from twisted.web.http_headers import Headers

from bridge.wire.headers import Header

LONGEST_BYTES = 16 * 1024
"""Of a head that is read at once; Twisted's limit of one line."""
MOST_FIELDS = 200

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_FIELDS = rb"((?:" + _TOKEN + rb":[^\r\n\x00]*\r\n)*)\r\n"
_REQUEST = re.compile(rb"(" + _TOKEN + rb") ([\x21-\x7e]+) HTTP/1\.1\r\n" + _FIELDS)
_ANSWER = re.compile(rb"HTTP/1\.1 ([2-5][0-9][0-9])(?: ([^\r\n]*))?\r\n" + _FIELDS)
_LENGTH = re.compile(rb"0|[1-9][0-9]{0,17}")
_CHUNKED = b"chunked"


class ReadHead(msgspec.Struct, frozen=True):
    """A whole head, and how the body behind it is framed."""

    start: tuple[bytes, bytes]
    """Method and target of a request; status and phrase of an answer."""
    fields: Sequence[Header]
    """In order; names lower-case, values without the blanks around them."""
    length: int | None
    """Content-Length; None when the body comes in chunks, -1 when neither is said."""
    end: int
    """Where the body begins in what was read."""

    def values(self, name: bytes) -> list[bytes]:
        """Return the values of `name` (lower-case), in order."""
        return [value for key, value in self.fields if key == name]


def usual_request(data: bytes) -> ReadHead | None:
    """Return the head of a request that `data` begins with; None when it is not whole, or odd."""
    return _read(_REQUEST, data)


def usual_answer(data: bytes) -> ReadHead | None:
    """Return the head of an answer that `data` begins with; None when it is not whole, or odd."""
    return _read(_ANSWER, data)


def written(first_line: bytes, fields: Iterable[Header]) -> bytes:
    """Return a head, to its empty line; a value can begin no other line.

    Args:
        first_line: without its end.
        fields: in order; names lower-case.
    """
    lines = [first_line, *[b"%b: %b" % (spelled(name), value) for name, value in fields]]
    head = b"%b\r\n\r\n" % b"\r\n".join(lines)
    ends = len(lines) + 1
    if head.count(b"\n") == ends and head.count(b"\r") == ends:
        return head
    safe = [b" ".join(line.splitlines()) for line in lines]
    return b"%b\r\n\r\n" % b"\r\n".join(safe)


@lru_cache(maxsize=4096)
def spelled(name: bytes) -> bytes:
    """Return a header's name as Twisted spells it.

    Raises:
        ValueError: it is no name.
    """
    ((found, _),) = Headers({name: [b""]}).getAllRawHeaders()
    return found


def _read(expression: re.Pattern[bytes], data: bytes) -> ReadHead | None:
    found = expression.match(data, 0, LONGEST_BYTES)
    if found is None:
        return None
    fields: list[Header] = []
    lengths: list[bytes] = []
    codings: list[bytes] = []
    for line in found[3].splitlines():
        name, _, value = line.partition(b":")
        name = name.lower()
        value = value.strip(b" \t")
        fields.append((name, value))
        if name == b"content-length":
            lengths.append(value)
        elif name == b"transfer-encoding":
            codings.append(value)
    length: int | None = -1
    if codings:
        if lengths or codings != [_CHUNKED]:
            return None
        length = None
    elif lengths:
        if len(lengths) > 1 or _LENGTH.fullmatch(lengths[0]) is None:
            return None
        length = int(lengths[0])
    if len(fields) > MOST_FIELDS:
        return None
    return ReadHead((found[1], found[2] or b""), fields, length, found.end())
