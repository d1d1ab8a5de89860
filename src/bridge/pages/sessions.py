"""Sessions: the list, and one as a timeline of what was asked, thought and done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode
from uuid import UUID

from bridge.domain.errors import InvalidRequest, NotFound
from bridge.domain.interception import EndState
from bridge.pages.answers import Answer, Nothing, Page
from bridge.pages.app import Handler
from bridge.pages.commands import curl, segment
from bridge.pages.excerpts import Excerpt, Excerpts
from bridge.pages.reading import Reading
from bridge.pages.searching import element, whole_search
from bridge.pages.tool_calls import ShownCall, shown_call
from bridge.pages.visit import Visit
from bridge.store.connection import Cursor
from bridge.store.filters import Filter, parse
from bridge.store.reads_facets import Facet, list_values
from bridge.store.reads_session import read_session
from bridge.store.reads_sessions import After, AmbiguousSession, list_sessions
from bridge.store.sessions_json import Agent, AgenticAction, SessionDetail, SessionToolCall, Thread

PER_PAGE = 50
THREADS = 20
_LIST_CHARACTERS = 300
_TEXT_CHARACTERS = 6_000
_VALUES = 500
_CURSORS = ("after_id", "before_id", "after_action_id")
_FACETS: Sequence[Facet] = ("client", "provider_name", "model")
_NOTHING = "There is no such session."


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownAction:
    """One interception of a thread, as it is shown."""

    action: AgenticAction
    prompt: Excerpt | None
    """None where it is the thread's own, which is shown above."""
    thoughts: Sequence[Excerpt]
    calls: Sequence[tuple[SessionToolCall, ShownCall, Excerpt | None]]
    """Each with what came back of it, where that is recorded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownThread:
    """A thread, as it is shown."""

    thread: Thread
    prompt: Excerpt | None
    actions: Sequence[ShownAction]
    calls: int
    """How many tools were called."""
    continued: bool
    """Its beginning is on a page before."""


class SessionPages:
    """`/ui/sessions` and `/ui/session`."""

    def __init__(self, reading: Reading) -> None:
        """Read with `reading`."""
        self._reading = reading

    def routes(self) -> Sequence[tuple[str, str, Handler]]:
        """Return (method, path, handler) of each page."""
        return (("GET", "/ui/sessions", self.listed), ("GET", "/ui/session", self.one))

    async def listed(self, visit: Visit) -> Answer:
        """Return a page of sessions, last active first."""
        query = visit.query
        q = whole_search(query)
        found = None
        wrong: Sequence[object] = ()
        try:
            wanted = parse(q, me=visit.actor.id)
            found = await self._reading.pool.transaction(
                lambda cursor: list_sessions(
                    cursor,
                    wanted,
                    limit=PER_PAGE,
                    after=_after(query),
                    visible_to=visit.visible_to,
                    cutoff=self._reading.cutoff(),
                    longest=_LIST_CHARACTERS,
                ),
                read_only=True,
            )
        except InvalidRequest as error:
            wrong = error.validations
        newest = ""
        if found is not None and found.sessions:
            first = found.sessions[0]
            newest = f"{first.last_active_at.timestamp():.3f} {first.interceptions}"
        if newest and query["newest"] == newest:
            return Nothing()
        if found is not None:
            with_prompts = [each for each in found.sessions if each.last_prompt is not None]
            shown = [(each.id, each.initiator) for each in with_prompts]
            self._reading.note(visit, shown, {"q": q}, what="sessions")
        return Page(
            template="sessions.html",
            values={
                "found": found,
                "newest": newest,
                "wrong": wrong,
                "query": query,
                "q": q,
                "known": await known_values(self._reading, visit),
                "statuses": [state.value for state in EndState],
                "per_page": PER_PAGE,
                "command": curl(visit.origin, "/sessions", {"q": q}),
            },
            status=400 if wrong else 200,
        )

    async def one(self, visit: Visit) -> Answer:
        """Return one session with a page of its threads: `?id=…&of=…`, and where it begins."""
        query = visit.query
        session_id = query["id"]
        if not session_id or "\0" in session_id:
            raise NotFound(_NOTHING)
        whose = _uuid(query["of"])
        excerpts = Excerpts(longest=_TEXT_CHARACTERS)
        try:
            found = await self._reading.pool.transaction(
                lambda cursor: read_session(
                    cursor,
                    session_id,
                    whose=Filter(initiator_id=whose),
                    limit=THREADS,
                    after_id=_uuid(query["after_id"]),
                    before_id=_uuid(query["before_id"]),
                    after_action_id=_uuid(query["after_action_id"]),
                    visible_to=visit.visible_to,
                    cutoff=self._reading.cutoff(),
                    longest=excerpts.longest + 1,
                ),
                read_only=True,
            )
        except AmbiguousSession as error:
            return _several(session_id, error)
        if found is None:
            raise NotFound(_NOTHING)
        self._reading.note(visit, [(found.id, found.initiator)], {"threads": len(found.threads)})
        cut = _cut(found)
        return Page(
            template="session.html",
            values={
                "it": found,
                "milliseconds": round((found.ended_at - found.started_at).total_seconds() * 1000),
                "pages": _pages(visit, found),
                "agents": found.agent.sub_agents,
                "names": dict(_names(found.agent)),
                "cut": cut is not None,
                "command": _command(visit, found, {name: query[name] for name in _CURSORS}),
                "rest": _command(visit, found, {"after_action_id": cut}) if cut else "",
            },
            more=lambda: _timeline(found, excerpts, inside=bool(query["after_action_id"])),
        )


def _several(session_id: str, error: AmbiguousSession) -> Page:
    """Return the page that leads to the list of those sessions, to choose one of them."""
    narrowed = urlencode({"q": element("session_id", session_id)})
    return Page(
        template="error.html",
        values={
            "status": error.status,
            "message": error.message,
            "validations": (),
            "request_id": "",
            "way_out": (f"/ui/sessions?{narrowed}", "Choose one of them"),
        },
        status=error.status,
    )


async def known_values(reading: Reading, visit: Visit) -> Mapping[str, Sequence[str]]:
    """Return the values that lists can be filtered by, by the name of the filter."""

    async def work(cursor: Cursor) -> Mapping[str, Sequence[str]]:
        found: dict[str, Sequence[str]] = {}
        for facet in _FACETS:
            found[facet] = await list_values(
                cursor,
                facet,
                limit=_VALUES,
                visible_to=visit.visible_to,
                cutoff=reading.cutoff(),
            )
        return found

    return await reading.pool.transaction(work, read_only=True)


def _timeline(found: SessionDetail, excerpts: Excerpts, *, inside: bool) -> Mapping[str, object]:
    """Return the threads as they are shown; `inside` when the page may begin within one."""
    threads = [_shown(thread, excerpts, inside=inside) for thread in found.threads]
    return {
        "threads": threads,
        "calls": sum(each.calls for each in threads),
        "excerpts": excerpts,
    }


def _shown(thread: Thread, excerpts: Excerpts, *, inside: bool) -> ShownThread:
    continued = inside and thread.agentic_actions[0].id != thread.id
    own = thread.prompt is not None and not continued
    prompt = excerpts.of(thread.prompt) if own and thread.prompt is not None else None
    actions = []
    for action in thread.agentic_actions:
        mine: Excerpt | None = None
        if action.prompt is not None:
            mine = None if own else excerpts.of(action.prompt)
            own = False
        actions.append(
            ShownAction(
                action=action,
                prompt=mine,
                thoughts=[excerpts.of(each.text) for each in action.thinking],
                calls=[
                    (call, shown_call(excerpts.of(call.input)), _result(call, excerpts))
                    for call in excerpts.some(action.tool_calls)
                ],
            )
        )
    calls = sum(len(action.tool_calls) for action in thread.agentic_actions)
    return ShownThread(
        thread=thread, prompt=prompt, actions=actions, calls=calls, continued=continued
    )


def _names(agent: Agent) -> Iterator[tuple[str, str]]:
    """Yield ids and kinds of the agents below `agent`."""
    for each in agent.sub_agents:
        if each.id is not None and each.kind:
            yield each.id, each.kind
        yield from _names(each)


def _result(call: SessionToolCall, excerpts: Excerpts) -> Excerpt | None:
    if call.result is None or call.result.content is None:
        return None
    return excerpts.of(call.result.content)


def _cut(found: SessionDetail) -> UUID | None:
    """Return the last interception shown of a thread that alone has more than a page; or None."""
    if not found.truncated or len(found.threads) != 1:
        return None
    return found.threads[0].agentic_actions[-1].id


def _command(visit: Visit, found: SessionDetail, cursor: Mapping[str, object]) -> str:
    """Return the command for the page that begins at `cursor`."""
    asked = {"initiator": found.initiator.id, "limit": THREADS, **cursor}
    return curl(visit.origin, f"/sessions/{segment(found.id)}", asked)


def _pages(visit: Visit, found: SessionDetail) -> Mapping[str, str]:
    """Return the addresses of the pages around this one, "" for none.

    Those are the threads before and after it, the rest of a thread that is cut here, and the
    session's start where a thread that was cut goes on.
    """
    query = visit.query
    backwards, inside = bool(query["before_id"]), bool(query["after_action_id"])
    cut = _cut(found)
    cursors: dict[str, Mapping[str, object]] = {}
    if inside:
        cursors["start"] = {}
    elif found.threads and (found.has_more if backwards else query["after_id"]):
        cursors["earlier"] = {"before_id": found.threads[0].id}
    if cut is not None:
        # Whoever goes on with the threads after it would miss the rest.
        cursors["rest"] = {"after_action_id": cut}
    elif found.threads and (backwards or found.has_more):
        cursors["later"] = {"after_id": found.threads[-1].id}
    base = {"id": found.id, "of": found.initiator.id}
    return {
        name: f"/ui/session?{urlencode({**base, **cursors[name]})}" if name in cursors else ""
        for name in ("start", "earlier", "rest", "later")
    }


def _after(query: Mapping[str, str]) -> After | None:
    session_id = query["after"]
    if not session_id or "\0" in session_id:
        return None
    return After(session_id=session_id, initiator_id=_uuid(query["after_of"]))


def _uuid(text: str) -> UUID | None:
    """Return the id that `text` is, None for nothing.

    Raises:
        NotFound: it is something else.
    """
    try:
        return UUID(text) if text else None
    except ValueError:
        raise NotFound(_NOTHING) from None
