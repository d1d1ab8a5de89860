"""Exchange: a request to the demo upstream, and the two kinds of answer; no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request, read completely."""

    method: bytes
    path: bytes
    """Without the query."""
    headers: Mapping[bytes, bytes]
    """Lower-case names; of a repeated header the last value."""
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """An answer in one piece."""

    status: int
    body: bytes
    head: bytes = b""
    """More header lines, each with its CRLF."""
    delay_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """An answer of server-sent events, each written by itself."""

    events: Iterable[bytes]
    """Whole events, made as they are sent."""
    interval_seconds: float
    head: bytes = b""
    """More header lines, each with its CRLF."""
    delay_seconds: float = 0.0


Answer = Document | Stream
