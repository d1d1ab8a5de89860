"""The overview: what was asked of which models, by whom, at which cost of tokens and time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta

from bridge.domain.clock import utc
from bridge.domain.errors import InvalidRequest
from bridge.pages.answers import Answer, Page, Redirect
from bridge.pages.app import Handler
from bridge.pages.charts import Chart, Series, lines, stacked
from bridge.pages.commands import curl
from bridge.pages.reading import Reading
from bridge.pages.searching import whole_search
from bridge.pages.sessions import known_values
from bridge.pages.templating import duration, short
from bridge.pages.visit import Visit
from bridge.store.connection import Cursor
from bridge.store.filters import Filter, parse
from bridge.store.reads_trends import Trend, read_trends
from bridge.store.reads_usage import Dimension, Usage, UsageRow, check, read_usage

PERIODS = (7, 30, 90, 365)
"""Days."""
_DEFAULT = 30
_FIELDS = ("initiator", "client", "provider_name", "model")
_GROUPS = (
    (Dimension.INITIATOR, "User", "initiator"),
    (Dimension.MODEL, "Model", "model"),
    (Dimension.PROVIDER_NAME, "Provider", "provider_name"),
    (Dimension.CLIENT, "Client", "client"),
)
_MOST_GROUPS = 1000
_SHOWN_GROUPS = 12
_TOLD_APART = 5
"""Models in a chart; the sixth colour is that of all others."""


class OverviewPages:
    """`/ui/overview` for those who see everybody's, `/ui/usage` for everybody."""

    def __init__(self, reading: Reading) -> None:
        """Read with `reading`."""
        self._reading = reading

    def routes(self) -> Sequence[tuple[str, str, Handler]]:
        """Return (method, path, handler) of each page."""
        return (("GET", "/ui/overview", self.overview), ("GET", "/ui/usage", self.own))

    async def overview(self, visit: Visit) -> Answer:
        """Return everybody's usage; who may not see that is led to their own."""
        if not visit.auditor:
            return Redirect(location="/ui/usage")
        return await self._page(visit, mine=False)

    async def own(self, visit: Visit) -> Answer:
        """Return one's own usage."""
        return await self._page(visit, mine=True)

    async def _page(self, visit: Visit, *, mine: bool) -> Page:
        query = visit.query
        fields = [name for name in _FIELDS if not (mine and name == "initiator")]
        q = whole_search({**query, "from": "", "to": ""}, fields)
        days = _days(query["days"], utc(self._reading.clock.seconds()).date())
        wanted = Filter()
        wrong: Sequence[object] = ()
        try:
            wanted = parse(q, me=visit.actor.id)
            check(wanted)
        except InvalidRequest as error:
            wrong = error.validations
        visible_to = visit.actor.id if mine else visit.visible_to

        async def work(cursor: Cursor) -> tuple[dict[Dimension, Usage], Sequence[Chart]]:
            found = {}
            for by in (Dimension.DAY, *(dimension for dimension, _, _ in _GROUPS)):
                found[by] = await read_usage(
                    cursor,
                    wanted,
                    by=(by,),
                    first=days[0],
                    last=days[-1],
                    limit=_MOST_GROUPS,
                    visible_to=visible_to,
                    cutoff=self._reading.cutoff(),
                )
            by_day = found[Dimension.DAY].results
            models = [str(row.model) for row in _largest(found[Dimension.MODEL]) if row.model]
            models = models[:_TOLD_APART]
            trends = await read_trends(
                cursor,
                wanted,
                models=models,
                first=days[0],
                last=days[-1],
                visible_to=visible_to,
                cutoff=self._reading.cutoff(),
            )
            of_models, of_users = _trends(days, by_day, models, trends)
            asked, *others = _charts(days, by_day)
            return found, (asked, of_models, *([] if mine else [of_users]), *others)

        found: dict[Dimension, Usage] = {}
        charts: Sequence[Chart] = ()
        if not wrong:
            found, charts = await self._reading.pool.transaction(work, read_only=True)
        about = f"initiator:me {q}".strip() if mine and visit.auditor else q
        return Page(
            template="overview.html",
            values={
                "mine": mine,
                "total": found[Dimension.DAY].total if found else None,
                "charts": charts,
                "groups": [
                    (name, field, _largest(found[by]), len(found[by].results))
                    for by, name, field in _GROUPS
                    if not (mine and by is Dimension.INITIATOR)
                ]
                if found
                else (),
                "users": len(found[Dimension.INITIATOR].results) if found else 0,
                "more_users": bool(found and found[Dimension.INITIATOR].truncated),
                "days": len(days),
                "periods": PERIODS,
                "query": query,
                "known": await known_values(self._reading, visit),
                "wrong": wrong,
                "command": curl(
                    visit.origin, "/usage", {"group_by": "day", "from": days[0], "q": about}
                ),
            },
            status=400 if wrong else 200,
        )


def _days(text: str, today: date) -> Sequence[date]:
    """Return the days of the period called `text`, the last one today."""
    count = int(text) if text in {str(period) for period in PERIODS} else _DEFAULT
    return [today - timedelta(days=count - 1 - n) for n in range(count)]


def _charts(days: Sequence[date], rows: Sequence[UsageRow]) -> Sequence[Chart]:
    by_day = {row.day: row for row in rows}
    found = [by_day.get(day) for day in days]

    def values(name: str) -> Sequence[int]:
        return [getattr(row, name) if row is not None else 0 for row in found]

    def timing(name: str, percentile: str) -> Sequence[int | None]:
        return [getattr(getattr(row, name), percentile) if row else None for row in found]

    good = [
        row.interceptions - row.errors - row.client_aborts if row is not None else 0
        for row in found
    ]
    return (
        stacked(
            "Requests",
            days,
            [
                Series(name="completed", colour=1, values=good),
                Series(name="left by the client", colour=6, values=values("client_aborts")),
                Series(name="errors", colour=5, values=values("errors")),
            ],
            short,
        ),
        stacked(
            "Tokens",
            days,
            [
                Series(name="input", colour=1, values=values("input_tokens")),
                Series(name="output", colour=2, values=values("output_tokens")),
                Series(name="cache read", colour=3, values=values("cache_read_input_tokens")),
                Series(name="cache write", colour=4, values=values("cache_write_input_tokens")),
            ],
            short,
        ),
        lines(
            "Time to the first byte",
            days,
            [
                Series(
                    name="median",
                    colour=1,
                    values=timing("ttfb", "p50_ms"),
                ),
                Series(
                    name="95 %",
                    colour=3,
                    values=timing("ttfb", "p95_ms"),
                ),
            ],
            duration,
        ),
        lines(
            "Time to the end",
            days,
            [
                Series(
                    name="median",
                    colour=1,
                    values=timing("duration", "p50_ms"),
                ),
                Series(
                    name="95 %",
                    colour=3,
                    values=timing("duration", "p95_ms"),
                ),
            ],
            duration,
        ),
    )


def _trends(
    days: Sequence[date],
    rows: Sequence[UsageRow],
    models: Sequence[str],
    trends: Mapping[date, Trend],
) -> tuple[Chart, Chart]:
    """Return the charts of models and of users."""
    all_of = {row.day: row.interceptions for row in rows}
    found = [trends.get(day) for day in days]
    series = [
        Series(
            name=model,
            colour=n + 1,
            values=[each.models[n] if each is not None else 0 for each in found],
        )
        for n, model in enumerate(models)
    ]
    others = [
        max(0, all_of.get(day, 0) - (sum(each.models) if each is not None else 0))
        for day, each in zip(days, found, strict=True)
    ]
    if any(others):
        series.append(Series(name="others", colour=6, values=others))
    users = [each.users if each is not None else 0 for each in found]
    return (
        stacked("Models", days, series, short),
        stacked("Users", days, [Series(name="who asked", colour=1, values=users)], short),
    )


def _largest(usage: Usage) -> Sequence[UsageRow]:
    """Return the groups with the most tokens."""

    def tokens(row: UsageRow) -> int:
        return (
            row.input_tokens
            + row.output_tokens
            + row.cache_read_input_tokens
            + row.cache_write_input_tokens
        )

    return sorted(usage.results, key=tokens, reverse=True)[:_SHOWN_GROUPS]
