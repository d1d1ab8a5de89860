"""`aibridge doctor`: whether everything that the bridge needs is as it should be."""

from __future__ import annotations

from typing import Any

import click

from bridge.cli.administration import examples, shown_json
from bridge.cli.checks import Finding, State, failed, local_findings, ok, warning
from bridge.cli.checks_asked import database_findings, provider_findings
from bridge.cli.checks_running import running_findings
from bridge.cli.configuration import Configuration
from bridge.cli.session import act_as_owner, run_in_reactor
from bridge.config import options
from bridge.config.settings import ConfigErrors, Settings
from bridge.telemetry.escape import printable

_MARKS = {State.OK: "ok  ", State.WARNING: "warn", State.FAILED: "FAIL"}
_COLOURS = {State.OK: "green", State.WARNING: "yellow", State.FAILED: "red"}


@click.command(
    "doctor",
    epilog=examples(
        "aibridge doctor",
        "aibridge --config /etc/aibridge/bridge.yaml doctor --offline",
        """aibridge doctor --json | jq '.checks[] | select(.state != "ok")'""",
    ),
)
@click.option("--offline", is_flag=True, help="Ask no provider anything.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_obj
def command(configuration: Configuration, *, offline: bool, as_json: bool) -> None:
    """Check everything that the bridge needs, and say what to do where something is wrong.

    Looks at the configuration, the data directory, the journal, the database, the clock, ports and
    limits, asks the running bridge how it does, and every provider for its list of models with each
    key, which costs nothing. Can be used before the first start too; changes nothing.

    The exit code is 1 when a check failed; warnings leave it at 0.
    """
    found = findings(configuration, offline=offline)
    worst = any(each.state is State.FAILED for each in found)
    if as_json:
        click.echo(shown_json({"ok": not worst, "checks": found}))
    else:
        for each in found:
            _show(each)
    if worst:
        raise click.exceptions.Exit(1)


def findings(configuration: Configuration, *, offline: bool) -> list[Finding]:
    """Return what all checks find; without a usable configuration there is only that."""
    where = str(configuration.path or "flags and environment")
    try:
        settings = configuration.settings
    except ConfigErrors as error:
        return [failed("configuration", each, f"Correct it ({where}).") for each in error.problems]
    found = [ok("configuration", f"{where} can be used.")]
    found += [
        warning("configuration", each, "See the documentation.") for each in settings.warnings
    ]

    async def look(reactor: Any) -> list[Finding]:
        local = list(local_findings(settings, reactor))
        asked = await database_findings(reactor, settings)
        away = any(each.state is State.FAILED and each.check == "database" for each in asked)
        running = await running_findings(reactor, settings, database_away=away)
        providers = [] if offline else await provider_findings(reactor, settings)
        return [*local, *running, *asked, *providers]

    _as_bridge(settings)
    # What is wrong is said by the findings.
    return [*found, *run_in_reactor(look, level="error")]


def _as_bridge(settings: Settings) -> None:
    act_as_owner(settings[options.DATA_DIR])


def _show(finding: Finding) -> None:
    mark = click.style(_MARKS[finding.state], fg=_COLOURS[finding.state])
    click.echo(f"{mark}  {printable(finding.check)}: {printable(finding.says)}")
    if finding.advice:
        click.echo(f"      {printable(finding.advice)}")
