"""Faults of an answer that came with status 200 and is a document, or should have been one."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Sequence

from tests.faults.fault import (
    AS_SENT,
    BOTH,
    CUT,
    FAILURE,
    FINAL,
    NONE,
    NOTHING,
    SHORT,
    SUCCESS,
    UNCOUNTED,
    Expected,
    Fault,
    Mode,
    Told,
)
from tests.loopback.speech import Speech
from tests.support.fakes import LAST_CHUNK, Close, Hold, Reset, Send, Step, answer, chunk

BLOCKING = (Mode.BLOCKING,)
HTML = b"<!doctype html><title>Welcome</title><p>Please sign in."
_OPEN_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"
_CHUNKED_HEAD = _OPEN_HEAD.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n")
_TOO_LARGE = b" " * (5 * 1024 * 1024)
# Must exceed the largest document that tests.support.gateway has read.


def unread(*, usage: str = NONE, body: str = AS_SENT) -> Expected:
    """Return what comes of an answer that passes without being understood."""
    return Expected(
        status=200, body=body, state="completed", partial=True, usage=usage,
        leg="completed", code=200, breaker=SUCCESS,
    )  # fmt: skip


def well(*, body: str = AS_SENT) -> Expected:
    """Return what comes of an answer that is as good as any."""
    return Expected(
        status=200, body=body, state="completed", usage=FINAL,
        leg="completed", code=200, breaker=SUCCESS,
    )  # fmt: skip


def _cut(body: str = AS_SENT) -> Expected:
    return Expected(
        status=200, body=body, end=CUT, error="server_error", partial=True,
        leg="broke", code=200, breaker=FAILURE,
    )  # fmt: skip


def _silent(body: str = AS_SENT) -> Expected:
    return Expected(
        status=200, body=body, end=CUT, error="timeout", partial=True,
        leg="timeout", code=200, breaker=FAILURE,
    )  # fmt: skip


def _endless() -> Expected:
    return Expected(
        status=200, body=AS_SENT, end=CUT, state="gateway_abort", error="timeout", partial=True,
        leg="aborted", code=200, breaker=UNCOUNTED,
    )  # fmt: skip


def _fault(
    name: str,
    steps: Callable[[bytes], Sequence[Step]],
    body: Callable[[bytes], bytes],
    expected: Expected,
    *,
    modes: Sequence[Mode] = BLOCKING,
) -> Fault:
    """Return a fault made of the API's document: what is done, and what of it is a body."""

    def told(speech: Speech, mode: Mode) -> Told:
        return Told(steps=steps(speech.document), body=body(speech.document))

    return Fault(
        name=name,
        told=told,
        expected=lambda speech, mode: expected,
        modes=modes,
        idle_seconds=SHORT if "silence" in name else 10.0,
        exchange_seconds=SHORT if "without an end" in name else 60.0,
    )


def _whole(document: bytes) -> bytes:
    return document


def _short(document: bytes) -> bytes:
    return document[:-10]


def _none(document: bytes) -> bytes:
    return b""


def _says_error(speech: Speech, mode: Mode) -> Told:
    return Told(steps=[Send(answer(speech.failed_document))], body=speech.failed_document)


DOCUMENTS = (
    _fault("200 with an empty document", lambda _: [Send(answer(b""))], _none,
           unread(body=NOTHING)),
    _fault("head of a document, then silence",
           lambda whole: [Send(answer(whole).removesuffix(whole)), Hold()], _none,
           _silent(NOTHING)),
    _fault("head of a document, then reset",
           lambda whole: [Send(answer(whole).removesuffix(whole)), Reset()], _none,
           _cut(NOTHING)),
    _fault("document shorter than its length",
           lambda whole: [Send(answer(whole)[:-10]), Close()], _short, _cut()),
    _fault("reset in a document",
           lambda whole: [Send(answer(whole)[:-10]), Reset()], _short, _cut()),
    _fault("silence in a document",
           lambda whole: [Send(answer(whole)[:-10]), Hold()], _short, _silent()),
    _fault("document without an end",
           lambda whole: [Send(answer(whole)[:-10]), Hold()], _short, _endless()),
    _fault("chunked document without its last chunk",
           lambda whole: [Send(_CHUNKED_HEAD + chunk(_short(whole))), Close()], _short, _cut()),
    _fault("chunks of a document that are none",
           lambda whole: [Send(_CHUNKED_HEAD + chunk(_short(whole)) + b"zz\r\n")], _short, _cut()),
    _fault("document without a length, closed in its middle",
           lambda whole: [Send(_OPEN_HEAD + _short(whole)), Close()], _short, _cut()),
    _fault("document without a length, reset in its middle",
           lambda whole: [Send(_OPEN_HEAD + _short(whole)), Reset()], _short, _cut()),
    _fault("document that is not JSON", lambda whole: [Send(answer(_short(whole)))], _short,
           unread()),
    _fault("page of HTML with 200",
           lambda _: [Send(answer(HTML, content_type=b"text/html"))], lambda _: HTML, unread(),
           modes=BOTH),
    _fault("document of another content type",
           lambda whole: [Send(answer(whole, content_type=b"text/html"))], _whole, well()),
    _fault("document where a stream was asked for", lambda whole: [Send(answer(whole))], _whole,
           well(), modes=(Mode.STREAMING,)),
    _fault("document packed without being asked",
           lambda whole: [Send(answer(gzip.compress(whole, mtime=0),
                                      headers=[(b"Content-Encoding", b"gzip")]))],
           lambda whole: gzip.compress(whole, mtime=0), unread()),
    _fault("document too large to be read",
           lambda whole: [Send(answer(whole + _TOO_LARGE))], lambda whole: whole + _TOO_LARGE,
           unread()),
    _fault("garbage behind a document",
           lambda whole: [Send(answer(whole) + b"garbage\r\n\r\n")], _whole, well()),
    _fault("garbage behind a chunked document",
           lambda whole: [Send(_CHUNKED_HEAD + chunk(whole) + LAST_CHUNK + b"garbage\r\n\r\n")],
           _whole, well()),
    Fault(
        name="error in a document with 200",
        modes=BLOCKING,
        told=_says_error,
        expected=lambda speech, mode: Expected(
            status=200, body=AS_SENT, error="overloaded",
            leg="error_status", code=200, breaker=FAILURE,
        ),
    ),
)  # fmt: skip
