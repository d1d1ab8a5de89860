"""What somebody looks for, from how they write it: `deploy "exit code" -staging OR rollback`.

Words are joined by AND; `OR` separates alternatives; `-` excludes; double quotes make a phrase;
`*` at the end of a word finds everything that begins with it. Words that punctuation divides
(paths, identifiers) are phrases of their parts, just as they are stored.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from bridge.domain.errors import InvalidRequest, Validation

MAX_LENGTH = 1000
MAX_WORDS = 50
FIELD = "q"

_PUNCTUATION = (
    "\t\n\r!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
    "“”‘’«»‹›…–—‐‑¿¡·、。，．：；！？「」『』（）【】《》〈〉"  # noqa: RUF001  # meant as they are
)
"""The same as in the SQL function aibridge_plain."""
_SPACES = str.maketrans(dict.fromkeys(_PUNCTUATION, " "))
_SINGLE = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
"""Characters that are words: the same as in the SQL function aibridge_words."""
_WORD = re.compile(f"[{_SINGLE}]|[^\\s{_SINGLE}]+")
_IS_SINGLE = re.compile(f"[{_SINGLE}]")
_ELEMENT = re.compile(r'(-?)"([^"]*)"?|(\S+)')
_ESCAPE = re.compile(r'\\[\\nrtbf"/]')


class Part(StrEnum):
    """Where words stand; the value is their weight in the index."""

    PROMPT = "A"
    THOUGHT = "B"
    TOOL = "C"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is looked for."""

    tsquery: str
    """For to_tsquery('simple', …)."""
    pattern: str
    """Regular expression of what is to be highlighted, as PostgreSQL writes it."""
    shown: re.Pattern[str]
    """The same for Python."""


@dataclass(frozen=True, slots=True)
class _Operand:
    words: tuple[str, ...]
    prefix: bool
    excluded: bool


def parse_words(text: str, *, parts: Sequence[Part] = ()) -> Wanted:
    """Read what somebody looks for.

    Args:
        text: as they wrote it.
        parts: where it must stand; nothing is anywhere.

    Raises:
        InvalidRequest: it names nothing to be found, or too much.
    """
    if len(text) > MAX_LENGTH:
        raise _wrong(f"longer than {MAX_LENGTH} characters")
    if "\0" in text or not _encodable(text):
        raise _wrong("must be text, without NUL")
    alternatives = _alternatives(text)
    if sum(len(each.words) for operands in alternatives for each in operands) > MAX_WORDS:
        raise _wrong(f"more than {MAX_WORDS} words")
    if not alternatives:
        raise _wrong("names nothing to look for")
    if any(all(each.excluded for each in operands) for operands in alternatives):
        raise _wrong("only says what is not to be found; name something that is")
    weights = "".join(part.value for part in parts)
    found = [each for operands in alternatives for each in operands if not each.excluded]
    return Wanted(
        tsquery=" | ".join(
            "(" + " & ".join(_tsquery(each, weights) for each in operands) + ")"
            for operands in alternatives
        ),
        pattern=_any_of(found, r"\m", r"\M"),
        shown=re.compile(_any_of(found, r"\b", r"\b")),
    )


def plain(text: str) -> str:
    """Return `text` with spaces for punctuation; every character keeps its place."""
    return text.translate(_SPACES)


def unescaped(json: str) -> str:
    """Return JSON text with two spaces for each short escape."""
    return _ESCAPE.sub("  ", json)


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _alternatives(text: str) -> list[list[_Operand]]:
    found: list[list[_Operand]] = [[]]
    for match in _ELEMENT.finditer(text):
        minus, phrase, word = match.groups()
        if word is not None and word.lower() == "or":
            found.append([])
            continue
        prefix = False
        if word is not None:
            minus = "-" if word.startswith("-") else ""
            prefix = word.endswith("*")
        words = tuple(_WORD.findall(plain(word if phrase is None else phrase)))
        if words:
            found[-1].append(_Operand(words, prefix, bool(minus)))
    return [operands for operands in found if operands]


def _tsquery(operand: _Operand, weights: str) -> str:
    words = [f"'{word}'" + (f":{weights}" if weights else "") for word in operand.words]
    if operand.prefix:
        words[-1] = f"'{operand.words[-1]}':*{weights}"
    query = "(" + " <-> ".join(words) + ")"
    return "!" + query if operand.excluded else query


def _any_of(operands: Sequence[_Operand], begin: str, end: str) -> str:
    """Return a regular expression; `begin` and `end` are of a word."""
    found = dict.fromkeys(_pattern(each, begin, end) for each in operands)
    return "(?i)(?:" + "|".join(found) + ")"


def _pattern(operand: _Operand, begin: str, end: str) -> str:
    words = operand.words
    found = "" if _IS_SINGLE.match(words[0]) else begin
    for number, word in enumerate(words):
        if number:
            near = _IS_SINGLE.match(words[number - 1]) or _IS_SINGLE.match(word)
            found += r"\s*" if near else r"\s+"
        found += re.escape(word)
    if operand.prefix:
        return found + r"\w*"
    return found + ("" if _IS_SINGLE.match(words[-1]) else end)


def _wrong(detail: str) -> InvalidRequest:
    return InvalidRequest("The search cannot be read.", [Validation(field=FIELD, detail=detail)])
