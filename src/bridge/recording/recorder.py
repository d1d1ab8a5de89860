"""The recorder: what was observed of an interception, to the journal and the log."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, fields
from typing import Protocol, TypeVar, assert_never

from msgspec.structs import replace
from twisted.internet.defer import Deferred, succeed

from bridge.domain.clock import Clock
from bridge.domain.errors import Unavailable
from bridge.domain.interception import Ending, Interception, Leg, Traffic
from bridge.domain.observations import ModelThought, Observation, TokenUsage, ToolUsage
from bridge.domain.records import InterceptionStarted, Record, TokenUsageRecorded
from bridge.domain.secret_work import MOST_AT_ONCE, Laborious, Work
from bridge.recording.brought import Brought, Key
from bridge.recording.interface import Counting, Journal, RecordLog, Tally
from bridge.recording.making import (
    ended_of,
    leg_of,
    started_of,
    stored_of,
    thought_of,
    tool_of,
    usage_of,
)
from bridge.recording.redaction import NoRedaction, Redacting

R = TypeVar("R", bound=Record)

LARGE_CHARACTERS = 256 * 1024
"""Contents from this size on are looked through in a thread: 5 ms for a million characters, seven
times as long when there is a secret in them. So are those in which more than MOST_AT_ONCE pieces
have to be judged; what is observed of an answer cannot wait for that and goes as a whole."""
_RESULT_CHARACTERS = 256
"""Of a text that take as long as the beginning of another one."""
InThread = Callable[
    [Callable[[], tuple[InterceptionStarted, int]]], Awaitable[tuple[InterceptionStarted, int]]
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """Which contents are recorded; what is off never reaches the journal."""

    prompts: bool = True
    tool_inputs: bool = True
    thoughts: bool = True
    tool_results: bool = True

    def of(self, interception: Interception) -> Levels:  # noqa: ARG002  # LevelsOf's
        """Return these, whatever the interception."""
        return self


class LevelsOf(Protocol):
    """What says which contents of an interception are recorded."""

    def of(self, interception: Interception) -> Levels:
        """Return the levels of `interception`, for all of its records."""


def strictest(levels: Sequence[Levels]) -> Levels:
    """Return levels at which a content is recorded only if each of `levels` says so."""
    return Levels(
        **{each.name: all(getattr(one, each.name) for one in levels) for each in fields(Levels)}
    )


class Recorder:
    """Begins the recording of interceptions."""

    def __init__(
        self,
        *,
        journal: Journal,
        levels: LevelsOf,
        clock: Clock,
        log: RecordLog | None = None,
        on_end: Callable[[Interception, Ending], None] | None = None,
        counting: Counting | None = None,
        redaction: Redacting | None = None,
        in_thread: InThread | None = None,
    ) -> None:
        """Record to `journal`, and to `log` too where there is one.

        Args:
            journal: takes every record before anything else does.
            levels: which contents are recorded.
            clock: gives the time of records.
            log: structured logging, when switched on.
            on_end: told of every end.
            counting: makes metrics of what is written down.
            redaction: takes secrets out of what is written down; None leaves them in.
            in_thread: runs what takes longer than the reactor may be kept; None for nothing.
        """
        self._journal = journal
        self._levels = levels
        self._clock = clock
        self._log = log
        self._on_end = on_end
        self._counting = counting
        self._redaction = redaction or NoRedaction()
        self._in_thread = in_thread
        self._brought = Brought()

    async def begun(self, interception: Interception, own: Collection[str] = ()) -> Recording:
        """Do what `begin` does; large contents are looked through in a thread.

        Raises:
            Unavailable: the journal takes no records.
        """
        if self._in_thread is None:
            return self.begin(interception, own)
        kept, recording, added = self._prepared(interception, own)
        start, prompted = started_of(kept), bool(interception.prompt)
        try:
            redacted, found = self._at_once(start, own) or await self._in_thread(
                lambda: self._redaction.redacted(start, own)
            )
            return self._written(recording, kept, redacted, found, prompted=prompted)
        except BaseException:  # the client may leave meanwhile
            self._brought.forget(added)
            raise

    def begin(self, interception: Interception, own: Collection[str] = ()) -> Recording:
        """Write down that `interception` was accepted, and return what records the rest of it.

        Args:
            interception: what was accepted.
            own: the user's own credentials, which are to be recorded nowhere.

        Raises:
            Unavailable: the journal takes no records.
        """
        kept, recording, added = self._prepared(interception, own)
        try:
            work = Work(MOST_AT_ONCE)
            redacted, found = self._redaction.redacted(started_of(kept), own, work)
            prompted = bool(interception.prompt)
            return self._written(recording, kept, redacted, found, prompted=prompted)
        except BaseException:
            self._brought.forget(added)
            raise

    def _at_once(
        self, start: InterceptionStarted, own: Collection[str]
    ) -> tuple[InterceptionStarted, int] | None:
        """Return a start without secrets, and how many; None when that takes too long."""
        if _content_size(start) >= LARGE_CHARACTERS:
            return None
        try:
            return self._redaction.redacted(start, own, Work(MOST_AT_ONCE, gives_up=True))
        except Laborious:
            return None

    def _prepared(
        self, interception: Interception, own: Collection[str]
    ) -> tuple[Interception, Recording, Sequence[Key]]:
        """Return what is to be recorded of an interception, and what records the rest of it.

        The third is to be forgotten when that cannot be written down; see Brought.
        """
        levels = self._levels.of(interception)
        added: Sequence[Key] = ()
        if not levels.prompts:
            interception = replace(interception, prompt=None)
        if interception.tool_results:
            results, added = self._brought.new(interception.actor.id, interception.tool_results)
            if not levels.tool_results:
                results = [replace(each, content=None) for each in results]
            interception = replace(interception, tool_results=results)
        recording = Recording(
            # They are written down once; a long stream must not keep them in memory.
            interception=replace(interception, prompt=None, tool_results=()),
            journal=self._journal,
            levels=levels,
            clock=self._clock,
            log=self._log,
            on_end=self._on_end,
            redaction=self._redaction,
            own=own,
        )
        return interception, recording, added

    def _written(
        self,
        recording: Recording,
        interception: Interception,
        start: InterceptionStarted,
        found: int,
        *,
        prompted: bool,
    ) -> Recording:
        """Write the start down, of which `found` secrets were taken out."""
        recording.redactions += found
        recording.write([start])
        if self._counting is not None:
            recording.tally = self._counting.begin(
                recording.interception, prompted=prompted, results=interception.tool_results
            )
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
        redaction: Redacting,
        own: Collection[str],
    ) -> None:
        """Record what happens to `interception`; see Recorder."""
        self.interception = interception
        self.ended = False
        self.tally: Tally | None = None
        """Counts what is written down from now on."""
        self.redactions = 0
        """Secrets that were taken out of its records so far."""
        self._altered = False
        self._journal = journal
        self._levels = levels
        self._clock = clock
        self._log = log
        self._on_end = on_end
        self._redaction = redaction
        self._own = own
        self._tools = 0
        self._thoughts = 0
        self._kept: dict[int, Record] = {}
        """Counts of a leg that the journal did not take yet; they go with the end."""

    def observe(self, leg: int, observations: Sequence[Observation]) -> None:
        """Write down what was seen in a leg; counts that find no room are kept for the end.

        Raises:
            Unavailable: the journal takes no records; detail is lost.
        """
        records = self._details(leg, observations)
        if not records:
            return
        try:
            self.write(records)
        except Unavailable:
            counts = [each for each in records if _holdable(each)]
            self._kept.update((leg, each) for each in counts)
            if self.ended or len(counts) < len(records):
                raise

    def leg(self, leg: Leg) -> None:
        """Write down a leg that was not the last.

        Raises:
            Unavailable: the journal takes no records; the detail is lost.
        """
        self.write([leg_of(self.interception, leg, self._clock.seconds())])

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
        seen = self._details(1 if leg is None else leg.n, last)
        # The end says whether something had to be replaced, so that must be known before it.
        if apart := [each for each in seen if not _holdable(each)]:
            self._write_apart(apart)
        details = [*self._kept.values(), *(each for each in seen if _holdable(each))]
        now = self._clock.seconds()
        own: list[Record] = [] if leg is None else [leg_of(self.interception, leg, now)]
        if self.interception.stores and ending.response_id:
            own.append(stored_of(self.interception, ending.response_id, now))
        end = self.redacted(ended_of(self.interception, ending, now), Work(MOST_AT_ONCE))
        partial = end.partially_observed or self._altered
        end = replace(end, partially_observed=partial, redactions=self.redactions)
        try:
            self.write([*details, *own, end], final=True)
        except Unavailable:
            if not details:
                raise
            self._altered = True  # too much for the space that is kept for ends
            self.write([*own, replace(end, partially_observed=True)], final=True)
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

    def redacted(self, record: R, work: Work) -> R:
        """Return `record` without secrets; the end says how many there were in all."""
        kept, found = self._redaction.redacted(record, self._own, work)
        self.redactions += found
        return kept

    def _details(self, leg: int, observations: Sequence[Observation]) -> list[Record]:
        work = Work(MOST_AT_ONCE)
        return [
            self.redacted(record, work)
            for observation in observations
            if (record := self._observed(leg, observation)) is not None
        ]

    def _write_apart(self, details: Sequence[Record]) -> None:
        try:
            self.write(details)
        except Unavailable:
            self._altered = True

    def _observed(self, leg: int, observation: Observation) -> Record | None:
        now = self._clock.seconds()
        match observation:
            case TokenUsage():
                return usage_of(self.interception, observation, now, leg=leg)
            case ToolUsage():
                self._tools += 1
                kept = self._levels.tool_inputs
                return tool_of(self.interception, observation, now, n=self._tools, kept=kept)
            case ModelThought():
                if not self._levels.thoughts:
                    return None
                self._thoughts += 1
                return thought_of(self.interception, observation, now, n=self._thoughts)
            case _:
                assert_never(observation)


def _content_size(start: InterceptionStarted) -> int:
    """Return how many characters of content a start has, with what each text costs by itself."""
    size = len(start.prompt or "")
    for each in start.tool_results:
        if each.content:
            size += len(each.content) + _RESULT_CHARACTERS
    return size


def _holdable(record: Record) -> bool:
    """Return whether these are counts that the journal takes as they are: nothing is replaced."""
    if not isinstance(record, TokenUsageRecorded):
        return False
    texts = (record.provider_response_id, *record.metadata.values())
    return all(
        isinstance(each, int) or (isinstance(each, str) and each.isprintable()) for each in texts
    )
