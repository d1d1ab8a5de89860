"""Users and their bridge tokens as they are kept: digests, owners, ends, never a token's value."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

import msgspec

from bridge.domain.identity import Role, Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Somebody whose requests are theirs."""

    id: UUID
    """What `initiator_id` is in the records; never used again for another."""
    username: str
    """Unique among those who are not deleted."""
    roles: frozenset[Role]
    created_at: datetime
    disabled_at: datetime | None = None
    deleted_at: datetime | None = None
    """The row stays, because records name its id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A bridge token without its value."""

    id: str
    """Public; 12 base62 characters; what `api_key_id` is in the records."""
    digest: bytes
    """SHA-256 of the whole token."""
    user_id: UUID
    username: str
    name: str
    """What its user calls it; "" for nothing."""
    scope: Scope
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None = None


class TokenState(StrEnum):
    """Whether a token is any good, and if not, why."""

    GOOD = "good"
    REVOKED = "revoked"
    EXPIRED = "expired"
    USER_DISABLED = "user disabled"
    USER_DELETED = "user deleted"


class ListedUser(msgspec.Struct, frozen=True, kw_only=True):
    """A user as lists show it; as JSON the one of the API and the command line."""

    id: UUID
    username: str
    roles: tuple[Role, ...]
    """By name."""
    created_at: datetime
    disabled_at: datetime | None
    """Since when everything of it is refused; null while enabled."""
    deleted_at: datetime | None
    """Null while it exists."""


class ListedToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token as lists show it, without anything that could be used; likewise as JSON."""

    id: str
    """Public; the `api_key_id` of records."""
    user_id: UUID
    username: str
    name: str
    scope: Scope
    state: TokenState
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None


def listed_user(user: User) -> ListedUser:
    """Return `user` as lists show it."""
    return ListedUser(
        id=user.id,
        username=user.username,
        roles=tuple(sorted(user.roles)),
        created_at=user.created_at,
        disabled_at=user.disabled_at,
        deleted_at=user.deleted_at,
    )


def state_of(
    *,
    now: datetime,
    expires_at: datetime,
    revoked_at: datetime | None,
    user_disabled_at: datetime | None,
    user_deleted_at: datetime | None,
) -> TokenState:
    """Return what a token is worth at `now`; what cannot be undone is said first."""
    if revoked_at is not None:
        return TokenState.REVOKED
    if user_deleted_at is not None:
        return TokenState.USER_DELETED
    if expires_at <= now:
        return TokenState.EXPIRED
    if user_disabled_at is not None:
        return TokenState.USER_DISABLED
    return TokenState.GOOD


class IssuedToken(msgspec.Struct, frozen=True, kw_only=True):
    """What checking a token needs; all times are seconds since the epoch."""

    id: str
    digest: bytes
    """SHA-256 of the whole token."""
    scope: Scope
    expires_at: float
    revoked_at: float | None = None
    user_id: UUID
    username: str
    roles: tuple[Role, ...]
    disabled_at: float | None = None
    """When its user was disabled; None while enabled."""
    deleted_at: float | None = None
    """When its user was deleted."""


class IssuedTokens(msgspec.Struct, frozen=True, kw_only=True):
    """All tokens, as they were at one version of the database's users and tokens."""

    version: int
    """Grows with every change of a user or a token."""
    tokens: tuple[IssuedToken, ...]
