"""Changes of users and tokens: what command line, pages and API all do, allow and write down."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol, TypeVar

from bridge.auth.audit import change
from bridge.auth.rules import (
    checked_new_username,
    checked_token_name,
    checked_username,
    is_token_id,
)
from bridge.auth.token import new_token
from bridge.domain.clock import Clock, utc
from bridge.domain.errors import BadRequest, Conflict, Forbidden, NotFound
from bridge.domain.identity import Actor, Role, Scope, Secret
from bridge.domain.ids import uuid7
from bridge.domain.records import AuditRecorded, Record
from bridge.domain.tokens import ListedToken, Token, User
from bridge.store import identity
from bridge.store.connection import Cursor

T = TypeVar("T")

_NOT_YOURSELF = "You cannot do that to yourself: nobody might be left to undo it."


class Transactions(Protocol):
    """Where statements run."""

    async def transaction(
        self, work: Callable[[Cursor], Awaitable[T]], *, read_only: bool = False
    ) -> T:
        """Run `work` in one transaction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetimes:
    """How long tokens live, seconds."""

    default: float
    longest: float


class Administration:
    """Changes users and tokens in somebody's name.

    Owners, and whoever uses the command line, change everything but take from themselves neither
    their role of owner nor their account; others make and revoke tokens of their own. What is not
    theirs is not there for them, unless they are auditors, who see it and may not change it.

    Each change makes sure first that it could be recorded. Raises of each: Forbidden when it is
    not allowed; StoreError when the database does not take it; Unavailable when it could not be
    recorded, and so was not done.
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
            BadRequest: nobody may be called so, or it would have no role.
            Conflict: somebody is called so already.
        """
        self._must_own()
        checked_new_username(name)
        _checked_roles(roles)
        await self._audit(())
        now = self._clock.seconds()
        user = User(id=uuid7(now), username=name, roles=roles, created_at=utc(now))
        if not await self._pool.transaction(lambda cursor: identity.create_user(cursor, user)):
            raise Conflict(f"There is a user {name} already.")
        detail = {"roles": _words(roles), "user_id": str(user.id)}
        await self._note("user.create", name, detail)
        return user

    async def change_user(
        self, name: str, *, roles: frozenset[Role] | None = None, disabled: bool | None = None
    ) -> User:
        """Change a user, all at once, and return it as it is then.

        Args:
            name: whom.
            roles: exactly those it is to have; None leaves them.
            disabled: refuse everything from it, or not any more; None leaves that.

        Raises:
            BadRequest: nobody may be called so, it would have no role, or it is oneself.
            NotFound: nobody is called so.
        """
        self._must_own()
        checked_username(name)
        if roles is not None:
            _checked_roles(roles)
        if disabled or (roles is not None and Role.OWNER not in roles):
            self._must_be_another(name)
        await self._audit(())
        at = utc(self._clock.seconds())

        async def work(cursor: Cursor) -> User | None:
            if roles is not None:
                await identity.set_roles(cursor, name, roles)
            if disabled is not None:
                await (
                    identity.disable_user(cursor, name, at)
                    if disabled
                    else identity.enable_user(cursor, name)
                )
            return await identity.user_named(cursor, name)

        user = await self._pool.transaction(work)
        if user is None:
            raise NotFound(f"There is no user {name}.")
        done = []
        whom = {"user_id": str(user.id)}
        if roles is not None:
            done.append(self._changed("user.set-role", name, {"roles": _words(roles), **whom}))
        if disabled is not None:
            done.append(self._changed("user.disable" if disabled else "user.enable", name, whom))
        await self._audit(done)
        return user

    async def delete_user(self, name: str) -> tuple[str, ...]:
        """Delete a user and revoke its tokens, whose ids are returned.

        Raises:
            BadRequest: nobody may be called so, or it is oneself.
            NotFound: nobody is called so.
        """
        self._must_own()
        checked_username(name)
        self._must_be_another(name)
        await self._audit(())
        at = utc(self._clock.seconds())

        async def work(cursor: Cursor) -> tuple[User, tuple[str, ...]] | None:
            user = await identity.user_named(cursor, name)
            revoked = await identity.revoke_tokens_of(cursor, name, at)
            deleted = await identity.delete_user(cursor, name, at)
            return (user, revoked) if user is not None and deleted else None

        done = await self._pool.transaction(work)
        if done is None:
            raise NotFound(f"There is no user {name}.")
        user, revoked = done
        await self._note("user.delete", name, {"user_id": str(user.id)})
        return revoked

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
            BadRequest: no user or no token may be called so, or the user is disabled.
        """
        checked_username(username)
        checked_token_name(name)
        self._must_be_theirs(
            self._actor is not None and username == self._actor.username,
            f"There is no user {username}.",
        )
        await self._audit(())
        made = new_token()
        created_at = utc(self._clock.seconds())

        async def work(cursor: Cursor) -> Token | None:
            user = await identity.user_named(cursor, username)
            if user is None:
                return None
            if user.disabled_at is not None:
                raise BadRequest(
                    f"{username} is disabled, a token would not be good; enable the user first."
                )
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
            "user_id": str(token.user_id),
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
        if not is_token_id(identifier):
            raise NotFound("There is no such token.")
        await self._audit(())
        at = utc(self._clock.seconds())

        async def work(cursor: Cursor) -> tuple[bool, ListedToken]:
            token = await identity.token_with_id(cursor, identifier, now=at)
            nothing = f"There is no token {identifier}; `aibridge token list --all` shows all."
            if token is None:
                raise NotFound(nothing)
            self._must_be_theirs(
                self._actor is not None and token.user_id == self._actor.id, nothing
            )
            return await identity.revoke_token(cursor, identifier, at) is True, token

        revoked, token = await self._pool.transaction(work)
        if revoked:
            detail = {"user": token.username, "user_id": str(token.user_id)}
            await self._note("token.revoke", identifier, detail)
        return revoked

    async def revoke_tokens_of(self, username: str) -> tuple[str, ...]:
        """Revoke all tokens of a user, and return their ids.

        Raises:
            NotFound: there is no such user.
        """
        checked_username(username)
        nothing = f"There is no user {username}."
        self._must_be_theirs(self._actor is not None and username == self._actor.username, nothing)
        await self._audit(())
        at = utc(self._clock.seconds())

        async def work(cursor: Cursor) -> tuple[User, tuple[str, ...]] | None:
            user = await identity.user_named(cursor, username)
            if user is None:
                return None
            return user, await identity.revoke_tokens_of(cursor, username, at)

        done = await self._pool.transaction(work)
        if done is None:
            raise NotFound(nothing)
        user, revoked = done
        detail = {"user": username, "user_id": str(user.id)}
        await self._audit([self._changed("token.revoke", each, detail) for each in revoked])
        return revoked

    def _must_own(self) -> None:
        if self._actor is not None and Role.OWNER not in self._actor.roles:
            raise Forbidden("This is for users with the role owner.")

    def _must_be_another(self, name: str) -> None:
        if self._actor is not None and name == self._actor.username:
            raise BadRequest(_NOT_YOURSELF)

    def _must_be_theirs(self, theirs: bool, nothing: str) -> None:
        """Refuse what belongs to somebody else, unless an owner asks; `nothing` hides it."""
        if self._actor is None or theirs or Role.OWNER in self._actor.roles:
            return
        if Role.AUDITOR in self._actor.roles:
            raise Forbidden("Auditors see others' tokens; owners change them.")
        raise NotFound(nothing)

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


def administration_by(
    *,
    pool: Transactions,
    append: Callable[[Sequence[Record]], object],
    durable: Callable[[], Awaitable[object]],
    clock: Clock,
) -> Callable[[Actor, str], Administration]:
    """Return what makes changes in the name of an actor, who asks from an address.

    Args:
        pool: where statements run.
        append: writes records into the journal.
        durable: waits until what was written is safe on disk.
        clock: gives the time.
    """

    async def audit(records: Sequence[AuditRecorded]) -> None:
        append(records)
        await durable()

    def administration(actor: Actor, source: str) -> Administration:
        return Administration(pool=pool, audit=audit, clock=clock, source=source, actor=actor)

    return administration


def _checked_roles(roles: frozenset[Role]) -> None:
    if not roles:
        raise BadRequest("A user has at least one role.")


def _words(roles: frozenset[Role]) -> list[str]:
    return sorted(role.value for role in roles)
