"""`aibridge journal`: what is on disk, what the database has not got yet, what it never gets."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import msgspec

from bridge.cli.administration import changed, shown_json, shown_time
from bridge.cli.configuration import Configuration
from bridge.cli.session import JOURNAL_DIRECTORY, Session, run_with_store
from bridge.cli.tables import Layout, print_table
from bridge.config import options
from bridge.config.settings import Settings
from bridge.domain.clock import utc
from bridge.domain.errors import BadRequest
from bridge.domain.units import parse_duration
from bridge.journal.directory import (
    LOCK_NAME,
    WRITER_LOCK_NAME,
    bytes_in,
    directories,
    is_held,
    load_checkpoint,
    segments,
)
from bridge.journal.reader import oldest_unsent, unsent_bytes
from bridge.recording.quarantine import quarantined
from bridge.recording.writer_replay import Replayed, replay
from bridge.store.writes import write_batch


class DirectoryState(msgspec.Struct, frozen=True, kw_only=True):
    """The journal of one process, living or not."""

    name: str
    in_use: bool
    segments: int
    bytes: int
    unsent_bytes: int
    oldest_unsent_at: datetime | None


class JournalState(msgspec.Struct, frozen=True, kw_only=True):
    """All journals of a data directory."""

    path: str
    written_to_database: bool
    """Whether a process is at work that sends records on."""
    bytes: int
    max_bytes: int
    unsent_bytes: int
    oldest_unsent_at: datetime | None
    quarantined: int
    journals: list[DirectoryState]


@click.group()
def command() -> None:
    """The records on disk that the database gets."""


@command.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def status(configuration: Configuration, *, as_json: bool) -> None:
    """Print what is in the journals and what the database has not got yet.

    Needs no database, and no running bridge.
    """
    state = state_of(_root(configuration.settings), configuration.settings)
    if as_json:
        click.echo(shown_json(state))
        return
    print_table(
        ("JOURNAL", "IN USE", "SEGMENTS", "BYTES", "NOT STORED", "SINCE"),
        [
            (
                each.name,
                "yes" if each.in_use else "no",
                str(each.segments),
                str(each.bytes),
                str(each.unsent_bytes),
                shown_time(each.oldest_unsent_at),
            )
            for each in state.journals
        ],
        empty=f"No journals in {state.path}.",
        layout=Layout(kept=("SEGMENTS", "BYTES", "NOT STORED", "SINCE")),
    )
    click.echo(
        f"{state.bytes} of {state.max_bytes} bytes used, {state.unsent_bytes} not in the database, "
        f"{state.quarantined} lines in quarantine."
    )
    if not state.written_to_database:
        click.echo("No bridge is running that sends them to the database.", err=True)


@command.command(name="replay")
@click.option(
    "--since",
    required=True,
    metavar="TIME",
    help="Such as 2026-11-24T08:00 (UTC unless it says otherwise), or how long ago: 2h.",
)
@click.pass_obj
def replay_(configuration: Configuration, since: str) -> None:
    """Send what the journals still hold to the database again.

    For a database that was restored from a backup or lost its last moments. What it has already
    stays as it is. Journals are kept for `journal.keep`.
    """
    begin = since_from(since)
    outcome = run_with_store(configuration.settings, lambda session: replayed(session, begin))
    stored = outcome.records - outcome.refused
    click.echo(f"{stored} records from {shown_time(outcome.since)} on are in the database.")
    if outcome.outdated:
        click.echo(f"{outcome.outdated} left out: older than the retention.", err=True)
    if outcome.damaged:
        click.echo(f"{outcome.damaged} lines cannot be read.", err=True)
    if outcome.refused:
        raise click.ClickException(
            f"The database refuses {outcome.refused} records; the first: {outcome.reason}"
        )


@command.group()
def quarantine() -> None:
    """The lines that the database does not take."""


@quarantine.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
@click.pass_obj
def list_(configuration: Configuration, *, as_json: bool) -> None:
    """List the lines that were put aside, with the file that holds each and the reason.

    They hold what users and models said; their contents are only in the files.
    """
    found = list(quarantined(_root(configuration.settings)))
    if as_json:
        click.echo(
            shown_json([{"file": str(path), **msgspec.to_builtins(each)} for path, each in found])
        )
        return
    print_table(
        ("PUT ASIDE", "KIND", "INTERCEPTION", "REASON", "FILE"),
        [
            (
                shown_time(each.quarantined_at),
                each.kind or "unreadable",
                str(each.interception_id or ""),
                each.reason,
                str(path),
            )
            for path, each in found
        ],
        empty="Nothing is in quarantine.",
        layout=Layout(
            kept=("PUT ASIDE", "INTERCEPTION", "FILE"),
            folded=("REASON", "FILE"),
            dropped=("KIND",),
        ),
    )


def state_of(root: Path, settings: Settings) -> JournalState:
    """Return what is in the journals below `root`; only reads."""
    journals = []
    for directory in directories(root):
        stored = load_checkpoint(directory)
        journals.append(
            DirectoryState(
                name=directory.name,
                in_use=is_held(directory / LOCK_NAME),
                segments=len(segments(directory)),
                bytes=bytes_in(directory),
                unsent_bytes=unsent_bytes(directory, stored),
                oldest_unsent_at=oldest_unsent(directory, stored),
            )
        )
    moments = [each.oldest_unsent_at for each in journals if each.oldest_unsent_at is not None]
    return JournalState(
        path=str(root),
        written_to_database=is_held(root / WRITER_LOCK_NAME),
        bytes=sum(each.bytes for each in journals),
        max_bytes=settings[options.JOURNAL_MAX_BYTES],
        unsent_bytes=sum(each.unsent_bytes for each in journals),
        oldest_unsent_at=min(moments, default=None),
        quarantined=sum(1 for _ in quarantined(root)),
        journals=journals,
    )


async def replayed(session: Session, since: datetime | timedelta) -> Replayed:
    """Send everything from `since` on again, and audit that; a timedelta is how long ago."""
    settings: Settings = session.settings
    now = session.reactor.seconds()
    begin = utc(now) - since if isinstance(since, timedelta) else since
    retention = settings[options.RETENTION]
    outcome = await replay(
        root=_root(settings),
        since=begin,
        cutoff=utc(now) - timedelta(seconds=retention) if retention else None,
        pool=session.pool,
        write_batch=write_batch,
        reactor=session.reactor,
    )
    detail: dict[str, Any] = {"records": outcome.records, "refused": outcome.refused}
    await session.audit(
        [changed(session, "journal.replay", target=begin.isoformat(), detail=detail)]
    )
    return outcome


def since_from(text: str) -> datetime | timedelta:
    """Return the moment that `text` names, or how long ago it is.

    Raises:
        BadRequest: it is neither ISO 8601 nor a duration.
    """
    try:
        return timedelta(seconds=parse_duration(text))
    except (ValueError, OverflowError):
        pass  # then it is a moment
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise BadRequest(
            f"{text!r} is no time; write 2026-11-24T08:00, or how long ago: 2h."
        ) from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _root(settings: Settings) -> Path:
    root = settings[options.DATA_DIR] / JOURNAL_DIRECTORY
    try:
        next(root.iterdir(), None)
    except FileNotFoundError:
        pass  # nothing has been recorded yet
    except PermissionError:
        raise BadRequest(
            f"{root} belongs to somebody else; run this as the user that runs the bridge."
        ) from None
    return root
