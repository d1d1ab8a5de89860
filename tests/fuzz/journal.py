"""A journal that is written, torn, abandoned, read and set back, in any order."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from twisted.internet.task import Clock

from bridge.domain.ids import uuid7
from bridge.domain.records import InterceptionEnded
from bridge.journal.directory import CHECKPOINT_NAME, save_checkpoint, segment_path, segments
from bridge.journal.format import SEGMENT_OPENED, JournalLine
from bridge.journal.reader import Tail, lines_of
from tests.journal.samples import NOW, abandon, ended, new_journal, started, tool

_ENDED = str(InterceptionEnded.__struct_config__.tag)


class JournalMachine(RuleBasedStateMachine):
    """Every line that was appended is read once, in order; who is open at a crash ends as lost."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="aibridge-fuzz-journal-"))
        self.clock = Clock()
        self.clock.rightNow = NOW
        self.written: list[tuple[str, UUID]] = []
        """Kind and interception of every record."""
        self.read: list[tuple[str, UUID]] = []
        self.open: list[UUID] = []
        self.journal = new_journal(self.root, self.clock, segment_bytes=2000)
        self.directory = self.journal.directory
        self.tail = Tail(directory=self.directory)

    @rule(size=st.integers(0, 3000), nul=st.booleans())
    def begin(self, size: int, nul: bool) -> None:
        self.clock.advance(0.001)
        identifier = uuid7(self.clock.seconds())
        prompt = ("\0" if nul else "x") * size
        self.journal.append([started(identifier, self.clock.seconds(), prompt)])
        self.open.append(identifier)
        self.written.append(("interception_started", identifier))

    @precondition(lambda self: self.open)
    @rule(data=st.data(), count=st.integers(1, 4))
    def observe(self, data: st.DataObject, count: int) -> None:
        identifier = data.draw(st.sampled_from(self.open))
        records = [tool(identifier, n, self.clock.seconds()) for n in range(1, count + 1)]
        self.journal.append(records)
        self.written += [("tool_usage", identifier)] * count

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        identifier = data.draw(st.sampled_from(self.open))
        self.journal.append([ended(identifier, self.clock.seconds())], final=True)
        self.open.remove(identifier)
        self.written.append((_ENDED, identifier))

    @rule(torn=st.binary(max_size=30).map(lambda data: data.replace(b"\n", b"")))
    def crash(self, torn: bytes) -> None:
        """Half a line may be left behind."""
        self.tail.close()
        abandon(self.journal)
        if torn and segments(self.directory):
            with segment_path(self.directory, segments(self.directory)[-1]).open("ab") as file:
                file.write(torn)
        self.journal = new_journal(self.root, self.clock, segment_bytes=2000)
        assert self.journal.directory == self.directory
        self.written += [(_ENDED, identifier) for identifier in self.open]
        self.open = []

    @rule(most=st.integers(1, 20), piece=st.sampled_from((64, 1000, 1 << 20)))
    def follow(self, most: int, piece: int) -> None:
        batch = self.tail.read(max_records=most, piece_bytes=piece)
        self._take(batch.lines, batch.damaged)

    @rule()
    def store(self) -> None:
        save_checkpoint(self.directory, self.tail.position)

    @rule(lost=st.booleans())
    def follow_from_the_checkpoint(self, *, lost: bool) -> None:
        """Another writer begins; what it reads again was read before."""
        self.tail.close()
        if lost:
            (self.directory / CHECKPOINT_NAME).unlink(missing_ok=True)
        self.tail = Tail(directory=self.directory)
        self.read = self.read[: self._stored()]

    @invariant()
    def nothing_is_read_that_was_not_written(self) -> None:
        assert self.read == self.written[: len(self.read)]

    def teardown(self) -> None:
        while not (batch := self.tail.read(max_records=100)).caught_up:
            self._take(batch.lines, batch.damaged)
        self._take(batch.lines, batch.damaged)
        self.tail.close()
        abandon(self.journal)
        shutil.rmtree(self.root)
        assert self.read == self.written

    def _stored(self) -> int:
        """Return how many records lie before the tail's position."""
        position = self.tail.position
        return sum(
            line.kind != SEGMENT_OPENED
            for number in segments(self.directory)
            for line in lines_of(self.directory, number)
            if isinstance(line, JournalLine)
            and (number, line.end_offset) <= (position.segment, position.offset)
        )

    def _take(self, lines: tuple[JournalLine, ...], damaged: tuple[object, ...]) -> None:
        assert damaged == ()
        for line in lines:
            assert line.interception_id is not None
            self.read.append((line.kind, line.interception_id))
