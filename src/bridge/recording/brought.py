"""Which results of tool calls requests have brought lately, so that none is recorded twice.

What an API does not tell, whether an earlier request brought a result already, is remembered here:
the newest of this process, so that what another process or a former one has seen may be recorded
once more.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from uuid import UUID

from bridge.domain.interception import ToolResult

Key = tuple[UUID, str]
"""A user, and the id of a call."""
MOST = 10_000
"""Results that are remembered; about 200 bytes each."""


class Brought:
    """Remembers results by the user who brought them and the call."""

    def __init__(self, most: int = MOST) -> None:
        """Remember at most `most`, the newest."""
        self._most = most
        self._known: OrderedDict[Key, None] = OrderedDict()

    def new(
        self, initiator_id: UUID, results: Sequence[ToolResult]
    ) -> tuple[Sequence[ToolResult], Sequence[Key]]:
        """Return those that are to be recorded: all but the perhaps repeated that are known.

        Returns:
            The results, and what has become known by them: to be forgotten when they cannot be
            written down.
        """
        kept = []
        added = []
        for each in results:
            key = (initiator_id, each.call_id)
            known = key in self._known
            if not (each.perhaps_repeated and known):
                kept.append(each)
            if not known:
                added.append(key)
            self._known[key] = None
            self._known.move_to_end(key)
        while len(self._known) > self._most:
            self._known.popitem(last=False)
        return kept, added

    def forget(self, added: Sequence[Key]) -> None:
        """Know them no more."""
        for key in added:
            self._known.pop(key, None)
