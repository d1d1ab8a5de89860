"""What of a request's texts a human wrote, and no client in front of it, beside it or for itself.

What clients write is told by its exact shape, so that nothing of a human's is lost:

======================  ================  ========================================================
what                    client            shape
======================  ================  ========================================================
context                 Claude Code       `<system-reminder>` sections that are all of a text
context                 Kilo Code 7.7.7,  `<environment_details>` sections that are all of a text
                        Cline, Roo Code
date                    Copilot CLI       `<current_datetime>…</current_datetime>` and two line ends
                        1.0.102           at the start of a text
request for a title     Claude Code       one text: `<session>`, the words, `</session>`, an empty
                        2.1.197, 2.1.330  line, and one line that begins `Write the title in `
request for a title     opencode 1.18.33  the request's first text of a user is all of
                                          `Generate a title for this conversation:` and a line end
request for a title     Kilo Code 7.7.7   one text that begins with the same line, an empty one, and
                                          `Title the task, not the reference. `
======================  ================  ========================================================

Source: what these versions sent (November 2026). The titles of Claude Code 2.1.330 and of Kilo Code
were read in the programs; Cline and Roo Code were not seen to send their section here.

Texts can be many megabytes: each is gone through once, or looked at in its ends alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_SECTIONS = (
    ("<system-reminder>", "</system-reminder>"),
    ("<environment_details>", "</environment_details>"),
)
_DATE_START = "<current_datetime>"
_DATE_END = "</current_datetime>\n\n"
_LONGEST_DATE = 100
# The one seen has 29 characters; what is longer is more than a date.
_TITLE_OPENER = "Generate a title for this conversation:\n"
_KILO_TITLE = f"{_TITLE_OPENER}\nTitle the task, not the reference. "
_SESSION_START = "<session>\n"
_SESSION_END = "\n</session>\n\nWrite the title in "
_LONGEST_WISH = 400
# How the title should be is worded anew now and then; it was 166 characters at most.
_SPACES = re.compile(r"\s*")


def last_words(backwards: Iterable[str]) -> str | None:
    """Return what a human wrote in the last text that is not context, None when that is nothing.

    Args:
        backwards: the texts of a message, the last one first.
    """
    for text in backwards:
        if not is_added(text):
            return None if is_title_request(text) else without_date(text)
    return None


def is_added(text: str) -> bool:
    """Return whether `text` holds only what a client puts beside a human's words."""
    start = _after_date(text)
    begin = at = _after_spaces(text, start)
    while (end := _after_section(text, at)) > at:
        at = _after_spaces(text, end)
    return at == len(text) and (start > 0 or at > begin)


def without_date(text: str) -> str:
    """Return `text` without the date that a client wrote in front of it."""
    return text[_after_date(text) :]


def is_title_request(text: str) -> bool:
    """Return whether a client asks for a title with `text`, which is all that the user says."""
    if text.startswith(_KILO_TITLE):
        return True
    if not text.startswith(_SESSION_START):
        return False
    wish = text.rfind(_SESSION_END, -_LONGEST_WISH)
    return wish >= 0 and "\n" not in text[wish + len(_SESSION_END) :]


def opens_title_request(text: str) -> bool:
    """Return whether a client asks for a title of what follows `text`, a request's first."""
    return text == _TITLE_OPENER


def _after_date(text: str) -> int:
    """Return where the text goes on behind a date at its start, 0 when it has none."""
    if not text.startswith(_DATE_START):
        return 0
    end = text.find(_DATE_END, len(_DATE_START), len(_DATE_START) + _LONGEST_DATE)
    return end + len(_DATE_END) if end >= 0 else 0


def _after_section(text: str, at: int) -> int:
    """Return where the section at `at` ends; `at` when there is none, or none that is closed."""
    for opening, closing in _SECTIONS:
        if text.startswith(opening, at):
            end = text.find(closing, at)
            return end + len(closing) if end >= 0 else at
    return at


def _after_spaces(text: str, at: int) -> int:
    match = _SPACES.match(text, at)
    return match.end() if match is not None else at
