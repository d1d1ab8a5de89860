"""The endpoint `export`: interceptions with everything that belongs to them, as one long answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

from bridge.domain.errors import InvalidRequest
from bridge.store.export import HEADINGS, Export, Format, Page
from bridge.store.filters import Filter, InvalidFilter, filter_from, page_id, parse
from bridge.web.access import Access
from bridge.web.endpoints import Asked, Endpoint, Parameter, wrong
from bridge.web.management_interceptions import SEARCH, Transactions
from bridge.web.paced import Pacing

PAGE_ROWS = 250
CONTENT_TYPES = {
    Format.JSONL: "application/x-ndjson",
    Format.CSV: "text/csv; charset=utf-8; header=present",
}
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_MOMENT = {"type": "string"}
_PARAMETERS = (
    Parameter(
        name="format",
        description="jsonl: one JSON object a line, in the shape of interceptions/{id} but for "
        "call_results: what calls gave back is in tool_results of the requests that brought it, "
        "by tool_call_id. csv: RFC 4180, one record each; what a spreadsheet would take for a "
        "formula has a ' before it.",
        schema={"type": "string", "enum": [each.value for each in Format], "default": "jsonl"},
    ),
    Parameter(
        name="from",
        description="First moment (RFC 3339), or first day, UTC.",
        schema=_MOMENT,
    ),
    Parameter(
        name="to",
        description="The moment before which it ends, or the last day, UTC, inclusive.",
        schema=_MOMENT,
    ),
    Parameter(
        name="q",
        description=f"{SEARCH} Keys: initiator (id, name or me), provider, provider_name, model, "
        "client, session_id, status, kind.",
        schema={"type": "string", "maxLength": 4096},
    ),
    Parameter(
        name="after",
        description="The id of the last interception that one has: only what comes after it. A "
        "CSV then has no heading.",
        schema={"type": "string", "format": "uuid"},
    ),
)


class ExportEndpoints:
    """Streams interceptions, oldest first."""

    def __init__(
        self,
        *,
        access: Access,
        pool: Transactions,
        cutoff: Callable[[], datetime | None],
        pacing: Pacing,
    ) -> None:
        """Read nothing yet.

        Args:
            access: is told what is read.
            pool: where statements run.
            cutoff: older records are not shown any more; None shows all. Asked for every page.
            pacing: makes the answer go no faster than its reader, and no longer than they may.
        """
        self._access = access
        self._pool = pool
        self._cutoff = cutoff
        self._pacing = pacing

    def endpoints(self) -> Sequence[Endpoint]:
        """Return what is served."""
        return (
            Endpoint(
                name="export",
                path="/export",
                summary="Interceptions with everything that belongs to them, oldest first.",
                answer=self.export,
                returns=str,
                media=tuple(each.partition(";")[0] for each in CONTENT_TYPES.values()),
                parameters=_PARAMETERS,
            ),
        )

    async def export(self, asked: Asked) -> bytes:
        """Write page after page; an answer that cannot be brought to its end is cut off."""
        form = _format(asked.text("format"))
        wanted = within(
            parse(asked.text("q"), me=asked.actor.id), asked.text("from"), asked.text("to")
        )
        after = asked.text("after")
        export = Export(
            wanted,
            format=form,
            after_id=_after(after),
            visible_to=asked.visible_to,
            cutoff=None,
        )
        page = await self._page(export)
        self._pacing.check(asked.actor)
        if asked.visible_to is None and page is not None:
            names = ("format", "from", "to", "q", "after")
            self._access.content_is_read(
                asked.request,
                asked.actor,
                target="export",
                users=[],
                detail={name: asked.text(name) for name in names if asked.text(name)},
            )
        request = asked.request
        request.setHeader(b"content-type", CONTENT_TYPES[form].encode("ascii"))
        request.setHeader(b"x-content-type-options", b"nosniff")
        request.setHeader(b"cache-control", b"no-store")
        name = f'attachment; filename="aibridge-export.{form.value}"'
        request.setHeader(b"content-disposition", name.encode("ascii"))
        answer = self._pacing.begin(request, asked.actor)
        try:
            if not after:
                await answer.write(HEADINGS[form].encode())
            while page is not None:
                await answer.write(page.data)
                page = await self._page(export)
        finally:
            answer.close()
        return b""

    async def _page(self, export: Export) -> Page | None:
        """Return the next page, without what retention has ended by now."""
        export.cutoff = self._cutoff()
        return await self._pool.transaction(
            lambda cursor: export.next(cursor, rows=PAGE_ROWS), read_only=True
        )


def within(wanted: Filter, begin: str, end: str) -> Filter:
    """Return `wanted` between two moments, each RFC 3339, a day, or "".

    Raises:
        InvalidRequest: one of them is none, or they are in the wrong order or given twice.
    """
    fields = {}
    for name, key, text in (("from", "started_after", begin), ("to", "started_before", end)):
        if text:
            if getattr(wanted, key) is not None:
                raise wrong(name, f"not together with {key}")
            fields[key] = _moment(name, text)
    try:
        bounds = filter_from(fields)
    except InvalidFilter as error:
        first = error.validations[0]
        name = "to" if first.field == "started_before" else "from"
        raise wrong(name, first.detail.replace("started_after", "from")) from error
    return replace(
        wanted,
        started_after=bounds.started_after or wanted.started_after,
        started_before=bounds.started_before or wanted.started_before,
    )


def _moment(name: str, text: str) -> str:
    """Return a day as the moment at which it begins, as the end of a range that after it."""
    if not _DAY.fullmatch(text):
        return text
    try:
        day = date.fromisoformat(text) + timedelta(days=name == "to")
    except (ValueError, OverflowError):
        raise wrong(name, f"{text!r} is not a day; write for example 2026-01-31") from None
    return datetime.combine(day, time(), UTC).isoformat()


def _format(text: str) -> Format:
    try:
        return Format(text or Format.JSONL.value)
    except ValueError:
        known = ", ".join(each.value for each in Format)
        raise wrong("format", f"{text[:64]!r} is none of {known}") from None


def _after(text: str) -> UUID | None:
    try:
        return page_id(text) if text else None
    except InvalidRequest as error:
        raise wrong("after", f"{text[:64]!r} is not the id of an interception") from error
