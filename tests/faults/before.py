"""Faults before an answer: the client gets an error of the bridge in the words of its API."""

from __future__ import annotations

from collections.abc import Callable

from tests.faults.fault import FAILURE, OWN_ERROR, SHORT, Expected, Fault, Mode, Told
from tests.loopback.speech import Speech
from tests.support.fakes import BODY, CONNECT, Close, Hold, Reset, Send, Step


def _does(*steps: Step) -> Callable[[Speech, Mode], Told]:
    return lambda speech, mode: Told(steps=steps)


def _unreachable(speech: Speech, mode: Mode) -> Expected:
    return Expected(
        status=502, body=OWN_ERROR, told="upstream_unreachable", error="server_error",
        leg="unreachable", code=None, breaker=FAILURE,
    )  # fmt: skip


def _late(speech: Speech, mode: Mode) -> Expected:
    return Expected(
        status=504, body=OWN_ERROR, told="upstream_timeout", error="timeout",
        leg="timeout", code=None, breaker=FAILURE,
    )  # fmt: skip


def _unreached(name: str, *steps: Step, begin: str = BODY, refused: bool = False) -> Fault:
    return Fault(name=name, told=_does(*steps), expected=_unreachable, begin=begin, refused=refused)


BEFORE = (
    _unreached("connection refused", refused=True),
    _unreached("connection reset at once", Reset(), begin=CONNECT),
    _unreached("connection closed before any byte", Close()),
    _unreached("connection reset before any byte", Reset()),
    _unreached("connection closed in the head", Send(b"HTTP/1.1 200 OK\r\nContent-Ty"), Close()),
    _unreached("no HTTP at all", Send(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), Close()),
    _unreached(
        "a header line that is none",
        Send(b"HTTP/1.1 200 OK\r\nthis is not a header\r\nContent-Length: 0\r\n\r\n"),
    ),
    _unreached(
        "two lengths that differ",
        Send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}"),
    ),
    _unreached(
        "a status that HTTP does not have",
        Send(b"HTTP/1.1 999 Odd\r\nContent-Length: 2\r\n\r\n{}"),
    ),
    Fault(
        name="silence in place of an answer",
        first_byte_seconds=SHORT,
        told=_does(Hold()),
        expected=_late,
    ),
    Fault(
        name="silence in the head",
        first_byte_seconds=SHORT,
        told=_does(Send(b"HTTP/1.1 200 OK\r\nContent-Type: text/ev"), Hold()),
        expected=_late,
    ),
)
