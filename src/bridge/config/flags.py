"""The options as flags: their table, and arguments brought into the form that twistd can read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from bridge.config import options
from bridge.config.kinds import BOOLEAN
from bridge.config.settings import ConfigErrors, problem
from bridge.config.table import Option

CONFIG_FLAG = "config"
"""Names the YAML file; not an option."""

_TRUTH = frozenset({"true", "false", "yes", "no", "on", "off", "1", "0", "t", "f", "y", "n"})
_SWITCHES = frozenset(
    flag for option in options.ALL if option.kind is BOOLEAN for flag in option.flags
)


class Flag(NamedTuple):
    """One flag of one option."""

    name: str
    """Without its dashes."""
    doc: str
    """For `--help`, with kind and default."""
    hidden: bool
    """Whether `--help` leaves it out: a second spelling, or of no daily use."""


def flag_table() -> tuple[Flag, ...]:
    """Return every flag of every option; each option's preferred one first."""
    return tuple(flag for option in options.ALL for flag in _flags_of(option))


def normalise_arguments(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with a value in every flag of a truth value.

    `--aibridge-enabled`, alone, `--aibridge-enabled true` and `--aibridge-enabled=true` all become
    the last form, because an option parser that asks for a value takes the next flag for it.
    """
    found: list[str] = []
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        if argument == "--":
            return [*found, argument, *rest]
        if argument.startswith("--") and argument.removeprefix("--") in _SWITCHES:
            value = rest.pop(0) if rest and rest[0].strip().lower() in _TRUTH else "true"
            argument = f"{argument}={value}"
        found.append(argument)
        if _takes_the_next(argument) and rest:
            found.append(rest.pop(0))
    return found


def parse_flags(arguments: Sequence[str]) -> dict[str, str]:
    """Return the flags in a command line, by name without dashes; of one given twice, the last.

    Raises:
        ConfigErrors: something is no flag, or lacks its value. Flags that no option has are left
            to `load`.
    """
    found: dict[str, str] = {}
    problems: list[str] = []
    rest = normalise_arguments(arguments)
    while rest:
        name, equals, value = rest.pop(0).partition("=")
        if not name.startswith("--"):
            problems.append(problem(name, "is not a flag"))
        elif equals:
            found[name.removeprefix("--")] = value
        elif rest:
            found[name.removeprefix("--")] = rest.pop(0)
        else:
            problems.append(problem(f"flag {name}", "needs a value"))
    if problems:
        raise ConfigErrors(tuple(problems))
    return found


def _takes_the_next(argument: str) -> bool:
    """Say whether the argument behind this one is its value, whatever it looks like."""
    name = argument.removeprefix("--")
    return argument.startswith("--") and (name in _VALUED or name == CONFIG_FLAG)


def _flags_of(option: Option[object]) -> Iterator[Flag]:
    default = option.default_text
    doc = f"{option.doc} [{option.kind.name}"
    doc += f", default {default}]" if default else "]"
    for n, name in enumerate(option.flags):
        yield Flag(name=name, doc=doc, hidden=option.hidden or n > 0)


_VALUED = frozenset(flag.name for flag in flag_table()) - _SWITCHES
