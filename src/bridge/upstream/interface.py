"""What a relay stands between."""

from __future__ import annotations

from typing import Protocol

from twisted.internet.interfaces import IPushProducer


class Downstream(Protocol):
    """The client's side of an answer that has been started."""

    def write(self, data: bytes) -> None:
        """Send bytes of the body."""

    def register(self, producer: IPushProducer) -> None:
        """Pause and resume `producer` as the client reads."""

    def unregister(self) -> None:
        """Forget the producer."""


class Passage(Protocol):
    """What bytes go through on their way to the client; see the dialects."""

    def feed(self, chunk: bytes) -> bytes:
        """Take upstream's next bytes; return what the client gets now."""

    def finish(self) -> bytes:
        """Say that upstream has ended; return what was kept back."""
