"""`aibridge models`, `clients` and `providers`: the values that records can be searched by."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import click

from bridge.cli.administration import cutoff_of, examples, print_json
from bridge.cli.session import Session
from bridge.cli.sources import Question, Source, reading
from bridge.store.connection import Cursor
from bridge.store.reads_facets import DEFAULT_LIMIT, MAX_LIMIT, Facet, list_values
from bridge.telemetry.escape import printable


def values_command(name: str, facet: Facet, doc: str) -> click.Command:
    """Return the command that lists the values of one facet."""

    @click.command(name, help=doc, epilog=examples(f"aibridge {name}", f"aibridge {name} --json"))
    @click.argument("prefix", default="")
    @click.option(
        "--limit",
        type=click.IntRange(1, MAX_LIMIT),
        default=DEFAULT_LIMIT,
        show_default=True,
        help="Values at most.",
    )
    @click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
    @reading
    def command(source: Source, /, *, prefix: str, limit: int, as_json: bool) -> None:
        if "\0" in prefix:
            raise click.UsageError("PREFIX must be text, without NUL.")
        found = source.ask(
            Question(
                path=f"/{name}",
                returns=tuple[str, ...],
                direct=_reader(facet, prefix, limit),
                params={"q": prefix, "limit": str(limit)},
            )
        )
        if as_json:
            print_json(found)
            return
        for value in found:
            click.echo(printable(value))

    return command


def _reader(
    facet: Facet, prefix: str, limit: int
) -> Callable[[Session], Awaitable[tuple[str, ...]]]:
    async def read(session: Session) -> tuple[str, ...]:
        async def work(cursor: Cursor) -> tuple[str, ...]:
            return await list_values(
                cursor,
                facet,
                prefix=prefix,
                limit=limit,
                visible_to=None,
                cutoff=cutoff_of(session),
            )

        return await session.pool.transaction(work, read_only=True)

    return read
