"""Request bodies with a Content-Encoding, decoded for reading; they are forwarded as they came.

Known are gzip, deflate and zstd, stacked at most two deep. Anything else (br, a third layer) is
refused with 400 rather than 415: the callers' APIs have an error type for it, and a body that we
cannot read must not pass unrecorded.

Sources: RFC 9110, section 8.4; RFC 9659 (zstd windows of at most 8 MiB); RFC 1950-1952 (read
2026-11-23).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Protocol

import zstandard

from bridge.domain.errors import BadRequest, PayloadTooLarge
from bridge.wire.headers import Header

_MAX_LAYERS = 2
_MAX_WINDOW_BYTES = 8 * 1024 * 1024
_MAX_MEMBERS = 16
# Each costs a copy of all that follows it.
_MAX_BLOCKS = 65_536
# 32 MiB written in pieces of 512 bytes; walking over them takes some 15 ms.
_READ_BYTES = 256 * 1024
_GZIP = 16 + zlib.MAX_WBITS
_RAW_DEFLATE = -zlib.MAX_WBITS


def content_coding(headers: Iterable[Header]) -> bytes:
    """Return what a body is encoded with, as one header says it; b"" when it is not encoded.

    Several headers count as one, and `identity` as nothing.
    """
    values = [value for name, value in headers if name == b"content-encoding"]
    if not values:
        return b""
    layers = [each.strip() for each in b",".join(values).split(b",")]
    return b", ".join(each for each in layers if each and each.lower() != b"identity")


def decode_body(body: bytes, content_encoding: bytes, *, limit: int) -> bytes:
    """Return `body` without its encodings; the same object when it has none.

    Args:
        body: what the client sent.
        content_encoding: the header's value, b"" without one; several are undone last to first.
        limit: the most bytes that any layer may unpack to.

    Raises:
        BadRequest: an unknown encoding, too many of them, or a body that is not what it says.
        PayloadTooLarge: it unpacks to more than `limit`.
    """
    if not content_encoding:
        return body
    names = [name.strip().lower() for name in content_encoding.split(b",")]
    layers = [name for name in names if name not in (b"", b"identity")]
    if len(layers) > _MAX_LAYERS:
        msg = "The request body has too many content encodings; send it with one or none."
        raise BadRequest(msg)
    for name in reversed(layers):
        body = _decoded(body, name, limit)
    return body


def _decoded(body: bytes, name: bytes, limit: int) -> bytes:
    match name:
        case b"gzip" | b"x-gzip":
            return _inflated(body, _GZIP, "gzip", limit)
        case b"deflate":
            # Meant is zlib's format; some send the bare one. Only zlib's has this header.
            zlib_format = (
                len(body) >= 2 and body[0] & 0x0F == 8 and (body[0] << 8 | body[1]) % 31 == 0
            )
            wbits = zlib.MAX_WBITS if zlib_format else _RAW_DEFLATE
            return _inflated(body, wbits, "deflate", limit)
        case b"zstd":
            return _unpacked_zstd(body, limit)
        case _:
            shown = name[:32].decode("ascii", "replace")
            msg = (
                f"The content encoding {shown!r} of the request body is not supported; "
                "send gzip, deflate, zstd or none."
            )
            raise BadRequest(msg)


class _Inflater(Protocol):
    """What zlib.decompressobj returns."""

    @property
    def unused_data(self) -> bytes:
        """What came after the end of the packed data."""

    @property
    def eof(self) -> bool:
        """Whether the end of the packed data has been reached."""

    def decompress(self, data: bytes, max_length: int = 0, /) -> bytes:
        """Unpack at most `max_length` bytes."""


def _inflated(body: bytes, wbits: int, label: str, limit: int) -> bytes:
    pieces: list[bytes] = []
    room = limit
    rest = body
    try:
        while rest or not pieces:  # gzip may hold several members, one after the other
            if len(pieces) == _MAX_MEMBERS:
                raise _broken(label)
            inflater: _Inflater = zlib.decompressobj(wbits)
            piece = inflater.decompress(rest, room + 1)
            room -= len(piece)
            if room < 0:
                raise _too_large(limit)
            if not inflater.eof:
                raise _broken(label)
            pieces.append(piece)
            rest = inflater.unused_data if wbits == _GZIP else b""
    except zlib.error as e:
        raise _broken(label) from e
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _unpacked_zstd(body: bytes, limit: int) -> bytes:
    decompressor = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW_BYTES)
    pieces: list[bytes] = []
    room = limit
    try:
        _require_whole_frames(body)
        with decompressor.stream_reader(body, read_across_frames=True) as reader:
            while piece := reader.read(min(_READ_BYTES, room + 1)):
                room -= len(piece)
                if room < 0:
                    raise _too_large(limit)
                pieces.append(piece)
    except zstandard.ZstdError as e:
        raise _broken("zstd") from e
    return b"".join(pieces)


def _require_whole_frames(body: bytes) -> None:
    """Refuse a cut body: zstandard's reader takes the end of its input for the end of the frame.

    Walks the block headers, three bytes each, without unpacking (RFC 8878, section 3.1).
    """
    at = 0
    blocks = 0
    while at < len(body) and blocks <= _MAX_BLOCKS:
        blocks += 1
        magic = int.from_bytes(body[at : at + 4], "little")
        if magic & 0xFFFFFFF0 == 0x184D2A50:  # a skippable frame
            at += 8 + int.from_bytes(body[at + 4 : at + 8], "little")
            continue
        header_bytes = zstandard.frame_header_size(body[at : at + 18])
        checksum = body[at + 4] & 0x04
        at += header_bytes
        last = False
        while not last:
            blocks += 1
            header = int.from_bytes(body[at : at + 3], "little")
            last = bool(header & 1)
            repeated = header >> 1 & 3 == 1  # one byte that stands for many
            at += 3 + (1 if repeated else header >> 3)
            last = last or at > len(body) or blocks > _MAX_BLOCKS
        at += 4 if checksum else 0
    if at != len(body) or not body or blocks > _MAX_BLOCKS:
        raise _broken("zstd")


def _broken(label: str) -> BadRequest:
    return BadRequest(
        f"The request body is not valid {label}, which its Content-Encoding says it is."
    )


def _too_large(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"The request body unpacks to more than {limit} bytes.")
