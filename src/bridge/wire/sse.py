"""Server-sent events out of bytes that come in any cut; sans-I/O.

Source: WHATWG HTML, section 9.2.6 "Interpreting an event stream" (read 2026-11-23). We differ in
one thing: `finish()` hands out what stands after the last blank line, because providers send such
last events; whether it is whole is for the dialect to say.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

_BOM = b"\xef\xbb\xbf"
_EVENT = b"event: "
_DATA = b"\ndata: "
_BEGINNING_BYTES = 256
"""Of an event that is too large: enough to tell its name, or its type in the data."""

Event = tuple[bytes, bytes]
"""Name (b"" when the event has none) and data (several `data` lines joined by LF)."""


class SseDecoder:
    """Turns chunks into events; the cost of an uninteresting one is that of a split and a look.

    Line ends may be LF, CRLF or CR. Comments, `id` and `retry` are ignored; an event without any
    `data` line is none. Of an event over the limit only the beginning is handed out, once it has
    ended, and it is counted; what follows is read.
    """

    __slots__ = (
        "_after_cr",
        "_beginning",
        "_beginning_bytes",
        "_first",
        "_held",
        "_leaving_out",
        "_max_event_bytes",
        "left_out",
        "skips",
    )

    def __init__(
        self, *, max_event_bytes: int, skips: Callable[[bytes], bool] | None = None
    ) -> None:
        """Start between two events.

        Args:
            max_event_bytes: the most that one event may hold, lines and comments included.
            skips: says of an event's raw lines (LF, without the blank line) that nobody wants it.
        """
        self.skips = skips if skips is not None else skip_nothing
        self.left_out = 0
        """How many events were over the limit; their data is cut."""
        self._max_event_bytes = max_event_bytes
        self._beginning_bytes = min(_BEGINNING_BYTES, max_event_bytes)
        self._beginning = b""
        self._held = bytearray()
        self._leaving_out = False
        self._after_cr = False
        self._first = True

    @property
    def at_boundary(self) -> bool:
        """Whether everything fed so far is whole events."""
        return not self._held and not self._after_cr

    def feed(self, chunk: bytes) -> Sequence[Event]:
        """Take the next bytes; return the events that they complete, without the skipped ones."""
        if self._held or self._after_cr or self._first or b"\r" in chunk:
            chunk = self._joined(chunk)
            if not chunk:
                return ()
        blocks = chunk.split(b"\n\n")
        rest = blocks.pop()
        if self._leaving_out and blocks:
            blocks[0] = self._beginning
            self._leaving_out = False
        if rest:
            # A third newline in a row begins nothing.
            self._held += rest if rest[0] != 0x0A else rest[1:]
        if len(chunk) > self._max_event_bytes:
            blocks = self._within_limit(blocks)
            self._bound_held()
        skips = self.skips
        events: list[Event] = []
        for block in blocks:
            if not skips(block):
                event = self._event(block)
                if event is not None:
                    events.append(event)
        return events

    def finish(self) -> Sequence[Event]:
        """Say that no more bytes come; return what no blank line ended, whole or cut."""
        block = b"" if self._leaving_out else bytes(self._held)
        self._held.clear()
        self._leaving_out = False
        self._after_cr = False
        event = None if not block or self.skips(block) else self._event(block)
        return () if event is None else (event,)

    def _joined(self, chunk: bytes) -> bytes:
        """Return what is held plus `chunk`, with LF ends; b"" while no event can be complete."""
        held = self._held
        if self._first:
            chunk = bytes(held) + chunk
            held.clear()
            if len(chunk) < len(_BOM) and _BOM.startswith(chunk):
                held += chunk
                return b""
            self._first = False
            chunk = chunk.removeprefix(_BOM)
        if self._after_cr and chunk:
            self._after_cr = False
            if chunk[0] == 0x0A:  # the other half of a CRLF
                chunk = chunk[1:]
        if b"\r" in chunk:
            self._after_cr = chunk.endswith(b"\r")
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if not held or not chunk:
            return chunk
        whole = b"\n\n" in chunk or (chunk[0] == 0x0A and held[-1] == 0x0A)
        held += chunk
        if not whole:
            self._bound_held()
            return b""
        joined = bytes(held)
        held.clear()
        return joined

    def _bound_held(self) -> None:
        """Let go of an event that has become too large; only its last byte is still needed."""
        held = self._held
        if len(held) > self._max_event_bytes + 1:  # the one is its last line's end
            if not self._leaving_out:
                self.left_out += 1
                self._leaving_out = True
                self._beginning = bytes(held[: self._beginning_bytes])
            del held[:-1]

    def _within_limit(self, blocks: Sequence[bytes]) -> list[bytes]:
        bare = [block.removeprefix(b"\n") for block in blocks]
        self.left_out += sum(len(block) > self._max_event_bytes for block in bare)
        most = self._beginning_bytes
        return [block if len(block) <= self._max_event_bytes else block[:most] for block in bare]

    def _event(self, block: bytes) -> Event | None:
        if block.startswith(_EVENT):  # the shape that providers send: one event line, one data line
            end = block.find(b"\n")
            if block.startswith(_DATA, end) and block.find(b"\n", end + 1) == -1:
                return block[7:end], block[end + 7 :]
        if block.startswith(b"\n"):  # an odd blank line before it
            block = block[1:]
            return None if self.skips(block) else self._event(block)
        return _parsed(block)


def skip_nothing(_: bytes) -> bool:
    """Want every event."""
    return False


def skip_everything(_: bytes) -> bool:
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
