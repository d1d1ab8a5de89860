"""UUIDv7 identifiers: made by us, sortable by time, and the source of the partition's day.

Source: RFC 9562, section 5.7 (read 2026-11-23).
"""

from __future__ import annotations

import os
from datetime import UTC, date, datetime
from uuid import UUID

_VERSION = 0x7 << 76
_VARIANT = 0x2 << 62
_RANDOM_A = (1 << 12) - 1
_RANDOM_B = (1 << 62) - 1
_BYTES = 10
_AT_ONCE = 256


def uuid7(now: float) -> UUID:
    """Return a UUIDv7 whose timestamp is `now`.

    Args:
        now: seconds since the epoch, UTC.
    """
    random = int.from_bytes(_random.take(), "big")
    milliseconds = int(now * 1000) & 0xFFFFFFFFFFFF
    return UUID(
        int=(milliseconds << 80)
        | _VERSION
        | ((random >> 64) & _RANDOM_A) << 64
        | _VARIANT
        | (random & _RANDOM_B)
    )


def timestamp_of(identifier: UUID) -> datetime:
    """Return the UTC time inside a UUIDv7, to the millisecond."""
    return datetime.fromtimestamp((identifier.int >> 80) / 1000, UTC)


def day_of(identifier: UUID) -> date:
    """Return the UTC day inside a UUIDv7: the partition in which the row lives."""
    return timestamp_of(identifier).date()


class _Random:
    """The system's randomness, fetched for many identifiers at once; never shared by a fork."""

    def __init__(self) -> None:
        """Fetch nothing yet."""
        self._pieces: list[bytes] = []
        self._process = 0

    def take(self) -> bytes:
        """Return ten bytes that nobody has had."""
        if not self._pieces or self._process != os.getpid():
            fetched = os.urandom(_BYTES * _AT_ONCE)
            self._pieces = [fetched[at : at + _BYTES] for at in range(0, len(fetched), _BYTES)]
            self._process = os.getpid()
        return self._pieces.pop()


_random = _Random()
