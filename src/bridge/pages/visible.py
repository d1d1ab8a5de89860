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
_LAST_PICTURED = 0x20
_PICTURES = 0x2400
_DELETE, _PICTURE_OF_DELETE = 0x7F, "\u2421"


def visible(text: str) -> str:
    """Return `text` with each character that would not be seen, or mislead, spelt out.

    Control characters become their pictures (`␛`), others their number (`⟦U+202E⟧`). Joiners stay:
    emoji and several scripts need them. CR LF is a plain line end.
    """
    text = text.replace("\r\n", "\n")
    return _DECEIVING.sub(_spelt_out, text) if _DECEIVING.search(text) else text


def _spelt_out(match: re.Match[str]) -> str:
    number = ord(match[0])
    if number < _LAST_PICTURED:
        return chr(_PICTURES + number)
    if number == _DELETE:
        return _PICTURE_OF_DELETE
    return f"\u27e6U+{number:04X}\u27e7"
