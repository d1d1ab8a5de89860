"""Server-sent events out of bytes that come in any cut; sans-I/O.

Source: WHATWG HTML, section 9.2.6 "Interpreting an event stream" (read 2026-11-23). We differ in one
thing: `finish()` hands out a last event that no blank line ended, because providers send such.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

_BOM = b"\xef\xbb\xbf"
_EVENT = b"event: "
_DATA = b"\ndata: "

Event = tuple[bytes, bytes]
"""Name (b"" when the event has none) and data (several `data` lines joined by LF)."""


class EventTooLarge(ValueError):
    """An event is over the limit; nothing after it can be told apart any more."""


class SseDecoder:
    """Turns chunks into events; the cost of an uninteresting one is that of a split and a look.

    Line ends may be LF, CRLF or CR. Comments, `id` and `retry` are ignored; an event without any
    `data` line is none.
    """

    __slots__ = ("_after_cr", "_first", "_held", "_held_bytes", "_max_event_bytes", "skips")

    def __init__(
        self, *, max_event_bytes: int, skips: Callable[[bytes], bool] | None = None
    ) -> None:
        """Start between two events.

        Args:
            max_event_bytes: the most that one event may hold, lines and comments included.
            skips: says of an event's raw lines (LF, without the blank line) that nobody wants it.
        """
        self.skips = skips if skips is not None else skip_nothing
        self._max_event_bytes = max_event_bytes
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._after_cr = False
        self._first = True

    @property
    def at_boundary(self) -> bool:
        """Whether everything fed so far is whole events."""
        return not self._held and not self._after_cr

    def feed(self, chunk: bytes) -> Sequence[Event]:
        """Take the next bytes; return the events that they complete, without the skipped ones.

        Raises:
            EventTooLarge: once; do not feed again.
        """
        if self._held or self._after_cr or self._first or b"\r" in chunk:
            chunk = self._joined(chunk)
            if not chunk:
                return ()
        blocks = chunk.split(b"\n\n")
        rest = blocks.pop()
        if len(chunk) > self._max_event_bytes:
            self._check_sizes(blocks, rest)
        if rest and rest != b"\n":  # a third newline in a row begins nothing
            self._held.append(rest)
            self._held_bytes = len(rest)
        skips = self.skips
        events: list[Event] = []
        for block in blocks:
            if not skips(block):
                event = self._event(block)
                if event is not None:
                    events.append(event)
        return events

    def finish(self) -> Sequence[Event]:
        """Say that no more bytes come; return the last event if no blank line ended it."""
        block = b"".join(self._held)
        self._held.clear()
        self._held_bytes = 0
        self._after_cr = False
        event = None if not block or self.skips(block) else self._event(block)
        return () if event is None else (event,)

    def _joined(self, chunk: bytes) -> bytes:
        """Return what is held plus `chunk`, with LF ends; b"" while no event can be complete."""
        if not chunk:
            return chunk
        if self._first:
            chunk = b"".join((*self._held, chunk))
            if len(chunk) < len(_BOM) and _BOM.startswith(chunk):
                self._held = [chunk]
                return b""
            self._first = False
            self._held.clear()
            chunk = chunk.removeprefix(_BOM)
        if self._after_cr and chunk:
            self._after_cr = False
            if chunk[0] == 0x0A:  # the other half of a CRLF
                chunk = chunk[1:]
        if b"\r" in chunk:
            self._after_cr = chunk.endswith(b"\r")
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if not self._held or not chunk:
            return chunk
        whole = b"\n\n" in chunk or (chunk[0] == 0x0A and self._held[-1].endswith(b"\n"))
        self._held.append(chunk)
        self._held_bytes += len(chunk)
        if not whole:
            if self._held_bytes > self._max_event_bytes + 1:  # the one is its last line's end
                raise self._too_large()
            return b""
        joined = b"".join(self._held)
        self._held.clear()
        self._held_bytes = 0
        return joined

    def _event(self, block: bytes) -> Event | None:
        if block.startswith(_EVENT):  # the shape that providers send: one event line, one data line
            end = block.find(b"\n")
            if block.startswith(_DATA, end) and block.find(b"\n", end + 1) == -1:
                return block[7:end], block[end + 7 :]
        if block.startswith(b"\n"):  # an odd blank line before it
            block = block[1:]
            return None if self.skips(block) else self._event(block)
        return _parsed(block)

    def _check_sizes(self, blocks: Sequence[bytes], rest: bytes) -> None:
        sizes = [len(block) for block in blocks]
        if max((*sizes, len(rest) - 1)) > self._max_event_bytes:
            raise self._too_large()

    def _too_large(self) -> EventTooLarge:
        return EventTooLarge(f"an event is larger than {self._max_event_bytes} bytes")


def skip_nothing(block: bytes) -> bool:
    """Want every event."""
    return False


def skip_everything(block: bytes) -> bool:
    """Want no event: only the boundaries are kept track of."""
    return True


def _parsed(block: bytes) -> Event | None:
    """Return the event in `block` by the standard's rules, None when it holds no data line."""
    name = b""
    data: list[bytes] = []
    for line in block.split(b"\n"):
        field, _, value = line.partition(b":")
        if field == b"data":
            data.append(value.removeprefix(b" "))
        elif field == b"event":
            name = value.removeprefix(b" ")
    return (name, b"\n".join(data)) if data else None
