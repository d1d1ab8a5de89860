"""The bridge token's format: `aib_<12 base62 id>_<43 base62 secret><6 base62 CRC-32>`.

The id is public, the secret holds 256 random bits, and the checksum (of all before it) lets a
search through code tell a real token from a lookalike without asking us.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bridge.domain.identity import Secret

_sha256: Callable[[bytes], Any] = hashlib.sha256
try:
    # Python's own: OpenSSL is faster for what is long, but takes a long way to begin.
    from _sha256 import sha256 as _sha256  # type: ignore[import-not-found, no-redef]
except ImportError:  # of another Python than 3.11, or built without it
    pass

TOKEN_PREFIX = b"aib_"
ID_LENGTH = 12
SECRET_LENGTH = 43
# 62**43 is just above 2**256.
CHECKSUM_LENGTH = 6
# 62**6 is above 2**32.

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_TOKEN = re.compile(
    rf"aib_([0-9A-Za-z]{{{ID_LENGTH}}})_[0-9A-Za-z]{{{SECRET_LENGTH + CHECKSUM_LENGTH}}}"
)
# A token cut short by a careless copy still gives most of the secret away.
_SHAPE = re.compile(rb"aib(?:_|%5[fF])[0-9A-Za-z]{12}(?:_|%5[fF])")
_MARK = b"aib"
_BASIC = b"basic "


@dataclass(frozen=True, slots=True, kw_only=True)
class NewToken:
    """A token that has just been made; nothing else ever holds its value."""

    id: str
    value: Secret
    digest: bytes


def new_token(random: Callable[[int], bytes] = os.urandom) -> NewToken:
    """Make a token from `random`, which returns so many random bytes."""
    identifier = _base62(int.from_bytes(random(16), "big"), ID_LENGTH)
    secret = _base62(int.from_bytes(random(32), "big"), SECRET_LENGTH)
    body = f"aib_{identifier}_{secret}"
    value = body + _checksum(body)
    return NewToken(id=identifier, value=Secret(value), digest=digest_of(value))


def token_id(value: str) -> str | None:
    """Return the id in a well-formed token, None when the form or the checksum is wrong."""
    match = _TOKEN.fullmatch(value)
    if match is None or _checksum(value[:-CHECKSUM_LENGTH]) != value[-CHECKSUM_LENGTH:]:
        return None
    return match[1]


def claimed_id(value: str) -> str | None:
    """Return the id in what has a token's form, for whoever compares digests anyway."""
    match = _TOKEN.fullmatch(value)
    return match[1] if match is not None else None


def digest_of(value: str) -> bytes:
    """Return what is stored of a well-formed token, its SHA-256."""
    digest: bytes = _sha256(value.encode("ascii")).digest()
    return digest


def contains_token_shape(value: bytes) -> bool:
    """Say whether something like a bridge token, whole or cut short, is anywhere in `value`.

    Looks into HTTP Basic credentials too, and at an escaped underscore, so it is fit for the values
    of headers and for query strings.
    """
    if _MARK in value and _SHAPE.search(value) is not None:
        return True
    return (
        value[:1] in b"bB"
        and value[: len(_BASIC)].lower() == _BASIC
        and _hidden_in_basic(value[len(_BASIC) :])
    )


def _hidden_in_basic(encoded: bytes) -> bool:
    try:
        decoded = base64.b64decode(encoded.strip() + b"==")
    except (binascii.Error, ValueError):
        return False
    return _SHAPE.search(decoded) is not None


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode("ascii")), CHECKSUM_LENGTH)


def _base62(number: int, length: int) -> str:
    """Return the last `length` base62 digits of `number`, most significant first."""
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))
