"""A writer, journals and a store that obey the test's clock."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from structlog.testing import CapturingLogger
from twisted.internet.defer import Deferred

from bridge.domain.ids import uuid7
from bridge.journal.appender import Journal
from bridge.recording.writer import (
    Writer,
)
from tests.journal.samples import (
    NOW,
    at_once,
    logger,
    new_journal,
    tool,
)
from tests.recording.writer_store import FakeStore
from tests.support.cases import BridgeTestCase


class WriterCase(BridgeTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.root = self.temporary_directory() / "journal"
        self.store = FakeStore()
        self.log = CapturingLogger()
        self.cutoff: datetime | None = None
        self.one = uuid7(NOW)

    def writer(self, **options: Any) -> Writer:
        writer = Writer(
            journal_root=self.root,
            pool=self.store,
            write_batch=self.store.write_batch,
            reactor=self.clock,
            log=logger(self.log),
            cutoff=lambda: self.cutoff,
            in_thread=at_once,
            **options,
        )
        self.addCleanup(self.stop, writer)
        return writer

    def running(self, **options: Any) -> Writer:
        writer = self.writer(**options)
        writer.start()
        return writer

    def stop(self, writer: Writer) -> None:
        stopping = Deferred.fromCoroutine(writer.stop())
        self.clock.advance(0)
        self.successResultOf(stopping)

    def journal(self, **options: Any) -> Journal:
        journal = new_journal(self.root, self.clock, **options)
        self.addCleanup(lambda: self.successResultOf(journal.close()))
        return journal

    def tools(self, count: int, identifier: UUID | None = None) -> list[Any]:
        return [tool(identifier or self.one, n) for n in range(1, count + 1)]

    def pass_time(self, seconds: float) -> None:
        self.clock.pump([0.01] * round(seconds / 0.01))

    def files(self, name: str) -> list[Path]:
        directory = self.root / name
        return sorted(directory.iterdir()) if directory.exists() else []
