"""Arrivals: what is decided about a request when its headers are in, before a body byte is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from bridge.domain.errors import BridgeError, PayloadTooLarge
from bridge.domain.units import format_size
from bridge.wire.headers import Header


class RequestHead(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a request when its headers are in."""

    method: bytes
    target: bytes
    """The raw request target: path and query."""
    headers: Sequence[Header]
    """Names lower-case, in order."""
    length: int | None
    """Of the body; None when it comes in chunks."""
    peer: str
    """The address of whoever is connected to us."""

    _by_name: dict[bytes, list[bytes]] = msgspec.field(default_factory=dict)

    def by_name(self) -> Mapping[bytes, Sequence[bytes]]:
        """Return the values by name."""
        found = self._by_name
        if not found:
            for name, value in self.headers:
                found.setdefault(name, []).append(value)
        return found


class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """A request whose body may come."""

    max_body_bytes: int
    place: object
    """Whatever the gate wants to find again when the body is there."""
    answer: Callable[[Any], None] | None = None
    """Answers the request; None for the site's resources."""
    query_is_ours: bool = False
    """Whether the query string is for us to read, rather than to pass on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A whole answer in place of what was asked."""

    status: int
    headers: Sequence[Header]
    body: bytes


class Gate(Protocol):
    """Decides about requests by their heads."""

    def arrive(self, head: RequestHead) -> Arrival:
        """Let a request in; any BridgeError keeps it out."""

    def refusal(self, head: RequestHead, error: BridgeError) -> Refusal:
        """Return the answer for a request that is kept out, and note it."""


def too_large(arrival: Arrival) -> PayloadTooLarge:
    """Return the error for a body that is over the limit of `arrival`."""
    limit = format_size(arrival.max_body_bytes)
    which = "here" if arrival.query_is_ours else "(limits.max_body)"
    return PayloadTooLarge(
        f"The request body is larger than the {limit} that the bridge takes {which}."
    )


_HEAD_TOO_LARGE = msgspec.json.encode(
    {
        "message": "The request's headers, or its address, are larger than the bridge takes "
        "(limits.header_bytes).",
        "detail": "",
        "validations": [],
    }
)
HEAD_TOO_LARGE = b"\r\n".join(
    (
        b"HTTP/1.1 431 Request Header Fields Too Large",
        b"content-type: application/json",
        b"content-length: %d" % len(_HEAD_TOO_LARGE),
        b"cache-control: no-store",
        b"x-content-type-options: nosniff",
        b"connection: close",
        b"",
        _HEAD_TOO_LARGE,
    )
)
"""The answer to a head of which too much has come for anybody to know whom it is for."""
