"""Patterns of secrets for RE2: those that somebody configured, and what each may take."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import re2

MOST_PATTERNS = 50
LONGEST_PATTERN = 500
LONGEST_LABEL = 40

_PATTERN_MEMORY_BYTES = 1 << 20
_LABEL = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_ONE_BYTE = re.compile(r"(?<!\\)(?:\\\\)*\\C")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtraPattern:
    """A kind of secret that somebody configured."""

    label: str
    pattern: str
    """In RE2's syntax; its first group, if it has one, is what is replaced."""


def compiled(extra: ExtraPattern) -> Any:
    """Return an extra pattern, ready to be run.

    Raises:
        ValueError: it cannot be used; the message says why.
    """
    if not _LABEL.fullmatch(extra.label) or len(extra.label) > LONGEST_LABEL:
        raise ValueError(
            f"the name {extra.label[:LONGEST_LABEL]!r} must be lower-case letters and digits, in "
            "words joined by single dashes"
        )
    if _ONE_BYTE.search(extra.pattern):
        raise ValueError(f"{extra.label} has \\C in it, which would cut characters")
    if len(extra.pattern) > LONGEST_PATTERN:
        raise ValueError(f"{extra.label} is longer than {LONGEST_PATTERN} characters")
    try:
        pattern = re2.compile(extra.pattern.encode(), options_of(_PATTERN_MEMORY_BYTES))
    except re2.error as error:
        reason = error.args[0] if error.args else b""
        said = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        raise ValueError(f"{extra.label} is no regular expression of RE2: {said}") from None
    if pattern.fullmatch(b""):
        raise ValueError(f"{extra.label} also matches where there is nothing")
    return pattern


def any_of(extra: Sequence[ExtraPattern]) -> Any:
    """Return what finds something where one of `extra` does; None when they cannot be joined."""
    try:
        joined = "|".join(f"(?:{each.pattern})" for each in extra)
        return re2.compile(joined.encode(), options_of(_PATTERN_MEMORY_BYTES * (len(extra) + 1)))
    except re2.error:  # one that quotes to its end, or too large together
        return None


def options_of(memory_bytes: int) -> Any:
    """Return how RE2 is to run a pattern, which may take so much memory."""
    options = re2.Options()
    options.max_mem = memory_bytes
    options.log_errors = False
    return options
