"""`aibridge sessions`: what clients call a session, with all its requests."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import click

from bridge.cli.administration import (
    audit_list,
    cutoff_of,
    examples,
    print_json,
    shown_time,
)
from bridge.cli.remote import RemoteError
from bridge.cli.searching import Search, searching
from bridge.cli.session import Session as CommandSession
from bridge.cli.session_text import AsText
from bridge.cli.sources import Question, Source, reading
from bridge.cli.tables import Layout, print_table
from bridge.cli.whole_session import AsJson, Shown, WholeSession, asked
from bridge.store.connection import Cursor
from bridge.store.reads_sessions import (
    DEFAULT_LIMIT,
    MAX_LIMIT,
    After,
    AmbiguousSession,
    list_sessions,
)
from bridge.store.sessions_json import Session, SessionList

COLUMNS = (
    "LAST ACTIVE", "USER", "CLIENT", "PROVIDERS", "MODELS", "REQUESTS", "THREADS", "IN", "OUT",
    "SESSION", "LAST PROMPT",
)  # fmt: skip
LAYOUT = Layout(
    kept=("LAST ACTIVE", "REQUESTS", "THREADS", "IN", "OUT", "SESSION"),
    folded=("SESSION", "LAST PROMPT"),
    dropped=("THREADS", "PROVIDERS", "CLIENT", "IN", "OUT"),
)


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
    with telling_whose("say whose with --after-initiator ID; --json prints the ids of users."):
        found = source.ask(list_question(search, limit=limit, after=after))
    if as_json:
        print_json(found)
        return
    print_table(
        COLUMNS,
        [row_of(each) for each in found.sessions],
        empty="No sessions.",
        layout=LAYOUT,
    )


@command.command(
    "show",
    epilog=examples(
        "aibridge sessions show 0f6c3a1e-…",
        "aibridge sessions show my-session --initiator alice --json",
    ),
)
@click.argument("session_id", metavar="ID")
@click.option("--initiator", metavar="NAME", help="Whose, where several have one of this id.")
@click.option("--limit", type=click.IntRange(1), help="Threads at most; all of them when left out.")
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
    limit: int | None,
    after_id: UUID | None,
    as_json: bool,
) -> None:
    """Show a session to its end: its threads, and in each what was asked, thought and called.

    Long ones are read in pieces; each is written to the audit log before it is shown.
    """
    shown: Shown = AsJson() if as_json else AsText()
    whole = WholeSession(
        session_id, initiator=initiator, limit=limit, after_id=after_id, shown=shown
    )
    listed = shlex.join(["aibridge", "sessions", "list", "--session-id", session_id])
    with telling_whose(f"say whose with --initiator NAME; `{listed}` names them."):
        source.read_on(whole.first(), whole.take)
    more = whole.end()
    if more is not None and not as_json:
        click.echo(f"There are more threads: --after-id {more}", err=True)


@contextmanager
def telling_whose(advice: str) -> Iterator[None]:
    """Where several users have a session of one id, say that, and how to say whose is meant.

    Raises:
        UsageError: they have, in place of what says so otherwise.
    """
    said = f"Several users have a session of this id: {advice}"
    try:
        yield
    except AmbiguousSession as error:
        raise click.UsageError(said) from error
    except RemoteError as error:
        if error.status != AmbiguousSession.status:
            raise
        raise click.UsageError(said) from error


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

        found = await asked(session, work)
        await audit_list(
            session,
            [(each.id, each.initiator) for each in found.sessions if each.last_prompt is not None],
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
