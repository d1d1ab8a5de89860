"""JSON as providers and clients really send it: what the fast decoder refuses, read slowly.

Lone surrogates, a byte order mark and stray bytes are let through (the latter as U+FFFD); `NaN`,
control characters inside strings and trailing text are not JSON.
"""

from __future__ import annotations

import json

_BOM = b"\xef\xbb\xbf"
_MAX_DIGITS = 400
# A longer number only costs time: Python's conversion is quadratic.


def read_loosely(text: bytes) -> object:
    """Return what `text` holds.

    Raises:
        ValueError: it is not JSON.
        RecursionError: it is nested too deeply.
    """
    value: object = json.loads(
        text.removeprefix(_BOM).decode("utf-8", "replace"),
        parse_int=_integer,
        parse_constant=_refuse_constant,
    )
    return value


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _MAX_DIGITS else float(digits)


def _refuse_constant(name: str) -> float:
    msg = f"{name} is not JSON"
    raise ValueError(msg)
