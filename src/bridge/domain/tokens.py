"""What a process knows of everybody's bridge tokens: digests, owners and ends, never a value."""

from __future__ import annotations

from uuid import UUID

import msgspec

from bridge.domain.identity import Role, Scope


class IssuedToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token with what its user is; all times are seconds since the epoch."""

    id: str
    """Public; 12 base62 characters."""
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
