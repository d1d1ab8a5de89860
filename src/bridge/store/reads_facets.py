"""Values to filter by: which models, clients and providers were used, by whom one may see."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from bridge.store.connection import Cursor
from bridge.store.rows import many

DEFAULT_LIMIT = 100
MAX_LIMIT = 1000

Facet = Literal["model", "client", "provider_name"]

_VALUES = """
SELECT DISTINCT f.value
FROM aibridge_facets f
WHERE f.facet = %(facet)s AND starts_with(f.value, %(prefix)s)
  AND (%(visible_to)s::uuid IS NULL OR f.initiator_id = %(visible_to)s::uuid)
  AND (%(since)s::date IS NULL OR f.last_day >= %(since)s::date)
ORDER BY f.value
LIMIT %(limit)s OFFSET %(offset)s
"""


async def list_values(
    cursor: Cursor,
    facet: Facet,
    *,
    prefix: str = "",
    limit: int,
    offset: int = 0,
    visible_to: UUID | None,
    cutoff: datetime | None,
) -> tuple[str, ...]:
    """Return values in use that begin with `prefix`, in order.

    Args:
        cursor: of a read-only transaction.
        facet: of what.
        prefix: as it stands, no pattern.
        limit: at most so many, from 1 to MAX_LIMIT.
        offset: so many are left out before.
        visible_to: whose use may be seen; None for everybody's.
        cutoff: what was used before its day only is not there any more; None for none.
    """
    params = {
        "facet": facet,
        "prefix": prefix,
        "visible_to": str(visible_to) if visible_to else None,
        "since": cutoff.date() if cutoff else None,
        "limit": limit,
        "offset": offset,
    }
    return tuple(row[0] for row in await many(cursor, _VALUES, params))
