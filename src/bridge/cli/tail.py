"""`aibridge tail`: interceptions as they end."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import fields as fields_of
from dataclasses import replace
from datetime import datetime, timedelta
from threading import Event
from uuid import UUID

import click
import msgspec
from twisted.internet.task import deferLater

from bridge.cli.administration import examples, harmless_json
from bridge.cli.interceptions import list_question
from bridge.cli.remote import AWAY_EXIT, USAGE_EXIT, RemoteError
from bridge.cli.searching import Search, moment_text, searching
from bridge.cli.session import Session, run_with_store
from bridge.cli.sources import Question, Source, reading
from bridge.cli.tables import cut_to
from bridge.domain.errors import InvalidRequest
from bridge.domain.ids import least_id
from bridge.store.errors import StoreUnavailable
from bridge.store.filters import ENDED_WITHIN, RUNNING, Filter, InvalidFilter, filter_from
from bridge.store.reads import MAX_LIMIT
from bridge.store.reads_json import Interception, InterceptionList
from bridge.telemetry.escape import printable

POLL_SECONDS = 1.0
SLACK = timedelta(seconds=60)
"""What ended at most so long before the newest is still looked for: journals come at their pace."""
_INTERRUPTED = 130
_MOMENT = timedelta(microseconds=1)
"""What times are told apart by."""
_BEFORE_ALL = UUID(int=0x7 << 76 | 0x2 << 62)
"""An id with nothing after it: a page after it has a count and no content."""


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
    follower = Following(
        search,
        since=_moment(since) if since else None,
        show=lambda found: _show(found, as_json=as_json),
    )
    if source.remote is None:
        run_with_store(source.configuration.settings, lambda session: _direct(session, follower))
        return
    pause = Event()
    try:
        while True:
            _ask(source, follower)
            pause.wait(POLL_SECONDS)
    except KeyboardInterrupt:
        raise click.exceptions.Exit(_INTERRUPTED) from None


Poll = Generator[Question[InterceptionList], InterceptionList, None]
"""Questions, each of which wants to be sent its answer."""


class Following:
    """What has been shown, and what to ask for next.

    Content that was shown is not asked for again, because whoever reads it is written down each
    time: new is what ended after the newest that was shown. Records that are stored later than
    such as ended after them are missing from a count, which shows nobody's content, and are looked
    for by counting in ever smaller spans of time.
    """

    def __init__(
        self,
        search: Search,
        *,
        since: datetime | None,
        show: Callable[[Sequence[Interception]], None],
    ) -> None:
        """Begin behind the newest, or with what ended since; `show` is given what is new."""
        self._filter = search.filter
        self._show = show
        self._floor = since or search.filter.ended_after
        self._newest = self._floor
        self._begun = self._floor is not None
        self._seen: dict[UUID, tuple[datetime, datetime]] = {}  # when it ended and began
        self.away = False
        self.worked = False

    def poll(self) -> Poll:
        """Look once for what is new, and show it."""
        if not self._begun:
            self._take((yield self._question(self._filter)))
            self._begun = True
            return
        ended = max((ended for ended, _ in self._seen.values()), default=None)
        after = self._newest if ended is None else ended + _MOMENT
        yield from self._read(replace(self._filter, ended_after=after))
        if self._newest is None or self._floor is None:
            return
        since = max(self._floor, self._newest - SLACK)
        least = least_id(since - ENDED_WITHIN)
        shown = (
            began
            for identifier, (ended, began) in self._seen.items()
            if ended >= since and identifier >= least
        )
        yield from self._late(replace(self._filter, ended_after=since), sorted(shown))

    def _read(self, wanted: Filter) -> Poll:
        """Show what is wanted, page by page, in smaller ones where texts are too large for one."""
        after_id: UUID | None = None
        limit = MAX_LIMIT
        while True:
            try:
                found = yield self._question(wanted, limit=limit, after_id=after_id)
            except (InvalidRequest, RemoteError) as error:
                if limit == 1 or not _refused(error):
                    raise
                limit = max(1, limit // 4)
                continue
            self._take(found)
            if len(found.results) < limit:
                return
            after_id = found.results[-1].id

    def _late(self, wanted: Filter, shown: Sequence[datetime]) -> Poll:
        """Show what is wanted when more of it is there than begun at the times `shown`."""
        found = yield self._question(wanted, after_id=_BEFORE_ALL)
        if found.count <= len(shown) and not found.count_capped:
            return
        if not shown:
            yield from self._read(wanted)
            return
        after, before = wanted.started_after, wanted.started_before
        middle = shown[len(shown) // 2]
        behind = middle + _MOMENT
        if (after, before) == (middle, behind):
            yield from self._read(wanted)  # what began with it cannot be told apart by time
            return
        if after is None or after < middle:
            earlier = [each for each in shown if each < middle]
            yield from self._late(replace(wanted, started_before=middle), earlier)
        at_once = replace(wanted, started_after=middle, started_before=behind)
        yield from self._late(at_once, [each for each in shown if each == middle])
        if before is None or behind < before:
            later = [each for each in shown if each > middle]
            yield from self._late(replace(wanted, started_after=behind), later)

    def _take(self, found: InterceptionList) -> None:
        """Show what is new in an answer, in the order in which it ended."""
        ended = [each for each in found.results if each.ended_at is not None]
        fresh = [each for each in ended if each.id not in self._seen]
        self._seen.update({each.id: (_ended(each), each.started_at) for each in fresh})
        if ended:
            newest = max(_ended(each) for each in ended)
            self._newest = newest if self._newest is None else max(self._newest, newest)
            self._floor = self._floor or newest
            oldest = self._newest - 2 * SLACK
            self._seen = {one: at for one, at in self._seen.items() if at[0] >= oldest}
        if self._begun:
            self._show(sorted(fresh, key=_ended))

    def _question(
        self, wanted: Filter, *, limit: int = 1, after_id: UUID | None = None
    ) -> Question[InterceptionList]:
        search = Search(filter=wanted, fields=_fields(wanted), text="")
        return list_question(search, limit=limit, after_id=str(after_id) if after_id else None)

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


def _ask(source: Source, follower: Following) -> None:
    """Look once over the API.

    Raises:
        RemoteError: it cannot be answered, and trying again is no use.
    """
    poll = follower.poll()
    try:
        question = next(poll)
        while True:
            try:
                found = source.ask(question)
            except RemoteError as error:
                question = poll.throw(error)
                continue
            follower.answered()
            question = poll.send(found)
    except StopIteration:
        return
    except RemoteError as error:
        if error.exit_code != AWAY_EXIT or not follower.goes_on(error):
            raise


async def _direct(session: Session, follower: Following) -> None:
    while True:
        poll = follower.poll()
        try:
            question: Question[InterceptionList] | None = next(poll)
            while question is not None:
                try:
                    found = await question.direct(session)
                except InvalidRequest as error:
                    question = poll.throw(error)
                    continue
                follower.answered()
                question = _next(poll, found)
        except StoreUnavailable as error:
            if not follower.goes_on(error):
                raise
        await deferLater(session.reactor, POLL_SECONDS)


def _next(poll: Poll, found: InterceptionList) -> Question[InterceptionList] | None:
    try:
        return poll.send(found)
    except StopIteration:
        return None


def _refused(error: Exception) -> bool:
    """Return whether what was asked for cannot be answered, rather than not now."""
    return isinstance(error, InvalidRequest) or (
        isinstance(error, RemoteError) and error.exit_code == USAGE_EXIT
    )


def _ended(each: Interception) -> datetime:
    assert each.ended_at is not None  # noqa: S101 - only what has ended is asked for
    return each.ended_at


def _fields(wanted: Filter) -> dict[str, str]:
    """Return a filter as the search language has it."""
    fields = {
        name: value.isoformat() if isinstance(value, datetime) else str(value)
        for name, value in ((each.name, getattr(wanted, each.name)) for each in fields_of(wanted))
        if value is not None
    }
    for name in ("initiator_id", "initiator_name"):
        if name in fields:
            fields["initiator"] = fields.pop(name)
    return fields


def _moment(text: str) -> datetime:
    try:
        found = filter_from({"ended_after": moment_text(text)}).ended_after
    except InvalidFilter as error:
        raise click.UsageError(f"--since: {error.validations[0].detail}") from error
    assert found is not None  # noqa: S101 - it was just given
    return found
