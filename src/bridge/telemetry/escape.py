"""Text that cannot lie on a terminal: control, bidi and invisible characters become escapes."""

from __future__ import annotations

_SPACES = frozenset(" \u00a0\u2007\u202f\u3000")
# Space separators that terminals show as spaces; `str.isprintable` counts only U+0020 as printable.

_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def printable(text: str) -> str:
    r"""Return `text` in one line, with everything that is not a visible character escaped.

    Control characters (ANSI sequences begin with one), bidi overrides and marks, zero-width
    characters, line separators, lone surrogates, private and unassigned code points become `\n`,
    `\x1b`, `\u202e`, `\U000e0041`. A backslash stays as it is: this is for reading, not for
    decoding.
    """
    if text.isprintable():
        return text
    return "".join(character if visible(character) else _escaped(character) for character in text)


def visible(character: str) -> bool:
    """Return whether a terminal shows `character` and does nothing else."""
    return character.isprintable() or character in _SPACES


def _escaped(character: str) -> str:
    if (name := _NAMED.get(character)) is not None:
        return name
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
