"""`aibridge interceptions`: the requests that were recorded."""

from __future__ import annotations

from uuid import UUID

import click

from bridge.cli.administration import (
    audit_list,
    audit_reading,
    cutoff_of,
    examples,
    print_json,
    shown_time,
)
from bridge.cli.searching import Search, searching, usage_error
from bridge.cli.session import Session
from bridge.cli.sources import Question, Source, reading
from bridge.cli.tables import Layout, print_facts, print_table
from bridge.domain.errors import NotFound
from bridge.domain.interception import Traffic
from bridge.store.connection import Cursor
from bridge.store.filters import InvalidFilter, page_id
from bridge.store.reads import DEFAULT_LIMIT, MAX_LIMIT, list_interceptions
from bridge.store.reads_json import (
    Interception,
    InterceptionDetail,
    InterceptionList,
    ToolResult,
    ToolUsage,
)
from bridge.store.reads_results import read_detail
from bridge.store.sessions_json import CallResult
from bridge.telemetry.escape import printable

COLUMNS = (
    "STARTED", "USER", "CLIENT", "PROVIDER", "MODEL", "STATUS", "IN", "OUT", "TOOLS", "THOUGHTS",
    "ID", "PROMPT OR PATH",
)  # fmt: skip
LAYOUT = Layout(
    kept=("STARTED", "STATUS", "IN", "OUT", "THOUGHTS", "ID"),
    folded=("ID", "PROMPT OR PATH"),
    dropped=("THOUGHTS", "TOOLS", "CLIENT", "PROVIDER", "IN", "OUT"),
)


@click.group()
def command() -> None:
    """The requests that were recorded."""


@command.command(
    "list",
    epilog=examples(
        "aibridge interceptions list --initiator alice --started-after 2h",
        "aibridge interceptions list 'client:\"Claude Code\" status:upstream_error'",
        "AIBRIDGE_URL=https://bridge.example aibridge interceptions list --json",
    ),
)
@searching()
@click.option(
    "--limit",
    type=click.IntRange(1, MAX_LIMIT),
    default=DEFAULT_LIMIT,
    show_default=True,
    help="Rows at most.",
)
@click.option("--after-id", metavar="ID", help="Only older ones: the last id of a page before.")
@click.option("--json", "as_json", is_flag=True, help="Print what the API answers.")
@reading
def list_(
    source: Source, /, *, search: Search, limit: int, after_id: str | None, as_json: bool
) -> None:
    """List interceptions, newest first; reading them is written to the audit log."""
    found = source.ask(list_question(search, limit=limit, after_id=after_id))
    if as_json:
        print_json(found)
        return
    print_table(
        COLUMNS,
        [row_of(each) for each in found.results],
        empty="Nothing was recorded.",
        layout=LAYOUT,
    )


@command.command(
    "show",
    epilog=examples(
        "aibridge interceptions show 019a1b2c-…",
        "aibridge interceptions show 019a1b2c-… --json | jq .token_usages",
    ),
)
@click.argument("identifier", metavar="ID", type=click.UUID)
@click.option("--json", "as_json", is_flag=True, help="Print what the API answers.")
@reading
def show(source: Source, /, *, identifier: UUID, as_json: bool) -> None:
    """Show one interception with everything that belongs to it.

    Prompt, thoughts and tool calls are shown whole; control characters as escapes.
    """
    found = source.ask(one_question(identifier))
    if as_json:
        print_json(found)
        return
    print_facts(("INTERCEPTION", str(found.id)), facts_of(found))
    for heading, text in texts_of(found):
        click.echo(f"\n{printable(heading)}")
        for line in text.splitlines():
            click.echo(f"  {printable(line)}")


def list_question(
    search: Search, *, limit: int, after_id: str | None
) -> Question[InterceptionList]:
    """Return the question for a page of interceptions.

    Raises:
        UsageError: `after_id` is no id of one.
    """
    try:
        after = page_id(after_id) if after_id else None
    except InvalidFilter as error:
        raise usage_error(error) from error

    async def read(session: Session) -> InterceptionList:
        async def work(cursor: Cursor) -> InterceptionList:
            return await list_interceptions(
                cursor,
                search.filter,
                limit=limit,
                after_id=after,
                visible_to=None,
                cutoff=cutoff_of(session),
            )

        found = await session.pool.transaction(work, read_only=True)
        await audit_list(
            session,
            [(each.id, each.initiator) for each in found.results],
            what="interceptions",
            detail={"q": search.shown},
        )
        return found

    params = {"q": search.q, "limit": str(limit), **({"after_id": after_id} if after_id else {})}
    return Question(path="/interceptions", returns=InterceptionList, direct=read, params=params)


def one_question(identifier: UUID) -> Question[InterceptionDetail]:
    """Return the question for one interception."""

    async def read(session: Session) -> InterceptionDetail:
        async def work(cursor: Cursor) -> InterceptionDetail | None:
            return await read_detail(cursor, identifier, visible_to=None, cutoff=cutoff_of(session))

        found = await session.pool.transaction(work, read_only=True)
        if found is None:
            raise NotFound("There is no such interception.")
        await audit_reading(session, target=str(found.id), users=[found.initiator], detail={})
        return found

    return Question(path=f"/interceptions/{identifier}", returns=InterceptionDetail, direct=read)


def facts_of(found: InterceptionDetail) -> list[tuple[str, str]]:
    """Return the lines of what is known besides texts."""
    usage = found.token_usages
    facts = [
        ("user", found.initiator.username),
        ("token", found.api_key_id or ""),
        ("client", found.client or "Unknown"),
        ("session", found.session_id),
        ("thread", str(found.thread_root_id or found.id)),
        ("provider", found.provider_name),
        ("model", found.model),
        ("request", f"{found.method} {found.route}"),
        ("started", shown_time(found.started_at)),
        ("ended", shown_time(found.ended_at)),
        ("took", f"{found.duration_ms} ms" if found.duration_ms is not None else ""),
        ("first byte", f"{found.ttfb_ms} ms" if found.ttfb_ms is not None else ""),
        ("status", " ".join(str(x) for x in (found.status, found.http_status) if x is not None)),
        ("stop reason", found.stop_reason or ""),
        ("error", " ".join(x for x in (found.error_type, found.error_message) if x)),
        ("credential", f"{found.credential_kind} {found.credential_hint}".strip()),
        ("bytes", f"{found.bytes_in} in, {found.bytes_out or 0} out"),
        (
            "tokens",
            f"{sum(_input_tokens(found))} in, {sum(each.output_tokens for each in usage)} out"
            + (f" ({', '.join(sorted({each.usage_source for each in usage}))})" if usage else ""),
        ),
    ]
    facts += [
        (f"leg {each.n}", f"{each.provider_name} {each.model} {each.status or ''} {each.outcome}")
        for each in found.legs
    ]
    return [(name, text) for name, text in facts if text]


def texts_of(found: InterceptionDetail) -> list[tuple[str, str]]:
    """Return what people, models and tools said, each with a heading."""
    results = {each.tool_usage_id: each for each in found.call_results}
    return [
        *(
            (f"Brought {told_of(each)} of the call {each.tool_call_id}", each.content or "")
            for each in found.tool_results
        ),
        *(("Prompt", each.prompt) for each in found.user_prompts),
        *(("Thought", each.content) for each in found.model_thoughts),
        *(text for each in found.tool_usages for text in _call_texts(each, results.get(each.id))),
    ]


def told_of(result: ToolResult | CallResult) -> str:
    """Return what is known of a result besides its content."""
    kind = "an error" if result.is_error else "a result"
    kept = "" if result.content is not None else ", content not recorded"
    return f"{kind} ({result.size_bytes} bytes{kept})"


def _call_texts(call: ToolUsage, result: CallResult | None) -> list[tuple[str, str]]:
    texts = [(f"Tool {call.tool}", call.input)]
    if result is not None:
        texts.append((f"It gave back {told_of(result)}", result.content or ""))
    return texts


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
        str(interception.id),
        " ".join(prompts.split()),
    )


def _input_tokens(interception: Interception) -> list[int]:
    """Return all tokens that went in, from and to caches too."""
    return [
        each.input_tokens + each.cache_read_input_tokens + each.cache_write_input_tokens
        for each in interception.token_usages
    ]
