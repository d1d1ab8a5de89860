"""Gauges that are read at scrape time, from the same details that `/status` shows.

**Shape** of the details: see `status.py`. What is not there, or cannot be read, is left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from prometheus_client.metrics_core import Metric as Exposed

from bridge.domain.interception import Interception
from bridge.telemetry import catalogue
from bridge.telemetry.catalogue import OTHER, Metric, Names
from bridge.telemetry.counts import Counts
from bridge.telemetry.families import Values, Vocabulary, cleaned, exposed_gauge

Details = Mapping[str, Any]
Reading = Callable[[Details, float], Mapping[Values, float] | float | None]


def _age(moment: datetime | None, now: float) -> float | None:
    return None if moment is None else max(0.0, now - moment.timestamp())


def _providers(details: Details, _: float) -> Mapping[Values, float]:
    return {
        (cleaned(each["name"]), cleaned(each["type"]), "enabled"): 1.0
        for each in details["providers"]
    }


def _workers(details: Details, _: float) -> Mapping[Values, float]:
    states = Counter((cleaned(each["state"]),) for each in details.get("workers", ()))
    return {state: float(count) for state, count in states.items()}


_READINGS: Mapping[Metric, Reading] = {
    catalogue.BUILD: lambda d, _: {(cleaned(d["version"]),): 1.0},
    catalogue.READY: lambda d, _: float(d["ready"]),
    catalogue.RUNNING: lambda d, _: d["gateway"]["requests_running"],
    catalogue.BODY_MEMORY: lambda d, _: d["gateway"]["request_body_bytes"],
    catalogue.REFUSALS_LOST: lambda d, _: d["gateway"]["refusals_not_recorded"],
    catalogue.STORE: lambda d, _: {
        (cleaned(d["database"]["kind"]),): float(d["database"]["connected"])
    },
    catalogue.JOURNAL_BYTES: lambda d, _: d["journal"].bytes,
    catalogue.JOURNAL_MAX_BYTES: lambda d, _: d["journal"].max_bytes,
    catalogue.JOURNAL_UNSENT: lambda d, _: d["journal"].unsent_bytes,
    catalogue.JOURNAL_ACCEPTING: lambda d, _: float(d["journal"].accepting),
    catalogue.PENDING: lambda d, _: d["writer"].behind_records,
    catalogue.PENDING_BYTES: lambda d, _: d["writer"].behind_bytes,
    catalogue.PENDING_AGE: lambda d, now: _age(d["writer"].oldest_unsent_at, now) or 0.0,
    catalogue.QUARANTINED: lambda d, _: d["writer"].quarantined,
    catalogue.OUTDATED: lambda d, _: d["writer"].outdated,
    catalogue.WRITING: lambda d, _: float(d["writer"].writing),
    catalogue.SEARCH_PENDING: lambda d, _: d["search"]["pending"],
    catalogue.SIEM_PENDING: lambda d, _: d["siem"].waiting_records,
    catalogue.SIEM_AGE: lambda d, now: _age(d["siem"].oldest_waiting_at, now) or 0.0,
    catalogue.SIEM_WRITING: lambda d, _: float(d["siem"].writing),
    catalogue.TOKENS_KNOWN: lambda d, _: d["tokens"]["known"],
    catalogue.TOKENS_AGE: lambda d, now: _age(d["tokens"]["confirmed_at"], now),
    catalogue.PROVIDERS: _providers,
    catalogue.WORKERS: _workers,
    catalogue.WORKER_RESTARTS: lambda d, _: d.get("worker_restarts"),
    catalogue.LOG_LINES_LOST: lambda d, _: d["logs"]["lines_lost"],
}

READ = frozenset({*_READINGS, catalogue.INFLIGHT, catalogue.STREAMS})
"""The metrics that are read here."""


def readings(details: Details, *, names: Names, now: float) -> Iterable[Exposed]:
    """Return what the details say, for the exposition."""
    for metric, read in _READINGS.items():
        try:
            found = read(details, now)
        except (KeyError, AttributeError, TypeError, ValueError):
            found = None
        if found is None:
            found = {}
        elif not isinstance(found, Mapping):
            found = {(): float(found)}
        yield exposed_gauge(f"{names}_{metric.name}", metric, bounded(metric, found))


class UnderWay:
    """What is under way; what once was and is no more shows as 0, so that its line goes down."""

    def __init__(self, words: Vocabulary, *, names: Names) -> None:
        """Have seen nothing yet."""
        self._words = words
        self._names = names
        self._running: Mapping[Values, float] = {}
        self._streams: Mapping[Values, float] = {}

    def count(
        self, interceptions: Iterable[Interception]
    ) -> tuple[Mapping[Values, float], Mapping[Values, float]]:
        """Return how many are under way, and how many of them are streams; nought for the past.

        A model that no finished record names yet is OTHER.
        """
        words = self._words
        running = dict.fromkeys(self._running, 0.0)
        streams = dict.fromkeys(self._streams, 0.0)
        for each in interceptions:
            provider = words.value("provider", each.provider_name)
            model = words.known_model(provider, each.model)
            key = (provider, model, words.value("route", each.route))
            running[key] = running.get(key, 0.0) + 1
            streams[(provider,)] = streams.get((provider,), 0.0) + each.streaming
        self._running = bounded(catalogue.INFLIGHT, running)
        self._streams = bounded(catalogue.STREAMS, streams)
        return self._running, self._streams

    def read(
        self, interceptions: Iterable[Interception], others: Sequence[Counts] = ()
    ) -> Iterable[Exposed]:
        """Return the gauges, of this process and of others together."""
        running, streams = map(dict, self.count(interceptions))
        for each in others:
            _add(running, each.inflight)
            _add(streams, each.streams)
        if others:
            self._running = bounded(catalogue.INFLIGHT, running)
            self._streams = bounded(catalogue.STREAMS, streams)
        for metric, values in (
            (catalogue.INFLIGHT, self._running),
            (catalogue.STREAMS, self._streams),
        ):
            yield exposed_gauge(f"{self._names}_{metric.name}", metric, values)


def _add(values: dict[Values, float], more: Iterable[tuple[Values, float]]) -> None:
    for labels, value in more:
        values[labels] = values.get(labels, 0.0) + value


def bounded(metric: Metric, values: Mapping[Values, float]) -> Mapping[Values, float]:
    """Return `values` with no more label sets than the catalogue says; the rest is OTHER's."""
    if len(values) <= metric.most:
        return values
    found = dict(list(values.items())[: metric.most - 1])
    rest = sum(list(values.values())[metric.most - 1 :])
    return {**found, (OTHER,) * len(metric.labels): rest}
