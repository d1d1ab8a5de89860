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

MOST = 10_000
"""Results that are remembered; about 200 bytes each."""


class Brought:
    """Remembers results by the user who brought them and the call."""

    def __init__(self, most: int = MOST) -> None:
        """Remember at most `most`, the newest."""
        self._most = most
        self._known: OrderedDict[tuple[UUID, str], None] = OrderedDict()

    def new(self, initiator_id: UUID, results: Sequence[ToolResult]) -> Sequence[ToolResult]:
        """Return those that are to be recorded: all but the perhaps repeated that are known.

        They are known once `took` is called, which is for when they have been written down.
        """
        kept = []
        seen = set()
        for each in results:
            key = (initiator_id, each.call_id)
            if key in self._known:
                self._known.move_to_end(key)
                seen.add(key)
            if not (each.perhaps_repeated and key in seen):
                kept.append(each)
            seen.add(key)
        return kept

    def took(self, initiator_id: UUID, results: Sequence[ToolResult]) -> None:
        """Remember `results`."""
        for each in results:
            key = (initiator_id, each.call_id)
            self._known[key] = None
            self._known.move_to_end(key)
        while len(self._known) > self._most:
            self._known.popitem(last=False)
