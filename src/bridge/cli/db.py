"""`aibridge db`: the state of the database, and bringing its schema up to date."""

from __future__ import annotations

import click
import msgspec

from bridge.cli.configuration import Configuration
from bridge.cli.session import Session, run_with_store
from bridge.cli.tables import print_facts
from bridge.config import options
from bridge.config.kinds import show_database
from bridge.store.migrations import SchemaStatus, migrate, schema_status


@click.group()
def command() -> None:
    """The database: its schema and its state."""


@command.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def status(configuration: Configuration, *, as_json: bool) -> None:
    """Print versions and size; the exit code is 1 when this version cannot work with it."""
    settings = configuration.settings
    found = run_with_store(settings, read_status, schema_ready=False)
    address = show_database(settings[options.DATABASE_ADDRESS])
    if as_json:
        click.echo(_as_json(found, address))
    else:
        print_facts(("DATABASE", address), rows_of(found))
    if found.too_new or found.pending:
        raise click.exceptions.Exit(1)


@command.command("migrate")
@click.pass_obj
def migrate_(configuration: Configuration) -> None:
    """Bring the schema up to date, as a starting bridge does.

    Bridges of the previous version can go on; see `aibridge db status` for what is pending.
    """
    count = run_with_store(configuration.settings, apply_changes, schema_ready=False)
    click.echo(f"Applied {_counted(count, 'schema change')}.")


async def read_status(session: Session) -> SchemaStatus:
    """Return how the database stands.

    Raises:
        StoreUnavailable: it cannot be asked.
    """
    return await schema_status(session.pool)


async def apply_changes(session: Session) -> int:
    """Bring the schema up to date, and return how many changes that took.

    Raises:
        StoreError: it cannot be done.
    """
    return await migrate(session.pool)


def rows_of(found: SchemaStatus) -> list[tuple[str, str]]:
    """Return the lines of the table."""
    return [
        ("server", f"PostgreSQL {found.server_version}"),
        ("size", _size(found.database_bytes)),
        ("schema", str(found.database_version)),
        ("schema of this version", str(found.program_version)),
        ("can be used", _usable(found)),
        ("pending", ", ".join(found.pending) or "nothing"),
    ]


def _usable(found: SchemaStatus) -> str:
    if found.too_new:
        return f"no, a version that knows schema {found.min_reader} is needed"
    return "after `aibridge db migrate`, or a start of the bridge" if found.pending else "yes"


def _as_json(found: SchemaStatus, address: str) -> bytes:
    document = {
        "address": address,
        "server_version": found.server_version,
        "bytes": found.database_bytes,
        "schema_version": found.database_version,
        "program_schema_version": found.program_version,
        "min_reader": found.min_reader,
        "usable": not found.too_new and not found.pending,
        "pending": found.pending,
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2)


def _size(count: int) -> str:
    size = float(count)
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
