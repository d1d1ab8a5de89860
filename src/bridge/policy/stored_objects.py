"""Stored objects: under the organisation's key, a user reaches only those of their own making.

A provider that keeps responses and conversations keeps them for the key, not for the person. What
this process has just seen being made is known here; the rest is asked of the store, which is the
one place where a request waits for the database: one that goes back to something kept.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Mapping
from enum import StrEnum
from uuid import UUID

from bridge.domain.errors import NotFound
from bridge.domain.identity import Actor

_REMEMBERED = 20_000
"""Objects that are known without asking; some 4 MB."""

_LONGEST_ID = 512
"""Characters; a longer one is nobody's, and is not asked for."""

Makers = Callable[[str, Collection[str]], Awaitable[Mapping[str, UUID]]]
"""Returns who made which of a provider's objects, the first to make it; without the unknown ones.
Raises a BridgeError when it cannot."""


class StoredAccess(StrEnum):
    """Which stored objects may be reached under the organisation's key."""

    OWN = "own"
    """Those that we recorded for the same user."""
    ALL = "all"
    OFF = "off"
    """None."""


class StoredObjects:
    """Knows who made what."""

    def __init__(self, *, makers: Makers) -> None:
        """Ask `makers` about what is not remembered."""
        self._makers = makers
        self._recent: OrderedDict[tuple[str, str], UUID] = OrderedDict()

    def note(self, initiator_id: UUID, provider_name: str, object_id: str) -> None:
        """Remember that an object has been made; the least lately used is forgotten.

        Whoever made it first stays its maker: some upstreams let clients choose the id.
        """
        if not _is_plausible(object_id):
            return
        key = (provider_name, object_id)
        self._recent.setdefault(key, initiator_id)
        self._recent.move_to_end(key)
        if len(self._recent) > _REMEMBERED:
            self._recent.popitem(last=False)

    async def require(
        self,
        actor: Actor,
        provider_name: str,
        object_ids: Collection[str],
        *,
        access: StoredAccess,
        own_key: bool = False,
    ) -> None:
        """Return if `actor` may reach all of `object_ids`.

        Args:
            actor: who asks.
            provider_name: the instance that keeps the objects.
            object_ids: their ids.
            access: what the organisation's key may be used for.
            own_key: whether the request goes with a key of the user's own. Then only what is known
                to be another's is refused: a provider that looks at keys does the rest.

        Raises:
            NotFound: one of them is not theirs, or there is none of that name; both look the same.
            BridgeError: the store cannot be asked now.
        """
        if not object_ids or access is StoredAccess.ALL:
            return
        if access is StoredAccess.OFF and not own_key:
            raise NotFound("Stored objects cannot be reached through this bridge (stored_objects).")
        known = {each: self._recent.get((provider_name, each)) for each in object_ids}
        unknown = [each for each, maker in known.items() if maker is None]
        if unknown and all(map(_is_plausible, unknown)):
            found = await self._makers(provider_name, unknown)
            for each, first_maker in found.items():
                self.note(first_maker, provider_name, each)
            known.update(found)
        for each, maker in known.items():
            if maker != actor.id and not (own_key and maker is None):
                raise _not_theirs(each)


def _is_plausible(object_id: str) -> bool:
    return 0 < len(object_id) <= _LONGEST_ID and object_id.isascii() and object_id.isprintable()


def _not_theirs(object_id: str) -> NotFound:
    return NotFound(
        f"There is no stored object {object_id[:64]!r} of yours here. With the organisation's key "
        "only what you made through this bridge can be reached."
    )
