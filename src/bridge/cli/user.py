"""`aibridge user`: who may ask, and what else they may do."""

from __future__ import annotations

from collections.abc import Sequence

import click

from bridge.cli.administration import administration, shown_json, shown_time
from bridge.cli.configuration import Configuration
from bridge.cli.personal import erase, export
from bridge.cli.session import Session, run_with_store
from bridge.cli.tables import print_table
from bridge.domain.identity import Role
from bridge.domain.tokens import User
from bridge.store import identity

_ROLES = click.Choice([role.value for role in Role])


@click.group()
def command() -> None:
    """The people and programs that tokens belong to."""


@command.command()
@click.argument("name")
@click.option(
    "--role",
    "roles",
    type=_ROLES,
    multiple=True,
    help="owner manages, auditor reads everybody's records, member their own; may be repeated. "
    "[default: member]",
)
@click.pass_obj
def create(configuration: Configuration, name: str, roles: tuple[str, ...]) -> None:
    """Create the user NAME."""
    wanted = roles_from(roles or (Role.MEMBER.value,))
    run_with_store(configuration.settings, lambda session: create_user(session, name, wanted))
    click.echo(f"Created the user {name} ({_shown(wanted)}).")
    click.echo(f"Give it a token with: aibridge token create --user {name}", err=True)


@command.command("list")
@click.option("--all", "deleted_too", is_flag=True, help="Deleted users too.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
@click.pass_obj
def list_(configuration: Configuration, *, deleted_too: bool, as_json: bool) -> None:
    """List the users."""
    found = run_with_store(
        configuration.settings, lambda session: list_users(session, deleted_too=deleted_too)
    )
    if as_json:
        click.echo(shown_json([_as_json(user) for user in found]))
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
    )


@command.command()
@click.argument("name")
@click.pass_obj
def disable(configuration: Configuration, name: str) -> None:
    """Refuse everything from NAME until it is enabled again.

    Its tokens stop working within a second where the database is reached, and running answers are
    cut within a minute.
    """
    run_with_store(configuration.settings, lambda session: disable_user(session, name))
    click.echo(f"Disabled the user {name}.")


@command.command()
@click.argument("name")
@click.pass_obj
def enable(configuration: Configuration, name: str) -> None:
    """Undo `disable`."""
    run_with_store(configuration.settings, lambda session: enable_user(session, name))
    click.echo(f"Enabled the user {name}.")


@command.command()
@click.argument("name")
@click.pass_obj
def delete(configuration: Configuration, name: str) -> None:
    """Delete NAME and revoke its tokens; its records stay."""
    run_with_store(configuration.settings, lambda session: delete_user(session, name))
    click.echo(f"Deleted the user {name} and revoked its tokens.")


@command.command("set-role")
@click.argument("name")
@click.argument("roles", type=_ROLES, nargs=-1, required=True)
@click.pass_obj
def set_role(configuration: Configuration, name: str, roles: tuple[str, ...]) -> None:
    """Give NAME exactly these ROLES."""
    wanted = roles_from(roles)
    run_with_store(configuration.settings, lambda session: set_roles(session, name, wanted))
    click.echo(f"The user {name} is now {_shown(wanted)}.")


command.add_command(export)
command.add_command(erase)


def roles_from(words: Sequence[str]) -> frozenset[Role]:
    """Return the roles that `words` name."""
    return frozenset(Role(word) for word in words)


async def create_user(session: Session, name: str, roles: frozenset[Role]) -> User:
    """Create a user, and return it.

    Raises:
        BadRequest: nobody may be called so, or somebody is already.
        StoreError: the database does not take it.
        Unavailable: it could not be recorded, so it was not done.
    """
    return await administration(session).create_user(name, roles)


async def list_users(session: Session, *, deleted_too: bool) -> tuple[User, ...]:
    """Return the users by name.

    Raises:
        StoreError: the database does not say.
    """
    return await session.pool.transaction(
        lambda cursor: identity.users(cursor, deleted_too=deleted_too), read_only=True
    )


async def disable_user(session: Session, name: str) -> None:
    """Disable a user.

    Raises:
        BadRequest: nobody may be called so.
        NotFound: nobody is called so.
        StoreError: the database does not take it.
        Unavailable: it could not be recorded, so it was not done.
    """
    await administration(session).disable_user(name)


async def enable_user(session: Session, name: str) -> None:
    """Enable a user.

    Raises:
        BadRequest: nobody may be called so.
        NotFound: nobody is called so.
        StoreError: the database does not take it.
        Unavailable: it could not be recorded, so it was not done.
    """
    await administration(session).enable_user(name)


async def delete_user(session: Session, name: str) -> None:
    """Delete a user and revoke its tokens.

    Raises:
        BadRequest: nobody may be called so.
        NotFound: nobody is called so.
        StoreError: the database does not take it.
        Unavailable: it could not be recorded, so it was not done.
    """
    await administration(session).delete_user(name)


async def set_roles(session: Session, name: str, roles: frozenset[Role]) -> None:
    """Give a user exactly `roles`.

    Raises:
        BadRequest: nobody may be called so.
        NotFound: nobody is called so.
        StoreError: the database does not take it.
        Unavailable: it could not be recorded, so it was not done.
    """
    await administration(session).set_roles(name, roles)


def _state(user: User) -> str:
    if user.deleted_at is not None:
        return f"deleted {shown_time(user.deleted_at)}"
    if user.disabled_at is not None:
        return f"disabled {shown_time(user.disabled_at)}"
    return "enabled"


def _words(roles: frozenset[Role]) -> list[str]:
    return sorted(role.value for role in roles)


def _shown(roles: frozenset[Role]) -> str:
    return ", ".join(_words(roles))


def _as_json(user: User) -> dict[str, object]:
    return {
        "id": str(user.id),
        "username": user.username,
        "roles": _words(user.roles),
        "created_at": user.created_at,
        "disabled_at": user.disabled_at,
        "deleted_at": user.deleted_at,
    }
