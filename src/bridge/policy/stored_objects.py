"""Stored objects: under the organisation's key, a user reaches only those of their own making.

A provider that keeps responses and conversations keeps them for the key, not for the person. What
this process has just seen being made is known here; the rest is asked of the store, which is the
one place where a request waits for the database: one that goes back to something kept.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection
from enum import StrEnum
from uuid import UUID

from bridge.domain.errors import NotFound
from bridge.domain.identity import Actor

_REMEMBERED = 20_000
"""Objects that are known without asking; some 4 MB."""

MadeBy = Callable[[UUID, str, Collection[str]], Awaitable[bool]]
"""Says whether a user made all of a provider's objects; raises a BridgeError when it cannot."""


class StoredAccess(StrEnum):
    """Which stored objects may be reached under the organisation's key."""

    OWN = "own"
    """Those that we recorded for the same user."""
    ALL = "all"
    OFF = "off"
    """None."""


class StoredObjects:
    """Knows who made what."""

    def __init__(self, *, made_by: MadeBy) -> None:
        """Ask `made_by` about what is not remembered."""
        self._made_by = made_by
        self._recent: OrderedDict[tuple[str, str], UUID] = OrderedDict()

    def note(self, initiator_id: UUID, provider_name: str, object_id: str) -> None:
        """Remember that an object has been made; the least lately used is forgotten."""
        key = (provider_name, object_id)
        self._recent.pop(key, None)
        self._recent[key] = initiator_id
        if len(self._recent) > _REMEMBERED:
            self._recent.popitem(last=False)

    async def require(
        self,
        actor: Actor,
        provider_name: str,
        object_ids: Collection[str],
        *,
        access: StoredAccess,
    ) -> None:
        """Return if `actor` may reach all of `object_ids`.

        Raises:
            NotFound: one of them is not theirs, or there is none of that name; both look the same.
            BridgeError: the store cannot be asked now.
        """
        if not object_ids or access is StoredAccess.ALL:
            return
        if access is StoredAccess.OFF:
            raise NotFound("Stored objects cannot be reached through this bridge (stored_objects).")
        unknown = []
        for each in object_ids:
            owner = self._recent.get((provider_name, each))
            if owner is None:
                unknown.append(each)
            elif owner != actor.id:
                raise _not_theirs(each)
        if unknown and not await self._made_by(actor.id, provider_name, unknown):
            raise _not_theirs(unknown[0])
        for each in unknown:
            self.note(actor.id, provider_name, each)


def _not_theirs(object_id: str) -> NotFound:
    return NotFound(
        f"There is no stored object {object_id[:64]!r} of yours here. With the organisation's key "
        "only what you made through this bridge can be reached."
    )
