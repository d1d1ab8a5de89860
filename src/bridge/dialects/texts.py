"""Texts of humans and models: what Python can hold of them that no record can."""

from __future__ import annotations

import re

SURROGATES = re.compile("[\ud800-\udfff]")
"""Halves of a character; a whole one is never found by it."""


def holdable(text: str) -> str:
    """Return `text` with surrogate pairs joined that came in two deltas; lone ones as U+FFFD."""
    if SURROGATES.search(text) is None:
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def writable(text: str) -> str:
    """Return `text` without lone surrogates, which no JSON can hold; each becomes a `?`."""
    return text.encode("utf-8", "replace").decode("utf-8")
