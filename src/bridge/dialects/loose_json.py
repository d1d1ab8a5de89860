"""JSON as providers and clients really send it: what the fast decoder refuses, read slowly.

Lone surrogates, a byte order mark and stray bytes are let through (the latter as U+FFFD); `NaN`,
control characters inside strings and trailing text are not JSON.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

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


def read_object(text: bytes) -> dict[str, Any]:
    """Return the object that `text` holds, read fast where that is possible.

    Raises:
        ValueError: it is not JSON.
        TypeError: it is not an object.
        RecursionError: it is nested too deeply.
    """
    try:
        value: object = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):  # lone surrogates, or no JSON at all
        value = read_loosely(text)
    if not isinstance(value, dict):
        msg = "the JSON text is not an object"
        raise TypeError(msg)
    return value


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _MAX_DIGITS else float(digits)


def _refuse_constant(name: str) -> float:
    msg = f"{name} is not JSON"
    raise ValueError(msg)
