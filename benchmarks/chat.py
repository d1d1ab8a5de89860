"""An upstream of Chat Completions and Messages that is told by the model's name what to answer.

Run as a process: `python -m benchmarks.chat`; it prints its port. Other gateways do not pass on a
client's headers, so the knobs of the demo provider are in the name: `bench-EVENTS-CHARACTERS-MS` is
answered by so many text events, of so many characters each, so many milliseconds apart. Every
answer is made once and sent from memory, so that little of the core it shares goes into it, and is
the same, byte for byte, whenever it is asked for. Of Messages it knows streams only.
"""

from __future__ import annotations

import json
import re
import sys
from functools import cache
from typing import Any

from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.stdio import StandardIO
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure

_MODEL = re.compile(rb'"model"\s*:\s*"[^"]*?bench-(\d+)-(\d+)-(\d+)"')
_STREAMS = re.compile(rb'"stream"\s*:\s*true')
_LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:\s*chunked", re.IGNORECASE)
_MESSAGES = b"POST /v1/messages"
_END_OF_HEAD = b"\r\n\r\n"
_LAST_CHUNK = b"0\r\n\r\n"
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_USAGE = {"prompt_tokens": 12, "completion_tokens": 6, "total_tokens": 18}


class Chat(Protocol):
    """One connection; answers one request after the other."""

    transport: Any

    def __init__(self) -> None:
        self._data = b""
        self._pace: LoopingCall | None = None

    def dataReceived(self, data: bytes) -> None:
        """Answer when a request is whole; a body is looked for in both framings."""
        self._data += data
        head, found, body = self._data.partition(_END_OF_HEAD)
        if not found:
            return
        if head.startswith(b"GET "):
            self._data = body
            self.transport.write(_document(200, {"object": "list", "data": []}))
            return
        length = _LENGTH.search(head)
        if length is not None:
            size = int(length[1])
            if len(body) < size:
                return
        elif _CHUNKED.search(head):
            if not body.endswith(_LAST_CHUNK):
                return
            size = len(body)
        else:
            size = 0
        self._data = body[size:]
        self._answer(body[:size], head.startswith(_MESSAGES))

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: ARG002  # Twisted's
        """Send no more."""
        if self._pace is not None and self._pace.running:
            self._pace.stop()

    def _answer(self, body: bytes, in_messages: bool) -> None:
        model = _MODEL.search(body)
        if model is None:
            self.transport.write(_document(404, {"error": {"message": "no such model"}}))
            return
        events, characters, milliseconds = (int(each) for each in model.groups())
        if not _STREAMS.search(body):
            self.transport.write(_completion(events, characters))
            return
        head, event, tail = (_message if in_messages else _stream)(characters)
        self.transport.write(head)
        left = events

        def send() -> None:
            nonlocal left
            if left:
                left -= 1
                self.transport.write(event)
                return
            assert self._pace is not None
            self._pace.stop()
            self.transport.write(tail)

        self._pace = LoopingCall(send)
        self._pace.start(milliseconds / 1000, now=milliseconds == 0)


@cache
def _message(characters: int) -> tuple[bytes, bytes, bytes]:
    message = {
        "id": "msg_bench", "type": "message", "role": "assistant", "model": "bench", "content": [],
        "stop_reason": None, "stop_sequence": None,
        "usage": {"input_tokens": 12, "output_tokens": 1},
    }  # fmt: skip
    delta = {"type": "text_delta", "text": "x" * characters}
    ending = {"stop_reason": "end_turn", "stop_sequence": None}
    return (
        _HEAD
        + _named("message_start", message=message)
        + _named("content_block_start", index=0, content_block={"type": "text", "text": ""})
        + _named("ping"),
        _named("content_block_delta", index=0, delta=delta),
        _named("content_block_stop", index=0)
        + _named("message_delta", delta=ending, usage={"output_tokens": 6})
        + _named("message_stop")
        + _LAST_CHUNK,
    )


def _named(kind: str, **members: object) -> bytes:
    data = json.dumps({"type": kind, **members})
    return _chunk(f"event: {kind}\ndata: {data}\n\n".encode())


@cache
def _completion(events: int, characters: int) -> bytes:
    message = {"role": "assistant", "content": "x" * characters * events, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return _document(200, {**_shape("chat.completion"), "choices": [choice], "usage": _USAGE})


@cache
def _stream(characters: int) -> tuple[bytes, bytes, bytes]:
    first = _event({"role": "assistant", "content": ""})
    last = _chunk(b"data: [DONE]\n\n")
    return (
        _HEAD + first,
        _event({"content": "x" * characters}),
        _event({}, "stop") + last + _LAST_CHUNK,
    )


def _event(delta: dict[str, str], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    data = json.dumps({**_shape("chat.completion.chunk"), "choices": [choice]})
    return _chunk(b"data: " + data.encode() + b"\n\n")


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _shape(kind: str) -> dict[str, Any]:
    return {"id": "chatcmpl-bench", "object": kind, "created": 1767225600, "model": "bench"}


def _document(status: int, value: object) -> bytes:
    body = json.dumps(value).encode()
    head = b"HTTP/1.1 %d OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % (status, len(body)) + body


class _UntilClosed(Protocol):
    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: ARG002  # Twisted's
        from twisted.internet import reactor as installed

        running: Any = installed
        running.stop()


def main() -> None:
    """Serve until stdin closes."""
    from twisted.internet import reactor as installed

    reactor: Any = installed
    port = reactor.listenTCP(0, Factory.forProtocol(Chat), backlog=1024, interface="127.0.0.1")
    sys.stdout.write(f"{port.getHost().port}\n")
    sys.stdout.flush()
    StandardIO(_UntilClosed())
    reactor.run()


if __name__ == "__main__":
    main()
