"""What AWS says went wrong, in the shape of the Messages API.

AWS answers `{"message": …}` and names the exception in `x-amzn-errortype`, or inside a stream in a
header of the message. The sentence is AWS's own: clients look for its words.

Source: the models of bedrock-runtime in botocore 1.44.5 and
docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ResponseStream.html (read 2026-11-25);
platform.claude.com/docs/en/api/errors (read 2026-11-23).
"""

from __future__ import annotations

import msgspec

from bridge.dialects.loose_json import read_loosely
from bridge.dialects.texts import holdable

_MAX_TEXT = 4096

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_OTHER = "api_error"

_STATUS_OF_KIND = {
    "accessdenied": 403,
    "expiredtoken": 403,
    "incompletesignature": 403,
    "internalserver": 500,
    "invalidsignature": 403,
    "missingauthenticationtoken": 403,
    "modelerror": 502,
    "modelnotready": 503,
    "modelstreamerror": 502,
    "modeltimeout": 504,
    "resourcenotfound": 404,
    "servicequotaexceeded": 429,
    "serviceunavailable": 503,
    "signaturedoesnotmatch": 403,
    "throttling": 429,
    "toomanyrequests": 429,
    "unrecognizedclient": 403,
    "validation": 400,
}
_STATUS_OF_STATUS = {408: 504, 424: 502}
"""AWS's own use of two statuses; a client of the Messages API would not try again after them."""


def exception_kind(name: str) -> str:
    """Return the bare name of an exception: `ThrottlingException:http://…/` is `throttling`."""
    bare = name.rpartition("#")[2].partition(":")[0].strip().lower()
    return bare.removesuffix("exception")


def status_and_type(kind: str, status: int) -> tuple[int, str]:
    """Return the Messages API's status and error type for an exception.

    Args:
        kind: as `exception_kind` gives it, "" when AWS named none.
        status: that of AWS, which decides when the name is not known.
    """
    ours = _STATUS_OF_KIND.get(kind, _STATUS_OF_STATUS.get(status, status))
    return ours, _TYPES.get(ours, _OTHER)


def error_document(kind: str, message: str) -> bytes:
    """Return `{"type": "error", "error": {"type", "message"}}`."""
    return msgspec.json.encode(
        {"type": "error", "error": {"type": kind, "message": holdable(message)[:_MAX_TEXT]}}
    )


def error_event(kind: str, message: str) -> bytes:
    """Return the same as a whole server-sent event."""
    return b"event: error\ndata: " + error_document(kind, message) + b"\n\n"


def translated(status: int, errortype: str, body: bytes) -> tuple[int, bytes] | None:
    """Return status and body of an AWS error as the Messages API would have them.

    None when the body already has that API's shape.

    Args:
        status: AWS's.
        errortype: of the header `x-amzn-errortype`, "" without one.
        body: AWS's.
    """
    document = _document(body)
    if document.get("type") == "error" and isinstance(document.get("error"), dict):
        return None
    named = errortype or document.get("__type")
    kind = exception_kind(named if isinstance(named, str) else "")
    ours, type_ = status_and_type(kind, status)
    said = message_in(body)
    return ours, error_document(type_, said or f"Amazon Bedrock answered with status {status}.")


def message_in(payload: bytes) -> str:
    """Return the sentence in an exception's JSON; its text when it has another shape."""
    document = _document(payload)
    for name in ("message", "Message", "originalMessage"):
        text = document.get(name)
        if isinstance(text, str) and text:
            return holdable(text)
    if payload.lstrip().startswith(b"{"):
        return ""
    return payload[:_MAX_TEXT].decode("utf-8", "replace")


def _document(body: bytes) -> dict[str, object]:
    try:
        value = read_loosely(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
