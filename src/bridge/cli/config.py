"""`aibridge config`: what is in force, whether it can be used, and every option there is."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from bridge.cli.configuration import Configuration
from bridge.cli.tables import print_table
from bridge.config import options
from bridge.config.flags import parse_flags
from bridge.config.kinds import BOOLEAN, TEXTS, show_base_url
from bridge.config.reference import reference
from bridge.config.settings import ProviderSettings, Settings
from bridge.config.table import Option
from bridge.telemetry.escape import printable

_FLAGS = click.argument("flags", nargs=-1, type=click.UNPROCESSED, metavar="[FLAGS]...")
_NOTHING = '""'
_UNREAD: dict[str, Any] = {"ignore_unknown_options": True}


@click.group()
def command() -> None:
    """What is configured, and whether it can be used."""


@command.command(context_settings=_UNREAD)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--given", is_flag=True, help="Leave out what nobody set.")
@_FLAGS
@click.pass_obj
def show(
    configuration: Configuration, *, as_json: bool, given: bool, flags: tuple[str, ...]
) -> None:
    """Print every value in force and where it came from; secrets are masked.

    FLAGS are those of `twistd aibridge`, to see what they would do.
    """
    settings = configuration.with_flags(parse_flags(flags))
    shown = [option for option in options.ALL if not given or settings.entry(option).given]
    if as_json:
        click.echo(_as_json(configuration, settings, shown))
        return
    rows = [
        (option.path, _text(settings, option) or _NOTHING, settings.origin(option))
        for option in shown
    ]
    print_table(("OPTION", "VALUE", "FROM"), rows)
    click.echo()
    print_table(
        ("PROVIDER", "TYPE", "BASE URL", "KEYS", "FROM"),
        [
            (each.name, each.type, show_base_url(each.base_url), _keys(each), each.origin)
            for each in settings.providers
        ],
        empty="No providers.",
    )
    _print_warnings(settings)


@command.command(context_settings=_UNREAD)
@_FLAGS
@click.pass_obj
def check(configuration: Configuration, *, flags: tuple[str, ...]) -> None:
    """Say whether the bridge would start; every problem is listed, and the exit code is 2.

    FLAGS are those of `twistd aibridge`.
    """
    settings = configuration.with_flags(parse_flags(flags))
    _print_warnings(settings)
    where = configuration.path or "flags and environment"
    click.echo(printable(f"The configuration ({where}) can be used."))


@command.command("reference")
def print_reference() -> None:
    """Print the documentation of every option, as reStructuredText."""
    click.echo(reference(), nl=False)


def given_as_json(configuration: Configuration) -> bytes:
    """Return what somebody has set and the providers as a JSON object; secrets are masked.

    Raises:
        ConfigErrors: the configuration cannot be used.
    """
    settings = configuration.settings
    shown = [option for option in options.ALL if settings.entry(option).given]
    return _as_json(configuration, settings, shown)


def _as_json(configuration: Configuration, settings: Settings, shown: list[Option[Any]]) -> bytes:
    document = {
        "file": str(configuration.path) if configuration.path is not None else None,
        "options": {
            option.path: {
                "value": _json_value(settings, option),
                "origin": settings.origin(option),
                "given": settings.entry(option).given,
            }
            for option in shown
        },
        "providers": [
            {
                "name": each.name,
                "type": each.type,
                "base_url": show_base_url(each.base_url),
                "keys": [repr(key) for key in each.keys],
                "own_keys_only": each.own_keys_only,
                "send_actor_headers": each.send_actor_headers,
                "origin": each.origin,
            }
            for each in settings.providers
        ],
        "warnings": settings.warnings,
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2)


def _json_value(settings: Settings, option: Option[Any]) -> object:
    value: object = settings[option]
    if option.kind is BOOLEAN or option.kind is TEXTS or option.kind.name == "whole number":
        return value
    return _text(settings, option)


def _text(settings: Settings, option: Option[Any]) -> str:
    entry = settings.entry(option)
    return option.kind.show(entry.value) if entry.given else option.default_text


def _keys(provider: ProviderSettings) -> str:
    if provider.own_keys_only:
        return "own keys only"
    return ", ".join(repr(key) for key in provider.keys) or "none needed"


def _print_warnings(settings: Settings) -> None:
    for warning in settings.warnings:
        click.echo(printable(f"warning: {warning}"), err=True)
