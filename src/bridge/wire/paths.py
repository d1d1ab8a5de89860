"""Which request targets may be matched against routes at all.

A central key may be privileged, so a path that two programs could read differently never reaches
the choice of a credential.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

# All but the printable, and what no URI may hold unescaped (RFC 3986, sections 2.2 and 2.3).
_UNCLEAN = re.compile(rb"[^\x21-\x7e]|[\"<>\\^`{|}#]")
_BAD_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_ENCODED_SLASH = re.compile(rb"%2f", re.IGNORECASE)
_UNSAFE_IN_QUERY = re.compile(rb"[^\x21-\x7e]|#")
_PLAIN = re.compile(rb"[A-Za-z0-9_~:@!$&'()*+,=./-]*")


def split_target(target: bytes) -> tuple[bytes, bytes]:
    """Return path and query of a request target; the query keeps its `?`, or is b""."""
    path, mark, query = target.partition(b"?")
    return path, mark + query


def safe(path: bytes, *, encoded_slash_in: re.Pattern[bytes] | None = None) -> bool:
    """Return whether every program reads `path` the same way.

    False for dot segments, backslashes, NUL, control characters, matrix parameters, doubly encoded
    text, bytes that a URI may not hold, and encoded slashes, however they are written.

    Args:
        path: raw bytes of the request target before any `?`.
        encoded_slash_in: a pattern of whole paths in which `%2F` is part of a name.
    """
    if _PLAIN.fullmatch(path) and b"/." not in path and b"//" not in path:
        return path.startswith(b"/")  # nothing in it to decode: by far the usual case
    if not path.startswith(b"/") or _UNCLEAN.search(path) or _BAD_ESCAPE.search(path):
        return False
    if _ENCODED_SLASH.search(path) and not (encoded_slash_in and encoded_slash_in.fullmatch(path)):
        return False
    decoded = unquote_to_bytes(path)
    if re.search(rb"[\x00-\x1f\x7f\\%;]", decoded) or b"//" in path:
        return False
    try:
        text = decoded.decode("utf-8")
    except UnicodeDecodeError:
        return False
    # C1 controls and the invisible direction marks that make two names look alike.
    if any("\x80" <= each <= "\x9f" or "\u2028" <= each <= "\u202e" for each in text):
        return False
    return not any(segment in (b".", b"..") for segment in re.split(rb"/", decoded))


def safe_query(query: bytes) -> bool:
    """Return whether a query string may be forwarded: printable, and no fragment."""
    return _UNSAFE_IN_QUERY.search(query) is None


def collapsed(path: bytes) -> bytes:
    """Return `path` without slashes doubled at its very start (a base URL that ended in one)."""
    return b"/" + path.lstrip(b"/")
