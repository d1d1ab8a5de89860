"""An operator sees what is on disk, and refills a database from it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from structlog.testing import CapturingLogger
from twisted.internet import reactor
from twisted.internet.task import Clock

from bridge.cli.journal import replayed, since_from
from bridge.config.load import load
from bridge.domain.clock import utc
from bridge.domain.errors import BadRequest
from bridge.domain.ids import uuid7
from bridge.journal.format import DamagedLine
from bridge.recording.quarantine import Quarantine
from bridge.recording.writer import Writer
from bridge.store.writes import write_batch
from tests.cli.running import CommandCase, RecordingSession
from tests.journal.samples import append_all, ended, logger, new_journal, started, tool
from tests.support.cases import BridgeTestCase
from tests.support.postgres import StoreTestCase


class SinceTests(BridgeTestCase):
    def test_how_long_ago(self) -> None:
        self.assertEqual(since_from("2h"), timedelta(hours=2))

    def test_a_moment_is_utc_unless_it_says_otherwise(self) -> None:
        self.assertEqual(since_from("2026-11-24T08:00"), datetime(2026, 11, 24, 8, tzinfo=UTC))
        self.assertEqual(
            since_from("2026-11-24T08:00+02:00"), datetime(2026, 11, 24, 6, tzinfo=UTC)
        )

    def test_anything_else_is_explained(self) -> None:
        with self.assertRaises(BadRequest) as refused:
            since_from("yesterday")

        self.assertIn("2026-11-24T08:00", refused.exception.message)


class StatusTests(CommandCase):
    def setUp(self) -> None:
        super().setUp()
        self.root = self.directory / "journal"
        self.environ = {"AIBRIDGE_DATA_DIR": str(self.directory)}

    def journal(self, *arguments: str) -> Any:
        result = self.call("journal", *arguments, environ=self.environ)
        self.assertEqual(result.exit_code, 0, result.output)
        return result

    def test_before_the_first_start_there_is_nothing(self) -> None:
        result = self.journal("status")

        self.assertIn("No journals", result.output)
        self.assertFalse(self.root.exists())

    def test_it_says_who_has_what_that_is_not_stored(self) -> None:
        journal = new_journal(self.root, self.clock)
        identifier = uuid7(self.clock.seconds())
        journal.append([started(identifier)])

        state = json.loads(self.journal("status", "--json").stdout)

        self.assertFalse(state["written_to_database"])
        self.assertEqual(state["unsent_bytes"], state["bytes"])
        self.assertEqual([each["in_use"] for each in state["journals"]], [True])
        self.assertEqual(state["oldest_unsent_at"], "2026-09-21T14:13:20Z")
        self.successResultOf(journal.close())
        self.assertIn("0001     no", self.journal("status").output)

    def test_looking_does_not_take_the_journal_from_a_bridge(self) -> None:
        first = new_journal(self.root, self.clock)
        self.successResultOf(first.close())
        self.journal("status")

        again = new_journal(self.root, self.clock)

        self.assertEqual(again.directory, first.directory)
        self.successResultOf(again.close())


class QuarantineTests(CommandCase):
    def test_lines_put_aside_are_listed_with_their_file_and_without_content(self) -> None:
        root = self.directory / "journal"
        quarantine = Quarantine(root=root, clock=self.clock)
        quarantine.put(
            DamagedLine(b"a secret prompt", "wrong checksum", 3, 99),
            directory="0001",
            reason="torn",
        )

        result = self.call(
            "journal",
            "quarantine",
            "list",
            "--json",
            environ={"AIBRIDGE_DATA_DIR": str(self.directory)},
        )

        (entry,) = json.loads(result.stdout)
        self.assertEqual((entry["reason"], entry["segment"]), ("torn", 3))
        self.assertIn(b"a secret prompt", Path(entry["file"]).read_bytes())
        self.assertNotIn("secret", result.output)


class ReplayTests(StoreTestCase):
    """Needs the real reactor, because a real database is asked."""

    async def setUp(self) -> None:
        await super().setUp()
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.data_dir = Path(holder.name)
        self.session = RecordingSession(reactor=reactor, pool=self.pool)
        self.session.settings = load(None, {"data-dir": holder.name}, {})
        self.now = float(reactor.seconds())  # type: ignore[attr-defined]
        clock = Clock()
        clock.rightNow = self.now
        self.journal = new_journal(self.data_dir / "journal", clock)

    def record(self, ages: Sequence[float]) -> None:
        for age in ages:
            at = self.now - age
            identifier = uuid7(at)
            append_all(
                self.journal,
                [started(identifier, at), tool(identifier, 1, at), ended(identifier, self.now)],
            )

    async def stored(self) -> list[tuple[int, int]]:
        rows = await self.fetch(
            "SELECT (SELECT count(*) FROM aibridge_interceptions WHERE ended_at IS NOT NULL),"
            " (SELECT count(*) FROM aibridge_tool_usages)"
        )
        return [(row[0], row[1]) for row in rows]

    async def write_all(self) -> None:
        writer = Writer(
            journal_root=self.data_dir / "journal",
            pool=self.pool,
            write_batch=write_batch,
            reactor=reactor,
            log=logger(CapturingLogger()),
            cutoff=lambda: None,
        )
        writer.start()
        await writer.flush()
        await writer.stop()

    async def test_a_database_that_lost_everything_is_refilled(self) -> None:
        self.record([30.0, 20.0, 10.0])
        await self.write_all()
        before = await self.stored()
        await self.fetch(
            "WITH a AS (DELETE FROM aibridge_tool_usages), "
            "b AS (DELETE FROM aibridge_interceptions) SELECT 1"
        )
        emptied = await self.stored()

        outcome = await replayed(self.session, timedelta(hours=1))

        self.assertEqual((before, emptied), ([(3, 3)], [(0, 0)]))
        self.assertEqual(await self.stored(), [(3, 3)])
        self.assertEqual((outcome.records, outcome.refused), (9, 0))

    async def test_replaying_what_is_there_changes_nothing(self) -> None:
        self.record([30.0, 20.0])
        await self.write_all()

        await replayed(self.session, timedelta(hours=1))

        self.assertEqual(await self.stored(), [(2, 2)])

    async def test_what_is_older_is_left_out_and_it_is_audited(self) -> None:
        self.record([7200.0, 10.0])

        outcome = await replayed(self.session, utc(self.now - 3600))

        # The end of the older one was written down just now.
        self.assertEqual(outcome.records, 4)
        (audited,) = self.session.audited
        self.assertEqual((audited.action, audited.detail["records"]), ("journal.replay", 4))

    async def test_what_the_retention_forbids_is_left_out(self) -> None:
        self.record([100 * 86400.0, 10.0])

        outcome = await replayed(self.session, timedelta(days=365))

        self.assertEqual((outcome.records, outcome.outdated), (3, 3))
