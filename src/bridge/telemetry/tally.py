"""Tallies: what the records of one interception add to the numbers, each thing exactly once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableSet, Sequence
from dataclasses import dataclass

from bridge.domain.interception import EndState, Interception, Traffic
from bridge.domain.records import (
    InterceptionEnded,
    LegRecorded,
    Record,
    TokenUsageRecorded,
    ToolUsageRecorded,
)
from bridge.telemetry import catalogue
from bridge.telemetry.catalogue import FURTHER_TOKEN_TYPES, OTHER
from bridge.telemetry.families import Vocabulary
from bridge.telemetry.lanes import Families, Lane, Lanes

_MAX_TOOLS = 1_000
# Names of one interception that are kept until its end.
_COMPLETED = EndState.COMPLETED.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What all tallies count into."""

    words: Vocabulary
    families: Families
    lanes: Lanes
    live: MutableSet[Tally]
    """Of the interceptions under way; a tally leaves it with its end."""
    fault: Callable[[Exception], None]
    """Told of what could not be counted."""


class Tally:
    """Counts one interception: legs as they end, everything else with its end."""

    __slots__ = (
        "__weakref__", "_ended", "_into", "_prompted", "_tools", "_usages", "interception",
    )  # fmt: skip

    def __init__(self, into: Counted, interception: Interception, *, prompted: bool) -> None:
        """Count what is written down of `interception`; `prompted` when it came with a prompt."""
        self.interception = interception
        self._into = into
        self._prompted = prompted
        self._usages: dict[int, TokenUsageRecorded] = {}
        self._tools: dict[tuple[str, str | None], int] = {}
        self._ended = False

    def add(self, records: Sequence[Record]) -> None:
        """Count `records`, which are written down."""
        try:
            for record in records:
                match record:
                    case InterceptionEnded():
                        self._end(record)
                    case LegRecorded():
                        self._leg(record)
                    case TokenUsageRecorded():
                        self._usage(record)
                    case ToolUsageRecorded():
                        self._tool(record)
                    case _:
                        pass
        except Exception as error:  # noqa: BLE001  # a fault costs the numbers, never the request
            self._into.fault(error)

    def _leg(self, leg: LegRecorded) -> None:
        words = self._into.words
        lane = self._into.lanes.of_provider(leg.provider_name)
        first = leg.n == 1
        lane.leg(leg.outcome, first=first, words=words).value += 1
        if leg.status is not None:
            lane.response(leg.status, words).value += 1
        if first:
            ours = (leg.started_at - self.interception.started_at).total_seconds()
            lane.overhead.observe(max(0.0, ours))

    def _usage(self, usage: TokenUsageRecorded) -> None:
        before = self._usages.get(usage.n)
        self._usages[usage.n] = usage
        if self._ended:  # counts may follow an error that ended the answer
            self._count(usage, before, self._lane(proven=False))

    def _tool(self, tool: ToolUsageRecorded) -> None:
        server = (tool.server_url or "") if tool.injected else None
        key = (tool.tool, server)
        if key not in self._tools and len(self._tools) >= _MAX_TOOLS:
            key = (OTHER, server)
        self._tools[key] = self._tools.get(key, 0) + 1
        if self._ended:
            self._count_tools(self._lane(proven=False))

    def _end(self, end: InterceptionEnded) -> None:
        into, interception = self._into, self.interception
        words, lanes = into.words, into.lanes
        self._ended = True
        into.live.discard(self)
        provider = lanes.of_provider(interception.provider_name)
        kind = interception.traffic.value
        provider.end(kind, end.status, end.error_type, words).value += 1
        provider.bytes_in.value += interception.bytes_in
        provider.bytes_out.value += end.bytes_out
        if end.partially_observed or interception.partially_observed:
            provider.partial.value += 1
        if end.client_sha256 is not None:
            provider.altered.value += 1
        if interception.traffic is Traffic.PASSTHROUGH:
            route = words.value("route", interception.route)
            method = words.value("method", interception.method)
            into.families.add(catalogue.PASSTHROUGH, provider.provider, route, method)
            return
        completed = end.status == _COMPLETED
        lane = self._lane(proven=completed)
        lane.ended("completed" if completed else "failed").value += 1
        lane.duration.observe((end.duration_ms or 0) / 1000)
        if end.ttfb_ms is not None:
            lane.first_byte_after(end.ttfb_ms / 1000)
        if self._prompted:
            lane.prompted()
        for usage in self._usages.values():
            self._count(usage, None, lane)
        if self._tools:
            self._count_tools(lane)

    def _lane(self, *, proven: bool) -> Lane:
        return self._into.lanes.of(self.interception, proven=proven)

    def _count(
        self, usage: TokenUsageRecorded, before: TokenUsageRecorded | None, lane: Lane
    ) -> None:
        """Count the tokens of a leg, those in an earlier record of it not again."""
        if before is None:
            words = self._into.words
            provider = self._into.lanes.of_provider(self.interception.provider_name)
            provider.usage(usage.usage_source, words).value += 1
        counted = dict(_tokens(before)) if before is not None else {}
        for kind, count in _tokens(usage):
            more = count - counted.get(kind, 0)
            cell = lane.token(kind)
            if more > 0:
                cell.value += more

    def _count_tools(self, lane: Lane) -> None:
        tools, self._tools = self._tools, {}
        for (tool, server), count in tools.items():
            lane.tool(tool, server, self._into.words).value += count


def _tokens(usage: TokenUsageRecorded) -> Iterator[tuple[str, int]]:
    yield "input", usage.input_tokens
    yield "output", usage.output_tokens
    yield "cache_read_input_tokens", usage.cache_read_input_tokens
    yield "cache_write_input_tokens", usage.cache_write_input_tokens
    for name, count in usage.metadata.items():
        if name in FURTHER_TOKEN_TYPES and isinstance(count, int):
            yield name, count
