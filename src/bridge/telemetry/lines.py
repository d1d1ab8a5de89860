"""How one log entry looks: a line for people, a line of JSON for programs."""

from __future__ import annotations

import json
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from bridge.domain.clock import utc
from bridge.telemetry.escape import printable
from bridge.telemetry.redact import Plain, plain_fields, redacted_text

_RESERVED = frozenset({"ts", "level", "event", "logger", "exception"})
_MAX_TRACEBACK = 16_384
# Characters; a recursion error is not worth a megabyte.


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One log call."""

    seconds: float
    """Since the epoch."""
    level: str
    """`debug info warning error critical`."""
    event: str
    """The message."""
    logger: str
    """Who says it, e.g. `bridge.periodic`; "" for nobody in particular."""
    fields: Mapping[str, object] = field(default_factory=dict)
    error: BaseException | None = None
    """The exception whose traceback belongs to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """An entry as bytes, each form ending with a newline."""

    human: bytes
    json: bytes


def lines_from(entry: Entry, *, human: bool, as_json: bool) -> Lines:
    """Return the wanted forms of `entry`, without secrets; an unwanted one is empty."""
    event = redacted_text(entry.event)
    fields = plain_fields(entry.fields)
    exception = "" if entry.error is None else _traceback(entry.error)
    return Lines(
        human=_human(entry, event, fields, exception) if human else b"",
        json=_json(entry, event, fields, exception) if as_json else b"",
    )


def _human(entry: Entry, event: str, fields: Mapping[str, Plain], exception: str) -> bytes:
    stamp = utc(entry.seconds).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
    parts = [f"{stamp}Z {entry.level:<8} {printable(event)}"]
    parts += [f"{printable(name)}={_shown(value)}" for name, value in fields.items()]
    if entry.logger:
        parts.append(f"[{printable(entry.logger)}]")
    # Indented, so that no line of a traceback can pass for an entry of its own.
    indented = "".join(f"\n    {printable(line)}" for line in exception.splitlines())
    return f"{' '.join(parts)}{indented}\n".encode("utf-8", "backslashreplace")


def _shown(value: Plain) -> str:
    if isinstance(value, str):
        text = printable(value)
        bare = text and not any(mark in text for mark in ' "=')
        return text if bare else '"' + text.replace('"', '\\"') + '"'
    return printable(json.dumps(value, ensure_ascii=False))


def _json(entry: Entry, event: str, fields: Mapping[str, Plain], exception: str) -> bytes:
    line: dict[str, Plain] = {
        "ts": utc(entry.seconds).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "level": entry.level,
        "event": event,
    }
    if entry.logger:
        line["logger"] = entry.logger
    for name, value in fields.items():
        line[f"{name}_" if name in _RESERVED else name] = value
    if exception:
        line["exception"] = exception
    try:
        return msgspec.json.encode(line) + b"\n"
    except (ValueError, OverflowError, TypeError):
        # Lone surrogates and integers beyond 64 bits, which json can write.
        return json.dumps(line, default=repr).encode("ascii") + b"\n"


def _traceback(error: BaseException) -> str:
    text = redacted_text("".join(traceback.format_exception(error)).rstrip())
    if len(text) > _MAX_TRACEBACK:
        half = _MAX_TRACEBACK // 2
        text = f"{text[:half]}\n...\n{text[-half:]}"
    return text
