"""Requests to the demo's pure part."""

from __future__ import annotations

import json
from typing import Any

from bridge.demo.exchange import Answer, Asked, Document, Stream


def asked(
    body: object,
    *,
    path: bytes = b"/v1/messages",
    method: bytes = b"POST",
    headers: dict[bytes, bytes] | None = None,
) -> Asked:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Asked(method=method, path=path, headers=headers or {}, body=raw)


def request(model: str, text: str = "what is nonce-17?", **more: object) -> dict[str, object]:
    messages = [{"role": "user", "content": text}]
    return {"model": model, "max_tokens": 100, "messages": messages, **more}


def document(answer: Answer) -> dict[str, Any]:
    assert isinstance(answer, Document)
    value = json.loads(answer.body)
    assert isinstance(value, dict)
    return value


def chunks(answer: Answer) -> list[dict[str, Any]]:
    """Return the chunks of a chat stream, which must have ended as it should."""
    assert isinstance(answer, Stream)
    *sent, last = answer.events
    assert last == b"data: [DONE]\n\n"
    return [json.loads(chunk.removeprefix(b"data: ")) for chunk in sent]


def events(answer: Answer) -> list[dict[str, Any]]:
    assert isinstance(answer, Stream)
    return [json.loads(event.partition(b"\ndata: ")[2]) for event in answer.events]


def status(answer: Answer) -> int:
    assert isinstance(answer, Document)
    return answer.status
