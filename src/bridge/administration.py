"""Changes of users and tokens: what the command line and the pages both do, and write down."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Protocol, TypeVar

from bridge.auth.audit import change
from bridge.auth.rules import checked_token_name, checked_username
from bridge.auth.token import new_token
from bridge.domain.clock import Clock, utc
from bridge.domain.errors import BadRequest, NotFound
from bridge.domain.identity import Actor, Role, Scope, Secret
from bridge.domain.ids import uuid7
from bridge.domain.records import AuditRecorded
from bridge.domain.tokens import Token, User
from bridge.store import identity
from bridge.store.connection import Cursor

T = TypeVar("T")


class Transactions(Protocol):
    """Where statements run."""

    async def transaction(
        self, work: Callable[[Cursor], Awaitable[T]], *, read_only: bool = False
    ) -> T:
        """Run `work` in one transaction."""


class Administration:
    """Changes users and tokens in somebody's name.

    Each change makes sure first that it could be recorded. Raises of each: StoreError when the
    database does not take it; Unavailable when it could not be recorded, and so was not done.
    """

    def __init__(
        self,
        *,
        pool: Transactions,
        audit: Callable[[Sequence[AuditRecorded]], Awaitable[None]],
        clock: Clock,
        source: str,
        actor: Actor | None = None,
        actor_name: str | None = None,
    ) -> None:
        """Change things.

        Args:
            pool: where statements run.
            audit: keeps audit records, safe on disk when it comes back; of none it says whether
                any could be kept, by raising Unavailable.
            clock: gives the time.
            source: where the changes come from: an address, or `command line`.
            actor: who makes them, when a token said so.
            actor_name: who makes them, when only a name is known.
        """
        self._pool = pool
        self._audit = audit
        self._clock = clock
        self._source = source
        self._actor = actor
        self._actor_name = actor_name

    async def create_user(self, name: str, roles: frozenset[Role]) -> User:
        """Create a user, and return it.

        Raises:
            BadRequest: nobody may be called so, or somebody is already.
        """
        checked_username(name)
        await self._audit(())
        now = self._clock.seconds()
        user = User(id=uuid7(now), username=name, roles=roles, created_at=utc(now))
        if not await self._pool.transaction(lambda cursor: identity.create_user(cursor, user)):
            raise BadRequest(f"There is a user {name} already.")
        await self._note("user.create", name, {"roles": _words(roles)})
        return user

    async def disable_user(self, name: str) -> None:
        """Refuse everything from a user until it is enabled again.

        Raises:
            BadRequest: nobody may be called so.
            NotFound: nobody is called so.
        """
        at = utc(self._clock.seconds())
        await self._change_user(
            name, "user.disable", lambda cursor: identity.disable_user(cursor, name, at)
        )

    async def enable_user(self, name: str) -> None:
        """Undo `disable_user`; raises the same."""
        await self._change_user(
            name, "user.enable", lambda cursor: identity.enable_user(cursor, name)
        )

    async def delete_user(self, name: str) -> None:
        """Delete a user and revoke its tokens; raises like `disable_user`."""
        at = utc(self._clock.seconds())
        await self._change_user(
            name, "user.delete", lambda cursor: identity.delete_user(cursor, name, at)
        )

    async def set_roles(self, name: str, roles: frozenset[Role]) -> None:
        """Give a user exactly `roles`; raises like `disable_user`."""
        await self._change_user(
            name,
            "user.set-role",
            lambda cursor: identity.set_roles(cursor, name, roles),
            {"roles": _words(roles)},
        )

    async def create_token(
        self, username: str, *, scope: Scope, name: str, lifetime: float
    ) -> tuple[Token, Secret]:
        """Make a token, and return it with its value, which nobody else ever sees.

        Args:
            username: whose it is.
            scope: what it may be used for.
            name: what its user calls it.
            lifetime: seconds.

        Raises:
            NotFound: there is no such user.
            BadRequest: no user or no token may be called so.
        """
        checked_username(username)
        checked_token_name(name)
        await self._audit(())
        made = new_token()
        created_at = utc(self._clock.seconds())

        async def work(cursor: Cursor) -> Token | None:
            user = await identity.user_named(cursor, username)
            if user is None:
                return None
            token = Token(
                id=made.id,
                digest=made.digest,
                user_id=user.id,
                username=username,
                name=name,
                scope=scope,
                created_at=created_at,
                expires_at=created_at + timedelta(seconds=lifetime),
            )
            await identity.create_token(cursor, token)
            return token

        token = await self._pool.transaction(work)
        if token is None:
            raise NotFound(f"There is no user {username}; `aibridge user create` makes one.")
        detail = {
            "user": username,
            "scope": scope.value,
            "name": name,
            "expires_at": token.expires_at.isoformat(),
        }
        await self._note("token.create", token.id, detail)
        return token, made.value

    async def revoke_token(self, identifier: str) -> bool:
        """Revoke a token; False when it was revoked already.

        Raises:
            NotFound: there is no such token.
        """
        await self._audit(())
        at = utc(self._clock.seconds())
        revoked = await self._pool.transaction(
            lambda cursor: identity.revoke_token(cursor, identifier, at)
        )
        if revoked is None:
            raise NotFound(
                f"There is no token {identifier}; `aibridge token list --all` shows all."
            )
        if revoked:
            await self._note("token.revoke", identifier)
        return revoked

    async def revoke_tokens_of(self, username: str) -> tuple[str, ...]:
        """Revoke all tokens of a user, and return their ids.

        Raises:
            NotFound: there is no such user.
        """
        checked_username(username)
        await self._audit(())
        at = utc(self._clock.seconds())

        async def work(cursor: Cursor) -> tuple[str, ...] | None:
            if await identity.user_named(cursor, username) is None:
                return None
            return await identity.revoke_tokens_of(cursor, username, at)

        revoked = await self._pool.transaction(work)
        if revoked is None:
            raise NotFound(f"There is no user {username}.")
        await self._audit(
            [self._changed("token.revoke", each, {"user": username}) for each in revoked]
        )
        return revoked

    async def _change_user(
        self,
        name: str,
        action: str,
        work: Callable[[Cursor], Awaitable[bool]],
        detail: Mapping[str, object] | None = None,
    ) -> None:
        checked_username(name)
        await self._audit(())
        if not await self._pool.transaction(work):
            raise NotFound(f"There is no user {name}.")
        await self._note(action, name, detail)

    async def _note(
        self, action: str, target: str, detail: Mapping[str, object] | None = None
    ) -> None:
        await self._audit([self._changed(action, target, detail)])

    def _changed(
        self, action: str, target: str, detail: Mapping[str, object] | None = None
    ) -> AuditRecorded:
        return change(
            action,
            target=target,
            now=self._clock.seconds(),
            source=self._source,
            actor=self._actor,
            actor_name=self._actor_name,
            detail=detail,
        )


def _words(roles: frozenset[Role]) -> list[str]:
    return sorted(role.value for role in roles)
