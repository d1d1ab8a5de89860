"""Encodings: request bodies that come compressed, as some agents send them; no I/O."""

from __future__ import annotations

import zlib
from dataclasses import replace

import zstandard

from bridge.demo.exchange import Asked

_MAX_BODY_BYTES = 64 * 1024**2
_GZIP = zlib.MAX_WBITS | 16


class Undecodable(ValueError):  # noqa: N818  # reads like the BridgeErrors
    """A body that is not in the encoding that its header names, or one that is not known."""


def decoded(asked: Asked) -> Asked:
    """Return the request with its body as it was before it was compressed.

    Raises:
        Undecodable: this cannot be done, or it would be too long.
    """
    encoding = asked.headers.get(b"content-encoding", b"identity").lower()
    if encoding == b"identity":
        return asked
    try:
        if encoding == b"zstd":
            stream = zstandard.ZstdDecompressor().stream_reader(asked.body)
            body = stream.read(_MAX_BODY_BYTES + 1)
        elif encoding == b"gzip":
            body = zlib.decompressobj(_GZIP).decompress(asked.body, _MAX_BODY_BYTES + 1)
        else:
            raise Undecodable("This content-encoding is not supported.")
    except (zstandard.ZstdError, zlib.error) as e:
        raise Undecodable("The body is not in its content-encoding.") from e
    if len(body) > _MAX_BODY_BYTES:
        raise Undecodable("The body is too long.")
    return replace(asked, body=body)
