"""Users and tokens in the database; every change tells all bridges by NOTIFY (see the schema)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from bridge.domain.identity import Role, Scope
from bridge.domain.tokens import (
    IssuedToken,
    IssuedTokens,
    ListedToken,
    Token,
    User,
    state_of,
)
from bridge.store.pool import Cursor
from bridge.store.rows import many, maybe, none, one

CHANNEL = "aibridge_identity"
"""NOTIFY channel of every change."""

_FIRST_START_LOCK = 0x6169_6264_0001  # "aibd"; any number that nobody else uses

_LOCK = "SELECT pg_advisory_xact_lock(%s)"
_ANYBODY = "SELECT EXISTS (SELECT FROM users)"
_VERSION = "SELECT version FROM aibridge_identity_version"
_ISSUED = """
SELECT t.id, t.digest, t.scope, t.expires_at, t.revoked_at,
       u.id, u.username, u.roles, u.disabled_at, u.deleted_at
FROM api_tokens t JOIN users u ON u.id = t.user_id
WHERE t.expires_at > %(since)s
  AND (t.revoked_at IS NULL OR t.revoked_at > %(since)s)
  AND (u.deleted_at IS NULL OR u.deleted_at > %(since)s)
"""
_USER_COLUMNS = "id, username, roles, created_at, disabled_at, deleted_at"
_CREATE_USER = """
INSERT INTO users (id, username, roles, created_at)
VALUES (%(id)s::uuid, %(username)s, %(roles)s::text[], %(created_at)s)
ON CONFLICT (username) WHERE deleted_at IS NULL DO NOTHING
"""
_USER_NAMED = f"SELECT {_USER_COLUMNS} FROM users WHERE username = %s AND deleted_at IS NULL"  # noqa: S608  # constants only
_USERS = f"""
SELECT {_USER_COLUMNS} FROM users
WHERE (%(deleted_too)s OR deleted_at IS NULL)
  AND (%(only)s::uuid IS NULL OR id = %(only)s::uuid)
  AND (%(after)s::uuid IS NULL OR (username, created_at, id) >
       (SELECT username, created_at, id FROM users WHERE id = %(after)s::uuid))
ORDER BY username, created_at, id
LIMIT %(limit)s
"""  # noqa: S608  # constants only
_DISABLE = """
UPDATE users SET disabled_at = coalesce(disabled_at, %s)
WHERE username = %s AND deleted_at IS NULL
"""
_ENABLE = "UPDATE users SET disabled_at = NULL WHERE username = %s AND deleted_at IS NULL"
_DELETE = "UPDATE users SET deleted_at = %s WHERE username = %s AND deleted_at IS NULL"
_SET_ROLES = "UPDATE users SET roles = %s::text[] WHERE username = %s AND deleted_at IS NULL"
_INSERT_DIGEST = """
INSERT INTO api_tokens (id, digest, user_id, name, scope, created_at, expires_at)
VALUES (%(id)s, %(digest)s, %(user_id)s::uuid, %(name)s, %(scope)s, %(created_at)s, %(expires_at)s)
"""
_LISTED = """
SELECT t.id, t.user_id, u.username, t.name, t.scope, t.created_at, t.expires_at, t.revoked_at,
       u.disabled_at, u.deleted_at
FROM api_tokens t JOIN users u ON u.id = t.user_id
"""
_TOKEN = f"{_LISTED} WHERE t.id = %s"
_TOKENS = f"""
{_LISTED}
WHERE (%(username)s::text IS NULL OR u.username = %(username)s)
  AND (%(only)s::uuid IS NULL OR u.id = %(only)s::uuid)
  AND (%(ended_too)s OR (
        t.expires_at > %(now)s AND t.revoked_at IS NULL
        AND u.disabled_at IS NULL AND u.deleted_at IS NULL))
  AND (%(after)s::text IS NULL OR (u.username, t.created_at, t.id) >
       (SELECT v.username, s.created_at, s.id
        FROM api_tokens s JOIN users v ON v.id = s.user_id WHERE s.id = %(after)s))
ORDER BY u.username, t.created_at, t.id
LIMIT %(limit)s
"""  # noqa: S608  # constants only
_REVOKE = """
UPDATE api_tokens SET revoked_at = %s WHERE id = %s AND revoked_at IS NULL RETURNING id
"""
_KNOWN = "SELECT EXISTS (SELECT FROM api_tokens WHERE id = %s)"
_REVOKE_ALL = """
UPDATE api_tokens SET revoked_at = %(at)s
WHERE revoked_at IS NULL AND expires_at > %(at)s
  AND user_id = (SELECT id FROM users WHERE username = %(username)s AND deleted_at IS NULL)
RETURNING id
"""


async def issued_tokens(cursor: Cursor, known_version: int, since: datetime) -> IssuedTokens | None:
    """Return the tokens that are good or ended after `since`; None while `known_version` holds."""
    (version,) = await one(cursor, _VERSION)
    if version == known_version:
        return None
    rows = await many(cursor, _ISSUED, {"since": since})
    return IssuedTokens(version=version, tokens=tuple(_issued_from(row) for row in rows))


async def create_first(
    cursor: Cursor, user: User, tokens: Sequence[Token], before_commit: Callable[[], None]
) -> bool:
    """Create `user` with `tokens` if there has never been a user, and say whether it was done.

    Of several bridges that start on one empty database exactly one does it. `before_commit` is
    called last; its error undoes everything.
    """
    await none(cursor, _LOCK, (_FIRST_START_LOCK,))
    (anybody,) = await one(cursor, _ANYBODY)
    if anybody:
        return False
    await create_user(cursor, user)
    for token in tokens:
        await create_token(cursor, token)
    before_commit()
    return True


async def create_user(cursor: Cursor, user: User) -> bool:
    """Create `user`; False when there is one of that name."""
    return (
        await none(
            cursor,
            _CREATE_USER,
            {
                "id": str(user.id),
                "username": user.username,
                "roles": _texts(user.roles),
                "created_at": user.created_at,
            },
        )
        == 1
    )


async def user_named(cursor: Cursor, username: str) -> User | None:
    """Return the user called `username`; None when there is none or it was deleted."""
    row = await maybe(cursor, _USER_NAMED, (username,))
    return _user_from(row) if row is not None else None


async def users(
    cursor: Cursor,
    *,
    deleted_too: bool = False,
    only: UUID | None = None,
    after: UUID | None = None,
    limit: int | None = None,
) -> tuple[User, ...]:
    """Return the users by name.

    Args:
        cursor: of the database.
        deleted_too: those who were deleted too.
        only: the id of the only one that is wanted.
        after: only those behind the user of this id; nobody when there is none.
        limit: so many at most; None for all.
    """
    rows = await many(
        cursor,
        _USERS,
        {
            "deleted_too": deleted_too,
            "only": _text(only),
            "after": _text(after),
            "limit": limit,
        },
    )
    return tuple(_user_from(row) for row in rows)


async def disable_user(cursor: Cursor, username: str, at: datetime) -> bool:
    """Refuse all tokens of `username` from now on; False when there is no such user."""
    return await none(cursor, _DISABLE, (at, username)) == 1


async def enable_user(cursor: Cursor, username: str) -> bool:
    """Undo `disable_user`; False when there is no such user."""
    return await none(cursor, _ENABLE, (username,)) == 1


async def delete_user(cursor: Cursor, username: str, at: datetime) -> bool:
    """Mark `username` deleted and revoke its tokens; False when there is no such user.

    Its records stay, and so does its row; the name can be given to somebody else.
    """
    await revoke_tokens_of(cursor, username, at)
    return await none(cursor, _DELETE, (at, username)) == 1


async def set_roles(cursor: Cursor, username: str, roles: frozenset[Role]) -> bool:
    """Give `username` exactly `roles`; False when there is no such user."""
    return await none(cursor, _SET_ROLES, (_texts(roles), username)) == 1


async def create_token(cursor: Cursor, token: Token) -> None:
    """Keep the digest of a new token."""
    await none(
        cursor,
        _INSERT_DIGEST,
        {
            "id": token.id,
            "digest": token.digest,
            "user_id": str(token.user_id),
            "name": token.name,
            "scope": token.scope.value,
            "created_at": token.created_at,
            "expires_at": token.expires_at,
        },
    )


async def tokens_of(
    cursor: Cursor,
    username: str | None,
    *,
    now: datetime,
    ended_too: bool = False,
    only: UUID | None = None,
    after: str | None = None,
    limit: int | None = None,
) -> tuple[ListedToken, ...]:
    """Return tokens by user and age.

    Args:
        cursor: of the database.
        username: whose; None for everybody's.
        now: the time.
        ended_too: also those that are no good any more.
        only: the id of the only user whose tokens are wanted.
        after: only those behind the token of this id; none when there is no such token.
        limit: so many at most; None for all.
    """
    rows = await many(
        cursor,
        _TOKENS,
        {
            "username": username,
            "now": now,
            "ended_too": ended_too,
            "only": _text(only),
            "after": after,
            "limit": limit,
        },
    )
    return tuple(_listed_from(row, now) for row in rows)


async def token_with_id(cursor: Cursor, token_id: str, *, now: datetime) -> ListedToken | None:
    """Return the token `token_id`, good or not; None when there is none."""
    row = await maybe(cursor, _TOKEN, (token_id,))
    return _listed_from(row, now) if row is not None else None


async def revoke_token(cursor: Cursor, token_id: str, at: datetime) -> bool | None:
    """Revoke a token; False when it was revoked already, None when there is no such token."""
    if await maybe(cursor, _REVOKE, (at, token_id)) is not None:
        return True
    (known,) = await one(cursor, _KNOWN, (token_id,))
    return False if known else None


async def revoke_tokens_of(cursor: Cursor, username: str, at: datetime) -> tuple[str, ...]:
    """Revoke all tokens of `username` that are still good, and return their ids."""
    rows = await many(cursor, _REVOKE_ALL, {"username": username, "at": at})
    return tuple(sorted(row[0] for row in rows))


def _texts(roles: frozenset[Role]) -> list[str]:
    return sorted(role.value for role in roles)


def _user_from(row: Sequence[Any]) -> User:
    identifier, username, roles, created_at, disabled_at, deleted_at = row
    return User(
        id=_uuid(identifier),
        username=username,
        roles=frozenset(Role(role) for role in roles),
        created_at=created_at,
        disabled_at=disabled_at,
        deleted_at=deleted_at,
    )


def _listed_from(row: Sequence[Any], now: datetime) -> ListedToken:
    (identifier, user_id, username, name, scope,
     created_at, expires_at, revoked_at, disabled_at, deleted_at) = row  # fmt: skip
    return ListedToken(
        id=identifier,
        user_id=_uuid(user_id),
        username=username,
        name=name,
        scope=Scope(scope),
        state=state_of(
            now=now,
            expires_at=expires_at,
            revoked_at=revoked_at,
            user_disabled_at=disabled_at,
            user_deleted_at=deleted_at,
        ),
        created_at=created_at,
        expires_at=expires_at,
        revoked_at=revoked_at,
    )


def _issued_from(row: Sequence[Any]) -> IssuedToken:
    (identifier, digest, scope, expires_at, revoked_at,
     user_id, username, roles, disabled_at, deleted_at) = row  # fmt: skip
    return IssuedToken(
        id=identifier,
        digest=bytes(digest),
        scope=Scope(scope),
        expires_at=expires_at.timestamp(),
        revoked_at=_seconds(revoked_at),
        user_id=_uuid(user_id),
        username=username,
        roles=tuple(Role(role) for role in sorted(roles)),
        disabled_at=_seconds(disabled_at),
        deleted_at=_seconds(deleted_at),
    )


def _seconds(at: datetime | None) -> float | None:
    return at.timestamp() if at is not None else None


def _text(identifier: UUID | None) -> str | None:
    return str(identifier) if identifier is not None else None


def _uuid(value: object) -> UUID:
    return value if isinstance(value, UUID) else UUID(str(value))
