"""Our own errors inside a started stream.

Source: developers.openai.com/api/reference/resources/responses/streaming-events, `error`
(read 2026-11-25). The page has `code`, `message` and `param` at the top, the API itself sends them
in an `error` object; we write both, because the SDKs raise only at the object, and what was made
from the page's schema reads only the top. Codex reads neither: it tries again when a stream is cut.
"""

from __future__ import annotations

import msgspec

from bridge.dialects import openai_errors
from bridge.domain.errors import BridgeError


def error_event(error: BridgeError, request_id: str) -> bytes:
    """Return `{"type": "error", "code", "message", "param", "sequence_number", "error"}`.

    The sequence number is 0: nobody here counts the provider's.
    """
    inner = msgspec.json.decode(openai_errors.error_body(error, request_id))["error"]
    data = {
        "type": "error",
        "code": inner["code"],
        "message": inner["message"],
        "param": None,
        "sequence_number": 0,
        "error": inner,
    }
    return b"event: error\ndata: " + msgspec.json.encode(data) + b"\n\n"
