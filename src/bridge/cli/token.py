"""`aibridge token`: what clients authenticate with."""

from __future__ import annotations

import math

import click

from bridge.auth.rules import checked_lifetime, checked_username, is_token_id
from bridge.auth.token import ID_LENGTH, contains_token_shape, token_id
from bridge.cli.administration import administration, examples, print_json, shown_time
from bridge.cli.session import Session
from bridge.cli.sources import Question, Source, managing
from bridge.cli.tables import Layout, print_table
from bridge.cli.user import revoking
from bridge.config import options
from bridge.config.settings import Settings
from bridge.domain.clock import utc
from bridge.domain.errors import BadRequest
from bridge.domain.identity import Scope
from bridge.domain.tokens import ListedToken
from bridge.domain.units import format_duration, parse_duration
from bridge.store.accounts import (
    MAX_LIMIT,
    MadeToken,
    Revoked,
    TokenList,
    list_tokens,
    made_token,
)


@click.group()
def command() -> None:
    """The tokens that clients send."""


@command.command(
    epilog=examples(
        "aibridge token create --user ada --lifetime 30d > token",
        "aibridge token create --scope manage --url https://bridge.example --token-file token",
    )
)
@click.option(
    "--user",
    "username",
    metavar="NAME",
    help="Whose it is to be; over the API one's own when left out.",
)
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
@managing
def create(
    source: Source, /, *, username: str | None, scope: str, name: str, lifetime: str | None
) -> None:
    """Make a token, and print it alone on standard output; it is never shown again."""
    if username is None and source.remote is None:
        raise click.UsageError("Name whose it is to be: --user NAME.")
    wanted = _seconds(lifetime)
    if source.remote is None:
        wanted = _allowed(wanted, source.configuration.settings)
    made = source.ask(creating(username, scope=Scope(scope), name=name, lifetime=wanted))
    seconds = (made.expires_at - made.created_at).total_seconds()
    click.echo(
        f"Token {made.id} of {made.username}, scope {scope}, good for {format_duration(seconds)}, "
        f"until {shown_time(made.expires_at)}. It cannot be shown again:",
        err=True,
    )
    click.echo(made.value)


@command.command("list")
@click.option("--user", "username", metavar="NAME", help="Only this user's.")
@click.option("--all", "ended_too", is_flag=True, help="Expired and revoked ones too.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
@managing
def list_(source: Source, /, *, username: str | None, ended_too: bool, as_json: bool) -> None:
    """List the tokens; their values are not known to anybody but their holders."""
    found = all_tokens(source, username, ended_too=ended_too)
    if as_json:
        print_json(found)
        return
    print_table(
        ("ID", "USER", "NAME", "SCOPE", "STATE", "EXPIRES", "CREATED"),
        [
            (
                each.id,
                each.username,
                each.name,
                each.scope.value,
                each.state.value,
                shown_time(each.expires_at),
                shown_time(each.created_at),
            )
            for each in found
        ],
        empty="No tokens.",
        layout=Layout(
            kept=("ID", "SCOPE", "STATE", "EXPIRES", "CREATED"), dropped=("CREATED", "NAME")
        ),
    )


@command.command()
@click.argument("token", metavar="ID", required=False)
@click.option("--user", "username", metavar="NAME", help="All tokens of this user.")
@managing
def revoke(source: Source, /, *, token: str | None, username: str | None) -> None:
    """Revoke the token ID, or all tokens of a user.

    They stop working within a second where the database is reached, and running answers are cut
    within a minute.
    """
    if (token is None) == (username is None):
        raise click.UsageError("Give the ID of a token, or --user NAME.")
    if username is not None:
        revoked = source.ask(revoking_all_of(username)).revoked
        count = "1 token" if len(revoked) == 1 else f"{len(revoked)} tokens"
        click.echo(f"Revoked {count} of {username}.")
        return
    identifier = token_id_from(token or "")
    if source.ask(revoking_one(identifier)).revoked:
        click.echo(f"Revoked the token {identifier}.")
    else:
        click.echo(f"The token {identifier} was revoked already.")


def token_id_from(text: str) -> str:
    """Return the id that `text` is; also of a whole token, as when somebody found one.

    Raises:
        BadRequest: it is neither; the sentence does not repeat it.
    """
    identifier = token_id(text) or text
    if not is_token_id(identifier):
        what = "a token that was cut or mistyped" if contains_token_shape(text.encode()) else "text"
        raise BadRequest(
            f"Expected the {ID_LENGTH} letters and digits of a token's id, not {what}; "
            "`aibridge token list` shows them."
        )
    return identifier


def creating(
    username: str | None, *, scope: Scope, name: str, lifetime: float | None
) -> Question[MadeToken]:
    """Return what makes a token.

    Args:
        username: whose it is; None, over the API only, for one's own.
        scope: what it may be used for.
        name: what its user calls it.
        lifetime: seconds; None for what is configured.
    """

    async def change(session: Session) -> MadeToken:
        token, value = await administration(session).create_token(
            username or "",
            scope=scope,
            name=name,
            lifetime=_allowed(lifetime, session.settings),
        )
        return made_token(token, value)

    body = {
        "username": username,
        "scope": scope.value,
        "name": name,
        "lifetime_seconds": math.ceil(lifetime) if lifetime is not None else None,
    }
    return Question(method="POST", path="/tokens", body=body, returns=MadeToken, direct=change)


def all_tokens(source: Source, username: str | None, *, ended_too: bool) -> list[ListedToken]:
    """Return tokens by user and age: from the database at once, over the API page after page."""
    page = source.ask(listing(username, ended_too=ended_too))
    found = [*page.tokens]
    while page.next_after_id is not None:
        page = source.ask(listing(username, ended_too=ended_too, after_id=page.next_after_id))
        found += page.tokens
    return found


def listing(
    username: str | None, *, ended_too: bool, after_id: str | None = None
) -> Question[TokenList]:
    """Return the question for tokens: all of them, over the API those behind `after_id`.

    Raises:
        BadRequest: nobody may be called so.
    """
    if username is not None:
        checked_username(username)

    async def read(session: Session) -> TokenList:
        return await session.pool.transaction(
            lambda cursor: list_tokens(
                cursor,
                visible_to=None,
                now=utc(session.reactor.seconds()),
                username=username,
                ended_too=ended_too,
                limit=None,
            ),
            read_only=True,
        )

    params = {"limit": str(MAX_LIMIT), "ended": "true" if ended_too else "false"}
    if username is not None:
        params["username"] = username
    if after_id is not None:
        params["after_id"] = after_id
    return Question(path="/tokens", params=params, returns=TokenList, direct=read)


def revoking_one(identifier: str) -> Question[Revoked]:
    """Return what revokes a token."""

    async def change(session: Session) -> Revoked:
        done = await administration(session).revoke_token(identifier)
        return Revoked(revoked=[identifier] if done else [])

    return Question(method="DELETE", path=f"/tokens/{identifier}", returns=Revoked, direct=change)


def revoking_all_of(username: str) -> Question[Revoked]:
    """Return what revokes all tokens of a user."""
    return Question(
        method="DELETE",
        path=f"/users/{username}/tokens",
        returns=Revoked,
        direct=revoking(lambda changes: changes.revoke_tokens_of(username)),
    )


def _seconds(lifetime: str | None) -> float | None:
    if lifetime is None:
        return None
    try:
        return parse_duration(lifetime)
    except ValueError as e:
        raise BadRequest(f"--lifetime: {e}") from e


def _allowed(lifetime: float | None, settings: Settings) -> float:
    return checked_lifetime(
        lifetime,
        default=settings[options.TOKEN_DEFAULT_LIFETIME],
        longest=settings[options.TOKEN_MAX_LIFETIME],
    )
