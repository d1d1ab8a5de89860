"""An incoming request: decided upon before its body comes, and answered in as few writes as may be.

twisted.web spills bodies over 100 kB to temporary files, has no limit for them and parses forms.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from http import HTTPStatus
from io import BytesIO
from typing import Any

from twisted.python.failure import Failure
from twisted.web import http
from twisted.web.http import NO_BODY_CODES
from twisted.web.http_headers import Headers
from twisted.web.server import Request

from bridge.bodies import Body
from bridge.domain.errors import BridgeError
from bridge.web.arrivals import Arrival, Refusal, RequestHead, too_large
from bridge.wire.headers import Header
from bridge.wire.heads import written


class BridgeRequest(Request):
    """A request whose body is in memory, within a budget."""

    defaultContentType = None
    channel: Any
    _headers: Headers | None

    def __init__(self, channel: Any, *args: Any, **keywords: Any) -> None:
        """Be made by the channel, when the first line is in."""
        super().__init__(channel, *args, parsePOSTFormSubmission=False, **keywords)
        self.head: RequestHead | None = None
        self.arrival: Arrival | None = None
        self.on_leave: Callable[[], object] | None = None
        """Called when the client leaves before the answer has ended."""
        self.refusal: Refusal | None = None
        self.body = Body(channel.site.memory)

    @property
    def requestHeaders(self) -> Headers:
        """What came in, as Twisted keeps it; made when somebody asks for it."""
        if self._headers is None:
            made = self._headers = Headers()
            for name, value in self.head.headers if self.head is not None else ():
                made.addRawHeader(name, value)
        return self._headers

    @requestHeaders.setter
    def requestHeaders(self, headers: Headers) -> None:
        self._headers = headers

    def headers_when_asked(self) -> None:
        """Make `requestHeaders` of `head`, when somebody asks for it."""
        self._headers = None

    @property
    def over(self) -> bool:
        """Whether nothing more can be sent: finished, or the client has gone."""
        return bool(self._disconnected or self.finished)

    def gotLength(self, length: int | None) -> None:  # noqa: ARG002 - as it is called
        """Make no temporary file; twisted.web needs something in `content`."""
        self.content = BytesIO()

    def parseCookies(self) -> None:
        """Leave cookies alone: no page of the data plane has any."""
        if self.arrival is not None and self.arrival.query_is_ours:
            super().parseCookies()

    def handleContentChunk(self, data: bytes) -> None:
        """Keep a piece of the body."""
        if self.refusal is not None or self.arrival is None:
            return
        try:
            if self.body.size + len(data) > self.arrival.max_body_bytes:
                raise too_large(self.arrival)
            self.body.add(data)
        except BridgeError as e:
            self.body.drop()
            self.channel.refuse_now(self, e)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """Take over when the whole request is in."""
        self.method, self.uri, self.clientproto = command, path, version
        self.path, _, query = path.partition(b"?")
        self.args = {}
        if query and self.arrival is not None and self.arrival.query_is_ours:
            self.args = http.parse_qs(query, keep_blank_values=True)
        self.body.complete()
        self.process()

    def process(self) -> None:
        """Answer, or let somebody do it."""
        if self.refusal is None:
            if self.arrival is not None and self.arrival.answer is not None:
                self.arrival.answer(self)
            else:
                super().process()
            return
        self.site = self.channel.site
        self.setResponseCode(self.refusal.status, phrase_of(self.refusal.status))
        for name, value in self.refusal.headers:
            self.setHeader(name, value)
        self.setHeader(b"content-length", b"%d" % len(self.refusal.body))
        self.write(self.refusal.body)
        self.finish()

    def begin(self, status: int, phrase: bytes | None, fields: Sequence[Header]) -> None:
        """Begin to answer; the head goes out with the first bytes of the body, or with `flush`.

        Args:
            status: of the answer.
            phrase: beside it; None for the usual one.
            fields: the headers, names lower-case; Date is added where it is missing.
        """
        names = {name for name, _ in fields}
        if b"date" not in names:
            fields = [(b"date", self.channel.site.date()), *fields]
        if self.clientproto != b"HTTP/1.1" or self.method == b"HEAD" or status in NO_BODY_CODES:
            self._begin_as_twisted_does(status, phrase, fields)
            return
        self.startedWriting = 1
        self.code = status
        self.code_message = phrase_of(status) if phrase is None else phrase
        ours = [
            (name.lower(), value)
            for name, values in self.responseHeaders.getAllRawHeaders()
            for value in values
        ]
        if b"content-length" not in names:
            self.chunked = 1
            ours.append((b"transfer-encoding", b"chunked"))
        self.channel.keep_head(
            written(b"HTTP/1.1 %d %b" % (status, self.code_message), [*fields, *ours])
        )

    def flush(self) -> None:
        """Send the head if it still waits."""
        if not self._disconnected:
            self.channel.send_head()

    def _begin_as_twisted_does(
        self, status: int, phrase: bytes | None, fields: Sequence[Header]
    ) -> None:
        self.setResponseCode(status, phrase)
        for name, value in fields:
            self.responseHeaders.addRawHeader(name, value)
        self.write(b"")

    def write(self, data: bytes) -> None:
        """Send bytes of the body, with the head before the first of them."""
        if self.chunked and data and not self._disconnected:
            self.sentLength += len(data)
            channel = self.channel
            send = channel.write if channel.waiting_head else channel.send
            send(b"%x\r\n%b\r\n" % (len(data), data))
            return
        super().write(data)
        if not self._disconnected:
            self.channel.send_head()  # no byte came after it

    def finish(self) -> None:
        """End the answer, and let the body go: whoever answers need not have read it."""
        self.body.drop()
        self.on_leave = None
        if not self.chunked and not self.finished:
            self.flush()  # an answer without a body has its head all the same
        super().finish()

    def connectionLost(self, reason: Failure) -> None:
        """Let the body go with the client."""
        self.body.drop()
        super().connectionLost(reason)
        left, self.on_leave = self.on_leave, None
        if left is not None:
            left()


def phrase_of(status: int) -> bytes:
    """Return a status's words; Twisted lacks some."""
    return HTTPStatus(status).phrase.encode("ascii")
