"""The disk is waited for in a thread; the real reactor, because threads report back to it."""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path

from structlog.testing import CapturingLogger
from twisted.internet import reactor
from twisted.internet.defer import gatherResults
from twisted.trial.unittest import TestCase

from bridge.domain.ids import uuid7
from bridge.journal.appender import open_journal
from bridge.journal.files import DiskFiles
from bridge.journal.thread import DiskThread
from tests.journal.samples import NOW, ended, logger, started


class SlowDisk(DiskFiles):
    """Remembers in which threads it was waited for."""

    def __init__(self) -> None:
        self.threads: list[int] = []

    def sync(self, fd: int, /) -> None:
        self.threads.append(threading.get_ident())
        super().sync(fd)


class ThreadTests(TestCase):
    timeout = 20

    async def test_ends_are_on_disk_and_the_reactor_did_not_wait(self) -> None:
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        disk = SlowDisk()
        journal = open_journal(
            root=Path(holder.name) / "journal",
            fsync="before_end",
            max_bytes=1 << 30,
            segment_bytes=1 << 20,
            keep_seconds=60,
            reactor=reactor,
            log=logger(CapturingLogger()),
            files=disk,
        )
        waiting = []
        for _ in range(50):
            identifier = uuid7(NOW)
            journal.append([started(identifier), ended(identifier)], final=True)
            waiting.append(journal.durable())

        await gatherResults(waiting)
        await journal.close()

        self.assertNotIn(threading.get_ident(), disk.threads)
        self.assertLess(len(disk.threads), 50)

    async def test_what_is_raised_in_the_thread_arrives(self) -> None:
        thread = DiskThread(reactor=reactor)
        self.addCleanup(thread.stop)

        def fail() -> None:
            raise OSError(5, "Input/output error")

        await self.assertFailure(thread.run(fail), OSError)

    async def test_a_thread_may_be_stopped_twice(self) -> None:
        thread = DiskThread(reactor=reactor)
        await thread.run(lambda: None)

        thread.stop()
        thread.stop()
