"""A fault of a provider: what it does wrong, and what shall come of that for whom."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum

from tests.loopback.speech import Speech
from tests.support.fakes import BODY, Step

AS_SENT = "as sent"
"""The client got the body that upstream sent, byte for byte, and nothing else."""
BUT_USAGE = "as sent but usage"
"""Likewise, without the token counts that only the bridge has asked for."""
PLUS_EVENT = "as sent + error event"
NOTHING = "nothing"
ONLY_EVENT = "error event"
OWN_ERROR = "own error"
"""An error of the bridge in the API's shape, in place of an answer."""
CLEAN = "clean"
CUT = "cut"
"""The connection ends in the middle of the answer, as HTTP sees it."""

FAILURE = "failure"
SUCCESS = "success"
UNCOUNTED = "not counted"

FINAL = "provider_final"
PARTLY = "provider_partial"
NONE = "none"


MESSAGES = "messages"
CHAT_COMPLETIONS = "chat_completions"
RESPONSES = "responses"
SHORT = 0.1
"""Seconds, for a limit that has to fire."""
DIALECTS = (MESSAGES, CHAT_COMPLETIONS, RESPONSES)
OPENAI = (CHAT_COMPLETIONS, RESPONSES)


class Mode(StrEnum):
    """Which kind of answer the client asks for."""

    BLOCKING = "blocking"
    STREAMING = "streaming"


BOTH = (Mode.BLOCKING, Mode.STREAMING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What upstream does with a request."""

    steps: Sequence[Step]
    body: bytes = b""
    """The answer's body in `steps`, as far as it goes, without framing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What came of a fault; the same for what was expected, and for what was observed."""

    client: str
    """Status, body, how the body ended, and Retry-After where there is one."""
    record: str
    """End state, kind of error, status, and whether the record is partial."""
    usage: str
    """How good the recorded token counts are."""
    metrics: str
    """Samples that were not there before."""
    breaker: str
    """What the circuit breaker took it for, and its metrics."""

    def unlike(self, expected: Seen) -> Sequence[str]:
        """Return what is not as expected, a sentence for each column."""
        return [
            f"{each.name} is {mine!r}, not {wanted!r}"
            for each in fields(self)
            if (mine := getattr(self, each.name)) != (wanted := getattr(expected, each.name))
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What shall come of a fault, in the words of its parts."""

    status: int
    body: str
    told: str = ""
    """What is wrong by the bridge's own word, in the error or the error event that it made."""
    end: str = CLEAN
    retry_after: str = ""
    state: str = "upstream_error"
    error: str = ""
    """Kind of error on record."""
    partial: bool = False
    usage: str = NONE
    leg: str
    code: int | None
    """Upstream's status; None for no answer."""
    breaker: str

    def seen(self, speech: Speech) -> Seen:
        """Return how this looks from outside, in an API."""
        name = f" {error_name(speech.error(self.told))}" if self.told else ""
        return Seen(
            client=client_view(self.status, self.body + name, self.end, self.retry_after),
            record=record_view(self.state, self.error, self.status, partial=self.partial),
            usage=self.usage,
            metrics=", ".join(self._metrics()),
            breaker=breaker_view(self.breaker, 1, 1 if self.breaker == FAILURE else 0),
        )

    def _metrics(self) -> Sequence[str]:
        """Return the samples that must agree with the record."""
        told = [f"ends {' '.join(filter(None, (self.state, self.error)))} 1", f"legs {self.leg} 1"]
        if self.code is not None:
            told.append(f"responses {self.code} 1")
        if self.usage != NONE:
            told.append(f"usages {self.usage} 1")
        if self.partial:
            told.append("partial 1")
        return told


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One way to fail."""

    name: str
    told: Callable[[Speech, Mode], Told]
    expected: Callable[[Speech, Mode], Expected]
    modes: Sequence[Mode] = BOTH
    """For which kinds of answer it makes sense."""
    begin: str = BODY
    """See FakeUpstream."""
    refused: bool = False
    """Nobody listens."""
    first_byte_seconds: float = 10.0
    """The limit for the answer's head."""
    idle_seconds: float = 10.0
    """The limit for silence in an answer."""
    exchange_seconds: float = 60.0
    """The limit for the whole exchange."""
    dialects: Sequence[str] = DIALECTS
    """For which APIs it makes sense."""

    @property
    def slug(self) -> str:
        """The name as a part of a test's name."""
        return "".join(each if each.isalnum() else "_" for each in self.name.lower())


def error_name(members: Mapping[str, object]) -> str:
    """Return the API's name for an error of ours: its code, or its type where it has no code."""
    return str(members.get("code") or members["type"])


def client_view(status: int, body: str, end: str, retry_after: str) -> str:
    """Return what a client sees, in a few words."""
    waits = f", retry after {retry_after}" if retry_after else ""
    return f"{status} {body}, {end}{waits}"


def record_view(state: str, error: str, status: int | None, *, partial: bool) -> str:
    """Return what the record says, in a few words."""
    told = " ".join(filter(None, (state, error, str(status or ""))))
    return f"{told}, partial" if partial else told


def breaker_view(counted: str, trips: int, rejects: int) -> str:
    """Return what a breaker made of it, in a few words."""
    return f"{counted}, trips {trips}, rejects {rejects}" if counted == FAILURE else counted


def partly(speech: Speech) -> str:
    """Return how good the counts are of a stream that was cut behind `start` and `text`."""
    return PARTLY if speech.started_tokens is not None else NONE
