"""Who made an object that a provider keeps."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from bridge.store.connection import Cursor
from bridge.store.rows import one

_MADE_BY = """
SELECT count(DISTINCT object_id)
FROM aibridge_stored_objects
WHERE object_id = ANY(%s) AND initiator_id = %s AND provider_name = %s
"""


async def made_by(
    cursor: Cursor, *, initiator_id: UUID, provider_name: str, object_ids: Collection[str]
) -> bool:
    """Return whether all of `object_ids` at a provider were made by this user."""
    asked = sorted(set(object_ids))
    (count,) = await one(cursor, _MADE_BY, (asked, str(initiator_id), provider_name))
    return bool(count == len(asked))
