"""Finds and edits one value in JSON text without touching any other byte of it.

Nothing is decoded but the keys on the way, and time is linear in the text's length, however deeply
it is nested. Of text that is not JSON nothing may be found, or what would be there if it were.

Source: RFC 8259; of a key given several times the last one wins, as in the parsers that providers
use (read 2026-11-25).
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

Span = tuple[int, int]
"""Where a value begins, and where the byte after its last one stands."""

_BOM = b"\xef\xbb\xbf"
_SPACE = re.compile(rb"[ \t\n\r]*+")
_STRING = re.compile(rb'"[^"]*+"')
_BRACKET = re.compile(rb'(?:[^"{}\[\]]++|"[^"]*+")*+[{}\[\]]')
# The next one that is not inside a string.
_SCALAR = re.compile(rb"[^ \t\n\r,:{}\[\]\"]++")

_QUOTE, _OPEN, _CLOSE, _OPEN_LIST, _COLON, _COMMA = b'"{}[:,'


def span_of(text: bytes, path: Sequence[str]) -> Span | None:
    """Return where the value at `path` stands; None when there is none.

    Args:
        text: a JSON object; white space and a byte order mark may stand before it.
        path: keys, from the top-level object inwards; none means the top-level object itself.
    """
    # Without escapes a quote is the end of a string, and C finds it; no place moves.
    plain = text.replace(b"\\\\", b"__").replace(b'\\"', b"__")
    if plain.count(b'"') % 2 or not plain.rstrip(b" \t\n\r").endswith(b"}"):
        return None  # no JSON object; from here on every search for a bracket finds one
    start = _after_space(plain, len(_BOM) if text.startswith(_BOM) else 0)
    if not _is(plain, start, _OPEN):
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


def _member(text: bytes, plain: bytes, start: int, wanted: str) -> Span | None:
    """Return the span of the last member `wanted` of the object at `start`."""
    if not _is(plain, start, _OPEN):
        return None
    found: Span | None = None
    at = _after_space(plain, start + 1)
    while _is(plain, at, _QUOTE):
        key = _STRING.match(plain, at)
        colon = len(plain) if key is None else _after_space(plain, key.end())
        if key is None or not _is(plain, colon, _COLON):
            return None
        begin = _after_space(plain, colon + 1)
        end = _end_of_value(plain, begin)
        if end is None:
            return None
        if _is_key(text[at : key.end()], wanted):
            found = (begin, end)
        at = _after_space(plain, end)
        if not _is(plain, at, _COMMA):
            break
        at = _after_space(plain, at + 1)
    return found if _is(plain, at, _CLOSE) else None


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
