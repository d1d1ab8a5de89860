"""Request bodies: in memory, within one budget, and let go as soon as they are not needed."""

from __future__ import annotations

from bridge.domain.errors import Overloaded

_RETRY_AFTER_SECONDS = 2.0
_SMALL_BYTES = 4096
# An object for each of a body's tiny pieces would take many times what they hold, unaccounted.


class BodyMemory:
    """The budget that all request bodies share."""

    def __init__(self, *, limit_bytes: int) -> None:
        """Start with nothing taken."""
        self._limit_bytes = limit_bytes
        self.used_bytes = 0

    def take(self, size: int) -> None:
        """Take `size` bytes of the budget.

        Raises:
            Overloaded: they are not there.
        """
        self.check(size)
        self.used_bytes += size

    def check(self, size: int) -> None:
        """Return if `size` more bytes are there now.

        Raises:
            Overloaded: they are not.
        """
        if self.used_bytes + size > self._limit_bytes:
            raise Overloaded(
                "The bridge holds as many request bodies as it may; try again in a moment.",
                retry_after=_RETRY_AFTER_SECONDS,
            )

    def give_back(self, size: int) -> None:
        """Return `size` bytes to the budget."""
        self.used_bytes -= size


class Body:
    """One request body as it came; empty once dropped."""

    __slots__ = ("_beside", "_chunks", "_memory", "content", "size")

    def __init__(self, memory: BodyMemory) -> None:
        """Start empty, within `memory`."""
        self._memory = memory
        self._chunks: list[bytes | bytearray] = []
        self._beside = 0
        self.size = 0
        """Bytes received, also after the content was dropped."""
        self.content = b""
        """The whole of it, once complete."""

    def add(self, chunk: bytes) -> None:
        """Keep what came in.

        Raises:
            Overloaded: the budget is used up.
        """
        self._memory.take(len(chunk))
        self.size += len(chunk)
        if len(chunk) >= _SMALL_BYTES or not self._chunks:
            self._chunks.append(chunk)
            return
        last = self._chunks[-1]
        if isinstance(last, bytearray):
            last += chunk
        else:
            self._chunks.append(bytearray(chunk))

    def complete(self) -> None:
        """Say that all of it has come in."""
        self.content = b"".join(self._chunks)
        self._chunks = []

    def replace(self, content: bytes) -> None:
        """Put an edited content in place of what came in; `size` stays what was received.

        Raises:
            Overloaded: it is longer, and the budget is used up.
        """
        self._memory.take(len(content) - len(self.content))
        self.content = content

    def beside(self, size: int) -> None:
        """Count what is made of the content and kept beside it, until the next call or `drop`.

        Raises:
            Overloaded: the budget is used up.
        """
        self._memory.give_back(self._beside)
        self._beside = 0
        self._memory.take(size)
        self._beside = size

    def drop(self) -> None:
        """Let the content go; harmless when repeated."""
        self._memory.give_back(self._beside)
        self._beside = 0
        if self._chunks or self.content:
            self._memory.give_back(len(self.content) or sum(map(len, self._chunks)))
            self._chunks = []
            self.content = b""
