"""The command `aibridge`: its global options, its commands, and how it fails."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

import click

from bridge.cli.configuration import DEFAULT_PATH, Configuration
from bridge.config.settings import ConfigErrors
from bridge.config.sources import CONFIG_VARIABLE
from bridge.domain.errors import BridgeError
from bridge.telemetry.escape import printable
from bridge.version import version_text

SECTIONS: Mapping[str, Mapping[str, str]] = {
    "Records": {
        "interceptions": "The requests that were recorded.",
        "sessions": "The sessions of clients, each with all its requests.",
        "search": "Find requests by words in prompts, thoughts and tool calls.",
        "tail": "Follow requests as they end.",
        "usage": "Sum up requests, tokens and times.",
        "export": "Write requests with everything that belongs to them into a file.",
        "models": "The models that were asked for.",
        "clients": "The clients that asked.",
        "providers": "The configured providers that were asked.",
        "audit": "Who was refused, read another's content, or changed something.",
    },
    "Who may ask": {
        "token": "The tokens that clients send.",
        "user": "The people and programs that tokens belong to.",
    },
    "Operation": {
        "doctor": "Whether everything that the bridge needs is as it should be.",
        "config": "What is configured, and whether it can be used.",
        "reload": "Have the running bridge read its configuration again.",
        "db": "The database: its schema and its state.",
        "journal": "The records on disk that the database gets.",
        "backup": "Writes users, tokens and records to a directory.",
        "restore": "Fills the database from a backup.",
        "retention": "How long records are kept.",
        "hold": "Records that neither retention nor erasure may touch.",
    },
}
"""What each command is about; `bridge.cli.<name>` holds it as `command`."""
COMMANDS: Mapping[str, str] = {
    name: about for section in SECTIONS.values() for name, about in section.items()
}
AWAY_EXIT = 3
"""The database, or the bridge, cannot be reached."""
_AWAY_STATUS = 503


class Commands(click.Group):
    """Imports a command only when it is used, and turns our errors into short messages."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  (click's signature)
        """Return the names of all commands."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Return the command of that name, None when there is none."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"bridge.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands without importing them."""
        widest = max(map(len, COMMANDS))
        for heading, commands in SECTIONS.items():
            with formatter.section(heading):
                formatter.write_dl([(f"{name:<{widest}}", commands[name]) for name in commands])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; what we raise ends it with a sentence, never with a traceback."""
        try:
            return super().invoke(ctx)
        except ConfigErrors as e:
            raise _Misconfigured(ctx.obj.path, e.problems) from e
        except BridgeError as e:
            if e.status == _AWAY_STATUS:
                raise _Away(printable(str(e))) from e
            raise click.ClickException(printable(str(e))) from e


class _Away(click.ClickException):
    """What is needed may be there later."""

    exit_code = AWAY_EXIT


class _Misconfigured(click.ClickException):
    """Every problem of the configuration, one a line."""

    exit_code = 2

    def __init__(self, path: Path | None, problems: Sequence[str]) -> None:
        where = str(path) if path is not None else "flags and environment"
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__(f"The configuration ({where}) has {count}:")
        self._problems = problems

    def show(self, file: Any = None) -> None:
        """Print heading and problems."""
        for line in (self.message, *(f"  {problem}" for problem in self._problems)):
            click.echo(printable(line), err=file is None, file=file)


def _show_version(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:  # noqa: ARG001
    if value and not ctx.resilient_parsing:
        click.echo(f"aibridge {version_text()}")
        ctx.exit()


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--config",
    "config",
    metavar="FILE",
    envvar=CONFIG_VARIABLE,
    type=click.Path(dir_okay=False, path_type=Path),
    help=f"The YAML file that the bridge uses too; ${CONFIG_VARIABLE}, or {DEFAULT_PATH} if it is "
    "there, when left out.",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Print version and commit.",
)
@click.pass_context
def aibridge(context: click.Context, config: Path | None) -> None:
    """Manage an AI Bridge: users, tokens, and what it recorded.

    The bridge itself is started with `twistd aibridge --config FILE`.

    Commands on records read the configured database, or with --url and a token the API of a
    bridge anywhere; they print tables for people and --json for programs.

    Exit codes: 0 done, 1 it could not be done, 2 wrong usage or configuration, 3 database or bridge
    out of reach, 4 token refused, 130 interrupted.
    """
    context.obj = Configuration(path=config, environ=os.environ)


def main() -> None:
    """Run the command line of this process."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIO) or hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    aibridge(prog_name="aibridge")
