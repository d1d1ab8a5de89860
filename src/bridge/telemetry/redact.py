"""Secrets out of log fields: by the field's name, and by the shape of the text."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Set
from datetime import date
from enum import Enum
from uuid import UUID

import msgspec

from bridge.domain.identity import hint
from bridge.domain.secret_work import MOST_AT_ONCE, Work
from bridge.domain.secrets import known_secrets

Plain = str | int | float | bool | None | list["Plain"] | dict[str, "Plain"]
"""What a log line can hold."""

_SECRET_NAMES = frozenset(
    {
        "access-token", "admin-token", "api-key", "apikey", "auth-token", "authorization",
        "bearer", "client-secret", "coder-session-token", "cookie", "credential", "dsn",
        "password", "private-key", "proxy-authorization", "refresh-token", "secret",
        "secret-access-key", "session-token", "set-cookie", "token", "x-ai-bridge-token",
        "x-api-key", "x-coder-ai-governance-token",
    }
)  # fmt: skip

_SHORTEST = 12  # "password=x…", "Bearer 12345"
_TRIGGERS = ("aib_", "aib%5", "sk-", "://", "earer ", "gh", "assword", "ASSWORD")
# A text without one of these cannot match a shape below.

# What is recorded is looked through with more care (`domain.secrets`, which comes after these); in
# a log line there is no harm in masking too much.
# Every quantifier is bounded or the last of its pattern, so that no text costs quadratic time.
_SHAPES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(aib(?:_|%5[fF])[0-9A-Za-z]{12}(?:_|%5[fF]))[0-9A-Za-z]+"), r"\1..."),
    (re.compile(r"\bsk-[0-9A-Za-z_-]{12,}"), "sk-..."),
    (re.compile(r"\b(gh[a-z]_|github_pat_)[0-9A-Za-z_]{16,}"), r"\1..."),
    (re.compile(r"(://[^\s:/@]{0,64}):[^\s]{1,256}@"), r"\1:...@"),
    (re.compile(r"\b([Bb]earer )[0-9A-Za-z._~+/=-]{8,}"), r"\1..."),
    (re.compile(r"((?:password|PASSWORD|Password)[\"']?\s{0,2}[=:]\s{0,2})[^\s,;&]+"), r"\1..."),
)

_MAX_DEPTH = 12


def redacted_text(text: str) -> str:
    """Return `text` with tokens, keys and passwords of known shapes masked."""
    if len(text) < _SHORTEST:
        return text
    if any(trigger in text for trigger in _TRIGGERS):
        for shape, mask in _SHAPES:
            text = shape.sub(mask, text)
    return known_secrets().redacted(text, (), Work(MOST_AT_ONCE))[0]


def plain(value: object, depth: int = 0) -> Plain:
    """Return `value` as JSON-like values without secrets; anything unknown becomes its repr."""
    if isinstance(value, Enum):
        value = value.value
    if value is None or isinstance(value, bool | int | float):
        return value
    text = _text(value)
    if text is not None:
        return redacted_text(text)
    if depth >= _MAX_DEPTH:
        return "..."
    if isinstance(value, msgspec.Struct):
        value = {name: getattr(value, name) for name in value.__struct_fields__}
    if isinstance(value, Mapping):
        return {str(key): _field(str(key), item, depth + 1) for key, item in value.items()}
    if isinstance(value, Sequence | Set):
        return [plain(item, depth + 1) for item in value]
    return redacted_text(repr(value))


def _text(value: object) -> str | None:
    """Return `value` as text if it is of a kind that is best shown so."""
    match value:
        case str():
            return value
        case UUID():
            return str(value)
        case date():
            return value.isoformat()
        case bytes() | bytearray() | memoryview():
            return bytes(value).decode("utf-8", "backslashreplace")
        case BaseException():
            return f"{type(value).__name__}: {value}"
        case _:
            return None


def plain_fields(fields: Mapping[str, object]) -> dict[str, Plain]:
    """Return log fields without secrets; a field whose value fails to show itself says so."""
    shown: dict[str, Plain] = {}
    for name, value in fields.items():
        try:
            shown[name] = _field(name, value, 0)
        except Exception as error:  # noqa: BLE001  # somebody's __repr__; the line must still come
            shown[name] = f"<unprintable: {type(error).__name__}>"
    return shown


def _field(name: str, value: object, depth: int) -> Plain:
    if isinstance(value, str | bytes) and name.lower().replace("_", "-") in _SECRET_NAMES:
        return hint(value if isinstance(value, str) else value.decode("latin-1"))
    return plain(value, depth)
