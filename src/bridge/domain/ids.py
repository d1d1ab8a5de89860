"""UUIDv7 identifiers: made by us, sortable by time, and the source of the partition's day.

Source: RFC 9562, section 5.7 (read 2026-11-23).
"""

from __future__ import annotations

import os
from datetime import UTC, date, datetime
from functools import lru_cache
from struct import Struct
from uuid import UUID, SafeUUID

_VERSION = 0x7 << 76
_VARIANT = 0x2 << 62
_RANDOM_A = (1 << 12) - 1
_RANDOM_B = (1 << 62) - 1
_DAY_MILLISECONDS = 86_400_000
_EPOCH = date(1970, 1, 1).toordinal()
_AT_ONCE = 256
_FETCHED = Struct(f"{_AT_ONCE}Q{_AT_ONCE}H")
_UNKNOWN = SafeUUID.unknown
_set = object.__setattr__


def uuid7(now: float) -> UUID:
    """Return a UUIDv7 whose timestamp is `now`.

    Args:
        now: seconds since the epoch, UTC.
    """
    milliseconds = int(now * 1000) & 0xFFFFFFFFFFFF
    # UUID() looks at every way in which it may be called, which takes four times as long.
    made = UUID.__new__(UUID)
    _set(made, "int", (milliseconds << 80) | _random.take())
    _set(made, "is_safe", _UNKNOWN)
    return made


def timestamp_of(identifier: UUID) -> datetime:
    """Return the UTC time inside a UUIDv7, to the millisecond."""
    return datetime.fromtimestamp((identifier.int >> 80) / 1000, UTC)


def day_of(identifier: UUID) -> date:
    """Return the UTC day inside a UUIDv7: the partition in which the row lives."""
    return _day((identifier.int >> 80) // _DAY_MILLISECONDS)


@lru_cache(maxsize=64)
def _day(number: int) -> date:
    """Return the UTC day so many days after the epoch."""
    return date.fromordinal(_EPOCH + number)


def least_id(moment: datetime) -> UUID:
    """Return an id that sorts before all that were made at `moment` or later; years from 1970."""
    milliseconds = max(0, int(moment.timestamp() * 1000)) & 0xFFFFFFFFFFFF
    return UUID(int=milliseconds << 80)


class _Random:
    """The system's randomness, fetched for many identifiers at once; never shared by a fork."""

    def __init__(self) -> None:
        """Fetch nothing yet."""
        self._lower: list[int] = []
        self._process = 0

    def take(self) -> int:
        """Return the lower 80 bits of an identifier, which nobody has had."""
        if not self._lower or self._process != os.getpid():
            fetched = _FETCHED.unpack(os.urandom(_FETCHED.size))
            self._lower = [
                _VERSION | (a & _RANDOM_A) << 64 | _VARIANT | (b & _RANDOM_B)
                for b, a in zip(fetched[:_AT_ONCE], fetched[_AT_ONCE:], strict=True)
            ]
            self._process = os.getpid()
        return self._lower.pop()


_random = _Random()
