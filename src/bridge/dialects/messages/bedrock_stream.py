"""Makes server-sent events out of what Bedrock streams, in the words of the Messages API.

Each event comes as base64 in a message of an AWS event stream. Its JSON is handed on byte for byte
and is not read: its type stands in its first bytes.

Source: docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ResponseStream.html (read
2026-11-25) and the model of bedrock-runtime in botocore 1.44.5.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import msgspec

from bridge.dialects.loose_json import read_loosely
from bridge.dialects.messages.bedrock_errors import (
    error_event,
    exception_kind,
    message_in,
    status_and_type,
)
from bridge.wire.aws_stream import MAX_MESSAGE_BYTES, AwsStreamDecoder, Fault, HeaderValue

_TYPE = b'{"type":"'
_NAME = re.compile(rb"[A-Za-z0-9_.:-]{1,64}")
_LINE_END = re.compile(rb"\r\n|\r|\n")
_FAILURES = ("exception", "error")
_BROKEN = "api_error"
_STREAM_STATUS = 500
"""Of an exception whose name says nothing: the answer has begun with 200."""


class _Chunk(msgspec.Struct, gc=False):
    data: bytes = msgspec.field(name="bytes")


class _Typed(msgspec.Struct, gc=False):
    type: str


_CHUNK = msgspec.json.Decoder(_Chunk)
_TYPED = msgspec.json.Decoder(_Typed)


class BedrockFrames:
    """One stream, as Frames: `feed` and `finish` never raise, and nothing follows an error event.

    An answer that ends between two messages, but before its last event, is not ours to notice.
    """

    __slots__ = ("_decoder", "_ended", "for_client")

    def __init__(self, *, for_client: bool, max_message_bytes: int = MAX_MESSAGE_BYTES) -> None:
        """Start before the first byte.

        Args:
            for_client: whether the client gets the events, or what AWS sent.
            max_message_bytes: a longer message damages the stream.
        """
        self.for_client = for_client
        self._decoder = AwsStreamDecoder(max_message_bytes=max_message_bytes)
        self._ended = False

    @property
    def fault(self) -> Fault | None:
        """Why the stream could not be read to its end."""
        return self._decoder.fault

    def feed(self, chunk: bytes) -> bytes:
        """Take upstream's next bytes; return the events that they complete."""
        if self._ended:
            return b""
        events: list[bytes] = []
        for headers, payload in self._decoder.feed(chunk):
            kind = headers.get(":message-type")
            if kind == "event" and headers.get(":event-type") == "chunk":
                event = _event(payload)
                if event is None:
                    return self._last(events, _damaged(None))
                events.append(event)
            elif kind in _FAILURES:
                return self._last(events, _failed(headers, payload))
        if self._decoder.fault is not None:
            return self._last(events, _damaged(self._decoder.fault))
        return b"".join(events)

    def finish(self) -> bytes:
        """Say that upstream has ended; return an error event if it did so inside a message."""
        if self._ended:
            return b""
        self._decoder.finish()
        fault = self._decoder.fault
        return b"" if fault is None else self._last((), _damaged(fault))

    def _last(self, events: Sequence[bytes], error: bytes) -> bytes:
        self._ended = True
        return b"".join((*events, error))


def _event(payload: bytes) -> bytes | None:
    """Return the event in a chunk's JSON, None when it cannot be read."""
    try:
        data = _CHUNK.decode(payload).data
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if data.startswith(_TYPE):
        name = data[len(_TYPE) : data.find(b'"', len(_TYPE))]
    else:
        name = _type_of(data)
    if b"\n" in data or b"\r" in data:
        data = b"\ndata: ".join(_LINE_END.split(data))
    if not _NAME.fullmatch(name):
        return b"data: %b\n\n" % data
    return b"event: %b\ndata: %b\n\n" % (name, data)


def _failed(headers: Mapping[str, HeaderValue], payload: bytes) -> bytes:
    """Return the error event for an exception, or for an error that is not in AWS's model."""
    if headers.get(":message-type") == "exception":
        name = _text(headers, ":exception-type")
        said = message_in(payload) or name
    else:
        name = _text(headers, ":error-code")
        said = _text(headers, ":error-message") or name
    _, kind = status_and_type(exception_kind(name), _STREAM_STATUS)
    return error_event(kind, said or "Amazon Bedrock broke off its answer.")


def _damaged(fault: Fault | None) -> bytes:
    if fault is Fault.CUT_SHORT:
        return error_event(_BROKEN, "Amazon Bedrock broke off in the middle of its answer.")
    why = str(fault) if fault is not None else "an event in it cannot be read"
    return error_event(_BROKEN, f"The answer of Amazon Bedrock came damaged: {why}.")


def _text(headers: Mapping[str, HeaderValue], name: str) -> str:
    value = headers.get(name)
    return value if isinstance(value, str) else ""


def _type_of(data: bytes) -> bytes:
    """Return the type of an event whose JSON does not begin with it, b"" when it has none."""
    try:
        return _TYPED.decode(data).type.encode()
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        pass
    try:
        value = read_loosely(data)
    except (ValueError, RecursionError):
        return b""
    kind = value.get("type") if isinstance(value, dict) else None
    return kind.encode("utf-8", "replace") if isinstance(kind, str) else b""
