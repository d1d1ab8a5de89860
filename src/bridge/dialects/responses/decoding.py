"""JSON that is read part by part: fast, and once more slowly where the fast decoder refuses it."""

from __future__ import annotations

import json
from typing import TypeVar

import msgspec

from bridge.dialects.loose_json import read_loosely
from bridge.dialects.texts import holdable

T = TypeVar("T")

NOTHING = msgspec.Raw(b"")
"""A part that is not there."""


def decoded(raw: bytes | msgspec.Raw, decoder: msgspec.json.Decoder[T]) -> T:
    """Return what `decoder` makes of `raw`; lone surrogates and stray bytes in it are U+FFFD.

    Raises:
        ValueError: it is not JSON.
        TypeError: it holds something of another type.
        RecursionError: it is nested too deeply.
    """
    raw = bytes(raw)
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as e:
        raise TypeError(str(e)) from e
    except (msgspec.DecodeError, UnicodeDecodeError):
        mended = holdable(json.dumps(read_loosely(raw), ensure_ascii=False)).encode()
    try:
        return decoder.decode(mended)
    except msgspec.ValidationError as e:
        raise TypeError(str(e)) from e
    except msgspec.DecodeError as e:
        raise ValueError(str(e)) from e


def is_absent(raw: msgspec.Raw) -> bool:
    """Return whether a part is missing or null."""
    return bytes(raw) in (b"", b"null")
