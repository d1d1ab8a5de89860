"""The recorder: what was observed of an interception, to the journal and the log."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, assert_never

from msgspec.structs import replace
from twisted.internet.defer import Deferred, succeed

from bridge.domain.clock import Clock, utc
from bridge.domain.errors import Unavailable
from bridge.domain.ids import day_of, uuid7
from bridge.domain.interception import Ending, Interception, Leg, Traffic
from bridge.domain.observations import ModelThought, Observation, TokenUsage, ToolUsage
from bridge.domain.records import (
    InterceptionEnded,
    InterceptionStarted,
    LegRecorded,
    ModelThoughtRecorded,
    Record,
    StoredObjectRecorded,
    TokenUsageRecorded,
    ToolUsageRecorded,
)


class Journal(Protocol):
    """Where records are safe."""

    def append(self, records: Sequence[Record], *, final: bool = False) -> bool:
        """Write `records`, and say whether something in them had to be replaced to be kept.

        Raises Unavailable. `final` may use the space kept for ends.
        """

    def durable(self) -> Deferred[None]:
        """Fire when everything appended so far is as safe as the configuration asks."""


class RecordLog(Protocol):
    """Where records are also written as log lines."""

    def write(self, record: Record, interception: Interception) -> None:
        """Write `record`, which belongs to `interception`."""


class Tally(Protocol):
    """What counts the records of one interception."""

    def add(self, records: Sequence[Record]) -> None:
        """Count `records`, which are written down; never raises."""


class Counting(Protocol):
    """What makes metrics of records."""

    def begin(self, interception: Interception, *, prompted: bool) -> Tally:
        """Return what counts the records of an accepted interception."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """Which contents are recorded; what is off never reaches the journal."""

    prompts: bool = True
    tool_inputs: bool = True
    thoughts: bool = True


class Recorder:
    """Begins the recording of interceptions."""

    def __init__(
        self,
        *,
        journal: Journal,
        levels: Levels,
        clock: Clock,
        log: RecordLog | None = None,
        on_end: Callable[[Interception, Ending], None] | None = None,
        counting: Counting | None = None,
    ) -> None:
        """Record to `journal`, and to `log` too where there is one.

        Args:
            journal: takes every record before anything else does.
            levels: which contents are recorded.
            clock: gives the time of records.
            log: structured logging, when switched on.
            on_end: told of every end.
            counting: makes metrics of what is written down.
        """
        self._journal = journal
        self._levels = levels
        self._clock = clock
        self._log = log
        self._on_end = on_end
        self._counting = counting

    def begin(self, interception: Interception) -> Recording:
        """Write down that `interception` was accepted, and return what records the rest of it.

        Raises:
            Unavailable: the journal takes no records.
        """
        prompted = bool(interception.prompt)
        if not self._levels.prompts:
            interception = replace(interception, prompt=None)
        recording = Recording(
            # The prompt is written down once; a long stream must not keep it in memory.
            interception=replace(interception, prompt=None),
            journal=self._journal,
            levels=self._levels,
            clock=self._clock,
            log=self._log,
            on_end=self._on_end,
        )
        recording.write([_started(interception)])
        if self._counting is not None:
            recording.tally = self._counting.begin(recording.interception, prompted=prompted)
        return recording


class Recording:
    """Records one interception; its end can be written only once."""

    def __init__(
        self,
        *,
        interception: Interception,
        journal: Journal,
        levels: Levels,
        clock: Clock,
        log: RecordLog | None,
        on_end: Callable[[Interception, Ending], None] | None,
    ) -> None:
        """Record what happens to `interception`; see Recorder."""
        self.interception = interception
        self.ended = False
        self.tally: Tally | None = None
        """Counts what is written down from now on."""
        self._altered = False
        self._journal = journal
        self._levels = levels
        self._clock = clock
        self._log = log
        self._on_end = on_end
        self._tools = 0
        self._thoughts = 0

    def observe(self, leg: int, observations: Sequence[Observation]) -> None:
        """Write down what was seen in a leg.

        Raises:
            Unavailable: the journal takes no records; the detail is lost.
        """
        records = self._details(leg, observations)
        if records:
            self.write(records)

    def leg(self, leg: Leg) -> None:
        """Write down a leg that was not the last.

        Raises:
            Unavailable: the journal takes no records; the detail is lost.
        """
        self.write([self._leg(leg)])

    def end(self, ending: Ending, leg: Leg | None, last: Sequence[Observation] = ()) -> None:
        """Write down the last leg and the end; the first call counts, later ones do nothing.

        Args:
            ending: how it ended.
            leg: the last one, if there was any.
            last: what was seen in that leg's very end, and is not written down yet.

        Raises:
            Unavailable: it could not be written; the client must not see its answer end.
        """
        if self.ended:
            return
        details = self._details(1 if leg is None else leg.n, last)
        if details and not all(_holdable(each) for each in last):
            # The end says whether something had to be replaced, so that must be known before it.
            self._write_apart(details)
            details = []
        own: list[Record] = [] if leg is None else [self._leg(leg)]
        if self.interception.stores and ending.response_id:
            own.append(self._stored(ending.response_id))
        try:
            self.write([*details, *own, self._ended(ending)], final=True)
        except Unavailable:
            if not details:
                raise
            self._altered = True  # too much for the space that is kept for ends
            self.write([*own, self._ended(ending)], final=True)
        self.ended = True
        if self._on_end is not None:
            self._on_end(self.interception, ending)

    def durable(self) -> Deferred[None]:
        """Fire when what was written is safe; at once for passthrough, which is metadata only."""
        if self.interception.traffic is Traffic.PASSTHROUGH:
            return succeed(None)
        return self._journal.durable()

    def write(self, records: Sequence[Record], *, final: bool = False) -> None:
        """Append `records` to the journal, then to the log and the metrics."""
        self._altered = self._journal.append(records, final=final) or self._altered
        if self._log is not None:
            for record in records:
                self._log.write(record, self.interception)
        if self.tally is not None:
            self.tally.add(records)

    def _details(self, leg: int, observations: Sequence[Observation]) -> list[Record]:
        return [
            record
            for observation in observations
            if (record := self._observed(leg, observation)) is not None
        ]

    def _write_apart(self, details: Sequence[Record]) -> None:
        try:
            self.write(details)
        except Unavailable:
            self._altered = True

    def _observed(self, leg: int, observation: Observation) -> Record | None:
        match observation:
            case TokenUsage():
                return self._usage(leg, observation)
            case ToolUsage():
                return self._tool(observation)
            case ModelThought():
                return self._thought(observation) if self._levels.thoughts else None
            case _:
                assert_never(observation)

    def _usage(self, leg: int, usage: TokenUsage) -> TokenUsageRecorded:
        now = self._clock.seconds()
        return TokenUsageRecorded(
            id=uuid7(now),
            day=day_of(self.interception.id),
            at=utc(now),
            interception_id=self.interception.id,
            n=leg,
            provider_response_id=usage.response_id,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cache_read_input_tokens=usage.cache_read_input_tokens,
            cache_write_input_tokens=usage.cache_write_input_tokens,
            usage_source=usage.source.value,
            metadata={**usage.metadata, **usage.extra},
        )

    def _tool(self, tool: ToolUsage) -> ToolUsageRecorded:
        self._tools += 1
        now = self._clock.seconds()
        return ToolUsageRecorded(
            id=uuid7(now),
            day=day_of(self.interception.id),
            at=utc(now),
            interception_id=self.interception.id,
            n=self._tools,
            provider_response_id=tool.response_id,
            provider_tool_call_id=tool.tool_call_id,
            provider_item_id=tool.item_id,
            tool=tool.tool,
            input=tool.input if self._levels.tool_inputs else "",
            server_url=tool.server_url,
            injected=tool.injected,
            invocation_error=tool.invocation_error,
            metadata=dict(tool.metadata),
        )

    def _thought(self, thought: ModelThought) -> ModelThoughtRecorded:
        self._thoughts += 1
        now = self._clock.seconds()
        return ModelThoughtRecorded(
            id=uuid7(now),
            day=day_of(self.interception.id),
            at=utc(now),
            interception_id=self.interception.id,
            n=self._thoughts,
            content=thought.content,
            metadata={"source": thought.source},
        )

    def _leg(self, leg: Leg) -> LegRecorded:
        now = self._clock.seconds()
        return LegRecorded(
            id=uuid7(now),
            day=day_of(self.interception.id),
            at=utc(now),
            interception_id=self.interception.id,
            n=leg.n,
            provider_name=leg.provider_name,
            model=leg.model,
            hint=leg.credential_hint,
            status=leg.status,
            started_at=leg.started_at,
            ttfb_ms=leg.ttfb_ms,
            duration_ms=leg.duration_ms,
            outcome=leg.outcome,
        )

    def _stored(self, object_id: str) -> StoredObjectRecorded:
        now = self._clock.seconds()
        return StoredObjectRecorded(
            id=uuid7(now),
            day=day_of(self.interception.id),
            at=utc(now),
            interception_id=self.interception.id,
            object_id=object_id,
            provider_name=self.interception.provider_name,
            initiator_id=self.interception.actor.id,
        )

    def _ended(self, ending: Ending) -> InterceptionEnded:
        return InterceptionEnded(
            id=uuid7(self._clock.seconds()),
            day=day_of(self.interception.id),
            at=ending.at,
            interception_id=self.interception.id,
            status=ending.state.value,
            http_status=ending.http_status,
            ttfb_ms=ending.ttfb_ms,
            duration_ms=ending.duration_ms,
            bytes_out=ending.bytes_out,
            response_sha256=ending.response_sha256,
            client_sha256=ending.client_sha256,
            response_id=ending.response_id,
            stop_reason=ending.stop_reason,
            error_type=ending.error_type,
            error_message=ending.error_message,
            credential_hint=ending.credential_hint,
            partially_observed=ending.partially_observed or self._altered,
        )


def _holdable(observation: Observation) -> bool:
    """Return whether the journal takes this as it is: short, and no text that must be replaced."""
    if not isinstance(observation, TokenUsage):
        return False
    texts = (observation.response_id, *observation.metadata.values())
    return all(
        isinstance(each, int) or (isinstance(each, str) and each.isprintable()) for each in texts
    )


def _started(interception: Interception) -> InterceptionStarted:
    return InterceptionStarted(
        id=interception.id,
        day=day_of(interception.id),
        at=interception.started_at,
        interception_id=interception.id,
        traffic=interception.traffic.value,
        initiator_id=interception.actor.id,
        username=interception.actor.username,
        api_key_id=interception.actor.token_id,
        provider=interception.provider,
        provider_name=interception.provider_name,
        api=interception.api.value if interception.api is not None else None,
        method=interception.method,
        route=interception.route,
        model=interception.model,
        streaming=interception.streaming,
        client=interception.client,
        client_session_id=interception.client_session_id,
        user_agent=interception.user_agent,
        correlating_tool_call_id=interception.correlating_tool_call_id,
        credential_kind=interception.credential_kind.value,
        credential_hint=interception.credential_hint,
        prompt=interception.prompt,
        bytes_in=interception.bytes_in,
        partially_observed=interception.partially_observed,
        metadata={"request_user_agent": interception.user_agent, **interception.metadata},
    )
