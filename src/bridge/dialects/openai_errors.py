"""Our own errors in OpenAI's shape, and our keep-alive, which Chat Completions and Responses share.

Where OpenAI has no code for what we mean, `code` is our own neutral name; `server_is_overloaded`
and `slow_down` are never used, because clients (Codex) give up at them instead of trying again.

Source: platform.openai.com/docs/guides/error-codes/api-errors (read 2026-11-25).
"""

from __future__ import annotations

import msgspec

from bridge.dialects.texts import writable
from bridge.domain.errors import BridgeError

PING = b": ping\n"
# A comment, and no blank line after it: OpenAI's Go SDK takes one for an event and fails to decode
# its nothing. At an event's boundary it becomes part of the next event's lines.

_INVALID = "invalid_request_error"
_SERVER = "server_error"

_TYPES_AND_CODES: dict[str, tuple[str, str | None]] = {
    "bad_request": (_INVALID, None),
    "unauthenticated": (_INVALID, "invalid_api_key"),
    "forbidden": (_INVALID, "forbidden"),
    "not_found": (_INVALID, "not_found"),
    "too_large": (_INVALID, "request_too_large"),
    "upgrade_refused": (_INVALID, "upgrade_refused"),
    "rate_limited": ("rate_limit_error", "rate_limit_exceeded"),
    "overloaded": (_SERVER, "overloaded"),
    "unavailable": (_SERVER, "unavailable"),
    "upstream_unreachable": (_SERVER, "upstream_unreachable"),
    "upstream_timeout": (_SERVER, "upstream_timeout"),
    "upstream_broke": (_SERVER, "upstream_broke"),
}
_OTHER: tuple[str, str | None] = (_SERVER, None)


def error_type_and_code(error: BridgeError) -> tuple[str, str | None]:
    """Return the API's `type` and `code` for `error`."""
    return _TYPES_AND_CODES.get(error.code, _OTHER)


def error_body(error: BridgeError, request_id: str) -> bytes:  # noqa: ARG001 - it is a header here
    """Return `{"error": {"message", "type", "param": null, "code"}}`.

    The API tells its request id only in the header `x-request-id`.
    """
    kind, code = error_type_and_code(error)
    return msgspec.json.encode(
        {
            "error": {
                "message": writable(error.message),
                "type": kind,
                "param": None,
                "code": code,
            }
        }
    )
