"""`aibridge retention`: how long records are kept, and letting a large deletion happen."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

import click

from bridge.cli.administration import changed, ready_to_change, shown_json, shown_time
from bridge.cli.configuration import Configuration
from bridge.cli.session import Session, run_with_store
from bridge.cli.tables import print_facts
from bridge.config import options
from bridge.domain.errors import NotFound
from bridge.domain.units import format_duration
from bridge.store import purge
from bridge.store.connection import Cursor
from bridge.store.partitions import Partition, partitions


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """How retention stands."""

    retention_seconds: float
    """How long records are kept; 0 is for ever."""
    cutoff: datetime | None
    """What is older is shown nowhere; None when everything is kept."""
    last_pass_at: datetime | None
    stored_days: int
    first_day: date | None
    last_day: date | None
    size_bytes: int
    waiting_days: tuple[date, ...]
    """Days that `confirm` lets go."""
    waiting_since: datetime | None
    confirmed_until: date | None
    """All days before it go with the next pass of the bridge."""


@click.group()
def command() -> None:
    """How long records are kept, and what waits to be deleted."""


@command.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def status(configuration: Configuration, *, as_json: bool) -> None:
    """Print what is kept, and what waits for `aibridge retention confirm`."""
    found = run_with_store(configuration.settings, read_status)
    if as_json:
        click.echo(shown_json(found))
    else:
        print_facts(("RETENTION", _shown_seconds(found.retention_seconds)), rows_of(found))


@command.command()
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.pass_obj
def confirm(configuration: Configuration, *, yes: bool) -> None:
    """Let the bridge delete what waits; it does so within ten minutes.

    A pass that would go much further than the one before waits for this: the clock may have jumped.
    """
    until = run_with_store(
        configuration.settings, lambda session: ask_and_confirm(session, yes=yes)
    )
    click.echo(f"Confirmed. The next pass of the bridge deletes what is from before {until}.")


async def ask_and_confirm(session: Session, *, yes: bool) -> date:
    """Show what waits, ask whether it may go, and return the first day that will be kept.

    Raises:
        NotFound: nothing waits.
        click.Abort: it may not.
        StoreError: the database does not take it.
        Unavailable: it could not be recorded, so it was not done.
    """
    days = (await read_status(session)).waiting_days
    if not days:
        raise NotFound("Nothing waits for a confirmation.")
    click.echo(f"{_counted(len(days))}, {days[0]} to {days[-1]}, would be deleted.")
    if not yes:
        click.confirm("Delete them for good?", abort=True)  # nothing else happens meanwhile
    return await confirm_waiting(session, days)


async def read_status(session: Session) -> Status:
    """Return how retention stands.

    Raises:
        StoreError: the database cannot be asked.
    """

    async def ask(cursor: Cursor) -> tuple[purge.State, list[Partition]]:
        return await purge.read_state(cursor), await partitions(cursor)

    state, found = await session.pool.transaction(ask, read_only=True)
    days = sorted({each.day for each in found})
    seconds = session.settings[options.RETENTION]
    decision = purge.decide(state, seconds, days) if seconds > 0 else None
    return Status(
        retention_seconds=seconds,
        cutoff=decision.cutoff if decision is not None else None,
        last_pass_at=state.last_pass_at,
        stored_days=len(days),
        first_day=days[0] if days else None,
        last_day=days[-1] if days else None,
        size_bytes=sum(each.size_bytes for each in found),
        waiting_days=decision.waiting if decision is not None else (),
        waiting_since=state.pending_since,
        confirmed_until=state.confirmed_day,
    )


async def confirm_waiting(session: Session, days: tuple[date, ...]) -> date:
    """Let the next pass delete what waits, and return the first day that it keeps.

    Args:
        session: of the command.
        days: what the operator was shown; goes into the audit log.

    Raises:
        NotFound: nothing waits, or a pass has yet to find that it does.
        StoreError: the database does not take it.
        Unavailable: it could not be recorded, so it was not done.
    """
    await ready_to_change(session)
    until = await session.pool.transaction(purge.confirm)
    if until is None:
        raise NotFound("No pass of the bridge has asked for a confirmation yet; is it running?")
    detail = {"days": len(days), "from": days[0].isoformat(), "to": days[-1].isoformat()}
    await session.audit(
        [changed(session, "retention.confirm", target=f"before {until}", detail=detail)]
    )
    return until


def rows_of(found: Status) -> list[tuple[str, str]]:
    """Return the lines of the table."""
    stored = "none"
    if found.first_day is not None:
        size = found.size_bytes / 1024**2
        stored = f"{found.stored_days} ({found.first_day} to {found.last_day}), {size:.1f} MiB"
    rows = [
        ("shown and kept since", shown_time(found.cutoff) or "for ever"),
        ("stored days", stored),
        ("last pass", shown_time(found.last_pass_at) or "none yet"),
        ("waiting to be deleted", _waiting(found)),
    ]
    if found.confirmed_until is not None:
        rows.append(("confirmed", f"what is from before {found.confirmed_until}"))
    return rows


def _waiting(found: Status) -> str:
    if not found.waiting_days:
        return "nothing"
    first, last = found.waiting_days[0], found.waiting_days[-1]
    return f"{_counted(len(found.waiting_days))} ({first} to {last}): aibridge retention confirm"


def _counted(days: int) -> str:
    return "1 day" if days == 1 else f"{days} days"


def _shown_seconds(seconds: float) -> str:
    return format_duration(seconds) if seconds else "for ever"
