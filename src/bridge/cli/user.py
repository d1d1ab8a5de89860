"""`aibridge user`: who may ask, and what else they may do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID

import click

from bridge.administration import Administration
from bridge.auth.rules import checked_new_username
from bridge.cli.administration import administration, examples, print_json, shown_time
from bridge.cli.personal import erase, export
from bridge.cli.session import Session
from bridge.cli.sources import Question, Source, managing
from bridge.cli.tables import Layout, print_table
from bridge.domain.identity import Role
from bridge.domain.tokens import ListedUser, listed_user
from bridge.store.accounts import MAX_LIMIT, Revoked, UserList, list_users

_ROLES = click.Choice([role.value for role in Role])


@click.group()
def command() -> None:
    """The people and programs that tokens belong to."""


@command.command(
    epilog=examples(
        "aibridge user create ada",
        "aibridge user create eve --role auditor --role member",
        "aibridge user create ada --url https://bridge.example --token-file token",
    )
)
@click.argument("name")
@click.option(
    "--role",
    "roles",
    type=_ROLES,
    multiple=True,
    help="owner manages, auditor reads everybody's records, member their own; may be repeated. "
    "[default: member]",
)
@managing
def create(source: Source, /, *, name: str, roles: tuple[str, ...]) -> None:
    """Create the user NAME."""
    checked_new_username(name)
    made = source.ask(creating(name, roles_from(roles or (Role.MEMBER.value,))))
    click.echo(f"Created the user {name} ({_shown(made.roles)}).")
    click.echo(f"Give it a token with: aibridge token create --user {name}", err=True)


@command.command("list")
@click.option("--all", "deleted_too", is_flag=True, help="Deleted users too.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
@managing
def list_(source: Source, /, *, deleted_too: bool, as_json: bool) -> None:
    """List the users: over the API those that the token's user may see."""
    found = all_users(source, deleted_too=deleted_too)
    if as_json:
        print_json(found)
        return
    print_table(
        ("NAME", "ROLES", "STATE", "CREATED", "ID"),
        [
            (
                user.username,
                _shown(user.roles),
                _state(user),
                shown_time(user.created_at),
                str(user.id),
            )
            for user in found
        ],
        empty="No users.",
        layout=Layout(kept=("STATE", "CREATED", "ID"), dropped=("CREATED",)),
    )


@command.command()
@click.argument("name")
@managing
def disable(source: Source, /, *, name: str) -> None:
    """Refuse everything from NAME until it is enabled again.

    Its tokens stop working within a second where the database is reached, and running answers are
    cut within a minute.
    """
    source.ask(changing(name, disabled=True))
    click.echo(f"Disabled the user {name}.")


@command.command()
@click.argument("name")
@managing
def enable(source: Source, /, *, name: str) -> None:
    """Undo `disable`."""
    source.ask(changing(name, disabled=False))
    click.echo(f"Enabled the user {name}.")


@command.command()
@click.argument("name")
@managing
def delete(source: Source, /, *, name: str) -> None:
    """Delete NAME and revoke its tokens; its records stay."""
    source.ask(deleting(name))
    click.echo(f"Deleted the user {name} and revoked its tokens.")


@command.command("set-role")
@click.argument("name")
@click.argument("roles", type=_ROLES, nargs=-1, required=True)
@managing
def set_role(source: Source, /, *, name: str, roles: tuple[str, ...]) -> None:
    """Give NAME exactly these ROLES."""
    changed = source.ask(changing(name, roles=roles_from(roles)))
    click.echo(f"The user {name} is now {_shown(changed.roles)}.")


command.add_command(export)
command.add_command(erase)


def roles_from(words: Sequence[str]) -> frozenset[Role]:
    """Return the roles that `words` name."""
    return frozenset(Role(word) for word in words)


def all_users(source: Source, *, deleted_too: bool) -> list[ListedUser]:
    """Return the users by name: from the database at once, over the API page after page."""
    page = source.ask(listing(deleted_too=deleted_too))
    found = [*page.users]
    while page.next_after_id is not None:
        page = source.ask(listing(deleted_too=deleted_too, after_id=page.next_after_id))
        found += page.users
    return found


def listing(*, deleted_too: bool, after_id: UUID | None = None) -> Question[UserList]:
    """Return the question for users: all of them, over the API those behind `after_id`."""

    async def read(session: Session) -> UserList:
        return await session.pool.transaction(
            lambda cursor: list_users(cursor, visible_to=None, deleted_too=deleted_too, limit=None),
            read_only=True,
        )

    params = {"limit": str(MAX_LIMIT), "deleted": "true" if deleted_too else "false"}
    if after_id is not None:
        params["after_id"] = str(after_id)
    return Question(path="/users", params=params, returns=UserList, direct=read)


def creating(name: str, roles: frozenset[Role]) -> Question[ListedUser]:
    """Return what creates a user."""

    async def change(session: Session) -> ListedUser:
        return listed_user(await administration(session).create_user(name, roles))

    return Question(
        method="POST",
        path="/users",
        body={"username": name, "roles": sorted(roles)},
        returns=ListedUser,
        direct=change,
    )


def changing(
    name: str, *, roles: frozenset[Role] | None = None, disabled: bool | None = None
) -> Question[ListedUser]:
    """Return what changes a user: its roles, or whether it is disabled."""

    async def change(session: Session) -> ListedUser:
        return listed_user(
            await administration(session).change_user(name, roles=roles, disabled=disabled)
        )

    return Question(
        method="PATCH",
        path=f"/users/{name}",
        body={"roles": sorted(roles) if roles is not None else None, "disabled": disabled},
        returns=ListedUser,
        direct=change,
    )


def deleting(name: str) -> Question[Revoked]:
    """Return what deletes a user and revokes its tokens."""
    return Question(
        method="DELETE",
        path=f"/users/{name}",
        returns=Revoked,
        direct=revoking(lambda changes: changes.delete_user(name)),
    )


def revoking(
    change: Callable[[Administration], Awaitable[tuple[str, ...]]],
) -> Callable[[Session], Awaitable[Revoked]]:
    """Return what makes a change on the database that revokes tokens."""

    async def direct(session: Session) -> Revoked:
        return Revoked(revoked=await change(administration(session)))

    return direct


def _state(user: ListedUser) -> str:
    if user.deleted_at is not None:
        return f"deleted {shown_time(user.deleted_at)}"
    if user.disabled_at is not None:
        return f"disabled {shown_time(user.disabled_at)}"
    return "enabled"


def _shown(roles: Sequence[Role]) -> str:
    return ", ".join(roles)
