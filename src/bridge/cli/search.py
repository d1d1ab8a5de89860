"""`aibridge search`: what was asked, thought and done, found by its words."""

from __future__ import annotations

import click

from bridge.cli.administration import (
    audit_list,
    cutoff_of,
    examples,
    print_json,
    shown_time,
)
from bridge.cli.searching import Search, searching, usage_error
from bridge.cli.session import Session
from bridge.cli.sources import Question, Source, reading
from bridge.domain.errors import InvalidRequest
from bridge.store.connection import Cursor
from bridge.store.filters import page_id
from bridge.store.reads_search import DEFAULT_LIMIT, MAX_LIMIT, Highlight, Hits, search
from bridge.store.search_words import Part, parse_words
from bridge.telemetry.escape import printable

_PARTS = {part.name.lower(): part for part in Part}


@click.command(
    "search",
    epilog=examples(
        "aibridge search 'rotate \"access key\" -test'",
        "aibridge search terraform --in prompt --initiator alice --started-after 7d",
        "aibridge search 'rm OR unlink' --in tool --json",
    ),
)
@click.argument("words", metavar="WORDS")
@searching(kind=False, query=False)
@click.option(
    "--in",
    "parts",
    type=click.Choice(sorted(_PARTS)),
    multiple=True,
    help="Where it must stand; may be given several times.",
)
@click.option(
    "--limit",
    type=click.IntRange(1, MAX_LIMIT),
    default=DEFAULT_LIMIT,
    show_default=True,
    help="Interceptions at most.",
)
@click.option("--after-id", metavar="ID", help="Only older ones: the last id of a page before.")
@click.option("--json", "as_json", is_flag=True, help="Print what the API answers.")
@reading
def command(
    source: Source,
    /,
    *,
    words: str,
    search: Search,
    parts: tuple[str, ...],
    limit: int,
    after_id: str | None,
    as_json: bool,
) -> None:
    """Find interceptions by words in prompts, thoughts and tool calls, newest first.

    All of WORDS must be there; "phrases", OR, - before what must not be there, and * after the
    beginning of a word are understood. Put WORDS in quotes, and `--` before ones that begin with -.
    """
    found = source.ask(question(words, parts, search, limit=limit, after_id=after_id))
    if as_json:
        print_json(found)
        return
    if not found.results:
        click.echo("Nothing was found.", err=True)
    for hit in found.results:
        heading = "  ".join(
            (
                shown_time(hit.started_at),
                hit.initiator.username,
                hit.client or "Unknown",
                f"{hit.provider_name}/{hit.model}",
                str(hit.interception_id),
            )
        )
        click.echo(printable(heading))
        for highlight in hit.highlights:
            click.echo(f"  {highlight.part}: {shown(highlight)}")
    if found.more:
        more = f"There is more: --after-id {found.results[-1].interception_id}"
        click.echo(printable(more), err=True)


def question(
    words: str, parts: tuple[str, ...], search_in: Search, *, limit: int, after_id: str | None
) -> Question[Hits]:
    """Return the question.

    Raises:
        UsageError: words or `after_id` are none.
    """
    try:
        wanted = parse_words(words, parts=tuple(_PARTS[each] for each in parts))
        after = page_id(after_id) if after_id else None
    except InvalidRequest as error:
        raise usage_error(error) from error

    async def read(session: Session) -> Hits:
        async def work(cursor: Cursor) -> Hits:
            return await search(
                cursor,
                wanted,
                search_in.filter,
                limit=limit,
                after_id=after,
                visible_to=None,
                cutoff=cutoff_of(session),
            )

        found = await session.pool.transaction(work, read_only=True)
        await audit_list(
            session,
            [(each.interception_id, each.initiator) for each in found.results],
            what="interceptions",
            detail={"search": words, "q": search_in.shown},
        )
        return found

    params = {
        "q": words,
        "filter": search_in.q,
        "in": ",".join(parts),
        "limit": str(limit),
        "after": after_id or "",
    }
    given = {name: value for name, value in params.items() if value}
    return Question(path="/search", returns=Hits, direct=read, params=given)


def shown(highlight: Highlight) -> str:
    """Return what surrounds a find in one line, the find itself bold on a terminal."""
    pieces = [
        click.style(printable(each.text), bold=True) if each.match else printable(each.text)
        for each in highlight.fragments
    ]
    before, after = "…" if highlight.cut_before else "", "…" if highlight.cut_after else ""
    return f"{before}{''.join(pieces)}{after}"
