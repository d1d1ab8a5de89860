"""Error statuses: answers of the provider, which the client gets as they came."""

from __future__ import annotations

import json
from collections.abc import Sequence

from tests.faults.fault import (
    AS_SENT,
    FAILURE,
    SUCCESS,
    Expected,
    Fault,
    Mode,
    Told,
)
from tests.loopback.speech import Speech
from tests.support.fakes import Send, answer

_HTML = b"<!doctype html><title>Error</title><p>The page could not be shown."
_UNABLE = frozenset({429, 503, 529})
"""A breaker counts these; other errors may be about the one request, or are right to be made."""


_STATUSES = (
    (400, "bad_request", "invalid_request_error", "invalid_request_error", None),
    (401, "unauthorized", "authentication_error", "invalid_request_error", "invalid_api_key"),
    (403, "unauthorized", "permission_error", "request_forbidden", "unsupported_country"),
    (404, "bad_request", "not_found_error", "invalid_request_error", "model_not_found"),
    (408, "timeout", "timeout_error", "timeout", None),
    (409, "bad_request", "invalid_request_error", "invalid_request_error", "conflict"),
    (429, "rate_limited", "rate_limit_error", "tokens", "rate_limit_exceeded"),
    (500, "server_error", "api_error", "server_error", None),
    (502, "server_error", "api_error", "server_error", None),
    (503, "overloaded", "api_error", "server_error", "server_is_overloaded"),
    (529, "overloaded", "overloaded_error", "overloaded_error", None),
)
"""Status, kind on record, Anthropic's error type, and OpenAI's with its code."""


def _body(speech: Speech, anthropic: str, openai: str, code: str | None) -> bytes:
    error: dict[str, object] = {"type": anthropic, "message": "It is like that."}
    if speech.provider == "anthropic":
        return json.dumps({"type": "error", "error": error}).encode()
    error |= {"type": openai, "param": None, "code": code}
    return json.dumps({"error": error}).encode()


def _relayed(status: int, kind: str, retry_after: str = "") -> Expected:
    return Expected(
        status=status, body=AS_SENT, retry_after=retry_after, error=kind,
        leg="error_status", code=status, breaker=FAILURE if status in _UNABLE else SUCCESS,
    )  # fmt: skip


def _status(status: int, kind: str, anthropic: str, openai: str, code: str | None) -> Fault:
    waits = "17" if status == 429 else ""
    headers = [(b"Retry-After", waits.encode())] if waits else []

    def told(speech: Speech, mode: Mode) -> Told:
        body = _body(speech, anthropic, openai, code)
        return Told(steps=[Send(answer(body, status=status, headers=headers))], body=body)

    return Fault(
        name=f"status {status}",
        told=told,
        expected=lambda speech, mode: _relayed(status, kind, waits),
    )


def _page(status: int, kind: str) -> Fault:
    def told(speech: Speech, mode: Mode) -> Told:
        page = answer(_HTML, status=status, content_type=b"text/html")
        return Told(steps=[Send(page)], body=_HTML)

    return Fault(
        name=f"status {status} with a page of HTML",
        told=told,
        expected=lambda speech, mode: _relayed(status, kind),
    )


def _elsewhere(speech: Speech, mode: Mode) -> Told:
    headers = [(b"Location", b"http://127.0.0.1:9/elsewhere")]
    return Told(steps=[Send(answer(_HTML, status=307, content_type=b"text/html", headers=headers))],
                body=_HTML)  # fmt: skip


STATUSES: Sequence[Fault] = (
    Fault(
        name="redirect to elsewhere",
        told=_elsewhere,
        expected=lambda speech, mode: Expected(
            status=307,
            body=AS_SENT,
            state="completed",
            partial=True,
            leg="completed",
            code=307,
            breaker=SUCCESS,
        ),
    ),
    *(_status(*each) for each in _STATUSES),
    _page(403, "unauthorized"),
    _page(502, "server_error"),
    _page(503, "overloaded"),
)
