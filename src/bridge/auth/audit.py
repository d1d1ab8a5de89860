"""The audit record of a change to users, tokens or settings, or of reading others' content."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol
from uuid import UUID

from bridge.domain.clock import utc
from bridge.domain.identity import Actor
from bridge.domain.ids import day_of, uuid7
from bridge.domain.records import AuditRecorded
from bridge.domain.secrets import known_secrets

_NAMES = frozenset({"user", "user_id", "users"})
"""Members that hold users' names and ids."""


class Whose(Protocol):
    """Whose content something is."""

    @property
    def id(self) -> UUID:
        """Of the user."""

    @property
    def username(self) -> str:
        """Of the user."""


def read_of(users: Iterable[Whose]) -> dict[str, object]:
    """Return the detail that says whose content was read; the same user may come several times.

    **Shape**: `users` has the names, for people; `whose` has them by the users' ids, because a name
    may be given again, or erased while the record waits for the database.
    """
    whose = {str(each.id): each.username for each in users}
    names: dict[str, object] = {"users": sorted(set(whose.values()))}
    return names | {"whose": dict(sorted(whose.items()))} if whose else names


def change(
    action: str,
    *,
    target: str,
    now: float,
    source: str,
    actor: Actor | None = None,
    actor_name: str | None = None,
    reason: str = "",
    detail: Mapping[str, object] | None = None,
) -> AuditRecorded:
    """Return the record that `action` was done to `target`.

    Args:
        action: `user.create`, `token.revoke`, …
        target: a user's name, a token's id.
        now: seconds since the epoch.
        source: the client's address, `command line` or `first start`.
        actor: who did it, when a token said so.
        actor_name: who did it, when only a name is known, such as the system's user.
        reason: why, in words.
        detail: what changed, or was looked for; secrets in it are not written down. `user_id` is
            the id of the user whom it is about.
    """
    identifier = uuid7(now)
    return AuditRecorded(
        id=identifier,
        day=day_of(identifier),
        at=utc(now),
        action=action,
        actor_id=actor.id if actor is not None else None,
        actor_name=actor.username if actor is not None else actor_name,
        token_id=actor.token_id if actor is not None else None,
        target=target,
        status=None,
        reason=reason,
        source=source,
        detail={name: _recorded(name, value) for name, value in (detail or {}).items()},
    )


def _recorded(name: str, value: object) -> object:
    """Return a member as it is written down: who looks for a leaked key may have named it."""
    if isinstance(value, str) and name not in _NAMES:
        return known_secrets().redacted(value)[0]
    return value
