"""The endpoints `users` and `tokens`: who may use the bridge, and with what."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from bridge.administration import Administration, Lifetimes
from bridge.auth.rules import MAX_TOKEN_NAME, USERNAME, checked_lifetime, is_token_id
from bridge.domain.clock import Clock, utc
from bridge.domain.errors import BadRequest, NotFound
from bridge.domain.identity import Actor, Role, Scope
from bridge.domain.tokens import ListedToken, ListedUser, listed_user
from bridge.store import identity
from bridge.store.accounts import (
    DEFAULT_LIMIT,
    MAX_LIMIT,
    MadeToken,
    Revoked,
    TokenList,
    UserList,
    list_tokens,
    list_users,
    made_token,
)
from bridge.web.access import Access
from bridge.web.endpoints import UUID_OR_NOTHING, Asked, Endpoint, Parameter, limit, wrong
from bridge.web.management_interceptions import Transactions

_OWNERS = frozenset({Role.OWNER})
_NO_USER = "There is no such user."
_NO_TOKEN = "There is no such token."  # noqa: S105 - what is said of one that is not there
_NO_ROLES = "A user has at least one role."
_SWITCH = {"enum": ["true", "false"]}
_Username = Annotated[str, Meta(pattern=f"^{USERNAME}$")]
_Roles = Annotated[tuple[Role, ...], Meta(min_length=1, max_length=len(Role))]
_USERNAME_IN_PATH = Parameter(
    name="username",
    description="The user's name.",
    schema={"type": "string"},
    where="path",
)
_TOKEN_IN_PATH = Parameter(
    name="token_id",
    description="The token's id, never the token itself.",
    schema={"type": "string"},
    where="path",
)


class NewUser(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who is to be created."""

    username: _Username
    roles: _Roles = (Role.MEMBER,)


class UserChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be different; what is null or not given stays."""

    roles: _Roles | None = None
    """Exactly those it is to have."""
    disabled: bool | None = None
    """Whether everything from it is refused."""


class NewToken(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What token is to be made."""

    username: _Username | None = None
    """Whose; null for one's own."""
    scope: Scope = Scope.INFERENCE
    name: Annotated[str, Meta(max_length=MAX_TOKEN_NAME)] = ""
    """What its user calls it."""
    lifetime_seconds: Annotated[int, Meta(gt=0, le=2**53)] | None = None
    """Null for tokens.default_lifetime; at most tokens.max_lifetime."""


class AccountEndpoints:
    """Manages users and tokens."""

    def __init__(
        self,
        *,
        access: Access,
        pool: Transactions,
        administration: Callable[[Actor, str], Administration],
        lifetimes: Lifetimes,
        clock: Clock,
    ) -> None:
        """Manage them.

        Args:
            access: says where a request comes from.
            pool: where is read.
            administration: makes changes in the name of an actor, who asks from an address.
            lifetimes: of new tokens.
            clock: gives the time.
        """
        self._access = access
        self._pool = pool
        self._administration = administration
        self._lifetimes = lifetimes
        self._clock = clock

    def endpoints(self) -> Sequence[Endpoint]:
        """Return what is served."""
        return (*self._of_users(), *self._of_tokens())

    def _of_users(self) -> Sequence[Endpoint]:
        one = {"path": "/users/{username}", "parameters": (_USERNAME_IN_PATH,)}
        return (
            Endpoint(
                name="users",
                path="/users",
                summary="Users by name: everybody to owners and auditors, to others themselves.",
                answer=self.users,
                returns=UserList,
                parameters=(
                    _switch("deleted", "Those who were deleted too."),
                    limit(DEFAULT_LIMIT, MAX_LIMIT),
                    Parameter(
                        name="after_id",
                        description="`next_after_id` of the page before.",
                        schema=UUID_OR_NOTHING,
                    ),
                ),
            ),
            Endpoint(
                name="create_user",
                path="/users",
                method="POST",
                summary="Creates a user.",
                answer=self.create_user,
                takes=NewUser,
                returns=ListedUser,
                roles=_OWNERS,
                conflict="Somebody is called so already.",
                status=201,
            ),
            Endpoint(
                name="user",
                summary="One user.",
                answer=self.user,
                returns=ListedUser,
                not_found=_NO_USER,
                **one,  # type: ignore[arg-type]  # path and parameters
            ),
            Endpoint(
                name="change_user",
                method="PATCH",
                summary="Changes a user's roles, disables or enables it.",
                answer=self.change_user,
                takes=UserChange,
                returns=ListedUser,
                roles=_OWNERS,
                not_found=_NO_USER,
                **one,  # type: ignore[arg-type]  # likewise
            ),
            Endpoint(
                name="delete_user",
                method="DELETE",
                summary="Deletes a user and revokes its tokens; its records stay.",
                answer=self.delete_user,
                returns=Revoked,
                roles=_OWNERS,
                not_found=_NO_USER,
                **one,  # type: ignore[arg-type]  # likewise
            ),
            Endpoint(
                name="revoke_tokens_of_user",
                path="/users/{username}/tokens",
                method="DELETE",
                summary="Revokes all tokens of a user.",
                answer=self.revoke_tokens_of,
                returns=Revoked,
                parameters=(_USERNAME_IN_PATH,),
                not_found=_NO_USER,
            ),
        )

    def _of_tokens(self) -> Sequence[Endpoint]:
        one = {"path": "/tokens/{token_id}", "parameters": (_TOKEN_IN_PATH,)}
        return (
            Endpoint(
                name="tokens",
                path="/tokens",
                summary="Tokens by user and age, never their values: everybody's to owners and "
                "auditors, to others their own.",
                answer=self.tokens,
                returns=TokenList,
                parameters=(
                    Parameter(
                        name="username",
                        description="Only this user's.",
                        schema={"type": "string", "maxLength": 63},
                    ),
                    _switch("ended", "Also those that are no good any more."),
                    limit(DEFAULT_LIMIT, MAX_LIMIT),
                    Parameter(
                        name="after_id",
                        description="`next_after_id` of the page before.",
                        schema={"type": "string", "maxLength": 64},
                    ),
                ),
            ),
            Endpoint(
                name="create_token",
                path="/tokens",
                method="POST",
                summary="Makes a token, whose value is in this answer and nowhere else.",
                answer=self.create_token,
                takes=NewToken,
                returns=MadeToken,
                not_found=_NO_USER,
                status=201,
            ),
            Endpoint(
                name="token",
                summary="One token, without its value.",
                answer=self.token,
                returns=ListedToken,
                not_found=_NO_TOKEN,
                **one,  # type: ignore[arg-type]  # path and parameters
            ),
            Endpoint(
                name="revoke_token",
                method="DELETE",
                summary="Revokes a token; one that was revoked already stays so.",
                answer=self.revoke_token,
                returns=Revoked,
                not_found=_NO_TOKEN,
                **one,  # type: ignore[arg-type]  # likewise
            ),
        )

    async def users(self, asked: Asked) -> UserList:
        """Return a page of users."""
        size = asked.limit(default=DEFAULT_LIMIT, most=MAX_LIMIT)
        after_id, deleted_too = asked.uuid("after_id"), _on(asked, "deleted")
        return await self._pool.transaction(
            lambda cursor: list_users(
                cursor,
                visible_to=_visible_to(asked),
                deleted_too=deleted_too,
                limit=size,
                after_id=after_id,
            ),
            read_only=True,
        )

    async def user(self, asked: Asked) -> ListedUser:
        """Return one user."""
        name = asked.path["username"]
        if _visible_to(asked) is not None and name != asked.actor.username:
            raise NotFound(_NO_USER)
        found = None
        if "\0" not in name:
            found = await self._pool.transaction(
                lambda cursor: identity.user_named(cursor, name), read_only=True
            )
        if found is None:
            raise NotFound(_NO_USER)
        return listed_user(found)

    async def create_user(self, asked: Asked) -> ListedUser:
        """Create a user."""
        wanted: NewUser = asked.body
        return listed_user(
            await self._changing(asked).create_user(wanted.username, frozenset(wanted.roles))
        )

    async def change_user(self, asked: Asked) -> ListedUser:
        """Change a user."""
        wanted: UserChange = asked.body
        if wanted.roles is None and wanted.disabled is None:
            raise BadRequest("Say what is to be changed: roles, disabled or both.")
        return listed_user(
            await self._changing(asked).change_user(
                asked.path["username"],
                roles=frozenset(wanted.roles) if wanted.roles is not None else None,
                disabled=wanted.disabled,
            )
        )

    async def delete_user(self, asked: Asked) -> Revoked:
        """Delete a user."""
        return Revoked(revoked=await self._changing(asked).delete_user(asked.path["username"]))

    async def revoke_tokens_of(self, asked: Asked) -> Revoked:
        """Revoke a user's tokens."""
        return Revoked(revoked=await self._changing(asked).revoke_tokens_of(asked.path["username"]))

    async def tokens(self, asked: Asked) -> TokenList:
        """Return a page of tokens."""
        size = asked.limit(default=DEFAULT_LIMIT, most=MAX_LIMIT)
        username, after_id = asked.text("username") or None, asked.text("after_id") or None
        ended_too = _on(asked, "ended")
        if username is not None and "\0" in username:
            raise wrong("username", "must be text, without NUL")
        if after_id is not None and not is_token_id(after_id):
            raise wrong("after_id", "is not the id of a token")
        return await self._pool.transaction(
            lambda cursor: list_tokens(
                cursor,
                visible_to=_visible_to(asked),
                now=utc(self._clock.seconds()),
                username=username,
                ended_too=ended_too,
                limit=size,
                after_id=after_id,
            ),
            read_only=True,
        )

    async def token(self, asked: Asked) -> ListedToken:
        """Return one token."""
        found = None
        if is_token_id(asked.path["token_id"]):
            found = await self._pool.transaction(
                lambda cursor: identity.token_with_id(
                    cursor, asked.path["token_id"], now=utc(self._clock.seconds())
                ),
                read_only=True,
            )
        if found is None or _visible_to(asked) not in (None, found.user_id):
            raise NotFound(_NO_TOKEN)
        return found

    async def create_token(self, asked: Asked) -> MadeToken:
        """Make a token."""
        wanted: NewToken = asked.body
        lifetime = checked_lifetime(
            wanted.lifetime_seconds,
            default=self._lifetimes.default,
            longest=self._lifetimes.longest,
        )
        token, value = await self._changing(asked).create_token(
            wanted.username or asked.actor.username,
            scope=wanted.scope,
            name=wanted.name,
            lifetime=lifetime,
        )
        return made_token(token, value)

    async def revoke_token(self, asked: Asked) -> Revoked:
        """Revoke a token."""
        identifier = asked.path["token_id"]
        done = await self._changing(asked).revoke_token(identifier)
        return Revoked(revoked=[identifier] if done else [])

    def _changing(self, asked: Asked) -> Administration:
        return self._administration(asked.actor, self._access.source(asked.request))


def _visible_to(asked: Asked) -> UUID | None:
    """Return whose account may be seen; None for everybody's."""
    if {Role.OWNER, Role.AUDITOR} & asked.actor.roles:
        return None
    return asked.actor.id


def _switch(name: str, description: str) -> Parameter:
    return Parameter(name=name, description=f"{description} `true` or `false`.", schema=_SWITCH)


def _on(asked: Asked, name: str) -> bool:
    text = asked.text(name)
    if text not in ("", "true", "false"):
        raise wrong(name, "must be true or false")
    return text == "true"
