"""Durations (`90d`, `12h30m`, `0`) and sizes (`32MiB`) as people write them."""

from __future__ import annotations

import re

_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")
_BYTES = {
    "": 1, "b": 1, "kb": 1000, "mb": 1000**2, "gb": 1000**3, "tb": 1000**4,
    "kib": 1024, "mib": 1024**2, "gib": 1024**3, "tib": 1024**4,
}  # fmt: skip
_LONGEST = 1000 * 365 * 86400.0
_LARGEST = 2.0**60
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)")


def parse_duration(text: str) -> float:
    """Return the seconds that `text` says.

    Args:
        text: one or more numbers with a unit of ms, s, m, h, d, w (`12h30m`), or `0`.

    Raises:
        ValueError: with a sentence that says what is accepted.
    """
    cleaned = text.strip().lower()
    if cleaned in {"0", "0.0"}:
        return 0.0
    parts = _DURATION.findall(cleaned)
    if not parts or "".join(number + unit for number, unit in parts) != cleaned:
        msg = f"{text!r} is not a duration; write for example 60d, 2w, 12h30m, 30s or 0"
        raise ValueError(msg)
    seconds = float(sum(float(number) * _SECONDS[unit] for number, unit in parts))
    if seconds > _LONGEST:
        msg = "is longer than a thousand years"
        raise ValueError(msg)
    return seconds


def format_duration(seconds: float) -> str:
    """Return `seconds` as the shortest text that `parse_duration` reads back, e.g. `1d12h`."""
    if seconds == 0:
        return "0"
    milliseconds = round(seconds * 1000)
    pieces = []
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, milliseconds = divmod(milliseconds, size)
        if count:
            pieces.append(f"{count}{unit}")
    return "".join(pieces)


def parse_size(text: str) -> int:
    """Return the bytes that `text` says.

    Args:
        text: a number with an optional unit: B, kB, MB, GB, TB, KiB, MiB, GiB, TiB (any case).

    Raises:
        ValueError: with a sentence that says what is accepted.
    """
    match = _SIZE.fullmatch(text.strip().lower())
    if match is None or match[2] not in _BYTES:
        msg = f"{text!r} is not a size; write for example 32MiB, 1GiB or 65536"
        raise ValueError(msg)
    size = float(match[1]) * _BYTES[match[2]]
    if size > _LARGEST:
        msg = "is larger than any disk"
        raise ValueError(msg)
    return int(size)


def format_size(size: int) -> str:
    """Return `size` bytes with the largest unit that keeps it whole, e.g. `32MiB`."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        scale = _BYTES[unit.lower()]
        if size >= scale and size % scale == 0:
            return f"{size // scale}{unit}"
    return str(size)
