"""Secrets in texts: found by shape, by place, by name and by value, and replaced by what they are.

A text is gone through a fixed number of times by RE2, in time linear in its length. What replaces
a secret says what it was: `[redacted:github-token]`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache

import re2

from bridge.domain.secret_assignments import (
    ASSIGNMENT,
    FLAG,
    FLAG_IN_LIST,
    NAMING,
    assigned_until,
    label_of,
    secret_value,
)
from bridge.domain.secret_documents import Documents, is_json
from bridge.domain.secret_patterns import ExtraPattern, any_of, compiled, options_of
from bridge.domain.secret_shapes import (
    BOUNDARY,
    HINT_CHARACTERS,
    HINT_RUN,
    HINT_WORDS,
    PLACES,
    SHAPES,
    meant,
)
from bridge.domain.secret_spans import TOO_MANY, Span, apart, occurrences, replaced
from bridge.domain.secret_work import MOST_JUDGED, Work

MOST_SPANS = 10_000
"""With more secrets than this in it, what follows in a text is replaced as a whole."""
MOST_ASSIGNMENTS = 10_000
"""With more assignments to names of secrets in it, a text is replaced as a whole, too."""

_PIECES_FOR_A_TEXT = 3
"""In the time in which so many are judged a short text is gone through for all kinds."""
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
        known = (BOUNDARY + b"(?:" + alternatives + b")", ASSIGNMENT, FLAG, FLAG_IN_LIST, NAMING)
        everything = (*known, *(each.pattern for each in PLACES))
        self._anything = re2.compile(b"|".join(b"(?:%s)" % each for each in everything), options)
        """One look that most texts need no second after."""
        self._clean: set[str] = set()
        """Usual texts in which there is nothing."""
        self._flag = re2.compile(FLAG, options)
        self._extra = [(each.label, compiled(each)) for each in extra]
        self._any_extra = any_of(extra)
        self._documents = Documents(look=self._may_hold, redact=self.redacted)

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

    def redacted(
        self, text: str, values: Iterable[str] = (), work: Work | None = None
    ) -> tuple[str, int]:
        """Return `text` without the secrets in it, and how many there were.

        Args:
            text: anything.
            values: credentials to be looked for as they are.
            work: what may be judged of all that belongs together; whoever gives it calls `tell`.

        Raises:
            Laborious: it is more than `work` allows, and that gives up.
        """
        if work is None:
            work = Work()
            result = self.redacted(text, values, work)
            self.tell(work)
            return result
        data = text.encode("utf-8", "surrogatepass")
        spans = self._spans(data, values, work)
        if not spans:
            return text, 0
        for _, _, label in spans:
            work.note(label)
        return replaced(data, spans).decode("utf-8", "surrogatepass"), len(spans)

    def redacted_json(
        self, text: str, values: Iterable[str] = (), work: Work | None = None
    ) -> tuple[str, int]:
        """Return JSON without the secrets in its strings, otherwise byte for byte as it was.

        What is JSON stays JSON; what is none (it was cut, or never was) is taken as plain text.
        What may hold a secret and has too many strings to be gone through is replaced as a whole.
        Arguments and errors are those of `redacted`.
        """
        data = text.encode("utf-8", "surrogatepass")
        values = tuple(values)
        # Written plainly, as models do, nothing hides in strings that is not seen from outside.
        hidden = _HIDING.search(data) is not None or any(value in text for value in values)
        if not hidden and not self._extra and not self._anything.search(data):
            return text, 0
        if not is_json(data):
            return self.redacted(text, values, work)
        told = work is None
        work = work or Work()
        kept, count = self._documents.redacted(data, values, work)
        if told:
            self.tell(work)
        return (kept.decode("utf-8", "surrogatepass"), count) if count else (text, 0)

    def tell(self, work: Work) -> None:
        """Count what was found in the course of `work`."""
        for kind, count in work.found.items():
            self._counted(kind, count)
        work.found.clear()

    def _may_hold(self, texts: Sequence[str], values: Sequence[str]) -> bool:
        """Return whether one of some strings may hold a secret, configured kinds included."""
        if self._extra:
            if self._any_extra is None:
                return True
            for text in texts:
                if self._any_extra.search(text.encode("utf-8", "surrogatepass")) is not None:
                    return True
        together = "\n".join(texts)
        if any(value in together for value in values):
            return True
        data = together.encode("utf-8", "surrogatepass")
        return _hinting(data) and self._anything.search(data) is not None

    def _spans(self, data: bytes, values: Iterable[str], work: Work) -> list[Span]:
        """Return what is to be replaced, in order and without overlaps."""
        found: list[Span] = []
        for span in self._all(data, values, work):
            found.append(span)
            if len(found) > MOST_SPANS or span[2] == TOO_MANY:
                # Of one kind they come in order, so nothing before is left out but what is
                # found by the kinds that were not asked yet: all of it goes.
                return [(0, len(data), TOO_MANY)]
        return apart(found)

    def _all(self, data: bytes, values: Iterable[str], work: Work) -> Iterator[Span]:
        """Yield what is found; as the last all of it, as TOO_MANY, beyond what `work` allows."""
        for value in values:
            yield from occurrences(data, value.encode("utf-8", "surrogatepass"))
        yield from self._extras(data)
        if self._anything.search(data) is None:
            return
        if not work.allows(_PIECES_FOR_A_TEXT):
            yield 0, len(data), TOO_MANY
            return
        for looked in (self._placed, self._shaped, self._assigned, self._flagged):
            most = MOST_JUDGED if looked in (self._placed, self._shaped) else MOST_ASSIGNMENTS
            for judged, span in enumerate(looked(data)):
                if judged >= most or not work.allows():
                    yield 0, len(data), TOO_MANY
                    return
                if span is not None:
                    yield span

    def _extras(self, data: bytes) -> Iterator[Span]:
        if not self._extra or (
            self._any_extra is not None and self._any_extra.search(data) is None
        ):
            return
        for label, pattern in self._extra:
            group = 1 if pattern.groups else 0
            for match in pattern.finditer(data):
                begin, end = match.span(group)
                if begin < end:
                    yield begin, end, label

    def _placed(self, data: bytes) -> Iterator[Span | None]:
        """Yield secrets that are known by their place; None for each that was judged to be none."""
        for label, pattern in self._places:
            for match in pattern.finditer(data):
                begin, end = match.span(1)
                yield (begin, end, label) if meant(label, data[begin:end]) else None

    def _shaped(self, data: bytes) -> Iterator[Span | None]:
        for match in self._shapes.finditer(data):
            begin, end = match.span(1)
            kind = self._label(data[begin:end])
            yield (begin, end, kind) if kind is not None else None

    def _assigned(self, data: bytes) -> Iterator[Span | None]:
        position = 0
        while (match := self._assignment.search(data, position)) is not None:
            word, begin = match.span(1), match.end(3)
            end = assigned_until(data, word, data[slice(*match.span(3))], begin)
            yield (begin, end, label_of(data[slice(*word)])) if end else None
            # What follows a name may be a name itself.
            position = end or begin

    def _flagged(self, data: bytes) -> Iterator[Span | None]:
        for match in self._flag.finditer(data):
            (begin, end), name = match.span(2), data[slice(*match.span(1))]
            secret = secret_value(name, data[begin:end], quoted=False, tight=True)
            yield (begin, end, label_of(name)) if secret else None

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
