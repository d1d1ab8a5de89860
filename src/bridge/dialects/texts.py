"""Texts of humans and models: what Python can hold that no record can, and who wrote them."""

from __future__ import annotations

import re

SURROGATES = re.compile("[\ud800-\udfff]")
"""Halves of a character; a whole one is never found by it."""

_REMINDER_START = "<system-reminder>"
_REMINDER_END = "</system-reminder>"
_SPACES = re.compile(r"\s*")


def holdable(text: str) -> str:
    """Return `text` with surrogate pairs joined that came in two deltas; lone ones as U+FFFD."""
    if SURROGATES.search(text) is None:
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def writable(text: str) -> str:
    """Return `text` without lone surrogates, which no JSON can hold; each becomes a `?`."""
    return text.encode("utf-8", "replace").decode("utf-8")


def is_reminder(text: str) -> bool:
    """Return whether `text` holds only `<system-reminder>` sections, which no human wrote."""
    begin = at = _after_spaces(text, 0)
    while text.startswith(_REMINDER_START, at):
        end = text.find(_REMINDER_END, at)
        if end < 0:
            return False
        at = _after_spaces(text, end + len(_REMINDER_END))
    return begin < at == len(text)


def _after_spaces(text: str, at: int) -> int:
    match = _SPACES.match(text, at)
    return match.end() if match is not None else at
