"""Secrets in JSON: each string is judged by itself, and by what it stands beside.

A string says little of what it is. The name of its member does (`"password": …`), the flag before
it in a list (`"--token", …`), or the name that an object gives its value (`"name": "DB_PASSWORD",
"value": …`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import re2

from bridge.domain.secret_assignments import (
    BEFORE_CHARACTERS,
    FLAG_NAME,
    NAME,
    label_of,
    named,
    secret_value,
)
from bridge.domain.secret_patterns import options_of
from bridge.domain.secret_shapes import SCHEME, meant
from bridge.domain.secret_spans import TOO_MANY, Span, replaced
from bridge.domain.secret_work import Work

MOST_STRINGS = 50_000
"""Strings, objects and arrays of a document that are looked at; each takes some 2 µs."""

_MEMORY_BYTES = 8 << 20
_TOKENS_FOR_A_PIECE = 10
"""So many are read in the time in which one piece is judged."""
_LOOKED_AT_TOGETHER = 8
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"(\s*+:)?|[\[\]{}]', re.DOTALL)
_QUOTE = ord('"')
_NAMING = frozenset({"name", "key", "header", "variable", "parameterkey"})
_NAMED = frozenset({"value", "parametervalue"})
_USERS = frozenset({"-u", "--user", "-U", "--proxy-user"})
_USER = re.compile(rb"[^\s:\"']{1,64}:(?!//)([^\s\"']{3,})")


@dataclass(slots=True)
class _Said:
    """A string of a document."""

    begin: int
    end: int
    text: str
    name: str
    """Of the member that it is the value of, or is in the array of; empty for none."""
    before: str
    """The string before it in the same array, if it says what comes next."""
    to_curl: bool


class _Frame:
    """An object or array that is being read."""

    __slots__ = ("curl", "name", "naming", "value")

    def __init__(self, name: str, *, curl: bool) -> None:
        self.name = name
        """Of the member whose array this is."""
        self.curl = curl
        """Whether it is about curl."""
        self.naming = ""
        """What an object says its value is called."""
        self.value: _Said | None = None
        """The value that is called so."""


class Documents:
    """Finds and replaces secrets in what is JSON."""

    def __init__(
        self,
        *,
        look: Callable[[Sequence[str], Sequence[str]], bool],
        redact: Callable[[str, Sequence[str], Work], tuple[str, int]],
    ) -> None:
        """Look into documents.

        Args:
            look: says whether a secret may be in one of some texts, by itself; the second are
                credentials to be looked for as they are.
            redact: takes the secrets out of one text.
        """
        self._look = look
        self._redact = redact
        options = options_of(_MEMORY_BYTES)
        self._naming = re2.compile(NAME, options)
        self._flag = re2.compile(FLAG_NAME, options)

    def redacted(self, data: bytes, values: Sequence[str], work: Work) -> tuple[bytes, int]:
        """Return a document without the secrets in its strings, and how many there were.

        Beyond MOST_STRINGS, or what `work` allows, it is replaced by one string as a whole.
        """
        pieces: list[bytes] = []
        position = count = 0
        strings = _strings_of(data, work)
        if strings is None:
            return _whole(work)
        for first in range(0, len(strings), _LOOKED_AT_TOGETHER):
            some = strings[first : first + _LOOKED_AT_TOGETHER]
            doubtful = self._look([each.text for each in some], values)
            if doubtful and not work.allows():
                return _whole(work)
            for each in some:
                kept, found = self._redact(each.text, values, work) if doubtful else (each.text, 0)
                if not found and (each.name or each.before):
                    span = self._beside(each, work)
                    if span is not None and span[2] == TOO_MANY:
                        return _whole(work)
                    if span is not None:
                        kept, found = _without(each.text, span), 1
                        work.note(span[2])
                if found:
                    count += found
                    pieces += (data[position : each.begin], json.dumps(kept).encode("ascii"))
                    position = each.end
        if not count:
            return data, 0
        pieces.append(data[position:])
        return b"".join(pieces), count

    def _beside(self, said: _Said, work: Work) -> Span | None:
        """Return where a secret is in a string that is known only by what stands beside it.

        TOO_MANY is its label when it could not be judged.
        """
        before = said.before.encode("utf-8", "surrogatepass") if said.before[:1] == "-" else b""
        name = said.name.encode("utf-8", "surrogatepass")
        as_member = self._naming.search(name) if name else None
        as_argument = self._flag.fullmatch(before) if before else None
        user = said.to_curl and said.before in _USERS
        header = _authorizes(said.name) or _authorizes(said.before)
        if not (as_member or as_argument or user or header):
            return None
        if not work.allows():
            return 0, 0, TOO_MANY
        value = said.text.encode("utf-8", "surrogatepass")
        if header and (match := SCHEME.match(value)) and meant("authorization", match.group(1)):
            return *match.span(1), "authorization"
        if user and (match := _USER.fullmatch(value)) and meant("password", match.group(1)):
            return *match.span(1), "password"
        words = value.split(None, 1)
        if not words:
            return None
        alone = len(words[0]) == len(value)
        if as_member and alone and _secret(as_member, name, value, alone=True):
            return 0, len(value), label_of(as_member.group(1))
        # Of several words the first tells prose from a passphrase.
        if (
            as_argument
            and value[:1] != b"-"
            and _secret(as_argument, before, words[0], alone=alone)
        ):
            return 0, len(value), label_of(as_argument.group(1))
        return None


def is_json(data: bytes) -> bool:
    """Return whether a text is a document; what msgspec refuses (NaN, half characters) may be."""
    try:
        msgspec.json.decode(data, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        try:
            json.loads(data.decode("utf-8", "surrogatepass"), parse_int=str, parse_float=str)
        except (ValueError, RecursionError):
            return False
    return True


def _strings_of(data: bytes, work: Work) -> list[_Said] | None:
    """Return the strings of a document in order, names of members too; None for too many."""
    reader = _Reader(data)
    for n, token in enumerate(_TOKEN.finditer(data), 1):
        if n > MOST_STRINGS or (n % _TOKENS_FOR_A_PIECE == 0 and not work.allows()):
            return None
        begin = token.start()
        colon = token.group(1)
        if data[begin] != _QUOTE:
            reader.bracket(data[begin])
        elif colon is not None:
            reader.member(begin, token.end() - len(colon))
        else:
            reader.string(begin, token.end())
    return reader.strings


class _Reader:
    """Knows where in a document its strings stand."""

    def __init__(self, data: bytes) -> None:
        self.strings: list[_Said] = []
        self._data = data
        self._frames: list[_Frame] = []
        self._frame = _Frame("", curl=False)
        self._name = ""
        self._before = ""
        self._last = 0
        """Where the string before ends."""

    def bracket(self, which: int) -> None:
        """Note that an object or array begins or ends."""
        frame = self._frame
        if which in b"[{":
            self._frames.append(frame)
            name = (self._name or frame.name) if which in b"[" else ""
            self._frame = _Frame(name, curl=frame.curl)
        else:
            if frame.naming and frame.value is not None:
                frame.value.name = frame.naming
            self._frame = self._frames.pop()
        self._name = self._before = ""

    def member(self, begin: int, end: int) -> None:
        """Note a member's name."""
        self._name = _text(self._data[begin:end])
        self.strings.append(_Said(begin, end, self._name, "", "", to_curl=False))

    def string(self, begin: int, end: int) -> None:
        """Note a string that is a member's value or an element."""
        frame, name, text = self._frame, self._name, _text(self._data[begin:end])
        if self._before and self._data[self._last : begin].strip() != b",":
            self._before = ""  # something else is between them
        said = _Said(begin, end, text, name or frame.name, self._before, to_curl=frame.curl)
        self.strings.append(said)
        if not name:
            self._before = text if text[:1] == "-" or _authorizes(text) else ""
            self._last = end
        elif name.lower() in _NAMING:
            frame.naming = text
        elif name.lower() in _NAMED:
            frame.value = said
        self._name = ""
        if text.endswith(("curl", "curl.exe")):
            frame.curl = True


def _secret(match: Any, name: bytes, value: bytes, *, alone: bool) -> bool:
    """Return whether a value is a secret, in whose name a word was found."""
    word = match.group(1)
    before = name[: match.start(1)][-BEFORE_CHARACTERS:]
    return named(before, word) and secret_value(word, value, quoted=alone)


def _text(literal: bytes) -> str:
    if b"\\" in literal:
        text: str = json.loads(literal)
        return text
    return literal[1:-1].decode("utf-8", "surrogatepass")


def _authorizes(name: str) -> bool:
    """Return whether a name is that of a header with credentials."""
    return name[-1:] in "nN: " and name[-16:].rstrip(" :").lower().endswith("authorization")


def _without(text: str, span: Span) -> str:
    data = replaced(text.encode("utf-8", "surrogatepass"), [span])
    return data.decode("utf-8", "surrogatepass")


def _whole(work: Work) -> tuple[bytes, int]:
    work.note(TOO_MANY)
    return b'"[redacted:%s]"' % TOO_MANY.encode("ascii"), 1
