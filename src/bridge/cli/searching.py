"""What commands that list records are asked by: the API's search, or an option for each key."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import Any

import click
from twisted.internet import reactor

from bridge.domain.clock import utc
from bridge.domain.errors import InvalidRequest
from bridge.domain.units import parse_duration
from bridge.store.filters import Filter, InvalidFilter, filter_from, parse

_TIMES = ("started_after", "started_before")
_QUERY = (
    click.argument("query", nargs=-1),
    click.option(
        "--query", "q", metavar="QUERY", help="As in the API: 'model:x client:\"Claude Code\"'."
    ),
)
_OPTIONS = (
    click.option("--initiator", metavar="NAME", help="Who asked: a user's name or id."),
    click.option("--provider", metavar="FAMILY", help="Such as anthropic or openai."),
    click.option("--provider-name", metavar="NAME", help="The configured instance."),
    click.option("--model", metavar="NAME", help="Exactly as the client asked for it."),
    click.option("--client", metavar="NAME", help="Such as 'Claude Code'; Unknown for the rest."),
)
_OF_INTERCEPTIONS = (
    click.option("--session-id", metavar="ID", help="The client's own id of the session."),
    click.option("--status", metavar="STATE", help="How it ended, or running."),
)
_KIND = (click.option("--kind", metavar="KIND", help="intercepted (the default) or passthrough."),)
_WHEN = (
    click.option(
        "--started-after",
        metavar="TIME",
        help="Inclusive: RFC 3339, a day, or how long ago, such as 2h.",
    ),
    click.option("--started-before", metavar="TIME", help="Exclusive, likewise."),
)
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What was asked for, in both forms."""

    filter: Filter
    fields: Mapping[str, str]
    """Empty when it was given as text."""
    text: str
    """Empty when it was given by options."""

    @property
    def q(self) -> str:
        """The search as the API wants it.

        Raises:
            UsageError: a value has a double quote, which has no place there.
        """
        if self.text:
            return self.text
        for value in self.fields.values():
            if '"' in value:
                raise click.UsageError("Over the API no value can hold a double quote.")
        return " ".join(f'{key}:"{value}"' for key, value in self.fields.items())

    @property
    def shown(self) -> str | Mapping[str, str]:
        """The same for the audit log."""
        return self.text or self.fields


def searching(
    *, of_interceptions: bool = True, kind: bool = True, when: bool = True, query: bool = True
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command the options to search by, and the Search as `search`.

    Args:
        of_interceptions: with those that only single interceptions have.
        kind: with the kind of traffic.
        when: with times.
        query: with the API's own search as text.
    """
    wanted = (
        *(_QUERY if query else ()),
        *_OPTIONS,
        *(_OF_INTERCEPTIONS if of_interceptions else ()),
        *(_KIND if kind else ()),
        *(_WHEN if when else ()),
    )
    names = (
        *("initiator", "provider", "provider_name", "model", "client"),
        *(("session_id", "status") if of_interceptions else ()),
        *(("kind",) if kind else ()),
        *(_TIMES if when else ()),
    )

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def command(
            *args: Any, query: tuple[str, ...] = (), q: str | None = None, **given: Any
        ) -> Any:
            fields = {name: given.pop(name) for name in names}
            text = " ".join((*query, *([q] if q else [])))
            search = search_from(text, {name: each for name, each in fields.items() if each})
            return function(*args, search=search, **given)

        decorated: Callable[..., Any] = command
        for option in reversed(wanted):
            decorated = option(decorated)
        return decorated

    return decorate


def search_from(text: str, fields: Mapping[str, str]) -> Search:
    """Return what was given as text or by options.

    Raises:
        UsageError: it cannot be understood, or both were given.
    """
    if text and fields:
        raise click.UsageError("Give a query or options to search by, not both.")
    written = {
        name: moment_text(value) if name in _TIMES else value for name, value in fields.items()
    }
    try:
        wanted = parse(text) if text else filter_from(written)
    except InvalidFilter as error:
        raise usage_error(error) from error
    return Search(filter=wanted, fields=written, text=text)


def usage_error(error: InvalidRequest) -> click.UsageError:
    """Return everything that is wrong with a search."""
    problems = "; ".join(f"{each.field}: {each.detail}" for each in error.validations)
    return click.UsageError(f"{error.message} {problems}")


def moment_text(text: str, *, days: bool = True) -> str:
    """Return a moment as RFC 3339: one that stands so already, a day, or how long ago.

    Args:
        text: as it was written.
        days: turn a day into its beginning; else it is left as it is.
    """
    if not text:
        return ""
    if days and _DAY.fullmatch(text):
        return f"{text}T00:00:00Z"
    try:
        ago = timedelta(seconds=parse_duration(text))
    except (ValueError, OverflowError):
        return text  # whoever reads it says what is wrong with it
    return (now() - ago).isoformat()


def now() -> datetime:
    """Return the time, UTC."""
    return utc(reactor.seconds()).astimezone(UTC)
