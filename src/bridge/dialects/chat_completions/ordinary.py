"""Recognises ordinary deltas of text by their raw bytes, so that nobody decodes them.

What is sought holds unescaped quotes, so no text inside a chunk can contain it. What is spelled
otherwise than any vendor spells it is not ordinary, and is read.
"""

from __future__ import annotations

import re

_TELLING = re.compile(
    rb'"(?:tool_calls|function_call|reasoning\w*|thinking|usage|error)":(?! ?(?:null|""|\[\]))'
)
# One of these with something in it.
_CONTENT = re.compile(rb'"content": ?"')
_PADDING = b'"obfuscation":"'
# OpenAI's, as long as it likes, in every chunk.


def is_ordinary(block: bytes) -> bool:
    """Return whether an event's lines hold a delta of text in the first choice, and no more."""
    return (
        (b'"finish_reason":null' in block or b'"finish_reason": null' in block)
        and (b'"index":0' in block or b'"index": 0' in block)
        and block.count(b'"index"') == 1  # else there are other choices in it
        and b"\n" not in block
        and _TELLING.search(block) is None
    )


class Frame:
    """All of an ordinary delta but its text: in one stream it stays the same for most of them."""

    __slots__ = ("_head", "_padded", "_tail")

    def __init__(self, head: bytes, tail: bytes, *, padded: bool) -> None:
        """Take what stands before and behind the text, both quotes included.

        Args:
            head: ends with the quote that begins the text.
            tail: begins with the quote that ends it.
            padded: whether `tail` ends where a padding of any length begins.
        """
        self._head = head
        self._tail = tail
        self._padded = padded

    @classmethod
    def around(cls, ordinary: bytes) -> Frame:
        """Return the frame of an ordinary delta; it fits nothing when there is none to be seen."""
        match = _CONTENT.search(ordinary)
        end = -1 if match is None else ordinary.find(b'"', match.end())
        if match is None or end < 0 or ordinary[end - 1] == 0x5C:  # an escaped quote is no end
            return cls(b"\n", b"\n", padded=False)
        tail = ordinary[end:]
        padding = tail.find(_PADDING)
        if padding >= 0:
            tail = tail[: padding + len(_PADDING)]
        return cls(ordinary[: match.end()], tail, padded=padding >= 0)

    def fits(self, block: bytes) -> bool:
        """Return whether `block` differs only in the text (and the padding), without a quote."""
        head = self._head
        if not block.startswith(head):
            return False
        end = block.find(b'"', len(head))
        if not block.startswith(self._tail, end):
            return False
        rest = end + len(self._tail)
        return rest == len(block) or (
            self._padded and block.find(b'"', rest) == len(block) - 2  # then only a brace
        )
