"""Visible: recorded text as it is shown, with nothing in it that hides or deceives."""

from __future__ import annotations

import re

_DECEIVING = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters but for tab and line feed
    "\u00ad\u061c\u180e\u200b\u200e\u200f"  # soft hyphen, marks of direction, no width
    "\u2028\u2029\u202a-\u202e\u2060-\u206f"  # separators, embeddings, overrides, isolates
    "\ufe00-\ufe0e\ufeff\ufff9-\ufffb"  # variation selectors but for that of emoji
    "\U000e0000-\U000e0fff"  # tags, which spell out text that nobody sees
    "]"
)


def visible(text: str) -> str:
    """Return `text` with each character that would not be seen, or mislead, spelt out.

    It becomes its number (`⟦U+202E⟧`). Joiners stay: emoji and several scripts need them. CR LF is
    a plain line end.
    """
    text = text.replace("\r\n", "\n")
    return _DECEIVING.sub(_spelt_out, text) if _DECEIVING.search(text) else text


def _spelt_out(match: re.Match[str]) -> str:
    return f"\u27e6U+{ord(match[0]):04X}\u27e7"
