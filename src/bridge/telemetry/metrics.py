"""Metrics: what finished records and other parts of the bridge add up to, for Prometheus.

Everything about interceptions comes from the records that went into the journal, so that the
numbers are those of the record. Nothing here raises into the path of a request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from weakref import WeakSet

import structlog
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric as Exposed
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from bridge.domain.clock import Clock
from bridge.domain.interception import Interception, ToolResult, Traffic
from bridge.domain.records import AuditRecorded, Record
from bridge.telemetry import catalogue
from bridge.telemetry.catalogue import Kind, Metric, Names
from bridge.telemetry.counts import Counts
from bridge.telemetry.families import Vocabulary
from bridge.telemetry.gauges import READ, UnderWay, readings
from bridge.telemetry.lanes import Families, Lanes
from bridge.telemetry.tally import Counted, Tally

_BREAKER = {"closed": 0.0, "half_open": 0.5, "open": 1.0}

_OUTCOMES = {True: "error", False: "ok", None: catalogue.UNKNOWN}

_ONE_PROCESS = frozenset(
    {catalogue.STARTED, catalogue.RELOADED, catalogue.RELOAD_SUCCEEDED, catalogue.KEYS}
)
"""What a process says of itself, or of all: nothing to add up."""

_log = structlog.get_logger("bridge.metrics")


class Files(Protocol):
    """The part of a disk that is timed here, and the rest of it."""

    def write(self, fd: int, data: bytes, /) -> int:
        """Append."""

    def truncate(self, fd: int, length: int, /) -> None:
        """Cut."""

    def sync(self, fd: int, /) -> None:
        """Make what was written safe."""

    def allocate(self, fd: int, length: int, /) -> None:
        """Take space."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposition:
    """One answer to a scrape."""

    content_type: str
    body: bytes


class Metrics:
    """All numbers of one process; one is made by the assembly and handed to who has news."""

    def __init__(self, *, names: str, user_label: bool, clock: Clock) -> None:
        """Start with nothing counted.

        Args:
            names: one of `Names`, with which every name begins.
            user_label: whether to tell users apart, at up to a thousand times the series.
            clock: gives the time.
        """
        self._names = Names(names)
        self._user_label = user_label
        self._clock = clock
        self._words = Vocabulary()
        self._families = Families(names=self._names, user_label=user_label, read=READ)
        self._live: WeakSet[Tally] = WeakSet()
        self._counted = Counted(
            words=self._words,
            families=self._families,
            lanes=Lanes(self._families, self._words, user_label=user_label),
            live=self._live,
            fault=self.fault,
        )
        self._under_way = UnderWay(self._words, names=self._names)
        self._fsync = self._families.all[catalogue.FSYNC].distribution(())
        self._faulty = False
        now = clock.seconds()
        self._families.set(catalogue.STARTED, to=now)
        self._families.set(catalogue.RELOADED, to=now)
        self._families.set(catalogue.RELOAD_SUCCEEDED, to=now)

    def begin(
        self, interception: Interception, *, prompted: bool, results: Sequence[ToolResult] = ()
    ) -> Tally:
        """Return what counts the records of an interception that has been accepted.

        Args:
            interception: kept until the end.
            prompted: whether it came with a prompt, which need not be recorded.
            results: of tool calls, which it brought.
        """
        if results:
            provider = self._words.value("provider", interception.provider_name)
            for each in results:
                outcome = _OUTCOMES[each.is_error]
                self._families.add(catalogue.TOOL_RESULTS, provider, outcome)
        tally = Tally(self._counted, interception, prompted=prompted)
        if interception.traffic is Traffic.INTERCEPTED:
            self._live.add(tally)
        return tally

    def counting_refusals(
        self, append: Callable[[Sequence[Record]], object]
    ) -> Callable[[Sequence[Record]], object]:
        """Return `append`, counting what it is given of refusals, also when it raises."""

        def counted(records: Sequence[Record]) -> object:
            for record in records:
                if isinstance(record, AuditRecorded):
                    status = self._words.value("status", str(record.status))
                    code = self._words.value("code", str(record.detail.get("code", "")))
                    self._families.add(catalogue.REFUSALS, status, code, amount=record.count)
            return append(records)

        return counted

    def redacted(self, kind: str, count: int) -> None:
        """Note that so many secrets of this kind were taken out of a record."""
        word = self._words.value("secret", kind)
        self._families.add(catalogue.REDACTIONS, word, amount=count)

    def blanked(self, count: int) -> None:
        """Note that the content of so many interceptions was blanked."""
        self._families.add(catalogue.BLANKED, amount=count)

    def timed(self, files: Files) -> Files:
        """Return `files`, with every sync timed."""
        return _TimedFiles(files, self._clock, self._fsync.observe)

    def breaker_changed(
        self, provider: str, endpoint: str, model: str, before: str, after: str
    ) -> None:
        """Note a circuit breaker's new state: `closed`, `half_open` or `open`.

        Args:
            provider: the instance's name.
            endpoint: the route's pattern.
            model: as the client asked for it.
            before: the state that was.
            after: the state that is; every time it is `open` counts as a trip.
        """
        labels = self._breaker_labels(provider, endpoint, model)
        state = _BREAKER.get(after.replace("-", "_"))
        if state is None:
            self.fault(f"a circuit breaker's state is {after!r}, and was {before!r}")
            return
        self._families.set(catalogue.BREAKER_STATE, *labels, to=state)
        if state == 1.0:
            self._families.add(catalogue.BREAKER_TRIPS, *labels)

    def breaker_rejected(self, provider: str, endpoint: str, model: str) -> None:
        """Note a request that was not sent because a circuit breaker is open."""
        self._families.add(
            catalogue.BREAKER_REJECTS, *self._breaker_labels(provider, endpoint, model)
        )

    def keys_are(self, provider: str, *, valid: int, temporary: int, permanent: int) -> None:
        """Note how many keys of a provider can be used, rest, and are out of use."""
        word = self._words.value("provider", provider)
        counts = {"valid": valid, "temporary": temporary, "permanent": permanent}
        for state, count in counts.items():
            self._families.set(catalogue.KEYS, word, state, to=count)

    def key_put_away(self, provider: str, reason: str) -> None:
        """Note that a key rests: `rate_limited`, `unauthorized` or `forbidden`."""
        self._told(catalogue.KEY_TRANSITIONS, provider, "reason", reason)

    def keys_exhausted(self, provider: str, outcome: str) -> None:
        """Note a request for which no key was left: `rate_limited` or `auth_failed`."""
        self._told(catalogue.KEY_EXHAUSTIONS, provider, "outcome", outcome)

    def keys_tried(self, provider: str, count: int) -> None:
        """Note how many keys a request needed."""
        word = self._words.value("provider", provider)
        self._families.all[catalogue.KEY_ATTEMPTS].distribution((word,)).observe(count)

    def reloaded(self, *, succeeded: bool) -> None:
        """Note that the configuration was read anew."""
        now = self._clock.seconds()
        self._families.set(catalogue.RELOADED, to=now)
        if succeeded:
            self._families.set(catalogue.RELOAD_SUCCEEDED, to=now)

    def counts(self) -> Counts:
        """Return everything that is counted and under way here, for another process."""
        running, streams = self._under_way.count([each.interception for each in self._live])
        return Counts(
            families=[
                family.counts()
                for metric, family in self._families.all.items()
                if metric not in _ONE_PROCESS
            ],
            inflight=list(running.items()),
            streams=list(streams.items()),
        )

    def add(self, counts: Counts) -> None:
        """Go on counting for a process that is gone; what it had under way is not."""
        _add(self._families, counts, gauges=False)

    def scrape(
        self, details: Mapping[str, Any], accept: str, others: Sequence[Counts] = ()
    ) -> Callable[[], Exposition]:
        """Read what must be read now; the rest, which takes long, is done by what is returned.

        Args:
            details: what `/status` shows.
            accept: the request's header.
            others: what other processes have counted, which is added.

        Returns:
            Makes the exposition, on any thread.
        """
        now, names = self._clock.seconds(), self._names
        gauges = [
            *readings(details, names=names, now=now),
            *self._under_way.read([each.interception for each in self._live], others),
        ]
        families = self._families
        if others:
            families = Families(names=names, user_label=self._user_label, read=READ)
            everything = [family.counts() for family in self._families.all.values()]
            _add(families, Counts(families=everything, inflight=[], streams=[]), *others)
        encode, content_type = choose_encoder(accept)

        def exposition() -> Exposition:
            scraped = _Scraped(families, gauges)
            return Exposition(content_type=content_type, body=encode(scraped))

        return exposition

    def fault(self, what: object) -> None:
        """Note that something could not be counted; only the first time is logged."""
        self._families.add(catalogue.FAULTS)
        if not self._faulty:
            self._faulty = True
            _log.error("records not counted", reason=str(what), exc_info=_exception(what))

    def _breaker_labels(self, provider: str, endpoint: str, model: str) -> tuple[str, str, str]:
        name = self._words.value("provider", provider)
        known = self._words.model(name, model, proven=False)
        return name, self._words.value("endpoint", endpoint), known

    def _told(self, metric: Metric, provider: str, label: str, value: str) -> None:
        word = self._words.value("provider", provider)
        self._families.add(metric, word, self._words.value(label, value))


class _Scraped(Collector):
    """Everything there is at one scrape."""

    def __init__(self, families: Families, gauges: Sequence[Exposed]) -> None:
        self._families = families
        self._gauges = gauges

    def collect(self) -> Iterable[Exposed]:
        """Return all metrics."""
        yield from (family.exposed() for family in self._families.all.values())
        yield from self._gauges
        yield from ProcessCollector(registry=None).collect()


class _TimedFiles:
    """Files whose sync is timed, on whatever thread it runs."""

    def __init__(self, files: Files, clock: Clock, observe: Callable[[float], None]) -> None:
        self._clock = clock
        self._observe = observe
        self._sync = files.sync
        self.write = files.write
        self.truncate = files.truncate
        self.allocate = files.allocate

    def sync(self, fd: int, /) -> None:
        """Make what was written safe."""
        began = self._clock.seconds()
        self._sync(fd)
        self._observe(max(0.0, self._clock.seconds() - began))


def _add(families: Families, *several: Counts, gauges: bool = True) -> None:
    known = {
        metric.name: family
        for metric, family in families.all.items()
        if gauges or metric.kind is not Kind.GAUGE
    }
    for counts in several:
        for each in counts.families:
            family = known.get(each.name)
            if family is not None:
                family.add(each)


def _exception(what: object) -> BaseException | None:
    return what if isinstance(what, BaseException) else None
