"""Assignments of secrets: `password = …`, `"api_key": "…"`, `--token …`, and what is none.

Anything can be a password, so the name decides first. A value that is plainly a placeholder, a
word of a programming language or a reference to something else is left alone.
"""

from __future__ import annotations

import math
import re
from collections import Counter

from bridge.domain.secret_shapes import SPELLINGS

_WORDS = (
    rb"passw(?:or)?d|passwd|pwd|passphrase|passcode|secret|token|credentials?|apikey"
    rb"|(?:api|access|auth|private|secret|encryption|signing|account|shared|master|subscription"
    rb"|service|webhook|session|jwt|license|admin)[_ .-]?key"
)
_SUFFIX = rb"(?:[_-]?(?:base|prod|production|dev|test|staging|live|value|default|[0-9]{1,3}))?"

_GAP = rb"%(space)s{0,3}" % SPELLINGS
_VALUE = (
    rb",?%(space)s{0,24}[\"'\\]{0,4}(?:parameter)?value[\"'\\]{0,4}\s{0,3}[:=]" % SPELLINGS + _GAP
)
# As in `"name": "DB_PASSWORD", "value": "…"`, or the same in YAML.

ASSIGNMENT = (
    rb"(?i)(" + _WORDS + rb")" + _SUFFIX + rb"[\"'`\\\])]{0,4}"
    rb"(" + _VALUE + rb"|" + _GAP + rb"(?::=|=>|==|[:=])" + _GAP + rb"|[\"'`],\s{0,3})"
    rb"([fbru]{0,2}\\{0,3}[\"'`]|)[^\s\"'`]"
)
"""In RE2's syntax. Groups: the name's last word, what stands between it and the value, and the
quote that opens the value, with what belongs to it; the last character is the value's first."""

FLAG = (
    rb"(?i)(?:^|[\s\x08\"'`\[,]|\\[bfnrt])--?(?:[a-z0-9]+-){0,4}(" + _WORDS + rb")"
    rb"(?:%(quote)s)?(?:,%(space)s{0,24}|[ =])(?:%(quote)s)?([^\s\"'`\\]{4,512})" % SPELLINGS
)
"""A flag of a command line and its value; the first group is the name's last word."""

FLAG_NAME = rb"(?i)--?(?:[a-z0-9]+-){0,4}(" + _WORDS + rb")"
"""Such a flag alone, as it stands in a list of arguments."""

FLAG_IN_LIST = FLAG_NAME + rb"%(quote)s,%(space)s{0,24}%(quote)s" % SPELLINGS
"""It and the beginning of its value, whatever that is."""

NAMING = (
    rb"(?i)(?:name|key|header|variable)[\"'\\]{1,4}\s{0,3}:\s{0,24}[\"'\\]{1,4}[0-9A-Za-z_. -]*"
    rb"(?:(?:" + _WORDS + rb")" + _SUFFIX + rb"|authorization)[\"'\\]"
)
"""A member of a JSON object that says that another is a secret, wherever that stands."""

NAME = rb"(?i)(?:^|.*[^A-Za-z]|.*[a-z0-9])(" + _WORDS + rb")" + _SUFFIX + rb"$"
"""A whole name, such as the key of a JSON object, that is a secret's; in RE2's syntax."""

BEFORE_CHARACTERS = 48
"""So much before a match is looked at for the rest of the name."""

_JUDGED = 512  # bytes of a value that are looked at to judge it
_BARE = re.compile(rb"[^\s\"'`,;&|\\]{0,512}")
_BARE_REST = re.compile(rb"[^\s\"'`,;&|\\]*+")
_ESCAPED = re.compile(rb"[^\s\"'`\\]*+")
_QUOTED = {quote: re.compile(rb"(?:[^%s\\\s]|\\[^\n])*+" % quote) for quote in (b'"', b"'", b"`")}
_NAME_CHARACTERS = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"
_OTHER_NAMES = tuple(
    (
        b"page next prev previous cont continuation cancel cancellation max min stop start end eos "
        b"bos pad unk sep cls mask special num count per first last input output csrf "
        b"csrfmiddleware stopping syntax lexer current line design non is has use with forgot "
        b"reset change show hide parse"
    ).split()
)
"""What stands before "token" or "password" in the names of other things."""
_PLACEHOLDERS = re.compile(
    rb"(?i)(?:x+|\*+|\.+|-+|_+|0+|1?2345?6?7?8?9?|abc123|(?:my|your|the|some|a|an|new|old|test)?[_-]?"
    rb"(?:super)?[_-]?"
    rb"(?:passw(?:or)?d|secret|token|key|api[_-]?key|value|string|text|credentials?)"
    rb"(?:[_-]?(?:here|goes[_-]?here|value|1?2?3?))?|none|null|nil|true|false|undefined|empty|"
    rb"string|str|bytes|number|boolean|optional|required|hidden|changeme|change[_-]me|example|"
    rb"placeholder|redacted|todo|tbd|replace[_-]?me|your[_-].*|insert[_-].*|enter[_-].*|<.*|"
    rb"\[redacted.*|xxx.*|\.\.\..*|.*\.\.\.)"
)
_REFERENCE = re.compile(
    rb"[$%{}()\[\]<>]|^@|^[!&*]|^https?:|^/|^\./|^file:|^env[.:]|^vault:|^op:|^ref\+|^arn:"
)
_IDENTIFIER = re.compile(rb"[A-Za-z_]+(?:(?:\.|::|->|-)[A-Za-z_]+)*[.?!:]*")
_NAME_OF_ONE = re.compile(
    rb"[a-z0-9]+(?:[-_./][a-z0-9]+)*[-_./](?:secrets?|tokens?|keys?|passwords?|credentials?)"
)  # as in "secret: my-app-secret"
_TITLE = re.compile(rb"[A-Z][a-z]+")
_OPEN_PASSWORD = re.compile(rb"(?i)pass|pwd")
_WITHOUT_SPACES = frozenset({b"=", b":"})
_LEAST_ENTROPY = 3.0


def assigned_until(data: bytes, word: tuple[int, int], opener: bytes, begin: int) -> int:
    """Return where the secret ends that is assigned at `begin`; 0 when none is.

    Args:
        data: the text.
        word: where the name's last word is.
        opener: the quote before the value, and what belongs to it; empty for none.
        begin: the value's first byte.
    """
    name = data[slice(*word)]
    if not named(data[max(0, word[0] - BEFORE_CHARACTERS) : word[0]], name):
        return 0
    if not opener:
        value = _matched(_BARE, data, begin)
        # Without spaces, as in a file of variables.
        tight = data[begin - 1 : begin] in (b"=", b":")
        if not secret_value(name, value, quoted=False, tight=tight):
            return 0
        return begin + len(_matched(_BARE_REST, data, begin))
    quote = opener[-1:]
    if b"\\" in opener:
        value, closing = _matched(_ESCAPED, data, begin), b"\\"
    else:
        value, closing = _matched(_QUOTED[quote], data, begin), quote
    end = begin + len(value)
    closed = data[end : end + 1] == closing
    return end if closed and secret_value(name, value[:_JUDGED], quoted=True) else 0


def named(before: bytes, word: bytes) -> bool:
    """Return whether a name that ends in `word` can be a secret's, by what stands before that."""
    prefix = before[len(before.rstrip(_NAME_CHARACTERS)) :]
    if prefix.rstrip(b"_.-").lower().endswith(_OTHER_NAMES):
        return False
    # Inside another word, as in "compwd"; "dbPassword" and "PGPASSWORD" are none.
    return not (prefix[-1:].isalpha() and word[:1].islower() and not prefix.islower())


def secret_value(word: bytes, value: bytes, *, quoted: bool, tight: bool = False) -> bool:
    """Return whether `value` can be the secret that its name, ending in `word`, promises.

    Args:
        word: last word of the name.
        value: without quotes.
        quoted: whether it is a literal text for sure.
        tight: whether it was written without spaces, as in a file of variables.
    """
    if not quoted:
        value = value.rstrip(b".:!?")
    if len(value) < 4 or _PLACEHOLDERS.fullmatch(value) or b"[redacted:" in value:
        return False
    if _REFERENCE.search(value) and (not quoted or value[:1] in b"$%{<([/&*!@" or b"://" in value):
        return False
    if value.lower().startswith((b"bearer", b"basic ")):
        return False  # looked at as an authorization
    password = _OPEN_PASSWORD.search(word) is not None
    if value.isdigit():
        return password and (quoted or tight or len(value) >= 6)
    if _IDENTIFIER.fullmatch(value):
        return _letters_are_secret(value, password=password, quoted=quoted, tight=tight)
    if _NAME_OF_ONE.fullmatch(value):
        return False
    if password:
        return len(value) >= (4 if quoted or tight else 6)
    return len(value) >= 8 and entropy(value) >= _LEAST_ENTROPY - (0.5 if len(value) < 12 else 0)


def _letters_are_secret(value: bytes, *, password: bool, quoted: bool, tight: bool) -> bool:
    """Judge a value of letters only, which might as well be a word or a variable."""
    lowered = value.lower()
    if any(word in lowered for word in (b"pass", b"pwd", b"secret", b"token", b"key", b"cred")):
        return False
    if b"." in value or b"_" in value or b"-" in value or b":" in value or b">" in value:
        return False
    if not password:
        mixed = value != lowered and value != value.upper() and not _TITLE.fullmatch(value)
        return len(value) >= 20 and mixed and entropy(value) >= 3.5
    return (quoted or tight) and len(value) >= 5 and not _TITLE.fullmatch(value)


def label_of(word: bytes) -> str:
    """Return the label for what a name that ends in `word` stands for."""
    lowered = word.lower()
    if b"pass" in lowered or b"pwd" in lowered:
        return "password"
    if b"token" in lowered:
        return "token"
    return "key" if b"key" in lowered else "secret"


def entropy(value: bytes) -> float:
    """Return Shannon's entropy of `value`, in bits a byte."""
    length = len(value)
    return -sum(n / length * math.log2(n / length) for n in Counter(value).values())


def _matched(pattern: re.Pattern[bytes], data: bytes, position: int) -> bytes:
    match = pattern.match(data, position)
    return match.group() if match is not None else b""
