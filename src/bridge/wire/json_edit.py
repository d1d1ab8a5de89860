"""Finds and edits values in JSON text without touching any other byte of it.

Nothing is decoded but the keys on the way, and time is linear in the text's length, however deeply
it is nested. Of text that is not JSON nothing may be found, or what would be there if it were.

Source: RFC 8259; of a key given several times the last one wins, as in the parsers that providers
use (read 2026-11-25).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

import msgspec

Span = tuple[int, int]
"""Where a value begins, and where the byte after its last one stands."""


class Member(NamedTuple):
    """Where one member of an object stands."""

    start: int
    """Of its key, quote included."""
    key: bytes
    """As it is written, with its quotes."""
    value: Span

    def is_named(self, name: str) -> bool:
        """Return whether its key is `name`, however it is written."""
        return _is_key(self.key, name)


_BOM = b"\xef\xbb\xbf"
_SPACE = re.compile(rb"[ \t\n\r]*+")
_STRING = re.compile(rb'"[^"]*+"')
_BRACKET = re.compile(rb'(?:[^"{}\[\]]++|"[^"]*+")*+[{}\[\]]')
# The next one that is not inside a string.
_HEAD = re.compile(rb'("(?:[^"\\]++|\\.)*+")[ \t\n\r]*+:[ \t\n\r]*+')
# Key and colon.
_SCALAR = re.compile(rb"[^ \t\n\r,:{}\[\]\"]++")

_VALUES = msgspec.json.Decoder(dict[str, msgspec.Raw])

_MAX_COLONS = 200_000
# The decoder would make an object of each member before anybody can count them.

_QUOTE, _OPEN, _CLOSE, _OPEN_LIST, _COLON, _COMMA = b'"{}[:,'


def span_of(text: bytes, path: Sequence[str]) -> Span | None:
    """Return where the value at `path` stands; None when there is none.

    Args:
        text: a JSON object; white space and a byte order mark may stand before it.
        path: keys, from the top-level object inwards; none means the top-level object itself.
    """
    plain = _plain(text)
    start = _start_of_object(plain)
    if start is None:
        return None
    if not path:
        end = _end_of_value(plain, start)
        return None if end is None else (start, end)
    span: Span | None = (start, len(text))
    for key in path:
        if span is None:
            return None
        span = _member(text, plain, span[0], key)
    return span


def members_of(text: bytes, *, at_most: int) -> Sequence[Member] | None:
    """Return the members of the top-level object, in order.

    None when `text` is none, or has more than `at_most`.
    """
    quick = _members_by_decoder(text)
    if quick is not None:
        return quick if len(quick) <= at_most else None
    plain = _plain(text)
    start = _start_of_object(plain)
    if start is None:
        return None
    try:
        found = list(islice(_members(text, plain, start), at_most + 1))
    except _NoObjectError:
        return None
    return found if len(found) <= at_most else None


def rewritten(text: bytes, members: Sequence[Member], changes: Mapping[str, bytes | None]) -> bytes:
    """Return `text` with some members of its top-level object changed, and every other byte kept.

    A member goes with what stands between it and the one before it.

    Args:
        text: a JSON object.
        members: what `members_of` says of it.
        changes: by key: the new value, as JSON, also of a member that is not there yet; or None
            to leave the member out. Of a key given several times only the last is replaced.
    """
    kept: list[tuple[bytes, bytes]] = []
    left = dict(changes)
    for at in range(len(members) - 1, -1, -1):
        start, key, (begin, end) = members[at]
        name = next((each for each in changes if _is_key(key, each)), None)
        value = text[begin:end]
        if name is not None:
            new = changes[name]
            if new is None:
                continue
            value = left.pop(name, None) or value
        before = text[members[at - 1].value[1] : start] if at else b""
        kept.append((before, text[start:begin] + value))
    kept.reverse()
    added = [
        (b",", json.dumps(name).encode() + b":" + value)
        for name, value in left.items()
        if value is not None
    ]
    inside = [each for pair in (*kept, *added) for each in pair][1:]
    head = members[0].start if members else text.index(b"{") + 1
    tail = members[-1].value[1] if members else head
    return b"".join((text[:head], *inside, text[tail:]))


def replaced(text: bytes, span: Span, value: bytes) -> bytes:
    """Return `text` with `value` in the place of what stands at `span`."""
    return b"".join((text[: span[0]], value, text[span[1] :]))


def with_member(text: bytes, end: int, key: str, value: bytes) -> bytes:
    """Return `text` with one more member in an object, as its last.

    Args:
        text: JSON.
        end: of the object: the byte after its closing brace.
        key: of the new member.
        value: of the new member, as JSON.
    """
    brace = end - 1
    comma = b"" if text[:brace].rstrip(b" \t\n\r").endswith(b"{") else b","
    member = comma + json.dumps(key).encode() + b":" + value
    return replaced(text, (brace, brace), member)


def _plain(text: bytes) -> bytes:
    """Return `text` without escapes: a quote is the end of a string, and C finds it.

    No place moves.
    """
    return text.replace(b"\\\\", b"__").replace(b'\\"', b"__")


def _start_of_object(plain: bytes) -> int | None:
    if plain.count(b'"') % 2 or not plain.rstrip(b" \t\n\r").endswith(b"}"):
        return None  # no JSON object; from here on every search for a bracket finds one
    start = _after_space(plain, len(_BOM) if plain.startswith(_BOM) else 0)
    return start if _is(plain, start, _OPEN) else None


def _member(text: bytes, plain: bytes, start: int, wanted: str) -> Span | None:
    """Return the span of the last member `wanted` of the object at `start`."""
    found: Span | None = None
    try:
        for each in _members(text, plain, start):
            if each.is_named(wanted):
                found = each.value
    except _NoObjectError:
        return None
    return found


def _members_by_decoder(text: bytes) -> Sequence[Member] | None:
    """Return the members as the decoder, which is much faster, delimits them; None to find them.

    It says what the values are, not where; of a key given several times it knows only one.
    """
    if text.count(b":") > _MAX_COLONS:
        return None
    try:
        values = _VALUES.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    found: list[Member] = []
    at = _after_space(text, _after_space(text, 0) + 1)
    for raw in values.values():
        head = _HEAD.match(text, at)
        value = bytes(raw)
        if head is None or not text.startswith(value, head.end()):
            return None
        end = head.end() + len(value)
        found.append(Member(at, head.group(1), (head.end(), end)))
        at = _after_space(text, end)
        if not _is(text, at, _COMMA):
            break
        at = _after_space(text, at + 1)
    return found if _is(text, at, _CLOSE) and len(found) == len(values) else None


class _NoObjectError(ValueError):
    """What stands there is no whole object."""


def _members(text: bytes, plain: bytes, start: int) -> Iterator[Member]:
    """Yield the members of the object at `start`.

    Raises:
        _NoObjectError: there is none, which may be seen only at its end.
    """
    if not _is(plain, start, _OPEN):
        raise _NoObjectError
    at = _after_space(plain, start + 1)
    while _is(plain, at, _QUOTE):
        key = _STRING.match(plain, at)
        colon = len(plain) if key is None else _after_space(plain, key.end())
        if key is None or not _is(plain, colon, _COLON):
            raise _NoObjectError
        begin = _after_space(plain, colon + 1)
        end = _end_of_value(plain, begin)
        if end is None:
            raise _NoObjectError
        yield Member(at, text[at : key.end()], (begin, end))
        at = _after_space(plain, end)
        if not _is(plain, at, _COMMA):
            break
        at = _after_space(plain, at + 1)
    if not _is(plain, at, _CLOSE):
        raise _NoObjectError


def _end_of_value(plain: bytes, start: int) -> int | None:
    """Return where the value that begins at `start` ends; None when it never does."""
    first = plain[start] if start < len(plain) else _CLOSE
    if first not in (_OPEN, _OPEN_LIST):
        match = (_STRING if first == _QUOTE else _SCALAR).match(plain, start)
        return None if match is None else match.end()
    depth = 0
    for bracket in _BRACKET.finditer(plain, start):
        end = bracket.end()
        depth += 1 if plain[end - 1] in (_OPEN, _OPEN_LIST) else -1
        if not depth:
            return end
    return None


def _is_key(written: bytes, wanted: str) -> bool:
    if b"\\" not in written:
        return written[1:-1] == wanted.encode("utf-8", "surrogatepass")
    try:
        key: object = json.loads(written.decode("utf-8", "replace"), strict=False)
    except ValueError:
        return False
    return key == wanted


def _after_space(text: bytes, at: int) -> int:
    match = _SPACE.match(text, at)
    return at if match is None else match.end()


def _is(text: bytes, at: int, wanted: int) -> bool:
    return at < len(text) and text[at] == wanted
