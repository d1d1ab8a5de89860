"""Dialect and Reader: what an API family must offer to be relayed and recorded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from bridge.domain.errors import BridgeError
from bridge.domain.interception import Api, ToolResult
from bridge.domain.observations import Observation, TokenUsage


class RequestSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What we need to know of a request body."""

    model: str
    """"" when the body names none."""
    streaming: bool
    prompt: str | None
    """The human's last prompt; None when this turn holds none."""
    correlating_tool_call_id: str | None
    stores: bool = False
    """Whether the provider is asked to keep the answer, to be fetched by its id later."""
    session_hints: Mapping[str, str] = msgspec.field(default_factory=dict)
    """Texts in the body that may identify the client's session, e.g. `metadata.user_id`."""
    references: Sequence[str] = ()
    """Ids of objects stored by the provider that the request builds on, whoever made them."""
    item_references: Sequence[str] = ()
    """Ids of items within such objects that the request refers to one by one."""
    tool_results: Sequence[ToolResult] = ()
    """What tools gave back in the last turn, in order; a bounded number."""
    partially_observed: bool = False
    """The body passes, but could not be read in full (nesting, odd types)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InBandError:
    """An error that the provider sent inside a 200 stream, or the body of an error status."""

    type: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What an answer has said so far."""

    response_id: str = ""
    stop_reason: str | None = None
    usage: TokenUsage | None = None
    """The counts so far; `source` is provider_final only once complete."""
    complete: bool = False
    """The terminal event, or the whole document, has been seen."""
    error: InBandError | None = None
    partially_observed: bool = False
    """Something in it had an odd type or was too large, and was left out."""


class Reader(Protocol):
    """Reads one answer; may raise anything, the tap shields the stream from it."""

    def skips(self, block: bytes) -> bool:
        """Return whether an event need not be read at all, by a look at its raw lines.

        Called for every event that goes past: no decoding here.
        """

    def event(self, name: bytes, data: bytes) -> Sequence[Observation]:
        """Take one server-sent event (name b"" when it had none); return what it completed."""

    def rest(self, name: bytes, data: bytes) -> Sequence[Observation]:
        """Take what stood after the last blank line of a stream that has ended.

        It counts as an event when it is a whole one; one that was cut says nothing.
        """

    def document(self, body: bytes, status: int) -> Sequence[Observation]:
        """Take a whole non-streaming answer, error bodies included; return what it holds."""

    def reading(self) -> Reading:
        """Return what is known so far."""

    @property
    def terminal(self) -> bool:
        """Whether the event that ends the answer for the client has been taken."""


class Passage(Protocol):
    """Turns upstream's bytes of one stream into the client's, leaving out what only we asked for.

    Everything else passes byte for byte, in the call in which it came; of an event that is not yet
    whole, what came so far may be kept back.
    """

    def feed(self, chunk: bytes) -> bytes:
        """Take upstream's next bytes; return what the client gets now, b"" for nothing."""

    def finish(self) -> bytes:
        """Say that upstream has ended; return what was kept back of an event that never was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Adaptation:
    """A request as it goes upstream when it must differ from what the client sent."""

    body: bytes
    """Edited at one place; every other byte as it came."""
    passage: Callable[[], Passage]
    """Makes what the stream that answers it goes through on its way to the client."""


class Dialect(Protocol):
    """One API family. Pure: no URLs, keys, Twisted or time."""

    api: Api
    ping: bytes
    """What of ours keeps a stream alive between two events: an event, or a comment line."""

    def summarize(self, body: bytes) -> RequestSummary:
        """Read a decoded request body.

        Raises:
            BadRequest: empty, not JSON, or not an object.
        """

    def adapted(self, body: bytes, summary: RequestSummary) -> Adaptation | None:
        """Return what must be asked of the provider beyond the client's words; mostly None.

        Args:
            body: as the client sent it, without any content encoding.
            summary: of the same body.
        """

    def reader(self) -> Reader:
        """Return a Reader for one answer."""

    def error_body(self, error: BridgeError, request_id: str) -> bytes:
        """Return `error` as a JSON document in the API's shape."""

    def error_event(self, error: BridgeError, request_id: str) -> bytes:
        """Return `error` as a whole server-sent event in the API's shape, for a started stream."""
