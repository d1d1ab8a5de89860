"""Exchange: everything that the interceptor needs to run one request, and its client's side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec
from twisted.internet.defer import Deferred

from bridge.bodies import Body
from bridge.dialects.interface import Dialect, Passage
from bridge.domain.errors import BridgeError
from bridge.intercept.attempts import Attempts
from bridge.providers.interface import Route
from bridge.recording.recorder import Recording
from bridge.upstream.client import Outgoing
from bridge.upstream.draining import DrainLimits
from bridge.upstream.interface import Downstream
from bridge.wire.headers import Header


class Answer(Downstream, Protocol):
    """The client's side of an exchange."""

    def start(
        self,
        *,
        status: int,
        phrase: bytes,
        headers: Sequence[Header],
        length: int | None,
        begun: bool,
    ) -> None:
        """Send the head; it may wait a moment for a body that has begun, or has a length.

        Once the body has been asked for, `limit_wait` is to be called.
        """

    def limit_wait(self) -> None:
        """Let a head that still waits for its body wait no longer than a moment."""

    def refuse(self, error: BridgeError, body: bytes) -> None:
        """Send an error of ours as the whole answer; nothing has been started."""

    def finish(self) -> None:
        """End the answer as HTTP says it should."""

    def cut(self) -> None:
        """End the answer so that the client sees it is not whole; what is written still goes."""


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that one pass needs."""

    recording: Recording
    attempts: Attempts
    """Decides whom to ask, and what follows."""
    body: Body
    """The request's, kept until an answer is relayed, because until then it may be sent again."""
    route: Route
    dialect: Dialect | None
    """Reads the answer; None for passthrough."""
    passage: Callable[[], Passage] | None = None
    """Makes what a stream goes through on its way to the client; None for as it comes."""
    error_dialect: Dialect
    """Shapes our own errors."""
    streaming: bool
    """Whether a stream was asked for."""
    answer: Answer
    in_thread: Callable[[Callable[[], Outgoing]], Deferred[Outgoing]]
    """Makes a request that takes long to make where nobody waits for it."""
    request_id: str
    started: float
    """When the request had come in, in the clock's seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingLimits:
    """What of an answer is kept for reading, in bytes."""

    max_event: int
    max_document: int
    drain: DrainLimits | None = None
    """How much of a stream is read on when its client has gone; None for nothing."""
