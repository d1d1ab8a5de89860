"""`aibridge token`: what clients authenticate with."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import click

from bridge.auth.rules import checked_lifetime, checked_username
from bridge.auth.token import ID_LENGTH, contains_token_shape, token_id
from bridge.cli.administration import administration, shown_json, shown_time
from bridge.cli.configuration import Configuration
from bridge.cli.session import Session, run_with_store
from bridge.cli.tables import print_table
from bridge.config import options
from bridge.domain.clock import utc
from bridge.domain.errors import BadRequest
from bridge.domain.identity import Scope, Secret
from bridge.domain.tokens import Token, User
from bridge.domain.units import format_duration, parse_duration
from bridge.store import identity
from bridge.store.pool import Cursor

_ID = re.compile(rf"[0-9A-Za-z]{{{ID_LENGTH}}}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A token, and whether it is any good."""

    token: Token
    state: str
    """`good`, `revoked`, `expired`, `user disabled` or `user deleted`."""


@click.group()
def command() -> None:
    """The tokens that clients send."""


@command.command()
@click.option("--user", "username", metavar="NAME", required=True, help="Whose it is to be.")
@click.option(
    "--scope",
    type=click.Choice([scope.value for scope in Scope]),
    default=Scope.INFERENCE.value,
    show_default=True,
    help="inference asks models and nothing else; manage is for people and scripts that manage.",
)
@click.option("--name", default="", metavar="TEXT", help="What its user calls it.")
@click.option(
    "--lifetime",
    metavar="DURATION",
    help="Such as 30d or 12h; tokens.default_lifetime when left out.",
)
@click.pass_obj
def create(
    configuration: Configuration, username: str, scope: str, name: str, lifetime: str | None
) -> None:
    """Make a token, and print it alone on standard output; it is never shown again."""
    settings = configuration.settings
    seconds = checked_lifetime(
        _seconds(lifetime),
        default=settings[options.TOKEN_DEFAULT_LIFETIME],
        longest=settings[options.TOKEN_MAX_LIFETIME],
    )
    token, value = run_with_store(
        settings,
        lambda session: create_token(
            session, username, scope=Scope(scope), name=name, lifetime=seconds
        ),
    )
    click.echo(
        f"Token {token.id} of {username}, scope {scope}, good for {format_duration(seconds)}, "
        f"until {shown_time(token.expires_at)}. It cannot be shown again:",
        err=True,
    )
    click.echo(value.reveal())


@command.command("list")
@click.option("--user", "username", metavar="NAME", help="Only this user's.")
@click.option("--all", "ended_too", is_flag=True, help="Expired and revoked ones too.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
@click.pass_obj
def list_(
    configuration: Configuration, *, username: str | None, ended_too: bool, as_json: bool
) -> None:
    """List the tokens; their values are not known to anybody but their holders."""
    found = run_with_store(
        configuration.settings,
        lambda session: list_tokens(session, username, ended_too=ended_too),
    )
    if as_json:
        click.echo(shown_json([_as_json(listed) for listed in found]))
        return
    print_table(
        ("ID", "USER", "NAME", "SCOPE", "STATE", "EXPIRES", "CREATED"),
        [
            (
                listed.token.id,
                listed.token.username,
                listed.token.name,
                listed.token.scope.value,
                listed.state,
                shown_time(listed.token.expires_at),
                shown_time(listed.token.created_at),
            )
            for listed in found
        ],
        empty="No tokens.",
    )


@command.command()
@click.argument("token", metavar="ID", required=False)
@click.option("--user", "username", metavar="NAME", help="All tokens of this user.")
@click.pass_obj
def revoke(configuration: Configuration, token: str | None, username: str | None) -> None:
    """Revoke the token ID, or all tokens of a user.

    They stop working within a second where the database is reached, and running answers are cut
    within a minute.
    """
    if (token is None) == (username is None):
        raise click.UsageError("Give the ID of a token, or --user NAME.")
    settings = configuration.settings
    if username is not None:
        revoked = run_with_store(settings, lambda session: revoke_tokens_of(session, username))
        count = "1 token" if len(revoked) == 1 else f"{len(revoked)} tokens"
        click.echo(f"Revoked {count} of {username}.")
        return
    identifier = token_id_from(token or "")
    if run_with_store(settings, lambda session: revoke_token(session, identifier)):
        click.echo(f"Revoked the token {identifier}.")
    else:
        click.echo(f"The token {identifier} was revoked already.")


def token_id_from(text: str) -> str:
    """Return the id that `text` is; also of a whole token, as when somebody found one.

    Raises:
        BadRequest: it is neither; the sentence does not repeat it.
    """
    identifier = token_id(text) or text
    if _ID.fullmatch(identifier) is None:
        what = "a token that was cut or mistyped" if contains_token_shape(text.encode()) else "text"
        raise BadRequest(
            f"Expected the {ID_LENGTH} letters and digits of a token's id, not {what}; "
            "`aibridge token list` shows them."
        )
    return identifier


async def create_token(
    session: Session, username: str, *, scope: Scope, name: str, lifetime: float
) -> tuple[Token, Secret]:
    """Make a token, and return it with its value, which nobody else ever sees.

    Args:
        session: the database.
        username: whose it is.
        scope: what it may be used for.
        name: what its user calls it.
        lifetime: seconds.

    Raises:
        NotFound: there is no such user.
        BadRequest: no user or no token may be called so.
        StoreError: the database does not take it.
        Unavailable: it could not be recorded, so it was not done.
    """
    return await administration(session).create_token(
        username, scope=scope, name=name, lifetime=lifetime
    )


async def list_tokens(
    session: Session, username: str | None, *, ended_too: bool
) -> tuple[Listed, ...]:
    """Return the tokens by user and age.

    Raises:
        StoreError: the database does not say.
    """
    if username is not None:
        checked_username(username)
    now = utc(session.reactor.seconds())

    async def work(cursor: Cursor) -> tuple[Listed, ...]:
        tokens = await identity.tokens_of(cursor, username, now=now, ended_too=ended_too)
        users = {user.id: user for user in await identity.users(cursor, deleted_too=True)}
        return tuple(Listed(token=each, state=_state(each, users, now)) for each in tokens)

    return await session.pool.transaction(work, read_only=True)


async def revoke_token(session: Session, identifier: str) -> bool:
    """Revoke a token; False when it was revoked already.

    Raises:
        NotFound: there is no such token.
        StoreError: the database does not take it.
        Unavailable: it could not be recorded, so it was not done.
    """
    return await administration(session).revoke_token(identifier)


async def revoke_tokens_of(session: Session, username: str) -> tuple[str, ...]:
    """Revoke all tokens of a user, and return their ids.

    Raises:
        NotFound: there is no such user.
        StoreError: the database does not take it.
        Unavailable: it could not be recorded, so it was not done.
    """
    return await administration(session).revoke_tokens_of(username)


def _seconds(lifetime: str | None) -> float | None:
    if lifetime is None:
        return None
    try:
        return parse_duration(lifetime)
    except ValueError as e:
        raise BadRequest(f"--lifetime: {e}") from e


def _state(token: Token, users: Mapping[UUID, User], now: datetime) -> str:
    user = users.get(token.user_id)
    if token.revoked_at is not None:
        return "revoked"
    if user is not None and user.deleted_at is not None:
        return "user deleted"
    if token.expires_at <= now:
        return "expired"
    if user is not None and user.disabled_at is not None:
        return "user disabled"
    return "good"


def _as_json(listed: Listed) -> dict[str, object]:
    token = listed.token
    return {
        "id": token.id,
        "user_id": str(token.user_id),
        "username": token.username,
        "name": token.name,
        "scope": token.scope.value,
        "state": listed.state,
        "created_at": token.created_at,
        "expires_at": token.expires_at,
        "revoked_at": token.revoked_at,
    }
