"""Reads one Chat Completions answer, stream or document, into observations.

Tool calls and thoughts are told when their choice finishes, so a cut stream yields those of the
choices that did; token counts are told at the end, and are final only when they came with the last
finish or behind it. A chunk that cannot be read costs no more than what it said.

An error ends the answer for the record, yet the client gets what stands behind it: that is read,
too, up to `[DONE]`. What comes after `[DONE]` is not read, and the answer is marked.

Source: platform.openai.com/docs/api-reference/chat-streaming and /chat/object (read 2026-11-25).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bridge.dialects.chat_completions.calls import Calls, Growing, Room
from bridge.dialects.chat_completions.ordinary import Frame, is_ordinary
from bridge.dialects.chat_completions.thoughts import reasoning_in
from bridge.dialects.chat_completions.usage import new_tally, usage_from
from bridge.dialects.error_bodies import error_from, error_in
from bridge.dialects.interface import InBandError, Reading
from bridge.dialects.loose_json import read_object
from bridge.dialects.texts import holdable
from bridge.domain.observations import ModelThought, Observation, TokenUsage, UsageSource

_MAX_CHOICES = 128
# As many as a request may ask for.
_DONE = b"[DONE]"


class ChatReader:
    """Reads one answer."""

    def __init__(self) -> None:
        """Start before the first byte."""
        self._response_id = ""
        self._stop_reason: str | None = None
        self._error: InBandError | None = None
        self._tally = new_tally()
        self._choices: dict[int, _Choice] = {}
        self._room = Room()
        self._ended = False
        """Whether `[DONE]`, or a whole document, has been taken."""
        self._final = False
        """Whether the last counts came when every choice had finished."""
        self._usage_told: TokenUsage | None = None
        self._frame = Frame.around(b"")

    @property
    def terminal(self) -> bool:
        """Whether `[DONE]`, a whole document or an error has been taken."""
        return self._ended or self._error is not None

    def skips(self, block: bytes) -> bool:
        """Return whether `block` is a delta of text in the first choice and says nothing else."""
        if self._frame.fits(block):
            return True
        if self._ended or not self._response_id or not is_ordinary(block):
            return False
        self._frame = Frame.around(block)
        return True

    def event(self, name: bytes, data: bytes) -> Sequence[Observation]:
        """Take one server-sent event; return what it completed."""
        data = data.strip()
        if not data:
            return ()
        if self._ended:
            self._room.odd = self._room.odd or data != _DONE
            return ()
        if data == _DONE:
            return self._end()
        if name == b"error":
            return self._fail(error_in(data))
        try:
            chunk = read_object(data)
        except (ValueError, TypeError, RecursionError):  # no JSON, no object, nested too deeply
            self._room.odd = True
            return ()
        return self._take(chunk)

    def rest(self, name: bytes, data: bytes) -> Sequence[Observation]:
        """Take what stood after the last blank line: an event if it is the end, or whole JSON."""
        if data.strip() != _DONE:
            try:
                read_object(data)
            except (ValueError, TypeError, RecursionError):
                return ()
        return self.event(name, data)

    def document(self, body: bytes, status: int) -> Sequence[Observation]:
        """Take a whole non-streaming answer, error bodies included; return what it holds.

        Raises:
            ValueError: it is not JSON.
            TypeError: it is not an object.
            RecursionError: it is nested too deeply.
        """
        if status >= 400:
            self._error = error_in(body)
            return ()
        found = self._take(read_object(body))
        self._final = True
        return found if self._error is not None else (*found, *self._end())

    def reading(self) -> Reading:
        """Return what is known so far.

        Where `[DONE]` is missing, an answer is complete whose every choice has finished. Its counts
        would have stood between the two: whoever asked for them, as we do, has lost them.
        """
        finished = self.terminal or self._all_finished()
        return Reading(
            response_id=self._response_id,
            stop_reason=self._stop_reason,
            usage=self._counts(),
            complete=finished,
            error=self._error,
            partially_observed=self._room.odd
            or self._tally.odd
            or (finished and not self.terminal and not self._tally.seen),
        )

    def _take(self, chunk: dict[str, Any]) -> Sequence[Observation]:
        counted = self._take_head(chunk)
        choices = chunk.get("choices")
        if not isinstance(choices, list):
            self._room.odd = self._room.odd or choices is not None
            choices = []
        if len(choices) > _MAX_CHOICES:
            self._room.odd = True
            choices = choices[:_MAX_CHOICES]
        self._room.begin_chunk()
        error = _error_of(chunk, choices)
        if error is not None:
            for choice in choices:
                self._note_finish(choice)
            return self._fail(error)
        found: list[Observation] = []
        for choice in choices:
            if isinstance(choice, dict):
                counted = self._take_choice(choice, found) or counted
            else:
                self._room.odd = True
        if counted:
            self._final = self._all_finished()
            if self._error is not None:  # the record has had its end, which told the counts so far
                found.extend(self._tell_counts())
        return found

    def _take_head(self, chunk: dict[str, Any]) -> bool:
        """Take what is not of any choice; return whether there were counts in it."""
        response_id = chunk.get("id")
        if isinstance(response_id, str):
            self._response_id = self._response_id or holdable(response_id)
        elif response_id is not None:
            self._room.odd = True
        usage = chunk.get("usage")
        if usage is None:
            groq = chunk.get("x_groq")
            usage = groq.get("usage") if isinstance(groq, dict) else None
        self._tally.take(usage)
        if isinstance(chunk.get("service_tier"), str):
            self._tally.take({"service_tier": chunk["service_tier"]})
        return _holds_counts(usage)

    def _take_choice(self, choice: dict[str, Any], found: list[Observation]) -> bool:
        """Take one choice; return whether there were counts in it."""
        index = choice.get("index")
        if not isinstance(index, int):
            self._room.odd = self._room.odd or index is not None
            index = 0
        state = self._choices.get(index)
        if state is None:
            if len(self._choices) >= _MAX_CHOICES:
                self._room.odd = True
                return False
            state = self._choices[index] = _Choice(self._room)
        usage = choice.get("usage")  # Moonshot's place for it
        self._tally.take(usage)
        message = choice.get("delta")
        if message is None:
            message = choice.get("message")
        if isinstance(message, dict):
            state.cut = False
            reasoning = reasoning_in(message)
            if reasoning:
                state.thought.add(reasoning, self._room)
            found.extend(state.calls.take(message, self._response_id))
        elif message is not None:
            self._room.odd = True
        if self._note_finish(choice):
            state.finished = True
            found.extend(state.close(self._response_id))
        return _holds_counts(usage)

    def _note_finish(self, choice: object) -> bool:
        """Return whether a choice says why it finished; keep the first reason."""
        reason = choice.get("finish_reason") if isinstance(choice, dict) else None
        if not isinstance(reason, str) or not reason:
            self._room.odd = self._room.odd or not (reason is None or reason == "")
            return False
        self._stop_reason = self._stop_reason or holdable(reason)
        return True

    def _all_finished(self) -> bool:
        return bool(self._choices) and all(each.finished for each in self._choices.values())

    def _end(self) -> Sequence[Observation]:
        left = [
            found
            for state in self._choices.values()
            if not state.cut
            for found in state.close(self._response_id)
        ]
        self._ended = True
        self._frame = Frame.around(b"")  # what comes now is not ordinary
        return (*left, *self._tell_counts())

    def _fail(self, error: InBandError) -> Sequence[Observation]:
        if self._error is None:
            self._error = error
            for state in self._choices.values():
                state.cut = True
        return self._tell_counts()

    def _tell_counts(self) -> tuple[TokenUsage, ...]:
        """Return the counts so far, unless that is what was told last."""
        counts = self._counts()
        if counts is None or counts == self._usage_told:
            return ()
        self._usage_told = counts
        return (counts,)

    def _counts(self) -> TokenUsage | None:
        if not self._tally.seen:
            return None
        ended = self._error is None and (self._ended or self._all_finished())
        final = ended and self._final
        source = UsageSource.PROVIDER_FINAL if final else UsageSource.PROVIDER_PARTIAL
        return usage_from(self._tally, self._response_id, source)


class _Choice:
    """One of the answers that were asked for."""

    __slots__ = ("calls", "cut", "finished", "thought")

    def __init__(self, room: Room) -> None:
        self.calls = Calls(room)
        self.thought = Growing()
        self.finished = False
        self.cut = False
        """Whether an error came, and nothing more of this one since."""

    def close(self, response_id: str) -> Sequence[Observation]:
        """Return what was open, the thought before the calls it led to."""
        thought = self.thought.text()
        self.thought = Growing()
        calls = self.calls.close(response_id)
        return (ModelThought(content=thought, source="thinking"), *calls) if thought else calls


def _error_of(chunk: dict[str, Any], choices: list[Any]) -> InBandError | None:
    """Return the error that a chunk, or a choice in it, holds instead of an answer."""
    error = chunk.get("error")
    if error:
        return error_from(error)
    if chunk.get("object") == "error":
        return error_from(chunk)
    groq = chunk.get("x_groq")
    if isinstance(groq, dict) and groq.get("error"):
        return error_from(groq["error"])
    for choice in choices:
        if isinstance(choice, dict) and isinstance(choice.get("error"), dict):
            return error_from(choice["error"])
    return None


def _holds_counts(usage: object) -> bool:
    return isinstance(usage, dict) and any(isinstance(each, int) for each in usage.values())
