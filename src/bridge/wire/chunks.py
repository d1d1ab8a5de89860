"""Chunks of HTTP's chunked bodies: whole ones are cut out at once, others as Twisted does it.

A stream's events mostly come as whole chunks, each of which would be copied three times and looked
at by four methods. Source: RFC 9112, section 7.1 (read 2026-11-25).
"""

from __future__ import annotations

import re

from twisted.web.http import _ChunkedTransferDecoder

_SIZE = re.compile(rb"([0-9A-Fa-f]{1,7})\r\n")
_END = b"\r\n"


class Chunks(_ChunkedTransferDecoder):
    """Decodes a chunked body.

    Of several chunks that came together the last is handed on by itself, because it may be the one
    that ends an answer and has to wait; the others are handed on as one.
    """

    def dataReceived(self, data: bytes) -> None:
        """Take the next bytes."""
        if self.state == "CHUNK_LENGTH" and not self._buffer:
            whole: list[bytes] = []
            at = 0
            while (size := _SIZE.match(data, at)) is not None:
                begin = size.end()
                end = begin + int(size[1], 16)
                if end == begin or data[end : end + 2] != _END:
                    break
                whole.append(data[begin:end])
                at = end + 2
            if whole:
                if len(whole) > 1:
                    self.dataCallback(b"".join(whole[:-1]))
                self.dataCallback(whole[-1])
                if at == len(data):
                    return
                data = data[at:]
        super().dataReceived(data)
