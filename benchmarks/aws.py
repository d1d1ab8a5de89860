"""An upstream that frames its streams as Amazon Bedrock does, and checks no signature.

Run as a process: `python -m benchmarks.aws`; it prints its port. It understands the knobs of the
demo provider that the benchmark uses, named `x-amzn-bedrock-demo-…`, which the bridge lets pass.
"""

from __future__ import annotations

import base64
import json
import sys
from typing import Any

from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.stdio import StandardIO
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from bridge.wire.aws_stream import encoded

_KNOBS = "x-amzn-bedrock-demo-"
_USAGE = {"input_tokens": 12, "output_tokens": 6}
_MESSAGE = {
    "id": "msg_bdrk_01", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5",
    "stop_reason": None, "stop_sequence": None, "content": [], "usage": _USAGE,
}  # fmt: skip
_START = (
    {"type": "message_start", "message": _MESSAGE},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
)
_END = (
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": _USAGE},
    {"type": "message_stop"},
)


class Aws(Resource):
    """Answers InvokeModel, with and without a stream."""

    isLeaf = True

    def __init__(self, reactor: Any) -> None:
        super().__init__()
        self._reactor = reactor

    def render_POST(self, request: Any) -> Any:
        """Answer."""
        events = int(_knob(request, "events", "8"))
        text = "x" * int(_knob(request, "event-bytes", "40"))
        request.content.read()
        if not request.path.endswith(b"-stream"):
            content = [{"type": "text", "text": text * events}]
            request.setHeader(b"content-type", b"application/json")
            return json.dumps({**_MESSAGE, "content": content, "stop_reason": "end_turn"}).encode()
        request.setHeader(b"content-type", b"application/vnd.amazon.eventstream")
        delta = {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "text_delta", "text": text},
        }
        parts = [_framed(each) for each in (*_START, *(delta,) * events, *_END)]
        parts.reverse()
        request.notifyFinish().addErrback(lambda _: parts.clear())  # the client has gone
        self._send(request, parts, float(_knob(request, "interval", "0")))
        return NOT_DONE_YET

    def _send(self, request: Any, parts: list[bytes], interval: float) -> None:
        if not parts:
            return
        request.write(parts.pop())
        if parts:
            self._reactor.callLater(interval, self._send, request, parts, interval)
        else:
            request.finish()


class _UntilClosed(Protocol):
    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: ARG002  # Twisted's
        from twisted.internet import reactor as installed

        running: Any = installed
        running.stop()


def _knob(request: Any, name: str, default: str) -> str:
    value: str = request.getHeader(_KNOBS + name) or default
    return value


def _framed(event: object) -> bytes:
    headers = {
        ":event-type": "chunk",
        ":content-type": "application/json",
        ":message-type": "event",
    }
    data = base64.b64encode(json.dumps(event, separators=(",", ":")).encode()).decode()
    payload = json.dumps({"bytes": data, "p": "abcdefgh"}, separators=(",", ":"))
    return encoded(headers, payload.encode())


def main() -> None:
    """Serve until stdin closes."""
    from twisted.internet import reactor as installed

    reactor: Any = installed
    port = reactor.listenTCP(0, Site(Aws(reactor)), backlog=1024, interface="127.0.0.1")
    sys.stdout.write(f"{port.getHost().port}\n")
    sys.stdout.flush()
    StandardIO(_UntilClosed())
    reactor.run()


if __name__ == "__main__":
    main()
