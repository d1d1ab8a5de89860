"""`aibridge interceptions`: the requests that were recorded."""

from __future__ import annotations

from datetime import timedelta

import click

from bridge.cli.administration import changed, shown_json, shown_time
from bridge.cli.configuration import Configuration
from bridge.cli.session import Session, run_with_store
from bridge.cli.tables import print_table
from bridge.config import options
from bridge.domain.clock import utc
from bridge.domain.interception import Traffic
from bridge.store.connection import Cursor
from bridge.store.filters import InvalidFilter, filter_from, page_id, parse
from bridge.store.reads import DEFAULT_LIMIT, MAX_LIMIT, list_interceptions
from bridge.store.reads_json import Interception, InterceptionList

_COLUMNS = (
    "STARTED", "USER", "CLIENT", "PROVIDER", "MODEL", "STATUS", "IN", "OUT", "TOOLS", "THOUGHTS",
    "PROMPT OR PATH",
)  # fmt: skip


@click.group()
def command() -> None:
    """The requests that were recorded."""


@command.command("list")
@click.argument("query", nargs=-1)
@click.option(
    "--query", "q", metavar="QUERY", help="As in the API: 'model:x client:\"Claude Code\"'."
)
@click.option("--initiator", metavar="NAME", help="Who asked: a user's name or id.")
@click.option("--provider", metavar="FAMILY", help="Such as anthropic or openai.")
@click.option("--provider-name", metavar="NAME", help="The configured instance.")
@click.option("--model", metavar="NAME", help="Exactly as the client asked for it.")
@click.option("--client", metavar="NAME", help="Such as 'Claude Code'; Unknown for the rest.")
@click.option("--session-id", metavar="ID", help="The client's own id of the session.")
@click.option("--status", metavar="STATE", help="How it ended, or running.")
@click.option("--kind", metavar="KIND", help="intercepted (the default) or passthrough.")
@click.option("--started-after", metavar="TIME", help="RFC 3339, inclusive.")
@click.option("--started-before", metavar="TIME", help="RFC 3339, exclusive.")
@click.option(
    "--limit",
    type=click.IntRange(1, MAX_LIMIT),
    default=DEFAULT_LIMIT,
    show_default=True,
    help="Rows at most.",
)
@click.option("--after-id", metavar="ID", help="Only older ones: the last id of a page before.")
@click.option("--json", "as_json", is_flag=True, help="Print what the API answers.")
@click.pass_obj
def list_(
    configuration: Configuration,
    /,
    *,
    query: tuple[str, ...],
    q: str | None,
    limit: int,
    after_id: str | None,
    as_json: bool,
    **fields: str | None,
) -> None:
    """List interceptions, newest first; reading them is written to the audit log."""
    searched = " ".join((*query, *([q] if q else [])))
    given = {name: value for name, value in fields.items() if value}
    if searched and given:
        raise click.UsageError("Give a query or options to search by, not both.")
    try:
        wanted = parse(searched) if searched else filter_from(given)
        after = page_id(after_id) if after_id else None
    except InvalidFilter as error:
        problems = "; ".join(f"{each.field}: {each.detail}" for each in error.validations)
        raise click.UsageError(f"{error.message} {problems}") from error
    settings = configuration.settings
    retention = settings[options.RETENTION]

    async def read(session: Session) -> InterceptionList:
        now = session.reactor.seconds()
        cutoff = utc(now) - timedelta(seconds=retention) if retention else None

        async def work(cursor: Cursor) -> InterceptionList:
            return await list_interceptions(
                cursor, wanted, limit=limit, after_id=after, visible_to=None, cutoff=cutoff
            )

        found = await session.pool.transaction(work, read_only=True)
        if found.results:
            row = changed(
                session,
                "content.read",
                target=f"{len(found.results)} interceptions",
                detail={
                    "q": searched or given,
                    "users": sorted({each.initiator.username for each in found.results}),
                    "first": str(found.results[0].id),
                    "last": str(found.results[-1].id),
                },
            )
            # What cannot be written down is not shown.
            await session.audit([row])
        return found

    found = run_with_store(settings, read)
    if as_json:
        click.echo(shown_json(found))
        return
    print_table(_COLUMNS, [row_of(each) for each in found.results], empty="Nothing was recorded.")


def row_of(interception: Interception) -> tuple[str, ...]:
    """Return an interception's line in the table."""
    usage = interception.token_usages
    prompts = " ".join(each.prompt for each in interception.user_prompts)
    if interception.kind == Traffic.PASSTHROUGH:
        prompts = f"{interception.method} {interception.route}"
    return (
        shown_time(interception.started_at),
        interception.initiator.username,
        interception.client or "Unknown",
        interception.provider_name,
        interception.model,
        interception.status,
        str(sum(_input_tokens(interception))),
        str(sum(each.output_tokens for each in usage)),
        " ".join(each.tool for each in interception.tool_usages),
        str(len(interception.model_thoughts) or ""),
        " ".join(prompts.split()),
    )


def _input_tokens(interception: Interception) -> list[int]:
    """Return all tokens that went in, from and to caches too."""
    return [
        each.input_tokens + each.cache_read_input_tokens + each.cache_write_input_tokens
        for each in interception.token_usages
    ]
