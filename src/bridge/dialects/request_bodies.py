"""Request bodies as clients really send them: decoded fast, read again slowly, or passed unread.

Odd types never refuse a request, the provider judges them; we only say that we saw less.

Decided: a body that is not UTF-8 passes where everything else in it is JSON, with the odd bytes
read as U+FFFD; `NaN` and control characters inside strings are not JSON and get 400.
"""

from __future__ import annotations

import re
from typing import Any, TypeVar

import msgspec

from bridge.dialects.loose_json import read_loosely
from bridge.domain.errors import BadRequest

_BOM = b"\xef\xbb\xbf"
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_MAX_REREAD_BYTES = 4 * 1024 * 1024
"""The stdlib reads 1 MiB in some 10 ms, and every other stream waits meanwhile."""

T = TypeVar("T")


class Loose(msgspec.Struct, frozen=True):
    """A body that the fast decoder refused although it is a JSON object."""

    value: dict[str, Any]
    odd: bool
    """Whether some bytes of it are not text."""


def read_body(body: bytes, decoder: msgspec.json.Decoder[T]) -> T | Loose | None:
    """Return what `decoder` makes of a request body.

    A `Loose` when it refuses what is still an object (lone surrogates, odd types); None when the
    body passes unread, because it is nested too deeply, or odd and too large to be read twice.

    Raises:
        BadRequest: empty, not JSON, or not an object.
    """
    body = body.removeprefix(_BOM)
    try:
        return decoder.decode(body)
    except RecursionError:
        _require_object(body)
        return None
    except (msgspec.DecodeError, UnicodeDecodeError) as e:
        return _reread(body, e)


def _reread(body: bytes, refusal: Exception) -> Loose | None:
    if not body or body.isspace():
        msg = "The request body is empty; send a JSON object."
        raise BadRequest(msg)
    if len(body) > _MAX_REREAD_BYTES:
        odd_only = isinstance(refusal, msgspec.ValidationError | UnicodeDecodeError)
        if not odd_only and not _SURROGATE.search(body):
            raise _not_json()
        _require_object(body)
        return None
    try:
        value = read_loosely(body)
    except RecursionError:
        _require_object(body)
        return None
    except ValueError as e:
        raise _not_json() from e
    if not isinstance(value, dict):
        raise _not_an_object()
    return Loose(value, isinstance(refusal, UnicodeDecodeError))


def _require_object(body: bytes) -> None:
    if not body.lstrip().startswith(b"{"):
        raise _not_an_object()


def _not_json() -> BadRequest:
    return BadRequest("The request body is not valid JSON; send a JSON object.")


def _not_an_object() -> BadRequest:
    return BadRequest("The request body is not a JSON object.")
