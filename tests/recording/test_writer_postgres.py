"""The writer with the real store: exactly once, whoever dies.

Needs the real reactor, because a real database is spoken to, and real processes, because nothing
else is killed like one.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from structlog.testing import CapturingLogger
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from bridge.domain.ids import uuid7
from bridge.recording.writer import Writer
from bridge.store.errors import StoreUnavailable
from bridge.store.writes import write_batch
from tests.journal.samples import (
    append_all,
    ended,
    killed_process,
    logger,
    new_journal,
    started,
    tool,
)
from tests.support.postgres import StoreTestCase


class WriterWithStoreTests(StoreTestCase):
    async def setUp(self) -> None:
        await super().setUp()
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.root = Path(holder.name) / "journal"
        self.clock = Clock()
        self.clock.rightNow = float(reactor.seconds())  # type: ignore[attr-defined]
        self.log = CapturingLogger()

    def writer(self, **options: Any) -> Writer:
        arguments: dict[str, Any] = {"pool": self.pool, "write_batch": write_batch, **options}
        writer = Writer(
            journal_root=self.root,
            reactor=reactor,
            log=logger(self.log),
            cutoff=lambda: None,
            **arguments,
        )
        self.addCleanup(lambda: Deferred.fromCoroutine(writer.stop()))
        writer.start()
        return writer

    async def counts(self) -> tuple[int, int, int]:
        """Return interceptions, ended ones and tool calls."""
        (row,) = await self.fetch(
            "SELECT (SELECT count(*) FROM aibridge_interceptions),"
            " (SELECT count(*) FROM aibridge_interceptions WHERE ended_at IS NOT NULL),"
            " (SELECT count(*) FROM aibridge_tool_usages)"
        )
        return row[0], row[1], row[2]

    async def test_what_was_appended_is_in_the_database(self) -> None:
        now = self.clock.seconds()
        writer = self.writer()
        journal = new_journal(self.root, self.clock, on_append=writer.notify)
        for _ in range(300):
            one = uuid7(now)
            append_all(journal, [started(one, now), tool(one, 1, now), ended(one, now)])

        await writer.flush()

        self.assertEqual(await self.counts(), (300, 300, 300))
        self.assertEqual(writer.status().behind_bytes, 0)

    async def test_an_answer_of_the_database_that_got_lost_stores_nothing_twice(self) -> None:
        now = self.clock.seconds()
        journal = new_journal(self.root, self.clock)
        one = uuid7(now)
        append_all(journal, [started(one, now), tool(one, 1, now), ended(one, now)])
        pool = ForgetfulPool(self.pool)

        writer = self.writer(pool=pool)
        await writer.flush()

        self.assertEqual(pool.forgotten, 1)
        self.assertEqual(await self.counts(), (1, 1, 1))

    async def test_a_line_the_database_refuses_holds_up_no_other(self) -> None:
        now = self.clock.seconds()
        journal = new_journal(self.root, self.clock)
        for n in range(40):
            one = uuid7(now)
            bad = tool(one, 2**31 if n == 20 else 1, now)  # no integer of the database's
            append_all(journal, [started(one, now), bad, ended(one, now)])

        writer = self.writer()
        await writer.flush()

        self.assertEqual(await self.counts(), (40, 40, 39))
        self.assertEqual(writer.status().quarantined, 1)

    async def test_what_a_killed_process_left_arrives_with_its_end(self) -> None:
        one, appended = killed_process(self.root, 200)

        writer = self.writer()
        await writer.flush()
        await writer.flush()  # the end was appended while the first was under way

        rows = await self.fetch("SELECT id, status FROM aibridge_interceptions")
        self.assertEqual([tuple(row) for row in rows], [(one, "lost")])
        self.assertGreaterEqual((await self.counts())[2], appended)


class ForgetfulPool:
    """Commits, and the first time says that it does not know whether it did."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self.forgotten = 0

    async def transaction(self, work: Any) -> Any:
        result = await self._pool.transaction(work)
        if not self.forgotten:
            self.forgotten += 1
            raise StoreUnavailable("The connection to the database was lost.")
        return result
