"""What OpenAI's APIs have in common: errors, ids of requests, usage, models, embeddings; no I/O.

Source: https://developers.openai.com/api/docs/guides/error-codes and …/api/reference (Models,
Embeddings), and the types of the openai package 3.57 (read 2026-11-23).
"""

from __future__ import annotations

import base64
import struct
from zlib import crc32

import msgspec

from bridge.demo import script
from bridge.demo.exchange import Answer, Asked, Document
from bridge.demo.script import Usage

CREATED = 1_767_225_600
"""When everything was made, in seconds since the epoch: answers do not depend on the time."""
OVERLOADED = 503
OVERLOADED_TEXT = "The engine is currently overloaded, please try again later"
UNDECODABLE = (msgspec.DecodeError, script.BadKnob, RecursionError)
"""What decoding a request raises."""

_RETRY_LATER = frozenset({429, 503, 529})
_KINDS = {403: "permission_error", 429: "rate_limit_error"}
_CODES = {401: "invalid_api_key", 429: "rate_limit_exceeded"}
_OWNER = "aibridge-demo"
_DIMENSIONS = 8
_MOST_DIMENSIONS = 3072
encode = msgspec.json.encode


class _Embedded(msgspec.Struct):
    model: str
    input: str | list[str | int | list[int]]
    dimensions: int | None = None
    encoding_format: str | None = None


_embedded = msgspec.json.Decoder(_Embedded)


class Shared:
    """Answers requests for models and embeddings."""

    def __init__(self, *, run: str) -> None:
        """Make ids that hold `run`, so that two starts make different ones."""
        self._run = run
        self._count = 0

    def answer(self, asked: Asked) -> Answer:
        """Return what OpenAI would say."""
        self._count += 1
        number = f"{self._run}{self._count:08d}"
        path = route(asked.path)
        if path == b"/embeddings":
            if asked.method != b"POST":
                return wrong_method(asked, number)
            return _embeddings(asked, number)
        if asked.method not in (b"GET", b"HEAD"):
            return wrong_method(asked, number)
        if path == b"/models":
            models = [_described(name) for name in script.MODELS]
            return document({"object": "list", "data": models}, number)
        name = path.removeprefix(b"/models/").decode("latin-1")
        return (
            document(_described(name), number)
            if script.is_known(name)
            else unknown_model(404, name, number)
        )


def route(path: bytes) -> bytes:
    """Return `path` without the version, which some clients leave to the base URL."""
    return path[3:] if path.startswith(b"/v1/") else path


def document(value: object, number: str, delay_seconds: float = 0.0) -> Document:
    """Return `value` as a good answer."""
    return Document(
        status=200, body=encode(value), head=request_id(number), delay_seconds=delay_seconds
    )


def error(
    status: int,
    message: str,
    number: str,
    *,
    param: str | None = None,
    code: str | None = None,
    delay_seconds: float = 0.0,
) -> Document:
    """Return an error in OpenAI's shape."""
    kind = _KINDS.get(status, "invalid_request_error" if status < 500 else "server_error")
    fault = {
        "message": message,
        "type": kind,
        "param": param,
        "code": _CODES.get(status) if code is None else code,
    }
    return Document(
        status=status,
        body=encode({"error": fault}),
        head=request_id(number) + (b"retry-after: 1\r\n" if status in _RETRY_LATER else b""),
        delay_seconds=delay_seconds,
    )


def wrong_method(asked: Asked, number: str) -> Document:
    """Return the error for a path that has other methods."""
    method, path = asked.method.decode("latin-1"), asked.path.decode("latin-1")
    return error(405, f"Not allowed to {method} on {path}.", number, code="method_not_supported")


def unknown_path(asked: Asked, number: str) -> Document:
    """Return the error for a path that has nothing."""
    method, path = asked.method.decode("latin-1"), asked.path.decode("latin-1")
    return error(404, f"Invalid URL ({method} {path})", number)


def unknown_model(status: int, name: str, number: str) -> Document:
    """Return the error for a model that there is not."""
    message = f"The model `{name}` does not exist or you do not have access to it."
    return error(status, message, number, param="model", code="model_not_found")


def request_id(number: str) -> bytes:
    """Return the header line that names the request."""
    return b"x-request-id: req_demo_%b\r\n" % number.encode("ascii")


def input_tokens(usage: Usage) -> int:
    """Return the input tokens as OpenAI counts them: those from the cache too."""
    return usage.input_tokens + usage.cache_read_tokens


def _described(name: str) -> dict[str, object]:
    return {"id": name, "object": "model", "created": CREATED, "owned_by": _OWNER}


def _embeddings(asked: Asked, number: str) -> Answer:
    try:
        request = _embedded.decode(asked.body)
    except UNDECODABLE as e:
        return error(400, str(e), number)
    size = _DIMENSIONS if request.dimensions is None else request.dimensions
    if not 1 <= size <= _MOST_DIMENSIONS:
        return error(
            400, f"dimensions must be 1 to {_MOST_DIMENSIONS}.", number, param="dimensions"
        )
    given = request.input
    # One text, or the tokens of one text.
    texts = [given] if isinstance(given, str) or (given and isinstance(given[0], int)) else given
    vectors = [_vector(encode(text), size) for text in texts]
    tokens = sum(script.usage_for(str(text), 0).input_tokens for text in texts)
    listed = [
        {
            "object": "embedding",
            "index": index,
            "embedding": _in_base64(vector) if request.encoding_format == "base64" else vector,
        }
        for index, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return document(
        {"object": "list", "data": listed, "model": request.model, "usage": usage}, number
    )


def _vector(text: bytes, size: int) -> list[float]:
    # Powers of two, which no precision changes.
    return [crc32(text, index) % 2048 / 1024 - 1 for index in range(size)]


def _in_base64(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode("ascii")
