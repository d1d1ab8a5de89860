"""`aibridge user export` and `aibridge user erase`: all that is known of a person, and its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import click
import msgspec
from twisted.internet.threads import deferToThreadPool

from bridge.cli.administration import changed, harmless_json, ready_to_change, shown_time
from bridge.cli.configuration import Configuration
from bridge.cli.session import JOURNAL_DIRECTORY, Session, run_with_store
from bridge.config import options
from bridge.domain.errors import BadRequest, NotFound
from bridge.recording.scrub import scrub
from bridge.store import erasure, personal
from bridge.store.erasure import Erasable
from bridge.store.partitions import audited_days
from bridge.store.purge import CHANNEL
from bridge.store.reads import read_interception
from bridge.store.rows import none


@click.command()
@click.argument("name")
@click.pass_obj
def export(configuration: Configuration, name: str) -> None:
    """Print everything that is recorded of NAME (or of a user's id), as JSON, one object a line.

    The user, tokens (never their values), requests with prompts and what belongs to them, and rows
    of the audit log. What is over its time but held is in it too.
    """
    run_with_store(configuration.settings, lambda session: export_user(session, name, click.echo))


@click.command()
@click.argument("name")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.pass_obj
def erase(configuration: Configuration, name: str, *, yes: bool) -> None:
    """Erase NAME (or a user's id): name and content go for good, counts stay under a pseudonym.

    Tokens are revoked at once. It works beside a running bridge, and when it is broken off it can
    be called again; the bridge carries it to its end too. Backups, log files and the SIEM's file
    are not reached.
    """

    def agree(user: Erasable) -> None:
        deleted = f", deleted {shown_time(user.deleted_at)}" if user.deleted_at else ""
        click.echo(f"{user.username}, user {user.id}{deleted}: all content will be erased.")
        if not yes:
            click.confirm("Erase this user for good?", abort=True)

    done = run_with_store(
        configuration.settings, lambda session: erase_user(session, name, agree=agree)
    )
    click.echo(
        f"Erased: {done.interceptions} requests on {done.days} days are {done.pseudonym}'s now, "
        f"without content; {done.lines} lines of journals were blanked."
    )


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What an erasure did."""

    pseudonym: str
    interceptions: int
    days: int
    lines: int


async def export_user(session: Session, name: str, say: Callable[[str], object]) -> int:
    """Say everything that is recorded of a user, and return how many lines that were.

    Raises:
        NotFound: there is none.
        BadRequest: there are several.
        StoreError: the database does not say.
        Unavailable: it could not be recorded who looked, so nothing was said.
    """
    user = await _only(session, name)
    await session.audit(
        [changed(session, "user.export", target=user.username, detail={"user_id": str(user.id)})]
    )
    count = 0

    def line(kind: str, members: object) -> None:
        nonlocal count
        count += 1
        value = {"type": kind, **msgspec.to_builtins(members)}
        say(harmless_json(msgspec.json.encode(value).decode()))

    for kind, rows in await session.pool.transaction(
        lambda cursor: personal.identity_rows(cursor, user.id), read_only=True
    ):
        for row in rows:
            line(kind, row)
    for day in sorted(await session.pool.transaction(audited_days, read_only=True)):
        after: UUID | None = None
        while True:
            found = await session.pool.transaction(
                lambda cursor, day=day, after=after: personal.interceptions_of(  # type: ignore[misc]
                    cursor, day, user.id, after
                ),
                read_only=True,
            )
            for identifier in found:
                whole = await session.pool.transaction(
                    lambda cursor, i=identifier: read_interception(  # type: ignore[misc]
                        cursor, i, visible_to=None, cutoff=None
                    ),
                    read_only=True,
                )
                if whole is not None:
                    line("interception", whole)
            if len(found) < personal.AT_ONCE:
                break
            after = found[-1]
        for row in await session.pool.transaction(
            lambda cursor, day=day: personal.other_rows(cursor, day, user.id),  # type: ignore[misc]
            read_only=True,
            statement_seconds=erasure.AUDIT_SECONDS,
        ):
            line(row.pop("type"), row)
    return count


async def erase_user(session: Session, name: str, *, agree: Callable[[Erasable], object]) -> Done:
    """Erase a user.

    Args:
        session: of the command.
        name: of the user, or its id.
        agree: is shown whom; what it raises ends it before anything is done.

    Raises:
        NotFound: there is none.
        BadRequest: there are several, or a legal hold forbids it.
        StoreError: it was broken off; calling it again goes on.
        Unavailable: it could not be recorded, so it was not done.
    """
    user = await _only(session, name)
    agree(user)
    await ready_to_change(session)
    pool = session.pool
    pseudonym = await pool.transaction(lambda cursor: erasure.begin(cursor, user.id))
    if pseudonym is None:
        raise BadRequest(f"{user.username} is under a legal hold; see `aibridge hold list`.")
    await session.audit(
        [changed(session, "user.erase", target=pseudonym, detail={"user_id": str(user.id)})]
    )
    done = await erasure.carry_out(pool, erasure.Erasure(initiator_id=user.id, pseudonym=pseudonym))
    lines = await scrub(
        root=session.settings[options.DATA_DIR] / JOURNAL_DIRECTORY,
        pool=pool,
        erased={user.id: pseudonym},
        in_thread=_in_thread(session.reactor),
    )
    # Bridges look through their own journals at their next pass, which is now.
    await pool.transaction(lambda cursor: none(cursor, "SELECT pg_notify(%s, '')", (CHANNEL,)))
    return Done(pseudonym=pseudonym, interceptions=done.interceptions, days=done.days, lines=lines)


async def _only(session: Session, name: str) -> Erasable:
    found = await session.pool.transaction(
        lambda cursor: erasure.find(cursor, name), read_only=True
    )
    if not found:
        raise NotFound(f"There is no user {name}.")
    if len(found) > 1:
        which = ", ".join(
            f"{each.id}" + (f" (deleted {shown_time(each.deleted_at)})" if each.deleted_at else "")
            for each in found
        )
        raise BadRequest(f"Several users are or were called {name}; give an id: {which}.")
    return found[0]


def _in_thread(reactor: Any) -> Callable[[Callable[[], Any]], Any]:
    return lambda work: deferToThreadPool(reactor, reactor.getThreadPool(), work)
