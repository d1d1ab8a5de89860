"""`aibridge tail`: interceptions as they end."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from threading import Event
from uuid import UUID

import click
import msgspec
from twisted.internet.task import deferLater

from bridge.cli.administration import examples, harmless_json
from bridge.cli.interceptions import list_question
from bridge.cli.remote import AWAY_EXIT, RemoteError
from bridge.cli.searching import Search, moment_text, searching
from bridge.cli.session import Session, run_with_store
from bridge.cli.sources import Question, Source, reading
from bridge.cli.tables import cut_to
from bridge.store.errors import StoreUnavailable
from bridge.store.filters import RUNNING, InvalidFilter, filter_from
from bridge.store.reads import MAX_LIMIT
from bridge.store.reads_json import Interception, InterceptionList
from bridge.telemetry.escape import printable

POLL_SECONDS = 1.0
SLACK = timedelta(seconds=60)
"""What ended at most so long before the newest is still looked for: journals come at their pace."""
_INTERRUPTED = 130


@click.command(
    "tail",
    epilog=examples(
        "aibridge tail",
        "aibridge tail --initiator alice --since 10m",
        "aibridge tail --url https://bridge.example --json | jq -r .model",
    ),
)
@searching(when=False)
@click.option(
    "--since", metavar="TIME", help="Begin with what ended since: RFC 3339, or how long ago: 10m."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@reading
def command(source: Source, /, *, search: Search, since: str | None, as_json: bool) -> None:
    """Follow interceptions: each is printed when it has ended and is stored.

    Goes on until interrupted, also while the bridge or the database is away. A view for people:
    what is stored more than a minute late is not shown. Use `aibridge export`, or the SIEM's file,
    where nothing may be missing. What is shown of others is written to the audit log.
    """
    if search.filter.status == RUNNING:
        raise click.UsageError("Running requests cannot be followed, only ended ones.")
    follower = Following(search, since=_moment(since) if since else None)
    if source.remote is None:
        run_with_store(
            source.configuration.settings, lambda session: _direct(session, follower, as_json)
        )
        return
    pause = Event()
    try:
        while True:
            _ask(source, follower, as_json)
            pause.wait(POLL_SECONDS)
    except KeyboardInterrupt:
        raise click.exceptions.Exit(_INTERRUPTED) from None


class Following:
    """What has been shown, and what to ask for next."""

    def __init__(self, search: Search, *, since: datetime | None) -> None:
        """Begin behind the newest, or with what ended since."""
        self._search = search
        self._floor = since
        self._newest = since
        self._begun = since is not None
        self._seen: dict[UUID, datetime] = {}
        self.away = False
        self.worked = False

    def question(self, after_id: UUID | None = None) -> Question[InterceptionList]:
        """Return the next question, or that for the page after `after_id`."""
        if not self._begun:
            return list_question(self._search, limit=1, after_id=None)
        search = self._search
        if self._newest is not None and self._floor is not None:
            since = max(self._floor, self._newest - SLACK)
            text = since.isoformat()
            search = replace(
                search,
                filter=replace(search.filter, ended_after=since),
                text=f'{search.text} ended_after:"{text}"' if search.text else "",
                fields={} if search.text else {**search.fields, "ended_after": text},
            )
        return list_question(
            search, limit=MAX_LIMIT, after_id=str(after_id) if after_id is not None else None
        )

    def new(self, found: InterceptionList) -> list[Interception]:
        """Return what is to be shown of an answer, in the order in which it ended."""
        ended = [(each.ended_at, each) for each in found.results if each.ended_at is not None]
        if not self._begun:
            self._begun = True
            fresh = []
        else:
            fresh = [(at, each) for at, each in ended if each.id not in self._seen]
        self._seen.update({each.id: at for at, each in ended})
        newest = max((at for at, _ in ended), default=None)
        if newest is not None:
            self._newest = newest if self._newest is None else max(self._newest, newest)
            self._floor = self._floor or newest
            oldest = self._newest - 2 * SLACK
            self._seen = {one: at for one, at in self._seen.items() if at >= oldest}
        fresh.sort(key=lambda pair: pair[0])
        return [each for _, each in fresh]

    def goes_on(self, error: Exception) -> bool:
        """Say that it will be tried again; False when it never worked."""
        if self.worked and not self.away:
            click.echo(f"{printable(str(error))} Trying again.", err=True)
            self.away = True
        return self.worked

    def answered(self) -> None:
        """Note that it works."""
        self.worked, self.away = True, False


def line_of(each: Interception) -> str:
    """Return an interception's line, escaped, not yet cut."""
    usage = each.token_usages
    into = sum(
        one.input_tokens + one.cache_read_input_tokens + one.cache_write_input_tokens
        for one in usage
    )
    out = sum(one.output_tokens for one in usage)
    prompt = " ".join(" ".join(one.prompt.split()) for one in each.user_prompts)
    parts = (
        each.ended_at.strftime("%H:%M:%S") if each.ended_at is not None else "",
        f"{each.initiator.username:<12}",
        f"{each.provider_name}/{each.model}" if each.model else each.provider_name,
        each.status if each.http_status in (None, 200) else f"{each.status} {each.http_status}",
        f"{into}→{out}",
        f"{each.duration_ms or 0} ms",
        " ".join(one.tool for one in each.tool_usages),
        prompt or (f"{each.method} {each.route}" if each.kind != "intercepted" else ""),
    )
    return printable("  ".join(part for part in parts if part))


def _show(found: Iterable[Interception], *, as_json: bool) -> None:
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for each in found:
        if as_json:
            click.echo(harmless_json(msgspec.json.encode(each).decode()))
        else:
            line = line_of(each)
            click.echo(line if width is None else cut_to(line, width))
    sys.stdout.flush()


def _ask(source: Source, follower: Following, as_json: bool) -> None:
    """Ask once over the API, page by page.

    Raises:
        RemoteError: it cannot be answered, and trying again is no use.
    """
    after: UUID | None = None
    try:
        while True:
            found = source.ask(follower.question(after))
            follower.answered()
            _show(follower.new(found), as_json=as_json)
            if len(found.results) < MAX_LIMIT:
                return
            after = found.results[-1].id
    except RemoteError as error:
        if error.exit_code != AWAY_EXIT or not follower.goes_on(error):
            raise


async def _direct(session: Session, follower: Following, as_json: bool) -> None:
    while True:
        after: UUID | None = None
        try:
            while True:
                found = await follower.question(after).direct(session)
                follower.answered()
                _show(follower.new(found), as_json=as_json)
                if len(found.results) < MAX_LIMIT:
                    break
                after = found.results[-1].id
        except StoreUnavailable as error:
            if not follower.goes_on(error):
                raise
        await deferLater(session.reactor, POLL_SECONDS)


def _moment(text: str) -> datetime:
    try:
        found = filter_from({"ended_after": moment_text(text)}).ended_after
    except InvalidFilter as error:
        raise click.UsageError(f"--since: {error.validations[0].detail}") from error
    assert found is not None  # noqa: S101 - it was just given
    return found
