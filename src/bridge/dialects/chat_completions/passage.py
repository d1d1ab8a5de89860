"""Keeps from the client the one event that it did not ask for: the chunk with only token counts.

Everything else passes byte for byte, and so does such a chunk when it holds anything more. Blank
lines and comments between events pass at once, an event once it is whole; the blank lines that
follow a chunk kept back go with it.

Source: platform.openai.com/docs/api-reference/chat-streaming, `choices` and `usage`, and WHATWG
HTML, section 9.2.6 (read 2026-11-25).
"""

from __future__ import annotations

import re

from bridge.dialects.loose_json import read_object

_MAX_HELD_BYTES = 64 * 1024
"""Of an event that is not yet whole; a longer one passes as it comes."""
_BOM = b"\xef\xbb\xbf"
_USAGE = b'"usage"'
_NO_USAGE = b'"usage":null'
_NO_USAGE_SPACED = b'"usage": null'

_FRAME = frozenset(
    {
        *("id", "object", "created", "model", "choices", "usage"),
        *("service_tier", "system_fingerprint", "provider"),
        *("obfuscation", "p"),  # paddings, OpenAI's and Mistral's
        *("timings", "time_info"),  # measures, llama.cpp's and Cerebras', go with the counts
    }
)
"""What may stand beside the counts without saying anything to the client."""
_GROQ_FRAME = frozenset({"id", "usage", "seed"})

_BETWEEN = re.compile(rb"(?>[\r\n]++|:[^\r\n]*+[\r\n])*+(:[^\r\n]*+)?")
# Blank lines and comments before an event's first field; the last comment may be cut.
_REST_OF_COMMENT = re.compile(rb"[^\r\n]*+(?:[\r\n]" + _BETWEEN.pattern + rb"|())")
_END = re.compile(rb"(?>\r\n|\r|\n)(?>\r\n?|\n)")
_LINE_END = re.compile(rb"\r\n|\r|\n")
_LINE_ENDS = b"\r\n"


class UsagePassage:
    """One stream on its way to a client that did not ask for token counts."""

    __slots__ = ("_commenting", "_held", "_inside", "_swallowing")

    def __init__(self) -> None:
        """Start before the first byte."""
        self._held = bytearray()
        """Of an event that may have to be kept back; begins with its first field."""
        self._inside = b""
        """While an event passes as it comes: its last byte so far."""
        self._commenting = False
        """Whether a comment has begun; there is no reason to keep one back."""
        self._swallowing = False
        """Whether line ends are still those of a chunk that was kept back."""

    def feed(self, chunk: bytes) -> bytes:
        """Take upstream's next bytes; return what the client gets now."""
        if (
            not (self._held or self._inside or self._commenting or self._swallowing)
            and chunk.endswith(b"\n\n")
            and _tells_no_usage(chunk)
        ):
            return chunk
        return self._passed(chunk)

    def finish(self) -> bytes:
        """Say that upstream has ended; return what was kept back of an event that never was."""
        rest = bytes(self._held)
        self._held.clear()
        return b"" if _is_usage_only(rest) else rest

    def _passed(self, chunk: bytes) -> bytes:
        out: list[bytes] = []
        at = 0
        if self._inside:
            at = self._end_inside(chunk)
            out.append(chunk[:at])
        elif self._held:
            begin = len(self._held) - 1  # its last byte may be half of the end
            self._held += chunk
            end = _END.search(self._held, begin)
            if end is None:
                out.append(self._overflow())
                return b"".join(out)
            chunk = bytes(self._held)
            self._held.clear()
            at = end.end()
            self._judge(chunk[:at], out)
        while at < len(chunk):
            at = self._between(chunk, at, out)
            end = _END.search(chunk, at)
            if end is None:
                self._held += chunk[at:]
                out.append(self._overflow())
                break
            self._judge(chunk[at : end.end()], out)
            at = end.end()
        return b"".join(out)

    def _end_inside(self, chunk: bytes) -> int:
        """Return up to where `chunk` belongs to an event that passes as it comes."""
        seam = self._inside + chunk
        end = _END.search(seam)
        self._inside = seam[-1:] if end is None else b""
        return len(chunk) if end is None else end.end() - 1

    def _between(self, chunk: bytes, at: int, out: list[bytes]) -> int:
        """Pass what stands between two events; return where the next one begins."""
        if self._swallowing:
            while at < len(chunk) and chunk[at] in _LINE_ENDS:
                at += 1
            self._swallowing = at == len(chunk)
        match = (_REST_OF_COMMENT if self._commenting else _BETWEEN).match(chunk, at)
        if match is None:  # both match nothing, too
            return at
        self._commenting = match.lastindex is not None
        out.append(match.group())
        return match.end()

    def _judge(self, event: bytes, out: list[bytes]) -> None:
        if _USAGE in event and len(event) <= _MAX_HELD_BYTES and _is_usage_only(event):
            self._swallowing = True
        else:
            out.append(event)

    def _overflow(self) -> bytes:
        """Return what is held when it has become too much, and let the rest of it pass."""
        if len(self._held) <= _MAX_HELD_BYTES:
            return b""
        passed = bytes(self._held)
        self._held.clear()
        self._inside = passed[-1:]
        return passed


def _tells_no_usage(chunk: bytes) -> bool:
    """Return whether every `usage` in whole events is null; in a text its quotes are escaped."""
    told = chunk.count(_USAGE)
    return not told or told == chunk.count(_NO_USAGE) + chunk.count(_NO_USAGE_SPACED)


def _is_usage_only(event: bytes) -> bool:
    """Return whether an event holds token counts, an empty list of choices and nothing else."""
    lines = _LINE_END.split(event.removeprefix(_BOM))
    data = b"\n".join(line[5:] for line in lines if line.startswith(b"data:"))
    try:
        chunk = read_object(data)
    except (ValueError, TypeError, RecursionError):
        return False
    return (
        chunk.get("choices") == []
        and isinstance(chunk.get("usage"), dict)
        and not any(value and not _is_frame(name, value) for name, value in chunk.items())
    )


def _is_frame(name: str, value: object) -> bool:
    if name == "x_groq" and isinstance(value, dict):
        return not any(inner for each, inner in value.items() if each not in _GROQ_FRAME)
    return name in _FRAME
