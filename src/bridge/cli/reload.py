"""`aibridge reload`: the running bridge takes over a changed configuration."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import click
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater, react

from bridge.cli.configuration import Configuration
from bridge.cli.remote import AWAY_EXIT
from bridge.cli.session import JOURNAL_DIRECTORY
from bridge.config import options
from bridge.config.document import Node, load_document
from bridge.config.settings import ConfigErrors
from bridge.config.sources import Sources, resolve
from bridge.journal.directory import WRITER_LOCK_NAME, try_lock
from bridge.reload_outcome import ReloadOutcome, read_outcome
from bridge.telemetry.escape import printable

_PATIENCE_SECONDS = 15.0
_LOOK_SECONDS = 0.05
_MISCONFIGURED = 2


class _NobodyThere(click.ClickException):
    """There is no bridge to tell it to."""

    exit_code = AWAY_EXIT

    def __init__(self, data_dir: Path) -> None:
        super().__init__(f"No bridge runs with the data directory {data_dir}.")


@click.command("reload")
@click.pass_obj
def command(configuration: Configuration) -> None:
    """Have the running bridge read its configuration again.

    Providers, keys and limits change at once; streams go on. A file that cannot be used changes
    nothing. Exit code 2 then, 3 when no bridge runs here.
    """
    data_dir = _data_dir(configuration)
    before = read_outcome(data_dir)
    if before is None or not _bridge_runs(data_dir):
        raise _NobodyThere(data_dir)
    try:
        os.kill(before.pid, signal.SIGHUP)
    except ProcessLookupError as e:
        raise _NobodyThere(data_dir) from e
    except PermissionError as e:
        msg = f"The bridge (process {before.pid}) runs as somebody else; use its user, or root."
        raise click.ClickException(msg) from e
    after = _outcome_after(before, data_dir)
    if after.problems:
        click.echo("Nothing was changed, because the configuration cannot be used:", err=True)
        for each in after.problems:
            click.echo(printable(f"  {each}"), err=True)
        raise click.exceptions.Exit(_MISCONFIGURED)
    click.echo(printable(f"Reloaded. Served: {', '.join(after.providers) or 'no provider'}."))
    if after.waiting:
        click.echo(printable(f"In force after a restart: {', '.join(after.waiting)}."))


def _data_dir(configuration: Configuration) -> Path:
    """Return where the bridge keeps its data, even if the rest cannot be used from here.

    The bridge is the one to judge: it may have variables that this shell has not, and its log
    should say what is wrong, too.

    Raises:
        ConfigErrors: no bridge can be found to judge.
    """
    try:
        return configuration.settings[options.DATA_DIR].absolute()
    except ConfigErrors:
        problems: list[str] = []
        path = configuration.path
        document = Node(value={}, place="")
        if path is not None:
            document = load_document(path, os.environ, problems)
            if not document.members:
                raise  # the data directory that would be taken might be another bridge's
        sources = Sources(flags={}, environ=os.environ, document=document)
        data_dir = resolve(options.DATA_DIR, sources, problems).value.absolute()
        if read_outcome(data_dir) is None or not _bridge_runs(data_dir):
            raise
        return data_dir


def _bridge_runs(data_dir: Path) -> bool:
    """Return whether somebody writes the records of `data_dir`, as every running bridge does.

    A number left behind by a bridge that was killed may be another program's by now.
    """
    claim = try_lock(data_dir / JOURNAL_DIRECTORY / WRITER_LOCK_NAME)
    if claim is None:
        return True
    claim.release()
    return False


def _outcome_after(before: ReloadOutcome, data_dir: Path) -> ReloadOutcome:
    """Wait until the bridge has left word of another reload than `before`, and return it."""
    found: list[ReloadOutcome] = []

    async def look(reactor: Any) -> None:
        end = reactor.seconds() + _PATIENCE_SECONDS
        while reactor.seconds() < end:
            outcome = read_outcome(data_dir)
            if outcome is not None and outcome != before:
                found.append(outcome)
                return
            await deferLater(reactor, _LOOK_SECONDS)

    try:
        react(lambda reactor: Deferred.fromCoroutine(look(reactor)))
    except SystemExit:
        pass  # react ends with it when all went well, too
    if not found:
        raise click.ClickException(
            f"The bridge (process {before.pid}) has not answered within "
            f"{_PATIENCE_SECONDS:.0f} s; its log may say why."
        )
    return found[0]
