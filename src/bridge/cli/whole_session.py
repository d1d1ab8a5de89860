"""One session, read to its end piece by piece, and shown as the pieces come."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Protocol, TypeVar
from uuid import UUID

import click
import msgspec

from bridge.cli.administration import (
    audit_reading,
    cutoff_of,
    harmless_json,
    shown_json,
)
from bridge.cli.searching import usage_error
from bridge.cli.session import Session as CommandSession
from bridge.cli.sources import Question
from bridge.domain.errors import InvalidRequest, NotFound
from bridge.store.connection import Cursor
from bridge.store.filters import Filter, InvalidFilter, filter_from
from bridge.store.reads_session import DEFAULT_THREADS, MAX_THREADS, read_session
from bridge.store.reads_sessions import AmbiguousSession
from bridge.store.sessions_json import (
    SessionDetail,
    Thread,
    TokenSumsByType,
)

T = TypeVar("T")

_OF_THE_WHOLE = ("token_usage_summary", "page_started_at", "page_ended_at", "has_more", "truncated")
"""Members of a session that are known when all of it was read; those of a thread likewise."""
_OF_A_WHOLE_THREAD = (
    "prompt", "ended_at", "token_usage", "error_type", "error_message", "status",
)  # fmt: skip


class Shown(Protocol):
    """Shows a session."""

    def piece(self, found: SessionDetail, *, cut: bool) -> None:
        """Show the next piece; `cut` when its only thread goes on in the one after it."""

    def end(self, *, has_more: bool) -> None:
        """Show that this is all, or that there is more that was not wanted."""


class WholeSession:
    """Asks for one piece after the other."""

    def __init__(
        self,
        session_id: str,
        *,
        initiator: str | None,
        limit: int | None,
        after_id: UUID | None,
        shown: Shown,
    ) -> None:
        """Read at most `limit` threads, None for all, that come after `after_id`."""
        self._session_id = session_id
        self._initiator = initiator
        self._left = limit
        self._after_id = after_id
        self._shown = shown
        self._cut: UUID | None = None
        """The thread that goes on in the next piece."""
        self._last: UUID | None = None
        self._has_more = False

    def first(self) -> Question[SessionDetail]:
        """Return the question for the first piece.

        Raises:
            UsageError: the initiator cannot be anybody.
        """
        return self._question(after_id=self._after_id)

    def take(self, found: SessionDetail) -> Question[SessionDetail] | None:
        """Show a piece; return the question for the next one, None after the last."""
        # Somebody else may begin a session of this id meanwhile.
        self._initiator = str(found.initiator.id)
        cut = found.truncated and len(found.threads) == 1
        self._shown.piece(found, cut=cut)
        self._has_more = found.has_more
        if not found.threads:
            return None
        if self._left is not None:
            self._left -= sum(each.id != self._cut for each in found.threads)
        last = found.threads[-1]
        self._last = last.id
        self._cut = last.id if cut else None
        if cut:
            return self._question(after_action_id=last.agentic_actions[-1].id)
        if found.has_more and self._left != 0:
            return self._question(after_id=last.id)
        return None

    def end(self) -> UUID | None:
        """Show the end; return the last thread shown when there are more after it."""
        self._shown.end(has_more=self._has_more)
        return self._last if self._has_more else None

    def _question(
        self, *, after_id: UUID | None = None, after_action_id: UUID | None = None
    ) -> Question[SessionDetail]:
        limit = DEFAULT_THREADS if self._left is None else min(self._left, MAX_THREADS - 1)
        if after_action_id is not None:
            limit += 1  # the thread that goes on is one of them
        return _question(
            self._session_id,
            initiator=self._initiator,
            limit=limit,
            after_id=after_id,
            after_action_id=after_action_id,
        )


class AsJson:
    """Prints what the API would answer if it had no pages.

    The members are the API's. Those that are only known at the end of a thread or of the session
    stand at its end, so that nothing has to be kept until then.
    """

    def __init__(self) -> None:
        """Print nothing yet."""
        self._first: SessionDetail | None = None
        self._extra: Counter[str] = Counter()
        self._started_at: datetime | None = None
        self._ended_at: datetime | None = None
        self._threads = 0
        self._open: Thread | None = None
        """The thread that was cut, summed up so far."""

    def piece(self, found: SessionDetail, *, cut: bool) -> None:
        """Print the threads."""
        if self._first is None:
            self._first = found
            _print(f"{{\n{_members(found, (*_OF_THE_WHOLE, 'threads'), 2)},\n")
            _print('  "threads": [')
        self._extra.update(found.token_usage_summary.metadata)
        self._started_at = self._started_at or found.page_started_at
        self._ended_at = _later(self._ended_at, found.page_ended_at)
        for thread in found.threads:
            whole = thread
            if self._open is not None and self._open.id == thread.id:
                whole = _joined(self._open, thread)
                self._actions(thread, going_on=True)
            else:
                self._close()
                _print(",\n" if self._threads else "\n")
                self._threads += 1
                left_out = (*_OF_A_WHOLE_THREAD, "agentic_actions")
                _print(f"    {{\n{_members(thread, left_out, 6)},\n")
                _print('      "agentic_actions": [')
                self._actions(thread, going_on=False)
            # What was printed is not kept.
            self._open = msgspec.structs.replace(whole, agentic_actions=())
        if not cut:
            self._close()

    def end(self, *, has_more: bool) -> None:
        """Print what is known now."""
        self._close()
        if self._first is None:
            return
        sums = msgspec.structs.replace(self._first.token_usage_summary, metadata=dict(self._extra))
        values = (sums, self._started_at, self._ended_at, has_more, False)
        last = _indented_json(dict(zip(_OF_THE_WHOLE, values, strict=True)), 2)
        _print(f"\n  ],\n{last}\n}}\n")

    def _actions(self, thread: Thread, *, going_on: bool) -> None:
        for action in thread.agentic_actions:
            text = _moved(shown_json(action).decode(), 8)
            _print(f"{',' if going_on else ''}\n{text}")
            going_on = True

    def _close(self) -> None:
        if self._open is not None:
            known = {name: getattr(self._open, name) for name in _OF_A_WHOLE_THREAD}
            _print(f"\n      ],\n{_indented_json(known, 6)}\n    }}")
        self._open = None


async def asked(session: CommandSession, work: Callable[[Cursor], Awaitable[T]]) -> T:
    """Return what `work` reads from the database.

    Raises:
        AmbiguousSession: several users have a session of this id.
        UsageError: what was asked cannot be.
        StoreUnavailable: not now.
    """
    try:
        return await session.pool.transaction(work, read_only=True)
    except AmbiguousSession:
        raise  # what says whose is meant is an option's name, which the command knows
    except InvalidRequest as error:
        raise click.UsageError(
            " ".join(
                [error.message, *(f"{each.field}: {each.detail}" for each in error.validations)]
            )
        ) from error


def _question(
    session_id: str,
    *,
    initiator: str | None,
    limit: int,
    after_id: UUID | None,
    after_action_id: UUID | None,
) -> Question[SessionDetail]:
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
                after_action_id=after_action_id,
                visible_to=None,
                cutoff=cutoff_of(session),
            )

        found = await asked(session, work) if "\0" not in session_id else None
        if found is None:
            raise NotFound("Session not found.")
        await audit_reading(
            session,
            target=found.id,
            users=[found.initiator],
            detail={"threads": len(found.threads)},
        )
        return found

    given = {"initiator": initiator, "after_id": after_id, "after_action_id": after_action_id}
    params = {name: str(value) for name, value in given.items() if value}
    return Question(
        path=f"/sessions/{session_id}",
        returns=SessionDetail,
        direct=read,
        params={"limit": str(limit), **params},
    )


def _joined(begun: Thread, rest: Thread) -> Thread:
    """Return a thread of which `begun` was shown and `rest` follows."""
    return msgspec.structs.replace(
        rest,
        prompt=begun.prompt if begun.prompt is not None else rest.prompt,
        ended_at=_later(begun.ended_at, rest.ended_at),
        token_usage=_summed(begun.token_usage, rest.token_usage),
    )


def _summed(one: TokenSumsByType, other: TokenSumsByType) -> TokenSumsByType:
    names = [name for name in TokenSumsByType.__struct_fields__ if name != "metadata"]
    sums = {name: getattr(one, name) + getattr(other, name) for name in names}
    extra = Counter(one.metadata)
    extra.update(other.metadata)
    return TokenSumsByType(**sums, metadata=dict(extra))


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    return max((each for each in (one, other) if each is not None), default=None)


def _members(value: msgspec.Struct, left_out: tuple[str, ...], spaces: int) -> str:
    members = msgspec.structs.asdict(value)
    return _indented_json(
        {name: each for name, each in members.items() if name not in left_out}, spaces
    )


def _indented_json(members: Mapping[str, object], spaces: int) -> str:
    """Return the members as JSON without the braces around them."""
    inside = shown_json(members).decode().removeprefix("{\n").removesuffix("\n}")
    return _moved(inside, spaces - 2)


def _moved(text: str, spaces: int) -> str:
    """Return JSON further to the right; a text in it may hold other ends of lines."""
    return "\n".join(" " * spaces + line for line in text.split("\n"))


def _print(text: str) -> None:
    click.echo(harmless_json(text), nl=False)
