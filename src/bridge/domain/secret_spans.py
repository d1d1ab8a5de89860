"""Where secrets stand in a text, and the text without them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

SHORTEST_VALUE = 8
"""Shorter credentials are not looked for by value: they might be any word."""

TOO_MANY = "too-many-secrets"
"""What a text is replaced by, as a whole, when there is too much in it to be gone through."""

Span = tuple[int, int, str]
"""Begin, end, label."""


def occurrences(data: bytes, value: bytes) -> Iterator[Span]:
    """Yield where `value`, a credential that the bridge holds, stands in `data`."""
    if len(value) < SHORTEST_VALUE:
        return
    begin = data.find(value)
    while begin >= 0:
        yield begin, begin + len(value), "provider-key"
        begin = data.find(value, begin + len(value))


def apart(spans: list[Span]) -> list[Span]:
    """Return `spans` in order; what overlaps is one, named as the first of it that was found."""
    ordered = sorted((begin, end, n) for n, (begin, end, _) in enumerate(spans))
    joined: list[tuple[int, int, int]] = []
    for begin, end, n in ordered:
        if joined and begin < joined[-1][1]:
            first, last, other = joined[-1]
            joined[-1] = (first, max(last, end), min(other, n))
        else:
            joined.append((begin, end, n))
    return [(begin, end, spans[n][2]) for begin, end, n in joined]


def replaced(data: bytes, spans: Sequence[Span]) -> bytes:
    """Return `data` with what each secret was in its place."""
    pieces: list[bytes] = []
    position = 0
    for begin, end, label in spans:
        pieces += (data[position:begin], b"[redacted:%s]" % label.encode("ascii"))
        position = end
    pieces.append(data[position:])
    return b"".join(pieces)
