"""Secrets in texts: found by shape, by place, by name and by value, and replaced by what they are.

A text is gone through a fixed number of times by RE2, in time linear in its length. What replaces
a secret says what it was: `[redacted:github-token]`.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache

import re2

from bridge.domain.secret_assignments import (
    ASSIGNMENT,
    BEFORE_CHARACTERS,
    FLAG,
    NAME,
    assigned_until,
    named,
    secret_value,
)
from bridge.domain.secret_patterns import ExtraPattern, compiled, options_of
from bridge.domain.secret_shapes import (
    BOUNDARY,
    HINT_CHARACTERS,
    HINT_RUN,
    HINT_WORDS,
    PLACES,
    SHAPES,
)
from bridge.domain.secret_spans import Span, apart, occurrences, replaced

MOST_SPANS = 10_000
"""With more secrets than this in it, what follows in a text is replaced as a whole."""
MOST_JUDGED = 10_000
"""With more assignments than this to names of secrets in it, a text is replaced as a whole: each
takes some 20 µs to be judged, and requests wait meanwhile."""
MOST_STRINGS = 50_000
"""Of a JSON document that are looked at one by one; each takes some 5 µs."""

_MEMORY_BYTES = 64 << 20
_LONGEST_USUAL = 512
"""Characters of a text that is remembered to hold nothing."""
_MOST_USUAL = 1000
"""Texts that are remembered so."""
_SHORT_BYTES = 1000
"""Of a text in which it pays to look for hints of secrets first."""
_FOLDED = ("\N{KELVIN SIGN}".encode(), "\N{LATIN SMALL LETTER LONG S}".encode())
"""To RE2 they are a k and an s where case does not matter; to Python's `lower` they are not."""
_RUN = re.compile(HINT_CHARACTERS + b"{%d}" % HINT_RUN)
_PLACEHOLDER = re.compile(rb"[$%{<]|\*{3}|\.{3}|\[redacted:|(?i:x{3,}|pass(?:word)?|pw|secret)$")
_BASE64_LINE = re.compile(rb"[0-9A-Za-z+/=]{40}")
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"(\s*+:)?', re.DOTALL)
_HIDING = re.compile(rb"\\[u/]")


class Secrets:
    """Finds and replaces secrets; the same for every text."""

    def __init__(
        self,
        extra: Sequence[ExtraPattern] = (),
        *,
        counted: Callable[[str, int], object] = lambda kind, count: None,  # noqa: ARG005 - nobody
    ) -> None:
        """Look for the known kinds and for `extra`.

        Args:
            extra: configured kinds.
            counted: told of which kind how many secrets are replaced.

        Raises:
            ValueError: one of `extra` cannot be used; the message says which and why.
        """
        self._counted = counted
        options = options_of(_MEMORY_BYTES)
        alternatives = b"|".join(shape.pattern for shape in SHAPES)
        self._shapes = re2.compile(BOUNDARY + b"(" + alternatives + b")", options)
        self._each_shape = [(each.label, re2.compile(each.pattern, options)) for each in SHAPES]
        self._places = [(each.label, re2.compile(each.pattern, options)) for each in PLACES]
        self._assignment = re2.compile(ASSIGNMENT, options)
        known = (BOUNDARY + b"(?:" + alternatives + b")", ASSIGNMENT, FLAG)
        everything = (*known, *(each.pattern for each in PLACES))
        self._anything = re2.compile(b"|".join(b"(?:%s)" % each for each in everything), options)
        """One look that most texts need no second after."""
        self._clean: set[str] = set()
        """Usual texts in which there is nothing."""
        self._flag = re2.compile(FLAG, options)
        self._name = re2.compile(NAME, options)
        self._extra = [(each.label, compiled(each)) for each in extra]

    def may_be_in(
        self, texts: Sequence[str], values: Iterable[str] = (), *, usual: Sequence[str] = ()
    ) -> bool:
        """Return whether a secret may be in one of `texts` or `usual`: one look for all of them.

        Lines end where the known kinds may begin and end, so none is hidden by its neighbours; of
        a configured pattern that is not known.

        Args:
            texts: what people, models and tools said.
            values: credentials to be looked for as they are.
            usual: names and words that come time and again, so that it pays to remember them.
        """
        if self._extra:
            return True
        together = "\n".join((*texts, *usual))
        for value in values:
            if value in together:
                return True
        new = [each for each in usual if each not in self._clean]
        unknown = "\n".join((*texts, *new))
        if not unknown:
            return False
        data = unknown.encode("utf-8", "surrogatepass")
        if _hinting(data) and self._anything.search(data) is not None:
            return True
        if len(self._clean) + len(new) > _MOST_USUAL:
            self._clean.clear()
        self._clean.update(each for each in new if len(each) <= _LONGEST_USUAL)
        return False

    def redacted(self, text: str, values: Iterable[str] = ()) -> tuple[str, int]:
        """Return `text` without the secrets in it, and how many there were.

        Args:
            text: anything.
            values: credentials to be looked for as they are.
        """
        data = text.encode("utf-8", "surrogatepass")
        spans = self._spans(data, values)
        if not spans:
            return text, 0
        for kind, count in Counter(label for _, _, label in spans).items():
            self._counted(kind, count)
        return replaced(data, spans).decode("utf-8", "surrogatepass"), len(spans)

    def redacted_json(self, text: str, values: Iterable[str] = ()) -> tuple[str, int]:
        """Return JSON without the secrets in its strings, otherwise byte for byte as it was.

        What is JSON stays JSON. What is none (it was cut, or never was), or has more than
        MOST_STRINGS strings, is taken as plain text.
        """
        data = text.encode("utf-8", "surrogatepass")
        values = tuple(values)
        # Written plainly, as models do, nothing hides in strings that is not seen from outside.
        hidden = _HIDING.search(data) is not None or any(value in text for value in values)
        if not hidden and not self._extra and not self._anything.search(data):
            return text, 0
        if data.count(b'"') > 2 * MOST_STRINGS or not _is_json(text):
            return self.redacted(text, values)
        pieces: list[bytes] = []
        begin = count = 0
        name = b""
        for match in _STRING.finditer(data):
            literal = data[match.start() : match.end() - len(match.group(1) or b"")]
            said = json.loads(literal)
            kept, found = self._string(said, name, values)
            name = said.encode("utf-8", "surrogatepass") if match.group(1) else b""
            if found:
                count += found
                pieces.append(data[begin : match.start()])
                pieces.append(json.dumps(kept).encode("ascii"))
                begin = match.start() + len(literal)
        if not count:
            return text, 0
        pieces.append(data[begin:])
        return b"".join(pieces).decode("utf-8", "surrogatepass"), count

    def _string(self, said: str, name: bytes, values: Sequence[str]) -> tuple[str, int]:
        """Return a string of a JSON document, whose name in an object is `name`, redacted."""
        kept, found = self.redacted(said, values)
        if found or not name:
            return kept, found
        match = self._name.search(name)
        value = said.encode("utf-8", "surrogatepass")
        if match is not None and not any(each.isspace() for each in said):
            word = match.group(1)
            before = name[: match.start(1)][-BEFORE_CHARACTERS:]
            if named(before, word) and secret_value(word, value, quoted=True):
                kind = _label_of(word)
                self._counted(kind, 1)
                return f"[redacted:{kind}]", 1
        return said, 0

    def _spans(self, data: bytes, values: Iterable[str]) -> list[Span]:
        """Return what is to be replaced, in order and without overlaps."""
        found: list[Span] = []
        for begin, end, label in self._all(data, values):
            found.append((begin, end, label))
            if len(found) > MOST_SPANS:
                # Of one kind they come in order, so nothing before is left out but what is
                # found by the kinds that were not asked yet: all of it goes.
                return [(0, len(data), "too-many-secrets")]
        return apart(found)

    def _all(self, data: bytes, values: Iterable[str]) -> Iterator[Span]:
        for value in values:
            yield from occurrences(data, value.encode("utf-8", "surrogatepass"))
        yield from self._extras(data)
        if self._anything.search(data) is None:
            return
        for label, pattern in self._places:
            for match in pattern.finditer(data):
                begin, end = match.span(1)
                if _meant(label, data[begin:end]):
                    yield begin, end, label
        for match in self._shapes.finditer(data):
            begin, end = match.span(1)
            if (kind := self._label(data[begin:end])) is not None:
                yield begin, end, kind
        yield from self._assignments(data)

    def _extras(self, data: bytes) -> Iterator[Span]:
        for label, pattern in self._extra:
            group = 1 if pattern.groups else 0
            for match in pattern.finditer(data):
                begin, end = match.span(group)
                if begin < end:
                    yield begin, end, label

    def _assignments(self, data: bytes) -> Iterator[Span]:
        position = judged = 0
        while (match := self._assignment.search(data, position)) is not None:
            judged += 1
            if judged > MOST_JUDGED:
                yield 0, len(data), "too-many-assignments"
                return
            word, begin = match.span(1), match.end(3)
            end = assigned_until(data, word, data[slice(*match.span(3))], begin)
            if end:
                yield begin, end, _label_of(data[slice(*word)])
            # What follows a name may be a name itself.
            position = end or begin
        for judged, match in enumerate(self._flag.finditer(data)):
            if judged > MOST_JUDGED:
                yield 0, len(data), "too-many-assignments"
                return
            (begin, end), name = match.span(2), data[slice(*match.span(1))]
            if secret_value(name, data[begin:end], quoted=False, tight=True):
                yield begin, end, _label_of(name)

    def _label(self, secret: bytes) -> str | None:
        """Return what `secret` is; None when it only looks like one."""
        label = next(
            (each for each, pattern in self._each_shape if pattern.fullmatch(secret)), "secret"
        )
        if label == "openai-key" and not any(48 <= each <= 57 for each in secret):
            return None  # a long word behind "sk-"
        return label


@cache
def known_secrets() -> Secrets:
    """Return what finds the known kinds, and no others; made when first asked for."""
    return Secrets()


def _meant(label: str, secret: bytes) -> bool:
    """Return whether what stands at a secret's place is one."""
    if label == "private-key":
        return _BASE64_LINE.search(secret) is not None
    if label in ("url-password", "password", "authorization"):
        return _PLACEHOLDER.match(secret) is None and (
            label != "authorization" or any(48 <= each <= 57 for each in secret)
        )
    return True


def _label_of(word: bytes) -> str:
    """Return the label for what a name that ends in `word` stands for."""
    lowered = word.lower()
    if b"pass" in lowered or b"pwd" in lowered:
        return "password"
    if b"token" in lowered:
        return "token"
    return "key" if b"key" in lowered else "secret"


def _is_json(text: str) -> bool:
    try:
        json.loads(text, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        return False
    return True


Redact = Callable[[str], tuple[str, int]]
"""What replaces the secrets of a text, and says how many there were."""


def _hinting(data: bytes) -> bool:
    """Return whether a text may have a secret in it, by a look that costs little."""
    if len(data) > _SHORT_BYTES or _RUN.search(data) is not None:
        return True
    if not data.isascii() and any(letter in data for letter in _FOLDED):
        return True
    lower = data.lower()
    return any(word in lower for word in HINT_WORDS)
