"""What the parent and a worker tell each other: one JSON object a line, over a pipe each way."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from bridge.telemetry.counts import Counts

MAX_LINE = 32 * 1024 * 1024
"""Bytes; the longest is a pulse of a worker with all metrics at their limits."""
FROM_PARENT, TO_PARENT = 3, 4
"""The pipes' descriptors in a worker; sockets and memory follow."""


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """One address to accept on."""

    description: str
    fd: int
    family: int
    apart: bool
    """Whether every worker has a socket of its own, between which the kernel chooses."""


class Hello(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The first line to a worker: what it needs to begin. It may hold secrets."""

    number: int
    """Counted from 0."""
    processes: int
    config: str
    """The configuration file, which is read at reloads; "" for none."""
    content: bytes
    """What the file said when it was last put in force: it may not be usable any more."""
    flags: dict[str, str]
    data_dir: str
    log_human: str
    addresses: list[Address]
    takes: int
    """Descriptor on which it gets connections from others."""
    ways: dict[int, int]
    """Another's number → descriptor on which it gets connections."""
    memory: int
    """Descriptor of what all workers count."""
    demo_url: str
    """"" without a demo provider."""
    demo_secret: str


class Stored(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """To a worker: the database is at this address, which holds a secret."""

    address: str


class Ping(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """To a worker: say how you are; and what records are kept."""

    number: int
    cutoff: datetime | None


class Flushed(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """To a worker: what was written down before it asked is in the database, or cannot be now."""

    number: int


class BeginAnew(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """To a worker: finish the journal's segment, so that what it holds can be changed."""


class Reload(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """To a worker: read the configuration again."""


class Stop(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """To a worker: let running answers end, and end."""


class Pulse(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """To the parent: how this worker is; the answer to the ping of this number, or at the end."""

    number: int
    not_ready: str | None
    details: dict[str, Any]
    """What `/status` shows, of this process."""
    counts: Counts


class Ready(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """To the parent: it accepts connections, and knows whom it serves."""


class Flush(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """To the parent: say when what is in the journals now is in the database."""

    number: int


class Reloaded(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """To the parent: the answer to a reload."""

    problems: list[str]


FromParent = Hello | Stored | Ping | Flushed | BeginAnew | Reload | Stop
FromWorker = Pulse | Ready | Flush | Reloaded

_encoder = msgspec.json.Encoder()
_from_parent: msgspec.json.Decoder[FromParent] = msgspec.json.Decoder(FromParent)
_from_worker: msgspec.json.Decoder[FromWorker] = msgspec.json.Decoder(FromWorker)


def line_of(message: FromParent | FromWorker) -> bytes:
    """Return a message as a line."""
    return _encoder.encode(message) + b"\n"


def from_parent(line: bytes) -> FromParent:
    """Return what the parent said.

    Raises:
        msgspec.MsgspecError: nothing of the kind.
    """
    return _from_parent.decode(line)


def from_worker(line: bytes) -> FromWorker:
    """Return what a worker said.

    Raises:
        msgspec.MsgspecError: nothing of the kind.
    """
    return _from_worker.decode(line)


class Lines:
    """Cuts what comes in a pipe into lines."""

    def __init__(self, take: Callable[[bytes], Any]) -> None:
        """Hand each line to `take`."""
        self._take = take
        self._left: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> None:
        """Take bytes.

        Raises:
            ValueError: a line is longer than any message.
        """
        first, newline, rest = data.partition(b"\n")
        while newline:
            self._take(b"".join((*self._left, first)))
            self._left.clear()
            self._size = 0
            first, newline, rest = rest.partition(b"\n")
        if first:
            self._left.append(first)
            self._size += len(first)
            if self._size > MAX_LINE:
                msg = "a line without an end came from another process of this bridge"
                raise ValueError(msg)
