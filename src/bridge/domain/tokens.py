"""Users and their bridge tokens as they are kept: digests, owners, ends, never a token's value."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
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
