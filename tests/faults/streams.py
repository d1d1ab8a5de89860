"""Faults of a stream: what the client has of it stays, and its end says whether that is all."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Sequence

from tests.faults.documents import unread, well
from tests.faults.fault import (
    AS_SENT,
    BUT_USAGE,
    CUT,
    DIALECTS,
    FAILURE,
    FINAL,
    NONE,
    ONLY_EVENT,
    PLUS_EVENT,
    RESPONSES,
    SHORT,
    SUCCESS,
    UNCOUNTED,
    Expected,
    Fault,
    Mode,
    Told,
    partly,
)
from tests.loopback.speech import Speech
from tests.support.fakes import (
    LAST_CHUNK,
    Close,
    Hold,
    Reset,
    Send,
    Step,
    answer,
    chunk,
    stream_head,
)

STREAMING = (Mode.STREAMING,)
_OPEN_HEAD = stream_head().replace(b"Transfer-Encoding: chunked\r\n", b"")
_LARGE = b"event: other\ndata: " + b"x" * (200 * 1024) + b"\n\n"
# Must exceed FaultCase.max_event_bytes.
_GARBAGE = b"garbage\r\n\r\n"


Words = Callable[[Speech], bytes]
Outcome = Callable[[Speech], Expected]


def _nothing(speech: Speech) -> bytes:
    return b""


def _begun(speech: Speech) -> bytes:
    return speech.start + speech.text


def _within(speech: Speech) -> bytes:
    """Return what ends in the middle of an event."""
    return speech.start + speech.text[:-5]


def _whole(speech: Speech) -> bytes:
    return speech.whole


def _overloaded(speech: Speech) -> bytes:
    """Return a stream that ends with the provider's word of being overloaded."""
    if speech.provider == "anthropic":
        return _begun(speech) + speech.failure
    kinds = b'"type":"service_unavailable_error","param":null,"code":"server_is_overloaded"'
    error = b'{"message":"Our servers are currently overloaded.",' + kinds + b"}"
    if speech.error_name:
        event = b'event: error\ndata: {"type":"error","sequence_number":2,"error":%b}\n\n' % error
    else:
        event = b'data: {"error":%b}\n\n' % error
    return _begun(speech) + event


def _overloaded_response(speech: Speech) -> bytes:
    failed = (
        b'event: response.failed\ndata: {"type":"response.failed","sequence_number":2,"response":'
        b'{"id":"resp_1","object":"response","status":"failed","output":[],"usage":null,"error":'
        b'{"code":"server_is_overloaded","message":"Our servers are currently overloaded."}}}\n\n'
    )
    return _begun(speech) + failed


def _failed(speech: Speech) -> bytes:
    """Return a stream that ends with an error of the server's own."""
    return _begun(speech) + speech.failure.replace(b"overloaded_error", b"api_error")


def _broken(speech: Speech) -> bytes:
    return speech.start + speech.broken + speech.end


def _with_large(speech: Speech) -> bytes:
    return _begun(speech) + _LARGE + speech.end


def _packed(speech: Speech) -> bytes:
    return gzip.compress(speech.whole, mtime=0)


def _broke(body: str = PLUS_EVENT, usage: Callable[[Speech], str] = partly) -> Outcome:
    return lambda speech: Expected(
        status=200, body=body, told="upstream_broke" if body != AS_SENT else "", end=CUT,
        error="server_error", usage=usage(speech),
        leg="broke", code=200, breaker=FAILURE,
    )  # fmt: skip


def _silent(body: str = PLUS_EVENT, usage: Callable[[Speech], str] = partly) -> Outcome:
    return lambda speech: Expected(
        status=200, body=body, told="upstream_timeout" if body != AS_SENT else "", end=CUT,
        error="timeout", usage=usage(speech),
        leg="timeout", code=200, breaker=FAILURE,
    )  # fmt: skip


def _endless(speech: Speech) -> Expected:
    return Expected(
        status=200, body=PLUS_EVENT, told="upstream_timeout", end=CUT,
        state="gateway_abort", error="timeout", usage=partly(speech),
        leg="aborted", code=200, breaker=UNCOUNTED,
    )  # fmt: skip


def _told_of_error(kind: str, breaker: str) -> Outcome:
    return lambda speech: Expected(
        status=200, body=AS_SENT, error=kind, usage=partly(speech),
        leg="error_status", code=200, breaker=breaker,
    )  # fmt: skip


def _seen(speech: Speech) -> str:
    """Return what a client gets of a whole stream."""
    return BUT_USAGE if speech.unasked else AS_SENT


def _uncounted(_: Speech) -> str:
    return NONE


def _fine(speech: Speech) -> Expected:
    return well(body=_seen(speech))


def _in_part(speech: Speech) -> Expected:
    """Return what comes of a stream that is understood but for an event."""
    return unread(usage=FINAL, body=_seen(speech))


def _unread(speech: Speech) -> Expected:
    return unread()


def _fault(
    name: str,
    body: Words,
    expected: Outcome,
    *then: Step,
    head: bytes = stream_head(),
    behind: bytes = b"",
    dialects: Sequence[str] = DIALECTS,
) -> Fault:
    """Return a fault of a stream of `body`, with `behind` in its last write, and what follows."""

    def told(speech: Speech, mode: Mode) -> Told:
        said = body(speech)
        framed = chunk(said) if b"chunked" in head and said else said
        return Told(steps=[Send(head + framed + behind), *then], body=said)

    return Fault(
        name=name,
        modes=STREAMING,
        told=told,
        expected=lambda speech, mode: expected(speech),
        idle_seconds=SHORT if "silence" in name else 10.0,
        exchange_seconds=SHORT if "without an end" in name else 60.0,
        dialects=dialects,
    )


def _as_document(speech: Speech, mode: Mode) -> Told:
    return Told(steps=[Send(answer(speech.whole))], body=speech.whole)


def _stream_unasked(speech: Speech, mode: Mode) -> Told:
    body = speech.whole
    return Told(steps=[Send(stream_head() + chunk(body) + LAST_CHUNK)], body=body)


STREAMS: Sequence[Fault] = (
    _fault("head of a stream, then silence", _nothing, _silent(ONLY_EVENT, _uncounted), Hold()),
    _fault("head of a stream, then reset", _nothing, _broke(ONLY_EVENT, _uncounted), Reset()),
    _fault("200 with an empty stream", _nothing, _broke(ONLY_EVENT, _uncounted),
           behind=LAST_CHUNK),
    _fault("reset between events", _begun, _broke(), Reset()),
    _fault("reset in an event", _within, _broke(AS_SENT), Reset()),
    _fault("closed between events", _begun, _broke(), Close()),
    _fault("closed in an event", _within, _broke(AS_SENT), Close()),
    _fault("silence between events", _begun, _silent(), Hold()),
    _fault("silence in an event", _within, _silent(AS_SENT), Hold()),
    _fault("stream without an end", _begun, _endless, Hold()),
    _fault("chunks of a stream that are none", _begun, _broke(), behind=b"zz\r\n"),
    _fault("ended between events, without the API's last", _begun, _broke(), behind=LAST_CHUNK),
    _fault("ended in an event", _within, _broke(AS_SENT), behind=LAST_CHUNK),
    _fault("stream without chunks, closed between events", _begun, _broke(), Close(),
           head=_OPEN_HEAD),
    _fault("stream without chunks, closed in an event", _within, _broke(AS_SENT), Close(),
           head=_OPEN_HEAD),
    _fault("error event: overloaded", _overloaded, _told_of_error("overloaded", FAILURE),
           behind=LAST_CHUNK),
    _fault("error event: overloaded, then reset", _overloaded,
           _told_of_error("overloaded", FAILURE), Reset()),
    _fault("response.failed: overloaded", _overloaded_response,
           _told_of_error("overloaded", FAILURE), behind=LAST_CHUNK, dialects=(RESPONSES,)),
    _fault("error event: error of the server", _failed, _told_of_error("server_error", SUCCESS),
           behind=LAST_CHUNK),
    _fault("event that is not JSON", _broken, _in_part,
           behind=LAST_CHUNK),
    _fault("event larger than what is read", _with_large, _in_part,
           behind=LAST_CHUNK),
    _fault("stream packed without being asked", _packed, _unread, behind=LAST_CHUNK,
           head=stream_head([(b"Content-Encoding", b"gzip")])),
    Fault(name="stream called a document", modes=STREAMING, told=_as_document,
          expected=lambda speech, mode: unread()),
    Fault(name="stream where a document was asked for", modes=(Mode.BLOCKING,),
          told=_stream_unasked, expected=lambda speech, mode: well()),
    _fault("reset behind the API's last event", _whole, _fine, Reset()),
    _fault("silence behind the API's last event", _whole, _fine, Hold()),
    _fault("chunks that are none behind the API's last event", _whole, _fine, behind=b"zz\r\n"),
    _fault("garbage behind a stream", _whole, _fine, behind=LAST_CHUNK + _GARBAGE),
)  # fmt: skip
