"""Who made an object that a provider keeps."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from uuid import UUID

from bridge.store.connection import Cursor
from bridge.store.rows import many

_MAKERS = """
SELECT DISTINCT ON (object_id) object_id, initiator_id
FROM aibridge_stored_objects
WHERE object_id = ANY(%s) AND provider_name = %s
ORDER BY object_id, created_at, id
"""


async def makers(
    cursor: Cursor, *, provider_name: str, object_ids: Collection[str]
) -> Mapping[str, UUID]:
    """Return who made which of a provider's objects: the first to make it; nothing for unknown."""
    rows = await many(cursor, _MAKERS, (sorted(set(object_ids)), provider_name))
    return {object_id: UUID(str(maker)) for object_id, maker in rows}
