"""`aibridge backup`: users, tokens, records and the configuration in a directory of their own."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import click

from bridge.cli.administration import changed, ready_to_change, shown_time
from bridge.cli.backup_directory import (
    CONFIGURATION_NAME,
    DUMP_NAME,
    FORMAT,
    Manifest,
    described,
    finish,
    new_directory,
    write_private,
)
from bridge.cli.config import given_as_json
from bridge.cli.configuration import Configuration
from bridge.cli.session import JOURNAL_DIRECTORY, Session, run_with_store
from bridge.config import options
from bridge.domain.clock import utc
from bridge.domain.errors import BadRequest
from bridge.journal.directory import directories, load_checkpoint
from bridge.journal.reader import oldest_unsent
from bridge.store.dump import dump
from bridge.store.migrations import schema_status
from bridge.version import version_text

_MARGIN = timedelta(minutes=1)
"""Clocks differ; what is sent again is not doubled."""


@click.command()
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@click.pass_obj
def command(configuration: Configuration, directory: Path) -> None:
    """Write users, tokens, records and the configuration without its secrets to DIRECTORY.

    The bridge goes on meanwhile. DIRECTORY must be empty or not be there; it holds what users and
    models said. The journals are not in it: see `aibridge restore --help`.
    """
    given = given_as_json(configuration)
    target = directory.absolute()
    manifest = run_with_store(
        configuration.settings, lambda session: back_up(session, target, given)
    )
    size = sum(each.bytes for each in manifest.files)
    click.echo(
        f"Backed up to {target}: {shown_size(size)}, schema {manifest.schema_version}, "
        f"all that was stored by {shown_time(manifest.made_at)}."
    )


async def back_up(session: Session, directory: Path, configuration: bytes) -> Manifest:
    """Make a backup in `directory`; when that fails, none is left.

    Raises:
        BadRequest: the directory cannot be used.
        StoreError: the database cannot be read.
        Unavailable: the journal takes no audit record.
    """
    await ready_to_change(session)
    new_directory(directory)
    try:
        manifest = await _written(session, directory, configuration)
    except BaseException as e:
        for name in (DUMP_NAME, CONFIGURATION_NAME):
            (directory / name).unlink(missing_ok=True)
        if isinstance(e, OSError):
            raise BadRequest(f"{directory} cannot be written: {e.strerror}.") from e
        raise
    await session.audit(
        [
            changed(
                session,
                "database.backup",
                target=str(directory),
                detail={"bytes": sum(each.bytes for each in manifest.files)},
            )
        ]
    )
    return manifest


async def _written(session: Session, directory: Path, configuration: bytes) -> Manifest:
    made_at = utc(session.reactor.seconds())
    since = replay_since(session.settings[options.DATA_DIR] / JOURNAL_DIRECTORY, made_at)
    status = await schema_status(session.pool)
    await dump(session.reactor, session.pool, session.dsn, directory / DUMP_NAME)
    write_private(directory / CONFIGURATION_NAME, configuration + b"\n")
    manifest = Manifest(
        format=FORMAT,
        made_at=made_at,
        replay_since=since,
        bridge_version=version_text(),
        schema_version=status.database_version,
        min_reader=status.min_reader,
        server_version=status.server_version,
        files=tuple(described(directory, name) for name in (DUMP_NAME, CONFIGURATION_NAME)),
    )
    finish(directory, manifest)
    return manifest


def replay_since(root: Path, now: datetime) -> datetime:
    """Return from when on the journals below `root` may hold what a dump begun now does not."""
    waiting = [oldest_unsent(each, load_checkpoint(each)) for each in directories(root)]
    return min((moment for moment in waiting if moment is not None), default=now) - _MARGIN


def shown_size(size: int) -> str:
    """Return a size for people, such as `3.4 MiB`."""
    return f"{size / 1024:.1f} KiB" if size < 1 << 20 else f"{size / (1 << 20):.1f} MiB"
