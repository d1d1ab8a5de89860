"""`aibridge hold`: records that neither retention nor erasure may touch."""

from __future__ import annotations

import os
from datetime import date
from uuid import UUID

import click

from bridge.cli.administration import (
    changed,
    ready_to_change,
    shown_json,
    shown_time,
    who_runs_this,
    wrong_usage,
)
from bridge.cli.configuration import Configuration
from bridge.cli.session import Session, run_on_the_database_only
from bridge.cli.tables import Layout, print_table
from bridge.domain.clock import utc
from bridge.domain.errors import BadRequest, Conflict, NotFound
from bridge.domain.ids import uuid7
from bridge.store import erasure, holds
from bridge.store.holds import Hold

_LONGEST_REASON = 1000
_ERASING = (
    "A user is being erased, whose records of these days may not all be blank yet and would not be "
    "held. Make the hold when that is done; a running bridge carries it to its end."
)
_INSTEAD = "GET /api/v2/aibridge/holds to see them, and nothing to change them"


@click.group()
def command() -> None:
    """Records that are kept as they are, whatever retention and erasure say."""


@command.command()
@click.option("--user", "name", help="Whose records; everybody's when left out.")
@click.option("--from", "from_", metavar="DAY", help="First day (UTC), such as 2026-11-24.")
@click.option("--to", "to", metavar="DAY", help="Last day (UTC).")
@click.option("--reason", default="", help="Why, in words.")
@click.pass_obj
def create(
    configuration: Configuration, name: str | None, from_: str | None, to: str | None, reason: str
) -> None:
    """Hold the records of a user, or of some days, or of a user on some days.

    Until it is released they are neither deleted, nor blanked, nor erased.
    """
    with wrong_usage():
        days = _day(from_), _day(to)
        check_hold(name, *days, reason)
    hold = run_on_the_database_only(
        configuration,
        lambda session: create_hold(
            session, name=name, from_day=days[0], to_day=days[1], reason=reason
        ),
        instead=_INSTEAD,
    )
    click.echo(f"Holds from now on: {hold.id}")


@command.command("list")
@click.option("--all", "released_too", is_flag=True, help="Released ones too.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
@click.pass_obj
def list_(configuration: Configuration, *, released_too: bool, as_json: bool) -> None:
    """List the holds."""
    found = run_on_the_database_only(
        configuration,
        lambda session: list_holds(session, released_too=released_too),
        instead=_INSTEAD,
    )
    if as_json:
        click.echo(shown_json(found))
        return
    print_table(
        ("ID", "USER", "FROM", "TO", "SINCE", "BY", "RELEASED", "REASON"),
        [
            (
                str(each.id),
                each.username or str(each.user_id or "everybody"),
                str(each.from_day or ""),
                str(each.to_day or ""),
                shown_time(each.created_at),
                each.created_by,
                shown_time(each.released_at),
                each.reason,
            )
            for each in found
        ],
        empty="Nothing is held.",
        layout=Layout(
            kept=("ID", "FROM", "TO", "SINCE", "RELEASED"),
            folded=("SINCE", "BY", "RELEASED", "REASON"),
        ),
    )


@command.command()
@click.argument("identifier", metavar="ID", type=click.UUID)
@click.pass_obj
def release(configuration: Configuration, identifier: UUID) -> None:
    """Release the hold ID; what is over its time goes with the next pass of the bridge."""
    run_on_the_database_only(
        configuration, lambda session: release_hold(session, identifier), instead=_INSTEAD
    )
    click.echo(f"Released: {identifier}")


async def create_hold(
    session: Session, *, name: str | None, from_day: date | None, to_day: date | None, reason: str
) -> Hold:
    """Create a hold, and return it.

    Raises:
        BadRequest: it says neither who nor when.
        Conflict: an erasure is in its way.
        NotFound: there is no such user.
        StoreError: the database does not take it.
        Unavailable: it could not be recorded, so it was not done.
    """
    check_hold(name, from_day, to_day, reason)
    user = None
    if name is not None:
        found = await session.pool.transaction(
            lambda cursor: erasure.find(cursor, name), read_only=True
        )
        if len(found) != 1:
            few = "There is no user" if not found else "Several users are or were called"
            raise NotFound(f"{few} {name}.")
        user = found[0]
    await ready_to_change(session)
    now = session.reactor.seconds()
    hold = Hold(
        id=uuid7(now),
        user_id=user.id if user is not None else None,
        username=user.username if user is not None else None,
        from_day=from_day,
        to_day=to_day,
        reason=reason,
        created_by=who_runs_this(os.environ),
        created_at=utc(now),
        released_at=None,
    )
    if not await session.pool.transaction(lambda cursor: holds.create(cursor, hold)):
        raise Conflict(f"{name} has been erased, or is being." if name else _ERASING)
    await session.audit(
        [changed(session, "hold.create", target=str(hold.id), detail=_detail(hold))]
    )
    return hold


def check_hold(name: str | None, from_day: date | None, to_day: date | None, reason: str) -> None:
    """Make sure that a hold says what it holds.

    Raises:
        BadRequest: it does not.
    """
    if name is None and (from_day is None or to_day is None):
        raise BadRequest("Say whose records with --user, or which days with --from and --to.")
    if from_day is not None and to_day is not None and from_day > to_day:
        raise BadRequest("The first day must not be after the last.")
    if len(reason) > _LONGEST_REASON:
        raise BadRequest(f"The reason may have {_LONGEST_REASON} characters.")


async def list_holds(session: Session, *, released_too: bool) -> tuple[Hold, ...]:
    """Return the holds.

    Raises:
        StoreError: the database does not say.
    """
    return await session.pool.transaction(
        lambda cursor: holds.holds(cursor, released_too=released_too), read_only=True
    )


async def release_hold(session: Session, identifier: UUID) -> None:
    """Release a hold.

    Raises:
        NotFound: there is none of that id that holds anything.
        StoreError: the database does not take it.
        Unavailable: it could not be recorded, so it was not done.
    """
    await ready_to_change(session)
    at = utc(session.reactor.seconds())
    if not await session.pool.transaction(lambda cursor: holds.release(cursor, identifier, at)):
        raise NotFound(f"No hold {identifier} holds anything.")
    await session.audit([changed(session, "hold.release", target=str(identifier))])


def _day(text: str | None) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise BadRequest(f"{text[:32]!r} is no day; write 2026-11-24.") from None


def _detail(hold: Hold) -> dict[str, object]:
    # By id: the audit log must not keep a name that is erased later.
    return {
        "user_id": str(hold.user_id) if hold.user_id else None,
        "from": hold.from_day.isoformat() if hold.from_day else None,
        "to": hold.to_day.isoformat() if hold.to_day else None,
        "reason": hold.reason,
    }
