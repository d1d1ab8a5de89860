"""The model's name in a request: every API has it at the top level."""

from __future__ import annotations

import msgspec

from bridge.wire.json_edit import members_of, replaced, span_of

_MODEL = "model"
_MAX_MEMBERS = 10_000


def with_model(body: bytes, model: str) -> bytes:
    """Return a request body that names another model; every other byte as it was.

    A body in which none can be found is returned as it is.
    """
    span = span_of(members_of(body, at_most=_MAX_MEMBERS) or (), _MODEL)
    return body if span is None else replaced(body, span, msgspec.json.encode(model))
