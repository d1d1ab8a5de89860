"""What went wrong, out of the error that a provider sent: every API has an `error` object."""

from __future__ import annotations

import json

from bridge.dialects.interface import InBandError
from bridge.dialects.loose_json import read_loosely
from bridge.dialects.texts import holdable

_MAX_TEXT = 1024


def error_in(body: bytes) -> InBandError:
    """Return the error that a document or event holds; its text when it has another shape.

    Shapes: `{"error": {"type", "code", "message"}}` (Anthropic gives no code, OpenAI often no
    type, OpenRouter and Google a number as code), the inner object alone, a text in its place, or
    a list of one such document (Google).
    """
    try:
        value = read_loosely(body)
    except (ValueError, RecursionError):
        return InBandError(type="", message=body[:_MAX_TEXT].decode("utf-8", "replace"))
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    inner = value.get("error", value) if isinstance(value, dict) else value
    return error_from(inner)


def error_from(inner: object) -> InBandError:
    """Return what an `error` object says."""
    if not isinstance(inner, dict):
        text = inner if isinstance(inner, str) else json.dumps(inner)
        return InBandError(type="", message=holdable(text)[:_MAX_TEXT])
    message = inner.get("message", inner.get("detail"))
    kinds = (inner.get("type"), inner.get("code"))
    kind = next((str(each) for each in kinds if each and isinstance(each, str | int)), "")
    return InBandError(
        type=holdable(kind)[:_MAX_TEXT],
        message=holdable(message)[:_MAX_TEXT] if isinstance(message, str) else "",
    )
