"""A provider of three APIs that keeps a ledger of what it was asked and what it counted.

`python -m tests.loss.upstream PORT LEDGER PERCENT` serves until stdin ends. A prompt names a
nonce; how long its answer is, and how slow, follows from that, and for PERCENT of them which fault
it meets instead: an error's status, a connection that ends at once, or one in mid-answer.

**Shape** of the ledger: a JSON object a line, `{"nonce", "api", "input", "cached", "output"}` when
a request has come, `{"nonce", "done": true}` when its answer has gone out whole.
"""

from __future__ import annotations

import json
import os
import re
import sys
import zlib
from collections.abc import Iterator
from typing import Any

from twisted.internet import reactor, task
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.stdio import StandardIO
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

_NONCE = re.compile(rb"nonce ([0-9]+-[0-9]+-[0-9]+)")
_WORD = "word "
_AT_ONCE, _IN_THE_MIDDLE = 0, 1
_FAULTS = (_AT_ONCE, _IN_THE_MIDDLE, 400, 429, 500, 529)


class Counts:
    """What an answer to a nonce is."""

    def __init__(self, nonce: str) -> None:
        chance = zlib.crc32(nonce.encode())
        self.input = 10 + chance % 89
        self.cached = chance // 89 % 7
        self.output = 1 + chance // 1000 % 15
        """Tokens, each in an event of its own."""
        self.pause = chance // 100_000 % 31 / 1000
        """Seconds before each event; a document takes as long as five."""


class Api(Resource):
    """Answers all paths of one API."""

    isLeaf = True

    def __init__(self, ledger: int, faults_percent: int) -> None:
        super().__init__()
        self._ledger = ledger
        self._faults_percent = faults_percent

    def render_POST(self, request: Any) -> int:
        """Write down what was asked, and answer slowly."""
        body = request.content.read()
        found = _NONCE.search(body)
        assert found is not None, body[:200]
        nonce = found.group(1).decode()
        path = request.path.decode()
        api = next(name for name in ("messages", "chat/completions", "responses") if name in path)
        counts = Counts(nonce)
        streaming = json.loads(body).get("stream", False)
        self._note(
            nonce=nonce, api=api, input=counts.input, cached=counts.cached, output=counts.output
        )
        fault = zlib.crc32(b"fault" + nonce.encode())
        if fault % 100 < self._faults_percent:
            return _fail(request, fault // 100 % len(_FAULTS))
        pieces = list(_events(api, nonce, counts) if streaming else _document(api, nonce, counts))
        kind = b"text/event-stream" if streaming else b"application/json"
        request.setHeader(b"content-type", kind)
        if not streaming:
            request.setHeader(b"content-length", b"%d" % len(pieces[0]))
        gone: list[bool] = []
        request.notifyFinish().addErrback(gone.append)
        pause = counts.pause if streaming else 5 * counts.pause

        def send(left: list[bytes]) -> None:
            if gone:
                return
            request.write(left[0])
            if left[1:]:
                task.deferLater(reactor, pause, send, left[1:])
                return
            self._note(nonce=nonce, done=True)
            request.finish()

        task.deferLater(reactor, pause, send, pieces)
        return NOT_DONE_YET

    def _note(self, **members: object) -> None:
        line = json.dumps(members).encode() + b"\n"
        assert os.write(self._ledger, line) == len(line)


def _fail(request: Any, number: int) -> int:
    """Answer as badly as fault `number` says."""
    status = _FAULTS[number]
    if status == _AT_ONCE:
        request.transport.abortConnection()
        return NOT_DONE_YET
    if status == _IN_THE_MIDDLE:
        request.setHeader(b"content-type", b"text/event-stream")
        request.write(b"event: ping\n")
        task.deferLater(reactor, 0.05, request.transport.abortConnection)
        return NOT_DONE_YET
    request.setResponseCode(status)
    request.setHeader(b"content-type", b"application/json")
    request.write(b'{"type": "error", "error": {"type": "api_error", "message": "no"}}')
    request.finish()
    return NOT_DONE_YET


def _events(api: str, nonce: str, counts: Counts) -> Iterator[bytes]:
    if api == "messages":
        yield from _messages_events(nonce, counts)
        return
    name = f"answer-{nonce}"
    if api == "responses":
        begun = {"id": name, "object": "response", "status": "in_progress", "output": []}
        yield _event({"type": "response.created", "response": begun})
        for _ in range(counts.output):
            yield _event({"type": "response.output_text.delta", "delta": _WORD})
        yield _event({"type": "response.completed", "response": _response(nonce, counts)})
        return
    head = {"id": name, "object": "chat.completion.chunk", "created": 1, "model": "loss"}
    for number in range(counts.output):
        reason = "stop" if number == counts.output - 1 else None
        choice = {"index": 0, "delta": {"content": _WORD}, "finish_reason": reason}
        yield _data({**head, "choices": [choice], "usage": None})
    yield _data({**head, "choices": [], "usage": _chat_usage(counts)})
    yield b"data: [DONE]\n\n"


def _messages_events(nonce: str, counts: Counts) -> Iterator[bytes]:
    message = _message(nonce, counts)
    usage = {**message["usage"], "output_tokens": 1}
    begun = {**message, "content": [], "stop_reason": None, "usage": usage}
    yield _event({"type": "message_start", "message": begun})
    block = {"type": "text", "text": ""}
    yield _event({"type": "content_block_start", "index": 0, "content_block": block})
    for _ in range(counts.output):
        delta = {"type": "text_delta", "text": _WORD}
        yield _event({"type": "content_block_delta", "index": 0, "delta": delta})
    yield _event({"type": "content_block_stop", "index": 0})
    end = {"stop_reason": "end_turn", "stop_sequence": None}
    yield _event({"type": "message_delta", "delta": end, "usage": {"output_tokens": counts.output}})
    yield _event({"type": "message_stop"})


def _document(api: str, nonce: str, counts: Counts) -> Iterator[bytes]:
    if api == "messages":
        answer = _message(nonce, counts)
    elif api == "responses":
        answer = _response(nonce, counts)
    else:
        message = {"role": "assistant", "content": _WORD * counts.output}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        answer = {"id": f"answer-{nonce}", "object": "chat.completion", "created": 1}
        answer |= {"model": "loss", "choices": [choice], "usage": _chat_usage(counts)}
    yield json.dumps(answer).encode()


def _message(nonce: str, counts: Counts) -> dict[str, Any]:
    return {
        "id": f"answer-{nonce}",
        "type": "message",
        "role": "assistant",
        "model": "loss",
        "content": [{"type": "text", "text": _WORD * counts.output}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": counts.input,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": counts.cached,
            "output_tokens": counts.output,
        },
    }


def _response(nonce: str, counts: Counts) -> dict[str, Any]:
    text = {"type": "output_text", "text": _WORD * counts.output, "annotations": []}
    item = {"type": "message", "id": "item", "status": "completed", "role": "assistant"}
    return {
        "id": f"answer-{nonce}",
        "object": "response",
        "status": "completed",
        "model": "loss",
        "output": [{**item, "content": [text]}],
        "usage": {
            "input_tokens": counts.input + counts.cached,
            "input_tokens_details": {"cached_tokens": counts.cached},
            "output_tokens": counts.output,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": counts.input + counts.cached + counts.output,
        },
    }


def _chat_usage(counts: Counts) -> dict[str, Any]:
    return {
        "prompt_tokens": counts.input + counts.cached,
        "completion_tokens": counts.output,
        "total_tokens": counts.input + counts.cached + counts.output,
        "prompt_tokens_details": {"cached_tokens": counts.cached},
    }


def _event(event: dict[str, Any]) -> bytes:
    return b"event: " + str(event["type"]).encode() + b"\n" + _data(event)


def _data(event: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(event).encode() + b"\n\n"


class _UntilClosed(Protocol):
    """Waits for the end of stdin."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if reactor.running:  # type: ignore[attr-defined]
            reactor.stop()  # type: ignore[attr-defined]


def main() -> None:
    """Serve."""
    port, ledger, faults_percent = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    fd = os.open(ledger, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    site = Site(Api(fd, faults_percent))
    site.displayTracebacks = False
    reactor.listenTCP(port, site, interface="127.0.0.1")  # type: ignore[attr-defined]
    StandardIO(_UntilClosed())
    print("ready", flush=True)
    reactor.run()  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
