"""`aibridge restore`: a backup takes the place of what is in the database."""

from __future__ import annotations

from pathlib import Path

import click

from bridge.cli.administration import changed, shown_time
from bridge.cli.backup_directory import DUMP_NAME, Manifest, checked
from bridge.cli.configuration import Configuration
from bridge.cli.session import JOURNAL_DIRECTORY, Session, run_with_store
from bridge.config import options
from bridge.domain.errors import BadRequest
from bridge.journal.directory import WRITER_LOCK_NAME, try_lock
from bridge.journal.files import private_directory
from bridge.store.dump import holds_something, restore
from bridge.store.errors import SchemaTooNew, StoreError
from bridge.store.migrations import migrate, schema_files


@click.command()
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--replace",
    is_flag=True,
    help="Give up the users, tokens and records that are in the database now.",
)
@click.pass_obj
def command(configuration: Configuration, directory: Path, *, replace: bool) -> None:
    """Fill the database with users, tokens and records from the backup in DIRECTORY.

    Stop the bridge before. The files are checked first, and a restore that fails changes nothing.
    The configuration in DIRECTORY is for you to read: it is put nowhere.

    Afterwards `aibridge journal replay --since TIME`, with the time that this prints, sends what
    the journals of this machine still hold of the time after the backup; where several machines
    serve, run it on each.
    """
    source = directory.absolute()
    manifest = checked(source)
    check_readable(manifest)
    run_with_store(
        configuration.settings,
        lambda session: put_back(session, source, manifest, replace=replace),
        schema_ready=False,
        create=True,
    )
    click.echo(f"Restored what was stored by {shown_time(manifest.made_at)}.")
    click.echo(
        "Fill in what came later with: aibridge journal replay --since "
        f"{manifest.replay_since.strftime('%Y-%m-%dT%H:%M:%S')}",
        err=True,
    )


def check_readable(manifest: Manifest) -> None:
    """Make sure that this program could use what is restored.

    Raises:
        SchemaTooNew: it could not.
    """
    known = max(file.version for file in schema_files())
    if manifest.min_reader > known:
        raise SchemaTooNew(
            f"The backup has schema {manifest.schema_version}, which wants a program that knows "
            f"{manifest.min_reader}; this one knows {known}. Use a later version of the bridge."
        )


async def put_back(session: Session, directory: Path, manifest: Manifest, *, replace: bool) -> None:
    """Restore, bring the schema up to date, and audit that.

    Raises:
        BadRequest: a bridge runs here, or there is something that `replace` must be said for.
        StoreError: the database does not take it.
    """
    root = session.settings[options.DATA_DIR] / JOURNAL_DIRECTORY
    private_directory(root)
    # Held for the time: a bridge that starts meanwhile waits with its records.
    claim = try_lock(root / WRITER_LOCK_NAME)
    if claim is None:
        raise BadRequest("A bridge is running with this data directory; stop it first.")
    try:
        if not replace and await session.pool.transaction(holds_something, read_only=True):
            raise StoreError(
                "The database has users or records in it; --replace would give them up."
            )
        await restore(session.reactor, session.pool, session.dsn, directory / DUMP_NAME)
        await migrate(session.pool)
    finally:
        claim.release()
    await session.audit(
        [
            changed(
                session,
                "database.restore",
                target=str(directory),
                detail={"made_at": manifest.made_at.isoformat(), "replaced": replace},
            )
        ]
    )
