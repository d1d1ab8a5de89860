"""The client's side of an exchange: a twisted.web request that cannot be misused.

After a disconnect `request.channel` is None, and after `finish()` it is gone; what is here asks
first, so that nobody else has to.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import ceil
from typing import Any

from twisted.internet.interfaces import IPushProducer

from bridge.domain.errors import BridgeError
from bridge.web.incoming import BridgeRequest
from bridge.web.router import REQUEST_ID_HEADER
from bridge.wire.headers import Header

_PRINTABLE = re.compile(rb"[ -~]*")
# Whatever else stands beside a status may be taken for the end of its line.
_OURS = frozenset({b"content-length", b"x-content-type-options", REQUEST_ID_HEADER})


class ClientAnswer:
    """Answers one request."""

    def __init__(self, request: BridgeRequest, request_id: str) -> None:
        """Answer `request` under `request_id`."""
        self._request = request
        self.request_id = request_id
        self._request_id = request_id.encode("ascii")
        self._producing = False
        self._begun = False
        self._bodiless = False
        """Whether the head is the whole answer, which goes out with its end only."""
        self._head_waits = 0
        self._site: Any = None

    @property
    def gone(self) -> bool:
        """Whether nothing more can be sent."""
        return self._request.over

    def start(
        self,
        *,
        status: int,
        phrase: bytes,
        headers: Sequence[Header],
        length: int | None,
        begun: bool,
    ) -> None:
        """Send the head of upstream's answer; with the body where that follows in a moment.

        Once the body has been asked for, `limit_wait` is to be called.

        Args:
            status: of the answer.
            phrase: beside it.
            headers: names lower-case.
            length: of the body, where it is known.
            begun: whether bytes of the body are there already.
        """
        request = self._request
        if self.gone:
            return
        self._begun, self._bodiless = True, length == 0
        fields = [each for each in headers if each[0] not in _OURS]
        fields.append((b"x-content-type-options", b"nosniff"))
        fields.append((REQUEST_ID_HEADER, self._request_id))
        if length is not None:
            fields.append((b"content-length", b"%d" % length))
        request.begin(status, phrase if _PRINTABLE.fullmatch(phrase) else None, fields)
        if length is None and not begun:
            request.flush()

    def limit_wait(self) -> None:
        """Let a head that still waits for the body wait no longer than a moment."""
        waits = self._begun and not self._bodiless and not self.gone
        if waits and self._request.channel.waiting_head:
            self._site = self._request.channel.site
            self._head_waits = self._site.heads.begin(self.flush)

    def refuse(self, error: BridgeError, body: bytes) -> None:
        """Send an error of ours, and finish."""
        request = self._request
        if self.gone:
            return
        length = (b"content-length", b"%d" % len(body))
        request.begin(error.status, None, [*error_headers(error, self._request_id), length])
        request.write(body)
        request.finish()

    def write(self, data: bytes) -> None:
        """Send bytes of the body."""
        if not self.gone:
            self._stop_waiting()
            self._request.write(data)

    def flush(self) -> None:
        """Send the head if it still waits."""
        self._stop_waiting()
        if self._begun and not self.gone:
            self._request.flush()

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
        if not self._bodiless:
            self.flush()
        if self._request.clientproto != b"HTTP/1.1" or not self._request.startedWriting:
            # HTTP/1.0 knows no other way to tell a cut answer from a whole one.
            channel.forceAbortClient()
        else:
            channel.abort_later()

    def _stop_waiting(self) -> None:
        if self._head_waits:
            self._site.heads.end(self._head_waits)
            self._head_waits = 0


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
