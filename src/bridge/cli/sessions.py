"""`aibridge sessions`: what clients call a session, with all its requests."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar
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
from bridge.cli.session import Session as CommandSession
from bridge.cli.sources import Question, Source, reading
from bridge.cli.tables import print_table
from bridge.domain.errors import InvalidRequest, NotFound
from bridge.store.connection import Cursor
from bridge.store.filters import Filter, InvalidFilter, filter_from
from bridge.store.reads_session import DEFAULT_THREADS, MAX_THREADS, read_session
from bridge.store.reads_sessions import DEFAULT_LIMIT, MAX_LIMIT, After, list_sessions
from bridge.store.sessions_json import Session, SessionDetail, SessionList, Thread
from bridge.telemetry.escape import printable

T = TypeVar("T")

_COLUMNS = (
    "LAST ACTIVE", "USER", "CLIENT", "PROVIDERS", "MODELS", "REQUESTS", "THREADS", "IN", "OUT",
    "SESSION", "LAST PROMPT",
)  # fmt: skip


@click.group()
def command() -> None:
    """The sessions of clients, each with all its requests."""


@command.command(
    "list",
    epilog=examples(
        "aibridge sessions list --initiator alice --started-after 7d",
        "aibridge sessions list 'model:claude-sonnet-4-5 client:\"Claude Code\"' --limit 20",
        "aibridge sessions list --url https://bridge.example --token-file token --json",
    ),
)
@searching(kind=False)
@click.option(
    "--limit",
    type=click.IntRange(1, MAX_LIMIT),
    default=DEFAULT_LIMIT,
    show_default=True,
    help="Rows at most.",
)
@click.option(
    "--after", "after_id", metavar="ID", help="Only what comes after this session of a page before."
)
@click.option(
    "--after-initiator",
    type=click.UUID,
    metavar="ID",
    help="The id of that session's user, where several have sessions of the same id.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what the API answers.")
@reading
def list_(
    source: Source,
    /,
    *,
    search: Search,
    limit: int,
    after_id: str | None,
    after_initiator: UUID | None,
    as_json: bool,
) -> None:
    """List sessions, last active first; reading them is written to the audit log."""
    if after_initiator is not None and not after_id:
        raise click.UsageError("--after-initiator needs --after.")
    after = After(session_id=after_id, initiator_id=after_initiator) if after_id else None
    found = source.ask(list_question(search, limit=limit, after=after))
    if as_json:
        print_json(found)
        return
    print_table(_COLUMNS, [row_of(each) for each in found.sessions], empty="No sessions.")


@command.command(
    "show",
    epilog=examples(
        "aibridge sessions show 0f6c3a1e-…",
        "aibridge sessions show my-session --initiator alice --json",
    ),
)
@click.argument("session_id", metavar="ID")
@click.option("--initiator", metavar="NAME", help="Whose, where several have one of this id.")
@click.option(
    "--limit",
    type=click.IntRange(1, MAX_THREADS),
    default=DEFAULT_THREADS,
    show_default=True,
    help="Threads at most.",
)
@click.option(
    "--after-id", type=click.UUID, metavar="ID", help="Only threads after this one of the session."
)
@click.option("--json", "as_json", is_flag=True, help="Print what the API answers.")
@reading
def show(
    source: Source,
    /,
    *,
    session_id: str,
    initiator: str | None,
    limit: int,
    after_id: UUID | None,
    as_json: bool,
) -> None:
    """Show a session: its threads, and in each what was asked, thought and called."""
    found = source.ask(
        one_question(session_id, initiator=initiator, limit=limit, after_id=after_id)
    )
    if as_json:
        print_json(found)
        return
    print_table(("SESSION", found.id), facts_of(found))
    for thread in found.threads:
        click.echo()
        for line in lines_of(thread):
            click.echo(printable(line))
    if found.has_more and found.threads:
        more = f"There are more threads: --after-id {found.threads[-1].id}"
        click.echo(printable(more), err=True)


def list_question(search: Search, *, limit: int, after: After | None) -> Question[SessionList]:
    """Return the question for a page of sessions."""

    async def read(session: CommandSession) -> SessionList:
        async def work(cursor: Cursor) -> SessionList:
            return await list_sessions(
                cursor,
                search.filter,
                limit=limit,
                after=after,
                visible_to=None,
                cutoff=cutoff_of(session),
            )

        found = await _asked(session, work)
        await audit_list(
            session,
            [
                (each.id, each.initiator.username)
                for each in found.sessions
                if each.last_prompt is not None
            ],
            what="sessions",
            detail={"q": search.shown},
        )
        return found

    params = {"q": search.q, "limit": str(limit)}
    if after is not None:
        params["after_session_id"] = after.session_id
        if after.initiator_id is not None:
            params["after_initiator_id"] = str(after.initiator_id)
    return Question(path="/sessions", returns=SessionList, direct=read, params=params)


def one_question(
    session_id: str, *, initiator: str | None, limit: int, after_id: UUID | None
) -> Question[SessionDetail]:
    """Return the question for one session.

    Raises:
        UsageError: the initiator cannot be anybody.
    """
    try:
        whose = filter_from({"initiator": initiator}) if initiator else Filter()
    except InvalidFilter as error:
        raise usage_error(error) from error

    async def read(session: CommandSession) -> SessionDetail:
        async def work(cursor: Cursor) -> SessionDetail | None:
            return await read_session(
                cursor,
                session_id,
                whose=whose,
                limit=limit,
                after_id=after_id,
                visible_to=None,
                cutoff=cutoff_of(session),
            )

        found = await _asked(session, work) if "\0" not in session_id else None
        if found is None:
            raise NotFound("Session not found.")
        await audit_reading(
            session,
            target=found.id,
            users=[found.initiator.username],
            detail={"threads": len(found.threads)},
        )
        return found

    params = {"limit": str(limit)}
    if initiator:
        params["initiator"] = initiator
    if after_id is not None:
        params["after_id"] = str(after_id)
    return Question(
        path=f"/sessions/{session_id}", returns=SessionDetail, direct=read, params=params
    )


def row_of(session: Session) -> tuple[str, ...]:
    """Return a session's line in the table."""
    sums = session.token_usage_summary
    into = sums.input_tokens + sums.cache_read_input_tokens + sums.cache_write_input_tokens
    return (
        shown_time(session.last_active_at),
        session.initiator.username,
        session.client or "Unknown",
        " ".join(session.provider_names),
        " ".join(session.models),
        str(session.interceptions),
        str(session.threads),
        str(into),
        str(sums.output_tokens),
        session.id,
        " ".join((session.last_prompt or "").split()),
    )


def facts_of(session: SessionDetail) -> list[tuple[str, str]]:
    """Return what is known of the session as a whole."""
    sums = session.token_usage_summary
    into = sums.input_tokens + sums.cache_read_input_tokens + sums.cache_write_input_tokens
    return [
        ("user", session.initiator.username),
        ("client", session.client or "Unknown"),
        ("providers", " ".join(session.provider_names)),
        ("models", " ".join(session.models)),
        ("started", shown_time(session.started_at)),
        ("ended", shown_time(session.ended_at)),
        ("requests", str(session.interceptions)),
        ("threads", str(session.thread_count)),
        ("tokens", f"{into} in, {sums.output_tokens} out"),
    ]


def lines_of(thread: Thread) -> Iterator[str]:
    """Yield a thread line by line, not yet escaped."""
    yield f"{shown_time(thread.started_at)}  {thread.model}  {thread.status}  {thread.id}"
    for action in thread.agentic_actions:
        if action.prompt:
            yield from _indented("> ", action.prompt)
        for thinking in action.thinking:
            yield from _indented("~ ", thinking.text)
        for call in action.tool_calls:
            yield f"  + {call.tool} {' '.join(call.input.split())}"
        usage = action.token_usage
        said = [f"{usage.input_tokens} in", f"{usage.output_tokens} out", action.status]
        if action.duration_ms is not None:
            said.append(f"{action.duration_ms} ms")
        yield f"  = {', '.join(said)}"
        if action.error_message:
            yield f"  ! {action.error_message}"


def _indented(mark: str, text: str) -> Iterator[str]:
    for line in text.splitlines():
        yield f"  {mark}{line}"


async def _asked(session: CommandSession, work: Callable[[Cursor], Awaitable[T]]) -> T:
    try:
        return await session.pool.transaction(work, read_only=True)
    except InvalidRequest as error:
        raise click.UsageError(
            " ".join(
                [error.message, *(f"{each.field}: {each.detail}" for each in error.validations)]
            )
        ) from error
