"""Endings: what is wrong with an answer that HTTP calls whole."""

from __future__ import annotations

from bridge.domain.errors import BridgeError, UpstreamBroke
from bridge.intercept.tap import Tap
from bridge.upstream.client import Response
from bridge.wire.headers import first, media_type

_OK = 200


def missing_end(
    tap: Tap | None, response: Response, *, streaming: bool, sure: bool
) -> BridgeError | None:
    """Return what the client is to hear of an answer that HTTP calls whole, but its API does not.

    Args:
        tap: has seen it.
        response: its head.
        streaming: whether it is a stream.
        sure: whether a length, or a last chunk, said that it ended there.
    """
    if tap is None or response.status != _OK:
        return None
    reading = tap.finish()
    if streaming:
        whole = reading.complete or reading.error is not None or not tap.following
    else:
        kind = media_type(first(response.headers, b"content-type"))
        whole = sure or not tap.unreadable or kind != b"application/json"
    if whole:
        return None
    return UpstreamBroke("The provider's answer ended before it was complete.")
