"""What is fuzzed: a target fails by an AssertionError, or with what should not be raised.

Properties: nothing is raised but what is documented; however the network cuts a stream, the same is
seen in it; what a journal has taken comes out of it in its order, whatever crashed in between.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from bridge.config.load import load
from bridge.config.settings import ConfigErrors
from bridge.dialects.chat_completions.dialect import ChatCompletions
from bridge.dialects.interface import Dialect
from bridge.dialects.messages.bedrock_stream import BedrockFrames
from bridge.dialects.messages.dialect import Messages
from bridge.dialects.responses.dialect import Responses
from bridge.domain.observations import Observation, TokenUsage
from bridge.intercept.tap import Tap
from bridge.store.filters import Filter, InvalidFilter, parse
from bridge.wire.aws_stream import AwsStreamDecoder, encoded
from bridge.wire.sse import SseDecoder
from tests.fixtures.observed import Lines
from tests.fuzz.bytes import PLACES, anything, pieces
from tests.fuzz.journal import JournalMachine

_CORPUS = Path(__file__).resolve().parent / "corpus"
_BODIES = Path(__file__).resolve().parents[1] / "fixtures" / "bodies"
_LONGEST_SAMPLE = 6000
"""Longer ones only make it slow."""

Property = Callable[..., None]
STRATEGIES: dict[Property, st.SearchStrategy[tuple[Any, ...]]] = {}
"""The arguments of every property."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One thing to fuzz."""

    name: str
    run: Property | None = None
    """Has been told by `takes` what it takes."""
    machine: type[RuleBasedStateMachine] | None = None


def takes(*strategies: st.SearchStrategy[Any]) -> Callable[[Property], Property]:
    """Say what a property is run with."""

    def note(run: Property) -> Property:
        STRATEGIES[run] = st.tuples(*strategies)
        return run

    return note


def _files(*directories: Path) -> tuple[bytes, ...]:
    found = [path.read_bytes() for each in directories for path in sorted(each.iterdir())]
    return tuple(each for each in found if len(each) <= _LONGEST_SAMPLE)


def _aws_samples() -> tuple[bytes, ...]:
    event = {":event-type": "chunk", ":message-type": "event", ":content-type": "application/json"}
    failed = {":exception-type": "throttlingException", ":message-type": "exception"}
    chunk = b'{"bytes":"eyJ0eXBlIjoibWVzc2FnZV9zdG9wIn0=","p":"abc"}'
    one = encoded(event, chunk)
    odd = encoded({"t": True, "n": -(2**40), "b": b"\0", "": ""}, b"")
    return one, one * 3, one + odd, one + encoded(failed, b'{"message":"slow down"}'), one[:-3]


class SseMachine(RuleBasedStateMachine):
    """Piece after piece: what comes out, and whether it is at a boundary, is as in one piece."""

    def __init__(self) -> None:
        super().__init__()
        self.data = b""
        self.seen: list[object] = []
        self.decoder = SseDecoder(max_event_bytes=1 << 20)

    @rule(piece=anything(_files(_BODIES / "streams", _BODIES / "chat_streams")))
    def feed(self, piece: bytes) -> None:
        self.data += piece
        self.seen += self.decoder.feed(piece)

    @invariant()
    def is_as_in_one_piece(self) -> None:
        whole = SseDecoder(max_event_bytes=1 << 20)
        events = list(whole.feed(self.data))
        assert events == self.seen
        assert whole.at_boundary == self.decoder.at_boundary

    def teardown(self) -> None:
        whole = SseDecoder(max_event_bytes=1 << 20)
        events = [*whole.feed(self.data), *whole.finish()]
        assert events == [*self.seen, *self.decoder.finish()]


@takes(anything(_files(_BODIES / "streams", _BODIES / "chat_streams")), PLACES, st.integers(1, 99))
def sse(data: bytes, places: Sequence[int], limit: int) -> None:
    """Cut anywhere, the same events; a small limit raises nothing and bounds what is kept."""
    for most in (1 << 20, limit):
        whole, cut = SseDecoder(max_event_bytes=most), SseDecoder(max_event_bytes=most)
        expected = [*whole.feed(data), *whole.finish()]
        found = [event for piece in pieces(data, places) for event in cut.feed(piece)]
        found += cut.finish()
        if most != limit:
            assert found == expected


@takes(anything(_aws_samples()), PLACES)
def aws(data: bytes, places: Sequence[int]) -> None:
    """Cut anywhere, the same messages, and the same fault; the client's words likewise."""
    whole, cut = AwsStreamDecoder(), AwsStreamDecoder()
    expected = list(whole.feed(data))
    found = [message for piece in pieces(data, places) for message in cut.feed(piece)]
    whole.finish()
    cut.finish()
    assert (found, cut.fault) == (expected, whole.fault)
    frames, in_pieces = BedrockFrames(for_client=True), BedrockFrames(for_client=True)
    said = frames.feed(data) + frames.finish()
    assert said == b"".join(map(in_pieces.feed, pieces(data, places))) + in_pieces.finish()


@takes(
    st.dictionaries(
        st.text(max_size=20).filter(lambda text: len(text.encode()) < 256),
        st.one_of(
            st.booleans(),
            st.binary(max_size=50),
            st.text(max_size=50),
            st.integers(-(2**63), 2**63 - 1),
        ),
        max_size=5,
    ),
    st.binary(max_size=300),
    PLACES,
)
def aws_whole(headers: dict[str, Any], payload: bytes, places: Sequence[int]) -> None:
    """What is encoded is decoded to itself."""
    decoder = AwsStreamDecoder()
    data = encoded(headers, payload)
    found = [message for piece in pieces(data, places) for message in decoder.feed(piece)]
    decoder.finish()
    assert (found, decoder.fault) == ([(headers, payload)], None)


def _reader(dialect: Dialect, streams: str, documents: str) -> Property:
    samples = _files(_BODIES / streams)
    whole = _files(_BODIES / documents)

    def observed(parts: Sequence[bytes], *, streaming: bool, status: int) -> tuple[Any, ...]:
        told: list[Observation] = []
        tap = Tap(
            reader=dialect.reader(),
            streaming=streaming,
            status=status,
            max_event_bytes=1 << 20,
            max_document_bytes=1 << 20,
            on_observations=told.extend,
            log=Lines(),
        )
        for part in parts:
            tap.data(part)
        reading = tap.finish()
        # Counts so far are told when a piece ends; the last ones are what counts. Of a damaged
        # event that would have been skipped it depends on the pieces whether it is looked at.
        usage = [each for each in told if isinstance(each, TokenUsage)][-1:]
        others = [each for each in told if not isinstance(each, TokenUsage)]
        return others, usage, replace(reading, partially_observed=False)

    @takes(
        st.one_of(
            st.tuples(anything(samples), st.just(True)), st.tuples(anything(whole), st.just(False))
        ),
        PLACES,
        st.sampled_from((200, 400, 429, 500)),
    )
    def reader(case: tuple[bytes, bool], places: Sequence[int], status: int) -> None:
        data, streaming = case
        expected = observed([data], streaming=streaming, status=status)
        found = observed(pieces(data, places), streaming=streaming, status=status)
        assert found == expected
        dialect.reader().skips(data[:100])

    return reader


_QUERIES = (_CORPUS / "query" / "queries.txt").read_bytes().splitlines()


@takes(anything(_QUERIES))
def query(data: bytes) -> None:
    """A filter, or sentences about what is wrong."""
    text = data.decode("utf-8", "surrogateescape")
    try:
        found = parse(text)
    except InvalidFilter as e:
        assert e.validations
        assert all(each.detail for each in e.validations)
    else:
        assert isinstance(found, Filter)


_YAML = _files(_CORPUS / "config", Path(__file__).resolve().parents[2] / "etc")
_FILES: list[Path] = []


@takes(anything([each for each in _YAML if b"listen" in each]))
def config(data: bytes) -> None:
    """Settings, or a printable list of everything that is wrong."""
    if not _FILES:
        _FILES.append(Path(tempfile.mkdtemp(prefix="aibridge-fuzz-")) / "bridge.yaml")
    _FILES[0].write_bytes(data)
    try:
        load(_FILES[0], {}, {"A": "b"})
    except ConfigErrors as e:
        assert e.problems
        assert all(isinstance(each, str) and each for each in e.problems)


def clear() -> None:
    """Leave no file behind."""
    for path in _FILES:
        shutil.rmtree(path.parent, ignore_errors=True)
    _FILES.clear()


TARGETS = (
    Target(name="sse", run=sse),
    Target(name="sse_pieces", machine=SseMachine),
    Target(name="aws", run=aws),
    Target(name="aws_whole", run=aws_whole),
    Target(name="messages", run=_reader(Messages(), "streams", "documents")),
    Target(name="chat", run=_reader(ChatCompletions(), "chat_streams", "chat_documents")),
    Target(name="responses", run=_reader(Responses(), "responses_streams", "responses_documents")),
    Target(name="journal", machine=JournalMachine),
    Target(name="config", run=config),
    Target(name="query", run=query),
)
