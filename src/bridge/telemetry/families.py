"""Counting: a metric's label sets and their values, bounded, and as Prometheus's client wants them.

An increment costs a tenth of what the client library's own takes, which locks, and asks for
exemplars. Values are changed on the reactor's thread and may be read on another at any moment.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from itertools import accumulate

from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.metrics_core import Metric as Exposed
from prometheus_client.utils import floatToGoString

from bridge.telemetry.catalogue import MOST_VALUES, OPEN, OTHER, UNKNOWN, USER, Kind, Metric, Names
from bridge.telemetry.counts import FamilyCounts

MAX_VALUE = 100
"""Characters of a label's value."""

Values = tuple[str, ...]


class Words:
    """The values that one label may have: cleaned, and no more of them than there is room for."""

    __slots__ = ("_known", "_most")

    def __init__(self, most: int) -> None:
        """Know nothing, and at most `most` values later."""
        self._most = most
        self._known: dict[str, str] = {}

    def value(self, raw: str, *, proven: bool = True) -> str:
        """Return what `raw` is called; OTHER when there is no room for it.

        What is not `proven` to be real may take half of the room only, so that whoever makes up
        names cannot crowd out those that others use.
        """
        known = self._known.get(raw)
        if known is not None:
            return known
        if len(self._known) >= (self._most if proven else self._most // 2):
            return OTHER
        word = self._known[raw] = cleaned(raw)
        return word

    def known(self, raw: str) -> str:
        """Return what `raw` is called, OTHER when it has no room yet; takes none."""
        return self._known.get(raw, OTHER)


class Vocabulary:
    """The values of all labels."""

    def __init__(self) -> None:
        """Know nothing."""
        self._words = {label: Words(most) for label, most in MOST_VALUES.items()}
        self._models: dict[str, Words] = {}

    def value(self, label: str, raw: str) -> str:
        """Return what `raw` is called as a value of `label`."""
        return self._words[label].value(raw)

    def model(self, provider: str, raw: str, *, proven: bool = True) -> str:
        """Return what the model `raw` of `provider`, a label's value, is called."""
        return self._models_of(provider).value(raw, proven=proven)

    def known_model(self, provider: str, raw: str) -> str:
        """Return what it is called if it has been counted before, else OTHER."""
        return self._models_of(provider).known(raw)

    def _models_of(self, provider: str) -> Words:
        words = self._models.get(provider)
        if words is None:
            words = self._models[provider] = Words(MOST_VALUES["model"])
        return words


class Cell:
    """One number."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        """Start at nought."""
        self.value = 0.0


class Distribution:
    """How often a value fell into which bucket."""

    __slots__ = ("_buckets", "counts", "total")

    def __init__(self, buckets: tuple[float, ...]) -> None:
        """Count into `buckets`, and into one for what is greater."""
        self._buckets = buckets
        self.counts = [0] * (len(buckets) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count `value`."""
        self.counts[bisect_left(self._buckets, value)] += 1
        self.total += value


class Family:
    """A metric and its label sets; never more than the catalogue says."""

    def __init__(self, metric: Metric, *, names: Names, user_label: bool) -> None:
        """Have no label set yet, except the empty one of a metric without labels."""
        self.metric = metric
        self.name = f"{names}_{metric.name}"
        self.labels = (*metric.labels, USER) if metric.by_user and user_label else metric.labels
        self._cells: dict[Values, Cell] = {}
        self._distributions: dict[Values, Distribution] = {}
        if not self.labels:
            self._touch(())

    def cell(self, values: Values) -> Cell:
        """Return the number for the label set `values`, made when it is new."""
        cell = self._cells.get(values)
        if cell is None:
            values = self._placed(values, self._cells)
            cell = self._cells.get(values)
            if cell is None:
                cell = self._cells[values] = Cell()
        return cell

    def distribution(self, values: Values) -> Distribution:
        """Return the distribution for the label set `values`, made when it is new."""
        found = self._distributions.get(values)
        if found is None:
            values = self._placed(values, self._distributions)
            found = self._distributions.get(values)
            if found is None:
                found = self._distributions[values] = Distribution(self.metric.buckets)
        return found

    def exposed(self) -> Exposed:
        """Return all of it as it is now, for the exposition; safe on any thread."""
        metric = self.metric
        match metric.kind:
            case Kind.COUNTER:
                counters = CounterMetricFamily(self.name, metric.doc, labels=self.labels)
                for values, cell in list(self._cells.items()):
                    counters.add_metric(values, cell.value)
                return counters
            case Kind.GAUGE:
                return exposed_gauge(
                    self.name,
                    metric,
                    {values: cell.value for values, cell in list(self._cells.items())},
                )
        limits = [floatToGoString(limit) for limit in (*metric.buckets, float("inf"))]
        histograms = HistogramMetricFamily(self.name, metric.doc, labels=self.labels)
        for values, found in list(self._distributions.items()):
            buckets = list(zip(limits, map(float, accumulate(tuple(found.counts))), strict=True))
            histograms.add_metric(values, buckets, found.total)
        return histograms

    def counts(self) -> FamilyCounts:
        """Return all numbers, for another process."""
        return FamilyCounts(
            self.metric.name,
            [(values, cell.value) for values, cell in self._cells.items()],
            [(values, list(d.counts), d.total) for values, d in self._distributions.items()],
        )

    def add(self, counts: FamilyCounts) -> None:
        """Add what another has counted; of gauges, the greatest value counts."""
        for values, value in counts.cells:
            cell = self.cell(values)
            if self.metric.kind is Kind.GAUGE:
                cell.value = max(cell.value, value)
            else:
                cell.value += value
        for values, buckets, total in counts.distributions:
            distribution = self.distribution(values)
            distribution.counts = [
                mine + theirs for mine, theirs in zip(distribution.counts, buckets, strict=True)
            ]
            distribution.total += total

    def _touch(self, values: Values) -> None:
        if self.metric.kind is Kind.HISTOGRAM:
            self.distribution(values)
        elif self.metric.kind is Kind.COUNTER:
            self.cell(values)

    def _placed(self, values: Values, there: Mapping[Values, object]) -> Values:
        """Return where a new label set is counted: the last tenth is for those with OTHER."""
        room = self.metric.most - len(there)
        if room > max(1, self.metric.most // 10) or not self.labels or self.metric.most == 1:
            return values
        values = tuple(
            OTHER if label in OPEN else value
            for label, value in zip(self.labels, values, strict=True)
        )
        if room > 1 or values in there:
            return values
        return (OTHER,) * len(self.labels)


def exposed_gauge(name: str, metric: Metric, values: Mapping[Values, float]) -> Exposed:
    """Return what was read for `metric`, for the exposition."""
    found: GaugeMetricFamily | CounterMetricFamily
    if metric.kind is Kind.COUNTER:
        found = CounterMetricFamily(name, metric.doc, labels=metric.labels)
    else:
        found = GaugeMetricFamily(name, metric.doc, labels=metric.labels)
    for labels, value in values.items():
        found.add_metric(labels, value)
    return found


def cleaned(raw: str) -> str:
    """Return `raw` as a label's value: short, printable, of some length."""
    text = raw[:MAX_VALUE].strip()
    if not text.isprintable():
        text = "".join(each if each.isprintable() else "_" for each in text)
    return text or UNKNOWN
