"""`aibridge audit`: who was refused, read another's content, or changed something."""

from __future__ import annotations

from uuid import UUID

import click
import msgspec

from bridge.cli.administration import shown_json, shown_time
from bridge.cli.configuration import Configuration
from bridge.cli.session import Session, run_with_store
from bridge.cli.tables import print_table
from bridge.store.audit import DEFAULT_LIMIT, MAX_LIMIT, AuditEntry, newest_audit


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
    limit: int,
    after_id: UUID | None,
    as_json: bool,
) -> None:
    """List the audit log, newest first."""

    async def read(session: Session) -> tuple[AuditEntry, ...]:
        return await session.pool.transaction(
            lambda cursor: newest_audit(
                cursor, limit=limit, action=action, actor=actor, after_id=after_id
            ),
            read_only=True,
        )

    found = run_with_store(configuration.settings, read)
    if as_json:
        click.echo(shown_json(found))
        return
    print_table(
        ("TIME", "ACTION", "ACTOR", "TARGET", "SOURCE", "WHY"),
        [row_of(entry) for entry in found],
        empty="Nothing was audited.",
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
    detail = [f"{name}={_plain(value)}" for name, value in entry.detail.items() if value]
    return " ".join((*status, *reason, *detail))


def _plain(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
