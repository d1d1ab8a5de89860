"""Work: how much of a text, a document or a record is judged before what is left goes as a whole.

What costs time is not the length of a text but what in it looks like a secret: each piece that has
to be judged takes up to 40 µs, whatever it turns out to be.
"""

from __future__ import annotations

MOST_JUDGED = 100_000
"""Pieces that are judged of one record."""
MOST_AT_ONCE = 1_000
"""Pieces that are judged while the reactor, and with it every other request, waits."""


class Laborious(Exception):  # noqa: N818  # a property of the text, not a mistake
    """There is more to be judged than was allowed."""


class Work:
    """What may still be judged, and what was found so far; for one record, or one alone text."""

    __slots__ = ("_gives_up", "_left", "found")

    def __init__(self, most: int = MOST_JUDGED, *, gives_up: bool = False) -> None:
        """Allow `most` pieces.

        Args:
            most: how many.
            gives_up: whether to raise Laborious beyond it, so that somebody else can do it.
        """
        self.found: dict[str, int] = {}
        """How many secrets of which kind are replaced."""
        self._left = most
        self._gives_up = gives_up

    def note(self, kind: str) -> None:
        """Count a secret of a kind."""
        self.found[kind] = self.found.get(kind, 0) + 1

    def allows(self, pieces: int = 1) -> bool:
        """Return whether so many pieces more may be judged; beyond the bound never again.

        Raises:
            Laborious: they may not, and this was made to give up then.
        """
        self._left -= pieces
        if self._left < 0 and self._gives_up:
            raise Laborious
        return self._left >= 0
