"""Excerpts: as much of recorded texts as a page can hold; the whole is in a file beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

LONGEST = 20_000
"""Characters of one text."""
TOGETHER = 1_000_000
"""Characters of all texts of a page."""
MOST = 200
"""Texts of one kind in a page."""
_LEAST = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Excerpt:
    """A text, or its beginning."""

    text: str
    cut: bool
    """Whether there is more of it."""


class Excerpts:
    """What is left of one page's room."""

    def __init__(
        self, *, longest: int = LONGEST, together: int = TOGETHER, most: int = MOST
    ) -> None:
        """Give at most `longest` characters of a text, `together` of all, and `most` texts."""
        self.longest = longest
        self._left = together
        self._most = most
        self.left_out = 0
        """How many texts have no place in the page."""

    def of(self, text: str) -> Excerpt:
        """Return as much of `text` as there is room for."""
        room = max(min(self.longest, self._left), _LEAST)
        kept = text[:room]
        self._left -= len(kept)
        return Excerpt(text=kept, cut=len(text) > room)

    def some(self, texts: Sequence[T]) -> Sequence[T]:
        """Return as many of `texts` as there is room for."""
        self.left_out += max(0, len(texts) - self._most)
        return texts[: self._most]
