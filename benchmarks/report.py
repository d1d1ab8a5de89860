"""The table: numbers of every server, ratios to bare Klein + treq, and what was to be reached."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from benchmarks.measures import Delay, Memory, Streaming, Throughput
from benchmarks.records import LIMIT_SECONDS, Arrival

_MB = 1_000_000
_KB = 1000

T = TypeVar("T")


@dataclass(slots=True, kw_only=True)
class Numbers:
    """What was measured of one server, repetition by repetition."""

    throughput: list[Throughput] = field(default_factory=list)
    streaming: list[Streaming] = field(default_factory=list)
    delay: list[Delay] = field(default_factory=list)
    memory: Memory | None = None
    idle_bytes: int | None = None
    arrivals: list[Arrival] = field(default_factory=list)
    first_start_seconds: float | None = None
    later_start_seconds: float | None = None

    @property
    def missing(self) -> int:
        """Records that never came."""
        return max((arrival.missing for arrival in self.arrivals), default=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One thing to reach."""

    what: str
    value: float
    limit: float
    at_least: bool
    unit: str
    values: tuple[float, ...] = ()
    """Of every repetition, where `value` is their median."""

    @property
    def reached(self) -> bool:
        """Whether it was."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit


def table(numbers: Mapping[str, Numbers]) -> str:
    """Return the numbers of every server as lines of text."""
    bare = numbers["bare"]
    header = (
        "server", "requests/s", "of bare", "CPU µs/request", "of bare", "core busy",
        "CPU µs/event", "of bare", "first byte ms", "added p50", "added p99",
        "idle MB", "KB/stream",
    )  # fmt: skip
    rows = [header]
    for name, own in numbers.items():
        direct = numbers.get("direct", Numbers())
        memory = own.memory
        rows.append(
            (
                name,
                _median(own.throughput, lambda each: each.per_second, "{:.0f}"),
                _share(own.throughput, bare.throughput, lambda each: each.per_second),
                _median(own.throughput, lambda each: each.cpu_microseconds, "{:.0f}"),
                _share(own.throughput, bare.throughput, lambda each: each.cpu_microseconds),
                _median(own.throughput, lambda each: each.busy * 100, "{:.0f} %"),
                _median(own.streaming, lambda each: each.cpu_microseconds, "{:.1f}"),
                _share(own.streaming, bare.streaming, lambda each: each.cpu_microseconds),
                _median(own.delay, lambda each: each.p50 * 1000, "{:.2f}"),
                _text(_added(own, direct, lambda each: each.p50), "{:.2f}"),
                _text(_added(own, direct, lambda each: each.p99), "{:.2f}"),
                _text(None if own.idle_bytes is None else own.idle_bytes / _MB, "{:.0f}"),
                _text(None if memory is None else memory.per_stream / _KB, "{:.0f}"),
            )
        )
    widths = [max(len(row[n]) for row in rows) for n in range(len(header))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if n == 0 else cell.rjust(width)
            for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )


def targets(numbers: Mapping[str, Numbers]) -> Sequence[Target]:
    """Return what was to be reached, for what was measured."""
    found: list[Target] = []
    bare, direct = numbers["bare"], numbers["direct"]

    def add(
        what: str, value: float | None, limit: float, unit: str, at_least: bool = False
    ) -> None:
        if value is not None:
            target = Target(what=what, value=value, limit=limit, unit=unit, at_least=at_least)
            found.append(target)

    for fsync, limit in (("before_end", 60.0), ("group", 75.0)):
        own = numbers.get(f"bridge {fsync}")
        if own is not None:
            share = _ratio(own.throughput, bare.throughput, lambda each: each.per_second)
            add(f"requests/s with {fsync}", _percent(share), limit, "% of bare", at_least=True)
    own = numbers.get("bridge before_end")
    if own is None:
        return found
    events = _ratio(own.streaming, bare.streaming, lambda each: each.cpu_microseconds)
    add("CPU per streamed event", events, 1.25, "x bare")
    add("time to first byte, added p50", _added(own, direct, lambda each: each.p50), 2.0, "ms")
    for words, limit in (("chat", 1.10), ("responses", 1.10), ("bedrock", 1.5)):
        other = numbers.get(f"bridge before_end, {words}", Numbers())
        if words != "bedrock":  # which another upstream answers
            share = _ratio(other.throughput, own.throughput, lambda each: each.per_second)
            add(f"requests/s in {words}", _percent(share), 90.0, "% of messages", at_least=True)
        events = _ratio(other.streaming, own.streaming, lambda each: each.cpu_microseconds)
        add(f"CPU per streamed event in {words}", events, limit, "x messages")
    if own.memory is not None:
        add("memory of an open stream", own.memory.per_stream / _KB, 60.0, "KB")
    if own.idle_bytes is not None:
        add("memory when idle", own.idle_bytes / _MB, 130.0, "MB")
    add("first start until ready", own.first_start_seconds, 15.0, "s")
    add("later start until ready", own.later_start_seconds, 4.0, "s")
    latest = max((each.seconds for each in own.arrivals), default=None)
    add("all records in Postgres after a load", latest, LIMIT_SECONDS, "s")
    add("records missing", float(own.missing) if own.arrivals else None, 0.0, "")
    return found


def peer_targets(numbers: Mapping[str, Numbers]) -> Sequence[Target]:
    """Return what was to be reached beside other gateways, for those that were measured."""
    own = numbers["bridge"]
    found: list[Target] = []
    for name, times, share in (
        ("LiteLLM", 20.0, 1 / 8),
        ("Portkey", 2.0, None),
        ("bare", 1.0, None),
        ("ferrogw", None, 1.15),
        ("nginx", None, 4.0),
    ):
        other = numbers.get(name)
        if other is None:
            continue
        if times is not None:
            ratio = _ratio(own.throughput, other.throughput, lambda each: each.per_second)
            if ratio is not None:
                found.append(
                    Target(
                        what="requests/s",
                        value=ratio,
                        limit=times,
                        at_least=True,
                        unit=f"x {name}",
                    )
                )
        if share is not None:
            ratio = _ratio(own.streaming, other.streaming, lambda each: each.cpu_microseconds)
            if ratio is not None:
                found.append(
                    Target(
                        what="CPU per streamed event",
                        value=ratio,
                        limit=share,
                        at_least=False,
                        unit=f"x {name}",
                    )
                )
    return found


def target_lines(found: Iterable[Target]) -> str:
    """Return one line for each target."""
    return "\n".join(
        f"{'reached' if target.reached else 'MISSED ':8}  {target.what}: "
        f"{number(target.value)} {target.unit}".rstrip()
        + f" ({'at least' if target.at_least else 'at most'} {number(target.limit)}"
        + _range(target.values)
        + ")"
        for target in found
    )


def median_target(
    what: str, values: Sequence[float], limit: float, unit: str, *, at_least: bool = False
) -> Target:
    """Return a target whose value is the median of those of every repetition."""
    return Target(
        what=what, value=statistics.median(values), limit=limit, at_least=at_least, unit=unit,
        values=tuple(values),
    )  # fmt: skip


def number(value: float) -> str:
    """Return a number with three digits that count, or all of a large one's."""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _range(values: Sequence[float]) -> str:
    if len(values) < 2:
        return ""
    return f"; {number(min(values))} to {number(max(values))} in {len(values)}"


def arrival_lines(numbers: Mapping[str, Numbers]) -> str:
    """Return one line for each look at the records."""
    return "\n".join(
        f"{name}: {each.found} of {each.expected} records in Postgres "
        f"{each.seconds:.1f} s after the load"
        for name, own in numbers.items()
        for each in own.arrivals
    )


def _median(values: Sequence[T], of: Callable[[T], float], form: str) -> str:
    return _text(statistics.median(map(of, values)) if values else None, form)


def _share(own: Sequence[T], bare: Sequence[T], of: Callable[[T], float]) -> str:
    return _text(_percent(_ratio(own, bare, of)), "{:.0f} %")


def _ratio(own: Sequence[T], bare: Sequence[T], of: Callable[[T], float]) -> float | None:
    """Return the median of the ratios, each within one repetition: the machine's mood cancels."""
    pairs = list(zip(own, bare, strict=False))
    return statistics.median(of(mine) / of(theirs) for mine, theirs in pairs) if pairs else None


def _added(own: Numbers, direct: Numbers, of: Callable[[Delay], float]) -> float | None:
    """Return the median of the milliseconds that come on top of asking the upstream directly."""
    pairs = list(zip(own.delay, direct.delay, strict=False))
    if not pairs or own is direct:
        return None
    return statistics.median((of(mine) - of(theirs)) * 1000 for mine, theirs in pairs)


def _percent(share: float | None) -> float | None:
    return None if share is None else share * 100


def _text(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)
