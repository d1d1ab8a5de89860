"""Our own errors and keep-alive in the shape of the Messages API.

Source: platform.claude.com/docs/en/api/errors and /build-with-claude/streaming (read 2026-11-23).
"""

from __future__ import annotations

import msgspec

from bridge.dialects.texts import writable
from bridge.domain.errors import BridgeError

PING = b'event: ping\ndata: {"type": "ping"}\n\n'

_TYPES = {
    "bad_request": "invalid_request_error",
    "unauthenticated": "authentication_error",
    "forbidden": "permission_error",
    "not_found": "not_found_error",
    "conflict": "invalid_request_error",
    "too_large": "request_too_large",
    "upgrade_refused": "invalid_request_error",
    "rate_limited": "rate_limit_error",
    "overloaded": "overloaded_error",
    "unavailable": "overloaded_error",
    "upstream_timeout": "timeout_error",
}
_OTHER = "api_error"


def error_type(error: BridgeError) -> str:
    """Return the API's name for `error`."""
    return _TYPES.get(error.code, _OTHER)


def error_body(error: BridgeError, request_id: str) -> bytes:
    """Return `{"type": "error", "error": {"type", "message"}, "request_id"}`."""
    return msgspec.json.encode(
        {
            "type": "error",
            "error": {"type": error_type(error), "message": writable(error.message)},
            "request_id": request_id,
        }
    )


def error_event(error: BridgeError, request_id: str) -> bytes:
    """Return the same as a whole server-sent event."""
    return b"event: error\ndata: " + error_body(error, request_id) + b"\n\n"
