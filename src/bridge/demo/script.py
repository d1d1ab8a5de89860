"""Script: what a demo model is going to say, the same for the same prompt in every API.

A request may carry headers that change the size and the pace of an answer:

    x-demo-events        number of text events (default: one per word)
    x-demo-event-bytes   characters of text in each of them (default 24)
    x-demo-interval      seconds between two events (default 0, demo-slow 1)
    x-demo-delay         seconds before the first byte
    x-demo-status        status of demo-error (default: the API's own for an overload)
    x-demo-error-after   demo-error begins its stream and breaks it off after so many text events

A prompt that says "use the tool" makes every model call one of the tools that the client offers, as
demo-tool always does: so that coding agents, which insist on names of their own, can be tried.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from zlib import crc32

from bridge.demo.tools import Call, Tool, call_of

TEXT = "demo-text"
THINKING = "demo-thinking"
TOOL = "demo-tool"
ERROR = "demo-error"
SLOW = "demo-slow"
MODELS: Mapping[str, str] = {
    TEXT: "Demo: text",
    THINKING: "Demo: thinking, then text",
    TOOL: "Demo: a tool call",
    ERROR: "Demo: an error",
    SLOW: "Demo: a slow stream",
}
"""Name and display name of every model there is."""

_INSISTED_ON = ("claude-", "gpt-", "o1", "o3", "o4", "codex-")
"""How the names begin that agents insist on."""

LONGEST_ECHO = 1000
"""Characters of the prompt that come back in an answer."""
_FILLER = "The quick brown fox jumps over the lazy dog. "
_SLOW_EVENTS = 30
_SLOW_INTERVAL = 1.0
_EVENT_CHARACTERS = 24
_USE_THE_TOOL = "use the tool"
_CALL_TOKENS = 10
_WORDS = re.compile(r"\S+\s*|\s+")
_SURROUNDINGS = re.compile(r"\s*<environment_details>.*</environment_details>\s*", re.DOTALL)
# Kilo Code's, a text of its own behind what the human wrote.
_MOST = 1_000_000


class BadKnob(ValueError):  # noqa: N818  # reads like the BridgeErrors
    """An `x-demo-…` header that is no number, or not a sensible one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Knobs:
    """What the request's `x-demo-…` headers ask for; None is the model's default."""

    events: int | None = None
    event_characters: int | None = None
    interval_seconds: float | None = None
    delay_seconds: float = 0.0
    status: int | None = None
    error_after: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Token counts, a function of the prompt and of the answer's number of pieces."""

    input_tokens: int
    cache_read_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What the human said last, whatever the API."""

    prompt: str
    """The last text of a human."""
    answered: bool
    """Whether the request brings a tool's result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """All that an answer consists of, in the pieces in which it streams."""

    thoughts: Sequence[str]
    pieces: Sequence[str]
    call: Call | None
    usage: Usage


def last_words(texts: Iterable[str]) -> str:
    """Return what the human wrote in the texts of a message, of which the last comes first."""
    spoken = (text for text in texts if _SURROUNDINGS.fullmatch(text) is None)
    return next(spoken, "")


def knobs_from(headers: Mapping[bytes, bytes]) -> Knobs:
    """Return what lower-case `headers` ask for.

    Raises:
        BadKnob: a value is no number or out of range.
    """
    if not any(name.startswith(b"x-demo-") for name in headers):
        return Knobs()
    status = _whole(headers, b"x-demo-status")
    if status is not None and not 400 <= status <= 599:
        raise BadKnob("x-demo-status must be between 400 and 599")
    return Knobs(
        events=_whole(headers, b"x-demo-events"),
        event_characters=_whole(headers, b"x-demo-event-bytes"),
        interval_seconds=_seconds(headers, b"x-demo-interval"),
        delay_seconds=_seconds(headers, b"x-demo-delay") or 0.0,
        status=status,
        error_after=_whole(headers, b"x-demo-error-after"),
    )


def is_known(model: str) -> bool:
    """Return whether `model` is answered: a name that agents insist on is demo-text."""
    return model in MODELS or model.startswith(_INSISTED_ON)


def may_call(model: str, turn: Turn) -> bool:
    """Return whether the tools that the client offers matter."""
    # Given the tool's result it has nothing more to look up, so that agents come to an end.
    return not turn.answered and (model == TOOL or _USE_THE_TOOL in turn.prompt.casefold())


def said(model: str, turn: Turn, knobs: Knobs, offered: Sequence[Tool]) -> Said:
    """Return what `model` says in this turn; `offered` is looked at only if it may call."""
    prompt = turn.prompt
    call = None
    # Agents ask for titles with the same prompt and no tools: they want no call.
    if may_call(model, turn) and (offered or model == TOOL):
        call = call_of(offered, prompt[:LONGEST_ECHO])
    thoughts = thought_pieces(prompt) if model == THINKING else ()
    pieces = text_pieces(model, prompt, knobs)
    count = len(thoughts) + len(pieces) + (0 if call is None else _CALL_TOKENS)
    return Said(thoughts=thoughts, pieces=pieces, call=call, usage=usage_for(prompt, count))


def text_pieces(model: str, prompt: str, knobs: Knobs) -> Sequence[str]:
    """Return the text that answers `prompt`, in the pieces in which it streams."""
    text = f"You said: {prompt[:LONGEST_ECHO]}"
    events = knobs.events
    if events is None and model == SLOW:
        events = _SLOW_EVENTS
    if events is None:
        return _WORDS.findall(text)
    size = knobs.event_characters or _EVENT_CHARACTERS
    missing = events * size - len(text)
    if missing > 0:
        text += " " + _FILLER * (missing // len(_FILLER) + 1)
    return [text[start : start + size] for start in range(0, events * size, size)]


def thought_pieces(prompt: str) -> Sequence[str]:
    """Return what demo-thinking thinks about `prompt`, in pieces."""
    return _WORDS.findall(f"The user said: {prompt[:LONGEST_ECHO]} So I say it back.")


def interval_seconds(model: str, knobs: Knobs) -> float:
    """Return the seconds between two events."""
    if knobs.interval_seconds is not None:
        return knobs.interval_seconds
    return _SLOW_INTERVAL if model == SLOW else 0.0


def error_status(knobs: Knobs, overloaded: int) -> int:
    """Return the status with which demo-error answers; `overloaded` when none was asked for."""
    return overloaded if knobs.status is None else knobs.status


def usage_for(prompt: str, pieces: int) -> Usage:
    """Return the token counts of an answer in `pieces` to `prompt`.

    The cache count depends on every character, so that counts of different prompts differ.
    """
    return Usage(
        input_tokens=8 + len(prompt) // 4,
        cache_read_tokens=crc32(prompt.encode("utf-8", "replace")) % 1000,
        output_tokens=pieces,
    )


def _whole(headers: Mapping[bytes, bytes], name: bytes) -> int | None:
    value = headers.get(name)
    if value is None:
        return None
    if not value.isdigit() or int(value) > _MOST:
        raise BadKnob(f"{name.decode()} must be a whole number up to {_MOST}")
    return int(value)


def _seconds(headers: Mapping[bytes, bytes], name: bytes) -> float | None:
    value = headers.get(name)
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError as e:
        raise BadKnob(f"{name.decode()} must be a number of seconds") from e
    if not 0.0 <= seconds <= _MOST:
        raise BadKnob(f"{name.decode()} must be between 0 and {_MOST} seconds")
    return seconds
