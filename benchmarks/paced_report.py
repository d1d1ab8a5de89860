"""What a steady pace showed, as tables, lines, targets and bars."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.chart import Chart
from benchmarks.open_load import Result
from benchmarks.report import Target, median_target, number
from benchmarks.results import machine_line

STREAMS_JUDGED = 50
SIZE_JUDGED = "100 kB"
_P50_MS = 2.0
_P99_MS = 10.0
_JITTER_MS = 5.0
_JUDGED = "bridge"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Of one server, in one turn; times in milliseconds, from the intended one."""

    done: int
    first_p50: float
    first_p99: float
    whole_p50: float
    whole_p99: float
    jitter_p50: float | None
    jitter_p99: float | None
    jitter_most: float | None
    events_per_second: float
    megabytes: float
    """Of bodies, all compared by digest."""
    different: int
    """Bodies that were not what the upstream says."""
    cpu_milliseconds: float
    """Of the server, for each request."""
    load_late: float
    """By how much the load itself sent too late at most."""
    sessions_resumed: int
    """Of TLS, by the load."""


Numbers = Mapping[str, Mapping[str, Sequence[Measured]]]
"""By server, then by what was asked."""


def key_of(what: str | int | bool) -> str:  # a size, streams, or how TLS begins
    """Return the name of what was asked."""
    if isinstance(what, bool):
        return "new connections, sessions resumed" if what else "new connections"
    return f"{what} bodies" if isinstance(what, str) else f"{what} streams"


def measured(result: Result, cpu_seconds: float) -> Measured:
    """Return what a result comes to."""
    jitter = result.jitter or None
    return Measured(
        done=result.done,
        first_p50=_quantile(result.first_bytes, 50) * 1000,
        first_p99=_quantile(result.first_bytes, 99) * 1000,
        whole_p50=_quantile(result.whole, 50) * 1000,
        whole_p99=_quantile(result.whole, 99) * 1000,
        jitter_p50=jitter and _quantile(jitter, 50) * 1000,
        jitter_p99=jitter and _quantile(jitter, 99) * 1000,
        jitter_most=jitter and max(jitter) * 1000,
        events_per_second=result.events / result.seconds,
        megabytes=result.bytes / 1e6,
        different=result.different,
        cpu_milliseconds=cpu_seconds / result.done * 1000,
        load_late=result.latest * 1000,
        sessions_resumed=result.sessions_resumed,
    )


def tables(numbers: Numbers) -> str:
    """Return a table for each thing that was asked: medians, and the range of the last column."""
    asked = list(next(iter(numbers.values())))
    found = []
    for what in asked:
        streams = what.endswith("streams")
        header = (
            f"{what:26}{'first byte p50':>15}{'p99':>9}{'added p50':>11}{'added p99':>11}"
            + (f"{'jitter p50':>12}{'p99':>8}{'added p99':>11}{'events/s':>10}" if streams else "")
            + f"{'CPU ms':>9}   added p99, all turns"
        )
        lines = [header]
        for name, own in numbers.items():
            several = own.get(what)
            if not several:
                continue
            added = added_to(numbers, name, what, lambda each: each.first_p99)
            cells = [
                f"{_median(several, lambda each: each.first_p50):15.2f}",
                f"{_median(several, lambda each: each.first_p99):9.2f}",
                _cell(added_to(numbers, name, what, lambda each: each.first_p50), 11),
                _cell(added, 11),
            ]
            if streams:
                jitter = added_to(numbers, name, what, lambda each: each.jitter_p99 or 0.0)
                cells += [
                    f"{_median(several, lambda each: each.jitter_p50 or 0.0):12.2f}",
                    f"{_median(several, lambda each: each.jitter_p99 or 0.0):8.2f}",
                    _cell(jitter, 11),
                    f"{_median(several, lambda each: each.events_per_second):10.0f}",
                ]
                added = jitter
            cells.append(f"{_median(several, lambda each: each.cpu_milliseconds):9.2f}")
            spread = "  ".join(number(each) for each in added)
            lines.append(f"{name:26}{''.join(cells)}   {spread}")
        late = max(each.load_late for own in numbers.values() for each in own.get(what, ()))
        lines.append(f"the load itself was late by {late:.1f} ms at most")
        found.append("\n".join(lines))
    several = [each for own in numbers.values() for turns in own.values() for each in turns]
    checked = sum(each.megabytes for each in several)
    different = sum(each.different for each in several)
    found.append(
        f"{checked:.0f} MB in {sum(each.done for each in several)} bodies compared by digest, "
        f"{different} different"
    )
    return "\n\n".join(found)


def handshake_lines(numbers: Numbers, upstream: Mapping[str, int]) -> str:
    """Return what TLS cost on new connections, and how often sessions were resumed."""
    own = numbers.get("bridge TLS", {})
    full, resumed = own.get(key_of(False)), own.get(key_of(True))
    if not full or not resumed:
        return "TLS was not measured"
    plain = numbers.get("bridge", {})
    lines = []
    for what, several in ((key_of(False), full), (key_of(True), resumed)):
        without = plain.get(what)
        lines.append(
            f"TLS, {what}: {_median(several, lambda each: each.cpu_milliseconds):.2f} ms of CPU "
            "for a request"
            + (
                f", {_median(without, lambda each: each.cpu_milliseconds):.2f} without TLS"
                if without
                else ""
            )
            + f"; {sum(each.sessions_resumed for each in several)} of "
            f"{sum(each.done for each in several)} clients' handshakes resumed a session"
        )
    lines.append(
        f"TLS with the upstream: {upstream['handshakes']} handshakes, "
        f"{upstream['resumed']} of them resumed a session"
    )
    return "\n".join(lines)


def targets(numbers: Numbers, *, missing: int) -> Sequence[Target]:
    """Return what was to be reached, for what was measured."""
    found = []
    size, streams = key_of(SIZE_JUDGED), key_of(STREAMS_JUDGED)
    if numbers.get(_JUDGED, {}).get(size):
        what = f"time to first byte added at 50 requests/s of {SIZE_JUDGED}"
        for name, of, limit in (
            ("p50", lambda each: each.first_p50, _P50_MS),
            ("p99", lambda each: each.first_p99, _P99_MS),
        ):  # type: tuple[str, Callable[[Measured], float], float]
            found.append(
                median_target(
                    f"{what}, {name}", added_to(numbers, _JUDGED, size, of), limit, "ms"
                )
            )  # fmt: skip
    if numbers.get(_JUDGED, {}).get(streams):
        added = added_to(numbers, _JUDGED, streams, lambda each: each.jitter_p99 or 0.0)
        what = f"jitter between events added, {STREAMS_JUDGED} streams of 100/s, p99"
        found.append(median_target(what, added, _JITTER_MS, "ms"))
    several = [each for own in numbers.values() for turns in own.values() for each in turns]
    for what, count in (
        ("bodies that differ", sum(each.different for each in several)),
        ("records missing", missing),
    ):
        found.append(Target(what=what, value=count, limit=0, at_least=False, unit=""))
    return found


def added_to(
    numbers: Numbers, name: str, what: str, of: Callable[[Measured], float]
) -> Sequence[float]:
    """Return, turn by turn, what comes on top of asking the upstream directly."""
    direct = numbers.get("direct", {}).get(what, ())
    own = numbers[name].get(what, ())
    if name == "direct":
        return ()
    return [of(mine) - of(theirs) for mine, theirs in zip(own, direct, strict=False)]


def charts(numbers: Numbers) -> Sequence[Chart]:
    """Return what is drawn of it."""
    size, streams = key_of(SIZE_JUDGED), key_of(STREAMS_JUDGED)
    wanted: Sequence[tuple[str, str, Callable[[Measured], float], float | None]] = (
        (f"First byte later by, p50, {size}, ms", size, lambda each: each.first_p50, _P50_MS),
        (f"First byte later by, p99, {size}, ms", size, lambda each: each.first_p99, _P99_MS),
        (f"Jitter between events added, p99, {streams}, ms", streams,
         lambda each: each.jitter_p99 or 0.0, _JITTER_MS),
    )  # fmt: skip
    found = []
    for title, what, of, limit in wanted:
        bars = [(name, added) for name in numbers if (added := added_to(numbers, name, what, of))]
        if bars:
            found.append(Chart(title=title, bars=bars, limit=limit))
    return found


def caption(began: float) -> str:
    """Return when and on what it was measured."""
    day = time.strftime("%Y-%m-%d", time.gmtime(began))
    return f"{day}; {machine_line()}"


def _median(several: Sequence[Measured], of: Callable[[Measured], float]) -> float:
    return statistics.median(map(of, several))


def _quantile(values: Sequence[float], percent: int) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


def _cell(values: Sequence[float], width: int) -> str:
    return f"{statistics.median(values):{width}.2f}" if values else "-".rjust(width)
