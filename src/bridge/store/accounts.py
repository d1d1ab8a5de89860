"""Users and tokens read back page by page; encoded they are the JSON of the API."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from bridge.domain.errors import InvalidRequest, Validation
from bridge.domain.identity import Secret
from bridge.domain.tokens import ListedToken, ListedUser, Token, TokenState, listed_user
from bridge.store import identity
from bridge.store.connection import Cursor

DEFAULT_LIMIT = 100
MAX_LIMIT = 1000


class UserList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of users, by name."""

    users: Sequence[ListedUser]
    next_after_id: UUID | None
    """For the next page; null when this is the last."""


class TokenList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of tokens, by user and age."""

    tokens: Sequence[ListedToken]
    next_after_id: str | None
    """For the next page; null when this is the last."""


class MadeToken(ListedToken, frozen=True, kw_only=True):
    """A token that has just been made; nothing ever shows its value again."""

    value: str
    """What clients send."""

    def __repr__(self) -> str:
        """Return what may be seen by others."""
        return f"MadeToken(id={self.id!r})"


class Revoked(msgspec.Struct, frozen=True, kw_only=True):
    """What was revoked by this request."""

    revoked: Sequence[str]
    """Ids of tokens; those that were revoked before are not among them."""


async def list_users(
    cursor: Cursor,
    *,
    visible_to: UUID | None,
    deleted_too: bool = False,
    limit: int | None = DEFAULT_LIMIT,
    after_id: UUID | None = None,
) -> UserList:
    """Return a page of users.

    Args:
        cursor: of the database.
        visible_to: the only user that is shown; None for all.
        deleted_too: those who were deleted too.
        limit: so many at most; None for all.
        after_id: the last user of the page before.

    Raises:
        InvalidRequest: there is no such user.
    """
    if after_id is not None and (
        visible_to not in (None, after_id)
        or not await identity.users(cursor, deleted_too=True, only=after_id)
    ):
        raise _unknown(str(after_id))
    found = await identity.users(
        cursor,
        deleted_too=deleted_too,
        only=visible_to,
        after=after_id,
        limit=limit + 1 if limit is not None else None,
    )
    page = [listed_user(each) for each in found[:limit]]
    more = len(page) < len(found)
    return UserList(users=page, next_after_id=page[-1].id if more else None)


async def list_tokens(
    cursor: Cursor,
    *,
    visible_to: UUID | None,
    now: datetime,
    username: str | None = None,
    ended_too: bool = False,
    limit: int | None = DEFAULT_LIMIT,
    after_id: str | None = None,
) -> TokenList:
    """Return a page of tokens.

    Args:
        cursor: of the database.
        visible_to: the id of the only user whose tokens are shown; None for all.
        now: the time.
        username: whose are wanted; None for everybody's.
        ended_too: also those that are no good any more.
        limit: so many at most; None for all.
        after_id: the last token of the page before.

    Raises:
        InvalidRequest: there is no such token.
    """
    if after_id is not None:
        last = await identity.token_with_id(cursor, after_id, now=now)
        if last is None or visible_to not in (None, last.user_id):
            raise _unknown(after_id)
    found = await identity.tokens_of(
        cursor,
        username,
        now=now,
        ended_too=ended_too,
        only=visible_to,
        after=after_id,
        limit=limit + 1 if limit is not None else None,
    )
    page = found[:limit]
    more = len(page) < len(found)
    return TokenList(tokens=page, next_after_id=page[-1].id if more else None)


def made_token(token: Token, value: Secret) -> MadeToken:
    """Return a token that has just been made, with its value, for whoever asked for it."""
    return MadeToken(
        id=token.id,
        user_id=token.user_id,
        username=token.username,
        name=token.name,
        scope=token.scope,
        state=TokenState.GOOD,
        created_at=token.created_at,
        expires_at=token.expires_at,
        revoked_at=None,
        value=value.reveal(),
    )


def _unknown(text: str) -> InvalidRequest:
    detail = f"there is no {text[:64]!r} to go on behind"
    return InvalidRequest(
        "The query cannot be read.", [Validation(field="after_id", detail=detail)]
    )
