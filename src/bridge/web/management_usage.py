"""The endpoint `usage`."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import date, datetime

from bridge.store.filters import parse
from bridge.store.reads_usage import (
    DEFAULT_LIMIT,
    MAX_LIMIT,
    Dimension,
    Usage,
    check,
    read_usage,
)
from bridge.web.endpoints import Asked, Endpoint, Parameter, limit, wrong
from bridge.web.management_interceptions import SEARCH, Transactions

_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_DIMENSIONS = ", ".join(each.value for each in Dimension)
_DAY = {"anyOf": [{"type": "string", "format": "date"}, {"const": ""}]}
_PARAMETERS = (
    Parameter(
        name="group_by",
        description=f"What to tell apart, separated by commas, of: {_DIMENSIONS}. Results are in "
        "the order of it. Nothing gives the total only.",
        schema={"type": "string"},
    ),
    Parameter(
        name="from",
        description="First day, UTC; nothing is the first that is kept.",
        schema=_DAY,
    ),
    Parameter(
        name="to",
        description="Last day, UTC, inclusive; nothing is the latest.",
        schema=_DAY,
    ),
    Parameter(
        name="q",
        description=f"{SEARCH} Keys: initiator (id, name or me), provider, provider_name, model, "
        "client.",
        schema={"type": "string", "maxLength": 4096},
    ),
    limit(DEFAULT_LIMIT, MAX_LIMIT),
)


class UsageEndpoints:
    """Reads sums of usage, in which there is no content."""

    def __init__(self, *, pool: Transactions, cutoff: Callable[[], datetime | None]) -> None:
        """Read from `pool`, nothing older than the day of `cutoff`."""
        self._pool = pool
        self._cutoff = cutoff

    def endpoints(self) -> Sequence[Endpoint]:
        """Return what is served."""
        return (
            Endpoint(
                name="usage",
                path="/usage",
                summary="Interceptions, tokens and times, summed up by day and other things.",
                answer=self.usage,
                returns=Usage,
                parameters=_PARAMETERS,
            ),
        )

    async def usage(self, asked: Asked) -> Usage:
        """Return sums: `?group_by=day,model&from=…&to=…&q=…&limit=…`."""
        wanted = parse(asked.text("q"), me=asked.actor.id)
        check(wanted)
        by = _dimensions(asked.text("group_by"))
        first, last = _day(asked, "from"), _day(asked, "to")
        if first is not None and last is not None and first > last:
            raise wrong("to", "must not be before from")
        limit = asked.limit(default=DEFAULT_LIMIT, most=MAX_LIMIT)
        return await self._pool.transaction(
            lambda cursor: read_usage(
                cursor,
                wanted,
                by=by,
                first=first,
                last=last,
                limit=limit,
                visible_to=asked.visible_to,
                cutoff=self._cutoff(),
            ),
            read_only=True,
        )


def _dimensions(text: str) -> tuple[Dimension, ...]:
    found: list[Dimension] = []
    for name in text.split(",") if text else ():
        try:
            dimension = Dimension(name.strip())
        except ValueError:
            raise wrong("group_by", f"{name[:64]!r} is none of {_DIMENSIONS}") from None
        if dimension in found:
            raise wrong("group_by", f"names {dimension.value} more than once")
        found.append(dimension)
    return tuple(found)


def _day(asked: Asked, name: str) -> date | None:
    text = asked.text(name)
    if not text:
        return None
    try:
        if _DATE.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:
        pass  # a 13th month, say: told like any other
    raise wrong(name, f"{text[:64]!r} is not a day; write for example 2026-01-31")
