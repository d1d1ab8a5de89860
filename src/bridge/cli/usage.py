"""`aibridge usage`: requests, tokens and times, summed up."""

from __future__ import annotations

import re
from datetime import date

import click
from msgspec import UNSET

from bridge.cli.administration import cutoff_of, examples, print_json
from bridge.cli.searching import Search, searching, usage_error
from bridge.cli.session import Session
from bridge.cli.sources import Question, Source, reading
from bridge.cli.tables import Layout, print_table
from bridge.store.connection import Cursor
from bridge.store.filters import InvalidFilter
from bridge.store.reads_usage import (
    DEFAULT_LIMIT,
    MAX_LIMIT,
    Dimension,
    Sums,
    Usage,
    UsageRow,
    check,
    read_usage,
)

_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_COLUMNS = (
    "REQUESTS", "ERRORS", "LEFT", "IN", "OUT", "CACHE READ", "CACHE WRITE", "P50 MS", "P95 MS",
)  # fmt: skip
_LAYOUT = Layout(kept=_COLUMNS, folded=("CACHE READ", "CACHE WRITE", "P50 MS", "P95 MS"))


def _day(context: click.Context, parameter: click.Parameter, value: str | None) -> date | None:
    if value is None:
        return None
    try:
        if _DATE.fullmatch(value):
            return date.fromisoformat(value)
    except ValueError:
        pass  # a 13th month, say: told like any other
    msg = f"{value!r} is not a day; write for example 2026-01-31"
    raise click.BadParameter(msg, ctx=context, param=parameter)


@click.command(
    "usage",
    epilog=examples(
        "aibridge usage --by day",
        "aibridge usage --by initiator,model --from 2026-11-01 --to 2026-11-30",
        "aibridge usage --by model --initiator alice --json",
    ),
)
@searching(of_interceptions=False, kind=False, when=False)
@click.option(
    "--by",
    default="day",
    show_default=True,
    metavar="NAMES",
    help=f"What to tell apart, with commas: {', '.join(each.value for each in Dimension)}.",
)
@click.option("--from", "first", callback=_day, metavar="DAY", help="First day, UTC.")
@click.option("--to", "last", callback=_day, metavar="DAY", help="Last day, UTC, inclusive.")
@click.option(
    "--limit",
    type=click.IntRange(1, MAX_LIMIT),
    default=DEFAULT_LIMIT,
    show_default=True,
    help="Groups at most.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what the API answers.")
@reading
def command(
    source: Source,
    /,
    *,
    search: Search,
    by: str,
    first: date | None,
    last: date | None,
    limit: int,
    as_json: bool,
) -> None:
    """Sum up requests, tokens and times.

    By day, user, provider, model or client, or several of them. Days are of UTC.
    """
    if first is not None and last is not None and first > last:
        raise click.UsageError("--to must not be before --from.")
    dimensions = dimensions_from(by)
    found = source.ask(
        question(search, dimensions, first=first, last=last, limit=limit),
    )
    if as_json:
        print_json(found)
        return
    rows = [(*names_of(each, dimensions), *sums_of(each)) for each in found.results]
    total = ("TOTAL", *[""] * (len(dimensions) - 1), *sums_of(found.total))
    headings = tuple(each.value.replace("_", " ").upper() for each in dimensions)
    print_table((*(headings or ("",)), *_COLUMNS), [*rows, total], layout=_LAYOUT)
    if found.truncated:
        click.echo("There are more groups; raise --limit.", err=True)


def dimensions_from(text: str) -> tuple[Dimension, ...]:
    """Return what `text` names.

    Raises:
        UsageError: it names something else, or one thing twice.
    """
    found: list[Dimension] = []
    for name in text.split(",") if text else ():
        try:
            found.append(Dimension(name.strip()))
        except ValueError:
            known = ", ".join(each.value for each in Dimension)
            raise click.UsageError(f"--by: {name!r} is none of {known}.") from None
    if len(set(found)) < len(found):
        raise click.UsageError("--by names something twice.")
    return tuple(found)


def question(
    search: Search,
    by: tuple[Dimension, ...],
    *,
    first: date | None,
    last: date | None,
    limit: int,
) -> Question[Usage]:
    """Return the question for usage.

    Raises:
        UsageError: usage is not kept by what the search asks for.
    """
    try:
        check(search.filter)
    except InvalidFilter as error:
        raise usage_error(error) from error

    async def read(session: Session) -> Usage:
        async def work(cursor: Cursor) -> Usage:
            return await read_usage(
                cursor,
                search.filter,
                by=by,
                first=first,
                last=last,
                limit=limit,
                visible_to=None,
                cutoff=cutoff_of(session),
            )

        return await session.pool.transaction(work, read_only=True)

    params = {
        "q": search.q,
        "group_by": ",".join(by),
        "limit": str(limit),
        **({"from": first.isoformat()} if first is not None else {}),
        **({"to": last.isoformat()} if last is not None else {}),
    }
    return Question(path="/usage", returns=Usage, direct=read, params=params)


def names_of(row: UsageRow, by: tuple[Dimension, ...]) -> tuple[str, ...]:
    """Return what a group is of, in the order of the columns."""
    names = []
    for each in by:
        value = getattr(row, each.value)
        if each is Dimension.INITIATOR and value is not UNSET:
            value = value.username
        names.append("" if value is UNSET else str(value))
    return tuple(names)


def sums_of(sums: Sums) -> tuple[str, ...]:
    """Return the numbers of a group."""
    return (
        str(sums.interceptions),
        str(sums.errors),
        str(sums.client_aborts),
        str(sums.input_tokens),
        str(sums.output_tokens),
        str(sums.cache_read_input_tokens),
        str(sums.cache_write_input_tokens),
        str(sums.duration.p50_ms if sums.duration.p50_ms is not None else ""),
        str(sums.duration.p95_ms if sums.duration.p95_ms is not None else ""),
    )
