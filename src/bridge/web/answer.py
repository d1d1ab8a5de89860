"""The client's side of an exchange: a twisted.web request that cannot be misused.

After a disconnect `request.channel` is None, and after `finish()` it is gone; what is here asks
first, so that nobody else has to.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import ceil
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IPushProducer

from bridge.domain.errors import BridgeError
from bridge.web.router import REQUEST_ID_HEADER
from bridge.web.site import BridgeRequest
from bridge.wire.headers import Header

_PRINTABLE = re.compile(rb"[ -~]*")
# Whatever else stands beside a status may be taken for the end of its line.
_HEAD_WAITS_SECONDS = 0.1
"""How long the head of a document waits for the body, so that one write carries both."""


class ClientAnswer:
    """Answers one request."""

    def __init__(self, request: BridgeRequest, request_id: str) -> None:
        """Answer `request` under `request_id`."""
        self._request = request
        self.request_id = request_id
        self._request_id = request_id.encode("ascii")
        self._producing = False
        self._begun = False
        self._head_waits: IDelayedCall | None = None

    @property
    def gone(self) -> bool:
        """Whether nothing more can be sent."""
        return self._request.over

    def start(
        self, *, status: int, phrase: bytes, headers: Sequence[Header], length: int | None
    ) -> None:
        """Send the head of upstream's answer: at once, or soon when its length is known."""
        request = self._request
        if self.gone:
            return
        self._begun = True
        request.setResponseCode(status, phrase if _PRINTABLE.fullmatch(phrase) else None)
        names = set()
        for name, value in headers:
            if name not in names:
                names.add(name)
                request.responseHeaders.setRawHeaders(name, [value])  # our Date, our Server
            else:
                request.responseHeaders.addRawHeader(name, value)
        request.responseHeaders.setRawHeaders(b"x-content-type-options", [b"nosniff"])
        request.responseHeaders.setRawHeaders(REQUEST_ID_HEADER, [self._request_id])
        if length is None:
            request.write(b"")
            return
        request.responseHeaders.setRawHeaders(b"content-length", [b"%d" % length])
        channel: Any = request.channel
        self._head_waits = channel.callLater(_HEAD_WAITS_SECONDS, self.flush)

    def refuse(self, error: BridgeError, body: bytes) -> None:
        """Send an error of ours, and finish."""
        request = self._request
        if self.gone:
            return
        request.setResponseCode(error.status)
        for name, value in error_headers(error, self._request_id):
            request.setHeader(name, value)
        request.setHeader(b"content-length", b"%d" % len(body))
        request.write(body)
        request.finish()

    def write(self, data: bytes) -> None:
        """Send bytes of the body."""
        if not self.gone:
            self._stop_waiting()
            self._request.write(data)

    def flush(self) -> None:
        """Send the head if it still waits."""
        if self._begun and not self._request.startedWriting:
            self.write(b"")

    def register(self, producer: IPushProducer) -> None:
        """Pause and resume `producer` as the client reads."""
        if not self.gone:
            self._producing = True
            self._request.registerProducer(producer, True)

    def unregister(self) -> None:
        """Forget the producer; no more is written but the end."""
        self._stop_waiting()
        if self._producing:
            self._producing = False
            if not self.gone and self._request.channel is not None:
                self._request.unregisterProducer()

    def finish(self) -> None:
        """End the answer as HTTP says it should."""
        if not self.gone:
            self._request.finish()

    def cut(self) -> None:
        """Close the connection after what is written, without the end that HTTP wants."""
        channel: Any = getattr(self._request, "channel", None)
        if self.gone or channel is None:
            return
        self.flush()
        if self._request.clientproto != b"HTTP/1.1" or not self._request.startedWriting:
            # HTTP/1.0 knows no other way to tell a cut answer from a whole one.
            channel.forceAbortClient()
        else:
            channel.abort_later()

    def _stop_waiting(self) -> None:
        waits, self._head_waits = self._head_waits, None
        if waits is not None and waits.active():
            waits.cancel()


def error_headers(error: BridgeError, request_id: bytes) -> Sequence[Header]:
    """Return the headers of an error of ours on the data plane."""
    headers: list[Header] = [
        (b"content-type", b"application/json"),
        (b"x-content-type-options", b"nosniff"),
        (b"cache-control", b"no-store"),
        (REQUEST_ID_HEADER, request_id),
    ]
    if error.retry_after is not None:
        headers.append((b"retry-after", b"%d" % max(1, ceil(error.retry_after))))
    if error.status == 401:
        headers.append((b"www-authenticate", b'Bearer realm="aibridge"'))
    return headers
