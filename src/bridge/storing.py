"""Storing: when records are safe, and what is asked of the database while a request waits."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Literal
from uuid import UUID

from bridge.config import options
from bridge.config.settings import Settings
from bridge.database import Patient
from bridge.policy.stored_objects import Makers
from bridge.store.stored_objects import makers


def fsync_of(settings: Settings) -> Literal["before_end", "group", "never"]:
    """Return when records are forced to disk."""
    match settings[options.JOURNAL_FSYNC]:
        case "group":
            return "group"
        case "never":
            return "never"
    return "before_end"


def makers_in(database: Patient, stored: Callable[[], Awaitable[None]] | None = None) -> Makers:
    """Return who asks the database for the makers of objects.

    Args:
        database: where they are.
        stored: comes back when what other processes of this bridge have written down is there;
            what is not found is then looked for again.
    """

    async def look(provider_name: str, object_ids: Collection[str]) -> Mapping[str, UUID]:
        return await database.transaction(
            lambda cursor: makers(cursor, provider_name=provider_name, object_ids=object_ids),
            read_only=True,
        )

    async def found(provider_name: str, object_ids: Collection[str]) -> Mapping[str, UUID]:
        known = await look(provider_name, object_ids)
        missing = [each for each in object_ids if each not in known]
        if not missing or stored is None:
            return known
        await stored()
        return {**known, **await look(provider_name, missing)}

    return found
