"""Finds and edits values in JSON text without touching any other byte of it.

Where an object's members stand is learnt from the C decoder, which skips their values without
making anything of them: time is linear in the text's length (some 0.5 ms for each MiB of texts,
7 ms for each MiB of brackets), and nothing is made of more members than are asked for.

Source: RFC 8259; of a key given several times the last one wins, as in the parsers that providers
use (read 2026-11-25).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
_HEAD = re.compile(rb'[ \t\n\r,{]*+("(?:[^"\\]++|\\.)*+")[ \t\n\r]*+:[ \t\n\r]*+')
# What stands before a member's value, in text that is known to be JSON.
_PIECE_BYTES = 256 * 1024
_MAX_REREAD_BYTES = 4 * 1024 * 1024
_SPACES = b" \t\n\r"
_OPEN = b"{"
_HALF, _HALF_IN_CAPITALS, _OTHER = b"\\ud", b"\\uD", b"\\u0"
_ASCII = bytes(range(128)) + b"?" * 128


def members_of(text: bytes, *, at_most: int) -> Sequence[Member] | None:
    """Return the members of the top-level object, in order.

    None when `text` is none, has more than `at_most`, or is nested more deeply than any decoder
    reads (about a thousand levels).

    Args:
        text: JSON; white space and a byte order mark may stand before it.
        at_most: bounds the time beyond that of a look at every byte: some 2 µs for a member.
    """
    values = _values_in(text, at_most)
    if values is None:
        return None
    found: list[Member] = []
    at = len(_BOM) if text.startswith(_BOM) else 0
    for raw in values:
        head = _HEAD.match(text, at)
        if head is None:
            return None
        begin = head.end()
        at = begin + len(memoryview(raw))
        found.append(Member(head.start(1), head.group(1), (begin, at)))
    return found


def span_of(members: Iterable[Member], name: str) -> Span | None:
    """Return where the value of the last member `name` stands; None when there is none."""
    found: Span | None = None
    for each in members:
        if each.is_named(name):
            found = each.value
    return found


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
    begin, end = span
    return b"".join((*_pieces(text, 0, begin), value, *_pieces(text, end, len(text))))


def with_member(text: bytes, end: int, key: str, value: bytes) -> bytes:
    """Return `text` with one more member in an object, as its last.

    Args:
        text: JSON.
        end: of the object: the byte after its closing brace.
        key: of the new member.
        value: of the new member, as JSON.
    """
    brace = last = end - 1
    while last > 0 and text[last - 1] in _SPACES:
        last -= 1
    comma = b"" if text[last - 1 : last] == _OPEN else b","
    member = comma + json.dumps(key).encode() + b":" + value
    return replaced(text, (brace, brace), member)


def _pieces(text: bytes, begin: int, end: int) -> Iterator[bytes]:
    """Yield `text` from `begin` to `end` in pieces, between which other threads get their turn."""
    for at in range(begin, end, _PIECE_BYTES):
        yield text[at : min(at + _PIECE_BYTES, end)]


class _TooManyError(ValueError):
    """There are more members than we want to know of."""


class _Key:
    """A key, which nobody need know; each is another, so that none replaces an earlier one."""

    __slots__ = ()


def _values_in(text: bytes, at_most: int) -> Sequence[msgspec.Raw] | None:
    """Return the values of the object in `text`, those of a repeated key included."""
    left = at_most

    def key(_: type, __: object) -> _Key:
        nonlocal left
        left -= 1
        if left < 0:
            raise _TooManyError
        return _Key()

    decoder = msgspec.json.Decoder(dict[_Key, msgspec.Raw], dec_hook=key)
    json_text = memoryview(text)[len(_BOM) :] if text.startswith(_BOM) else text
    try:
        return tuple(decoder.decode(json_text).values())
    except RecursionError:
        return None
    except (msgspec.DecodeError, UnicodeDecodeError):
        if left < 0 or len(text) > _MAX_REREAD_BYTES:
            return None
    left = at_most
    # Halves of characters and stray bytes, which the decoder refuses, become others in their place.
    whole = bytes(json_text).translate(_ASCII)
    whole = whole.replace(_HALF, _OTHER).replace(_HALF_IN_CAPITALS, _OTHER)
    try:
        return tuple(decoder.decode(whole).values())
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _is_key(written: bytes, wanted: str) -> bool:
    if b"\\" not in written:
        return written[1:-1] == wanted.encode("utf-8", "surrogatepass")
    try:
        key: object = json.loads(written.decode("utf-8", "replace"), strict=False)
    except ValueError:
        return False
    return key == wanted
