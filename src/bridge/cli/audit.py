"""`aibridge audit`: who was refused, read another's content, or changed something."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import click
import msgspec

from bridge.cli.administration import shown_json, shown_time
from bridge.cli.configuration import Configuration
from bridge.cli.searching import moment_text
from bridge.cli.session import Session, run_on_the_database_only
from bridge.cli.tables import Layout, print_table
from bridge.store.audit import DEFAULT_LIMIT, MAX_LIMIT, AuditEntry, newest_audit
from bridge.store.filters import moment

COLUMNS = ("TIME", "ACTION", "ACTOR", "TARGET", "SOURCE", "WHY")
_INSTEAD = "GET /api/v2/aibridge/audit, and the page /ui/audit"
LAYOUT = Layout(kept=("TIME", "ACTION", "TARGET"), folded=("TARGET", "WHY"))


@click.group()
def command() -> None:
    """Who was refused, read another's content, or changed something."""


@command.command("list")
@click.option(
    "--action",
    metavar="NAME",
    help="Such as refusal, content.read or user.create; user stands for all of user.…",
)
@click.option("--actor", metavar="NAME", help="Who did it.")
@click.option(
    "--user",
    metavar="NAME",
    help="Whose content was read, or who was changed; with what was read of everybody, as by an "
    "export.",
)
@click.option("--target", metavar="TEXT", help="What it was about, exactly as it is listed.")
@click.option(
    "--from",
    "since",
    metavar="TIME",
    help="Inclusive: RFC 3339, a day, or how long ago, such as 2h.",
)
@click.option("--to", "until", metavar="TIME", help="Exclusive, likewise.")
@click.option(
    "--limit",
    type=click.IntRange(1, MAX_LIMIT),
    default=DEFAULT_LIMIT,
    show_default=True,
    help="Rows at most.",
)
@click.option("--after-id", type=click.UUID, help="Only older ones: the last id of a page before.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
@click.pass_obj
def list_(
    configuration: Configuration,
    *,
    action: str | None,
    actor: str | None,
    user: str | None,
    target: str | None,
    since: str | None,
    until: str | None,
    limit: int,
    after_id: UUID | None,
    as_json: bool,
) -> None:
    """List the audit log, newest first; on the database only."""
    begin, end = _moment("--from", since), _moment("--to", until)

    async def read(session: Session) -> tuple[AuditEntry, ...]:
        return await session.pool.transaction(
            lambda cursor: newest_audit(
                cursor,
                limit=limit,
                action=action,
                actor=actor,
                target=target or None,
                user=user or None,
                since=begin,
                until=end,
                after_id=after_id,
            ),
            read_only=True,
        )

    found = run_on_the_database_only(configuration, read, instead=_INSTEAD)
    if as_json:
        click.echo(shown_json(found))
        return
    print_table(
        COLUMNS,
        [row_of(entry) for entry in found],
        empty="Nothing was audited.",
        layout=LAYOUT,
    )


def row_of(entry: AuditEntry) -> tuple[str, ...]:
    """Return an entry's line in the table."""
    return (
        shown_time(entry.created_at),
        entry.action if entry.count == 1 else f"{entry.action} ({entry.count} times)",
        entry.actor_name or "",
        entry.target,
        entry.source,
        why(entry),
    )


def why(entry: AuditEntry) -> str:
    """Return status, reason and details in one text."""
    status = [str(entry.status)] if entry.status is not None else []
    reason = [entry.reason] if entry.reason else []
    detail = [f"{name}={_plain(value)}" for name, value in entry.told.items() if value]
    return " ".join((*status, *reason, *detail))


def _moment(option: str, text: str | None) -> datetime | None:
    try:
        return moment(moment_text(text)) if text else None
    except ValueError as error:
        raise click.UsageError(f"{option}: {error}") from error


def _plain(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
