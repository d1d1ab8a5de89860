"""The endpoints `sessions`, `sessions/{id}`, `models`, `clients` and `providers`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

from bridge.domain.errors import NotFound
from bridge.store.filters import Filter, filter_from, parse
from bridge.store.reads_facets import DEFAULT_LIMIT as DEFAULT_VALUES
from bridge.store.reads_facets import MAX_LIMIT as MAX_VALUES
from bridge.store.reads_facets import Facet, list_values
from bridge.store.reads_session import DEFAULT_THREADS, MAX_THREADS, read_session
from bridge.store.reads_sessions import DEFAULT_LIMIT, MAX_LIMIT, After, list_sessions
from bridge.store.sessions_json import SessionDetail, SessionList
from bridge.web.access import Access
from bridge.web.endpoints import OFFSET, UUID_OR_NOTHING, Asked, Endpoint, Parameter, limit, wrong
from bridge.web.management_interceptions import SEARCH, Transactions

LONGEST_PROMPT = 20_000
"""Characters of a session's last prompt in a list, which may have a thousand sessions."""
_NOTHING = "Session not found."
_LIST_PARAMETERS = (
    Parameter(
        name="q",
        description=f"{SEARCH} Keys: initiator (id, name or me), provider, provider_name, model, "
        "client, session_id, status, started_after, started_before (RFC 3339). Each condition "
        "is met by some interception of the session; the times by one that began between its "
        "first and its last.",
        schema={"type": "string", "maxLength": 4096},
    ),
    limit(DEFAULT_LIMIT, MAX_LIMIT),
    OFFSET,
    Parameter(
        name="after_session_id",
        description="The id of the last session of the page before; not together with offset.",
        schema={"type": "string"},
    ),
    Parameter(
        name="after_initiator_id",
        description="The id of that session's initiator. Needed only where several users have "
        "sessions of the same id (409 otherwise), and never wrong.",
        schema=UUID_OR_NOTHING,
        decides=True,
    ),
)
_ONE_PARAMETERS = (
    Parameter(
        name="session_id",
        description="Its id; slashes may be in it, as they are or encoded.",
        schema={"type": "string"},
        where="path",
        with_slashes=True,
    ),
    Parameter(
        name="initiator",
        description="Whose session: id, name or me. Needed only where several users that the "
        "caller may see have sessions of the same id (409 otherwise).",
        schema={"type": "string"},
        decides=True,
    ),
    limit(DEFAULT_THREADS, MAX_THREADS),
    Parameter(
        name="after_id",
        description="Only threads after this one; not together with before_id.",
        schema=UUID_OR_NOTHING,
    ),
    Parameter(
        name="after_action_id",
        description="Only what comes after this interception: the rest of a page that was "
        "truncated. Not together with after_id or before_id.",
        schema=UUID_OR_NOTHING,
    ),
    Parameter(
        name="before_id", description="The latest threads before this one.", schema=UUID_OR_NOTHING
    ),
)
_FACETS: Sequence[tuple[str, Facet, str]] = (
    ("models", "model", "Models that were asked for."),
    ("clients", "client", "Clients that asked."),
    ("providers", "provider_name", "Configured providers that were asked: provider_name values."),
)


class SessionEndpoints:
    """Reads sessions, and the values they can be filtered by."""

    def __init__(
        self, *, access: Access, pool: Transactions, cutoff: Callable[[], datetime | None]
    ) -> None:
        """Read from `pool`, nothing older than `cutoff`; tell `access` what is read."""
        self._access = access
        self._pool = pool
        self._cutoff = cutoff

    def endpoints(self) -> Sequence[Endpoint]:
        """Return what is served."""
        return (
            Endpoint(
                name="sessions",
                path="/sessions",
                summary="Sessions, last active first.",
                answer=self.list,
                returns=SessionList,
                parameters=_LIST_PARAMETERS,
            ),
            Endpoint(
                name="session",
                path="/sessions/{session_id}",
                summary="One session with a page of its threads, oldest first.",
                answer=self.one,
                returns=SessionDetail,
                parameters=_ONE_PARAMETERS,
                not_found=_NOTHING,
            ),
            *(
                Endpoint(
                    name=name,
                    path=f"/{name}",
                    summary=summary,
                    answer=self._values(facet),
                    returns=tuple[str, ...],
                    parameters=(
                        Parameter(
                            name="q",
                            description=f"Only values that begin like this; `{facet}:` before it "
                            "and double quotes around it are left out.",
                            schema={"type": "string", "maxLength": 4096},
                        ),
                        limit(DEFAULT_VALUES, MAX_VALUES),
                        OFFSET,
                    ),
                )
                for name, facet, summary in _FACETS
            ),
        )

    async def list(self, asked: Asked) -> SessionList:
        """Return a page of sessions."""
        wanted = parse(asked.text("q"), me=asked.actor.id)
        size = asked.limit(default=DEFAULT_LIMIT, most=MAX_LIMIT)
        after = _after(asked)
        found = await self._pool.transaction(
            lambda cursor: list_sessions(
                cursor,
                wanted,
                limit=size,
                offset=asked.offset(),
                after=after,
                visible_to=asked.visible_to,
                cutoff=self._cutoff(),
                longest=LONGEST_PROMPT,
            ),
            read_only=True,
        )
        self._access.list_is_read(
            asked.request,
            asked.actor,
            [(each.id, each.initiator) for each in found.sessions if each.last_prompt is not None],
            what="sessions",
            detail={"q": asked.text("q")},
        )
        return found

    async def one(self, asked: Asked) -> SessionDetail:
        """Return one session with a page of its threads."""
        session_id = asked.path["session_id"]
        if "\0" in session_id:
            raise NotFound(_NOTHING)
        whose = Filter()
        if asked.text("initiator"):
            whose = filter_from({"initiator": asked.text("initiator")}, me=asked.actor.id)
        size = asked.limit(default=DEFAULT_THREADS, most=MAX_THREADS)
        after_id, before_id = asked.uuid("after_id"), asked.uuid("before_id")
        after_action_id = asked.uuid("after_action_id")
        found = await self._pool.transaction(
            lambda cursor: read_session(
                cursor,
                session_id,
                whose=whose,
                limit=size,
                after_id=after_id,
                before_id=before_id,
                after_action_id=after_action_id,
                visible_to=asked.visible_to,
                cutoff=self._cutoff(),
            ),
            read_only=True,
        )
        if found is None:
            raise NotFound(_NOTHING)
        if found.initiator.id != asked.actor.id:
            page: dict[str, object] = {"threads": len(found.threads)}
            if found.threads:
                page |= {"first": str(found.threads[0].id), "last": str(found.threads[-1].id)}
            self._access.content_is_read(
                asked.request,
                asked.actor,
                target=found.id,
                users=[found.initiator],
                detail=page,
            )
        return found

    def _values(self, facet: Facet) -> Callable[[Asked], Awaitable[tuple[str, ...]]]:
        async def answer(asked: Asked) -> tuple[str, ...]:
            prefix = _beginning(asked.text("q"), facet)
            if "\0" in prefix:
                raise wrong("q", "must be text, without NUL")
            size = asked.limit(default=DEFAULT_VALUES, most=MAX_VALUES)
            offset = asked.offset()
            return await self._pool.transaction(
                lambda cursor: list_values(
                    cursor,
                    facet,
                    prefix=prefix,
                    limit=size,
                    offset=offset,
                    visible_to=asked.visible_to,
                    cutoff=self._cutoff(),
                ),
                read_only=True,
            )

        return answer


def _beginning(q: str, facet: Facet) -> str:
    """Return what values begin with; quotes around it may be missing at the end, too."""
    text = q.removeprefix(f"{facet}:")
    return text[1:].removesuffix('"') if text.startswith('"') else text


def _after(asked: Asked) -> After | None:
    """Return the session behind which the page begins.

    Raises:
        InvalidRequest: what was given does not go together, or is no id.
    """
    session_id = asked.text("after_session_id")
    initiator_id = asked.uuid("after_initiator_id")
    if "\0" in session_id:
        raise wrong("after_session_id", "must be text, without NUL")
    if not session_id:
        if initiator_id is not None:
            raise wrong("after_initiator_id", "needs after_session_id")
        return None
    if asked.text("offset"):
        raise wrong("offset", "not together with after_session_id")
    return After(session_id=session_id, initiator_id=initiator_id)
