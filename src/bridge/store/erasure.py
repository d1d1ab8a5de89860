"""Erasing a user: a name and a person's content go for good, counts stay under a pseudonym.

Every step is a transaction of its own and may be done again; a row in `aibridge_erasures` says what
is under way. From its commit on whatever is written of the user is blank (`store.blanking`), so
what is left to do is only what was stored before.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from secrets import token_hex
from typing import NamedTuple, Protocol, TypeVar
from uuid import UUID

from bridge.store import audit_about, blanking
from bridge.store.connection import Cursor
from bridge.store.partitions import audited_days
from bridge.store.rows import many, maybe, none, one

T = TypeVar("T")

AUDIT_SECONDS = 120.0
"""Limit of a statement that looks through a day's audit log; a day may be large."""

_FIND = """
SELECT u.id, u.username, u.deleted_at, e.finished_at FROM users u
LEFT JOIN aibridge_erasures e ON e.initiator_id = u.id
WHERE u.username = %(name)s OR u.id::text = %(name)s ORDER BY u.created_at
"""
_HELD = """
SELECT EXISTS (
    SELECT FROM aibridge_holds h WHERE h.released_at IS NULL AND (
        h.user_id = %(user)s::uuid OR (h.user_id IS NULL AND EXISTS (
            SELECT FROM aibridge_interceptions i
            WHERE i.initiator_id = %(user)s::uuid
              AND (h.from_day IS NULL OR h.from_day <= i.day)
              AND (h.to_day IS NULL OR i.day <= h.to_day)))))
"""
_BEGIN = """
INSERT INTO aibridge_erasures (initiator_id, pseudonym, requested_at)
VALUES (%s::uuid, %s, now()) ON CONFLICT (initiator_id) DO UPDATE SET pseudonym = aibridge_erasures.pseudonym
RETURNING pseudonym
"""  # noqa: E501
_REVOKE = """
UPDATE api_tokens SET revoked_at = coalesce(revoked_at, now()), name = ''
WHERE user_id = %s::uuid AND (revoked_at IS NULL OR name <> '')
"""
_DELETE = "UPDATE users SET deleted_at = now() WHERE id = %s::uuid AND deleted_at IS NULL"
_SIGN_OUT = """
DELETE FROM aibridge_page_sessions
WHERE token_id IN (SELECT id FROM api_tokens WHERE user_id = %s::uuid)
"""
_UNFINISHED = """
SELECT initiator_id, pseudonym FROM aibridge_erasures
WHERE finished_at IS NULL ORDER BY requested_at
"""
_USAGE = """
UPDATE aibridge_usage_daily SET username = %s WHERE initiator_id = %s::uuid
"""
_SESSIONS = "DELETE FROM aibridge_sessions WHERE initiator_id = %s::uuid"
_RENAME = "UPDATE users SET username = %s WHERE id = %s::uuid"
_FINISH = """
UPDATE aibridge_erasures SET finished_at = coalesce(finished_at, now())
WHERE initiator_id = %s::uuid
"""
_RECENT = """
SELECT initiator_id, pseudonym, extract(epoch FROM now() - requested_at)::float8
FROM aibridge_erasures WHERE requested_at > now() - %s * interval '1 second'
"""
_THEIRS = """
SELECT i.id, e.pseudonym FROM aibridge_interceptions i JOIN aibridge_erasures e USING (initiator_id)
WHERE i.day = {day} AND i.id = ANY(%s::uuid[])
"""


class Transactions(Protocol):
    """Where statements run."""

    async def transaction(
        self, work: Callable[[Cursor], Awaitable[T]], *, statement_seconds: float | None = None
    ) -> T:
        """Run `work` in one transaction; raises StoreError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasable:
    """A user as found by name or id."""

    id: UUID
    username: str
    deleted_at: datetime | None
    erased_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """A user who is being erased."""

    initiator_id: UUID
    pseudonym: str


class Recent(NamedTuple):
    """A user who was erased lately."""

    initiator_id: UUID
    pseudonym: str
    age_seconds: float
    """Since that was asked for."""


@dataclass(slots=True, kw_only=True)
class Erased:
    """What was erased."""

    interceptions: int = 0
    days: int = 0


async def find(cursor: Cursor, name: str) -> list[Erasable]:
    """Return the users called `name`, those who were deleted too, or the one of that id."""
    rows = await many(cursor, _FIND, {"name": name})
    return [
        Erasable(id=identifier, username=username, deleted_at=deleted, erased_at=finished)
        for identifier, username, deleted, finished in rows
    ]


async def is_held(cursor: Cursor, user: UUID) -> bool:
    """Return whether a hold forbids to erase this user."""
    (held,) = await one(cursor, _HELD, {"user": str(user)})
    return bool(held)


async def begin(cursor: Cursor, user: UUID) -> str | None:
    """Begin to erase a user: from the commit on nothing more of them is kept, or let in.

    Returns:
        The pseudonym; None when a hold forbids it.
    """
    await blanking.deciding(cursor)
    if await is_held(cursor, user):
        return None
    params = (str(user),)
    (pseudonym,) = await one(cursor, _BEGIN, (str(user), f"erased-{token_hex(4)}"))
    await none(cursor, _REVOKE, params)
    await none(cursor, _SIGN_OUT, params)
    await none(cursor, _DELETE, params)
    return str(pseudonym)


async def unfinished(cursor: Cursor) -> list[Erasure]:
    """Return the erasures that are under way."""
    return [
        Erasure(initiator_id=identifier, pseudonym=pseudonym)
        for identifier, pseudonym in await many(cursor, _UNFINISHED)
    ]


async def carry_out(database: Transactions, erasure: Erasure) -> Erased:
    """Erase what was stored before the erasure began; broken off, it may be done again.

    Raises:
        StoreError: not now; what was done stays done.
    """
    erased = Erased()
    user = erasure.initiator_id
    for day in await database.transaction(audited_days):
        after: UUID | None = None
        count = 0
        while True:
            after, done = await database.transaction(
                lambda cursor, day=day, after=after: blanking.erase_day(  # type: ignore[misc]
                    cursor, day, user, after
                )
            )
            count += done
            if after is None:
                break
        erased.interceptions += count
        erased.days += bool(count)
        entry: UUID | None = None
        while True:
            entry = await database.transaction(
                lambda cursor, day=day, entry=entry: audit_about.rename_next(  # type: ignore[misc]
                    cursor, day, user, entry
                ),
                statement_seconds=AUDIT_SECONDS,
            )
            if entry is None:
                break

    async def finish(cursor: Cursor) -> None:
        await none(cursor, _SESSIONS, (str(user),))
        await none(cursor, _USAGE, (erasure.pseudonym, str(user)))
        await none(cursor, _RENAME, (erasure.pseudonym, str(user)))
        await none(cursor, _FINISH, (str(user),))

    await database.transaction(finish)
    return erased


async def recent(cursor: Cursor, *, within_seconds: float) -> list[Recent]:
    """Return who was erased lately."""
    return [Recent(*row) for row in await many(cursor, _RECENT, (within_seconds,))]


async def theirs(cursor: Cursor, literal_day: str, identifiers: str) -> dict[UUID, str]:
    """Return which interceptions of a day are of somebody who was erased, and the pseudonym.

    Args:
        cursor: of a transaction.
        literal_day: the day as SQL.
        identifiers: the text of a uuid[].
    """
    return dict(await many(cursor, _THEIRS.format(day=literal_day), (identifiers,)))


async def finished(cursor: Cursor, user: UUID) -> bool:
    """Return whether this user has been erased."""
    row = await maybe(
        cursor, "SELECT finished_at FROM aibridge_erasures WHERE initiator_id = %s", (str(user),)
    )
    return row is not None and row[0] is not None
