"""Tests for bridge.retention: passes, what is hidden meanwhile, and what an operator is told."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

import structlog
from structlog.testing import CapturingLogger
from twisted.internet import reactor

from bridge.domain.records import Record
from bridge.retention import PASS_SECONDS, Retention
from bridge.store.errors import StoreUnavailable
from bridge.store.filters import Filter
from bridge.store.purge import Begun, Decision, confirm
from bridge.store.reads import list_interceptions
from bridge.store.writes import write_batch
from tests.store.journalled import Maker, lines
from tests.support.cases import BridgeTestCase
from tests.support.postgres import StoreTestCase

DAY = timedelta(days=1)
MONTH = 30 * 86400.0
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


class Purges:
    """Stands in for journals: remembers what it was told to delete."""

    def __init__(self) -> None:
        self.cutoffs: list[datetime] = []
        self.broken = False

    async def purge(self, cutoff: datetime) -> int:
        """Remember."""
        if self.broken:
            raise PermissionError(13, "Permission denied")
        self.cutoffs.append(cutoff)
        return 0


class Passes(StoreTestCase):
    """Passes over a real server."""

    @cached_property
    def said(self) -> CapturingLogger:
        """What was logged."""
        return CapturingLogger()

    @cached_property
    def purges(self) -> Purges:
        """What the journals were told."""
        return Purges()

    def retention(self, seconds: float = MONTH) -> Retention:
        """Return a retention that nobody started."""
        return Retention(
            pool=self.pool,
            retention_seconds=seconds,
            reactor=reactor,
            log=structlog.wrap_logger(self.said, processors=[]),
            journal_purge=self.purges.purge,
        )

    async def record(self, at: datetime) -> None:
        """Store a whole interception."""
        records: list[Record] = self.maker.whole(at)
        batch = lines(*records)
        await self.pool.transaction(lambda cursor: write_batch(cursor, batch))

    @cached_property
    def maker(self) -> Maker:
        """The maker of all records of a test."""
        return Maker()

    async def now(self) -> datetime:
        """Return the server's time."""
        ((now,),) = await self.fetch("SELECT now()")
        moment: datetime = now
        return moment

    async def kept(self, days_ago: int) -> None:
        """Pretend that the last pass kept all from so many days ago on."""
        first = (await self.now() - days_ago * DAY).date()
        await self.fetch("UPDATE aibridge_retention SET first_kept_day = %s RETURNING 1", first)

    def events(self) -> list[tuple[str, str]]:
        """Return (level, event) of what was logged."""
        return [(call.method_name, call.kwargs["event"]) for call in self.said.calls]

    async def test_old_days_are_deleted_and_counted_and_the_journals_told(self) -> None:
        now = await self.now()
        for days in (31, 31, 1):
            await self.record(now - days * DAY)
        await self.kept(31)
        retention = self.retention()

        await retention.pass_once()

        (call,) = self.said.calls
        self.assertEqual(call.kwargs["event"], "old records deleted")
        self.assertEqual(call.kwargs["rows"], 2)
        self.assertEqual(call.kwargs["rows_by_table"]["aibridge_token_usages"], 2)
        self.assertEqual(call.kwargs["days"], [(now - 31 * DAY).date().isoformat()])
        self.assertEqual(len(self.purges.cutoffs), 1)

    async def test_reads_hide_what_is_over_its_time_before_its_day_goes(self) -> None:
        now = await self.now()
        await self.record(now - 30 * DAY - timedelta(minutes=5))
        await self.record(now - 30 * DAY + timedelta(minutes=5))
        retention = self.retention()
        await retention.pass_once()

        page = await self.pool.transaction(
            lambda cursor: list_interceptions(
                cursor,
                Filter(),
                limit=9,
                after_id=None,
                visible_to=None,
                cutoff=retention.cutoff(),
            )
        )

        self.assertEqual(page.count, 1)

    async def test_too_many_days_wait_loudly_until_confirmed(self) -> None:
        now = await self.now()
        for days in (40, 39, 38, 0):
            await self.record(now - days * DAY)
        await self.kept(40)
        retention = self.retention()

        await retention.pass_once()
        await retention.pass_once()
        waiting = retention.cutoff()
        await self.pool.transaction(confirm)
        await retention.pass_once()

        self.assertEqual(
            self.events(),
            [
                ("warning", "deleting old records waits for a confirmation"),
                ("warning", "deleting old records waits for a confirmation"),
                ("info", "old records deleted"),
            ],
        )
        assert waiting is not None
        self.assertEqual(waiting.date(), (now - 40 * DAY).date())
        self.assertEqual(await self.fetch("SELECT count(*) FROM aibridge_interceptions"), [(1,)])

    async def test_a_journal_that_cannot_be_purged_keeps_no_old_days_alive(self) -> None:
        await self.record(await self.now() - 31 * DAY)
        await self.record(await self.now())
        await self.kept(31)
        self.purges.broken = True

        await self.retention().pass_once()

        self.assertEqual(
            self.events(),
            [("error", "journal could not be purged"), ("info", "old records deleted")],
        )

    async def test_for_ever_hides_and_deletes_nothing(self) -> None:
        await self.record(await self.now() - 4000 * DAY)
        retention = self.retention(0)

        await retention.pass_once()

        self.assertIsNone(retention.cutoff())
        self.assertEqual((self.purges.cutoffs, self.said.calls), ([], []))

    async def test_started_it_makes_a_pass_by_itself_and_stops_when_told(self) -> None:
        retention = self.retention()

        retention.start()
        await retention.stop()

        self.assertIsNotNone(retention.cutoff())


class FakeDatabase:
    """Answers `purge.begin` with what a test decided on."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.confirmed: Callable[[], object] | None = None

    async def transaction(self, work: Any, *, statement_seconds: float | None = None) -> Any:
        """Return the next answer."""
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def outside_transaction(
        self, sql: str, params: Any = None, *, statement_seconds: float = 0.0
    ) -> None:
        """Do nothing."""

    def listen(self, channel: str, callback: Callable[[], object]) -> None:
        """Remember who listens."""
        self.confirmed = callback


class WhatIsOld(BridgeTestCase):
    """The time between passes."""

    def retention(self, *answers: Any) -> tuple[Retention, FakeDatabase, Purges]:
        """Return a retention of which each pass decides as told; it drops nothing."""
        database, purges = FakeDatabase(*answers), Purges()
        retention = Retention(
            pool=database,
            retention_seconds=MONTH,
            reactor=self.clock,
            log=structlog.get_logger("test"),
            journal_purge=purges.purge,
        )
        return retention, database, purges

    def decided(self, **members: Any) -> Begun:
        """Return a pass, somebody else's, that decided on a cutoff 30 days ago."""
        cutoff = NOW - 30 * DAY
        return Begun(decision=Decision(cutoff=cutoff, first_kept_day=cutoff.date(), **members))

    def test_nothing_is_known_before_the_first_pass(self) -> None:
        retention, _, _ = self.retention()

        self.assertIsNone(retention.cutoff())

    def test_the_cutoff_moves_on_but_not_further_than_to_the_next_pass(self) -> None:
        retention, _, purges = self.retention(self.decided())
        self.result_of(retention.pass_once())

        self.clock.advance(60)
        soon = retention.cutoff()
        self.clock.advance(90 * 86400)
        jumped = retention.cutoff()

        self.assertEqual(soon, NOW - 30 * DAY + timedelta(seconds=60))
        self.assertEqual(jumped, NOW - 30 * DAY + timedelta(seconds=PASS_SECONDS))
        self.assertEqual(purges.cutoffs, [NOW - 30 * DAY])

    def test_a_clock_set_back_moves_nothing(self) -> None:
        retention, _, _ = self.retention(self.decided())
        self.result_of(retention.pass_once())

        self.clock.rightNow -= 1000

        self.assertEqual(retention.cutoff(), NOW - 30 * DAY)

    def test_while_it_waits_the_cutoff_stands_still(self) -> None:
        day = (NOW - 40 * DAY).date()
        retention, _, _ = self.retention(self.decided(waiting=(day,), pending_day=NOW.date()))
        self.result_of(retention.pass_once())

        self.clock.advance(300)

        self.assertEqual(retention.cutoff(), NOW - 30 * DAY)

    def test_a_pass_every_ten_minutes_also_after_a_failure_and_a_confirmation(self) -> None:
        retention, database, purges = self.retention(
            StoreUnavailable("away"), self.decided(), self.decided()
        )

        retention.start()
        failed = len(purges.cutoffs)
        self.clock.advance(PASS_SECONDS)
        periodic = len(purges.cutoffs)
        assert database.confirmed is not None
        database.confirmed()

        self.assertEqual((failed, periodic, len(purges.cutoffs)), (0, 1, 2))
        self.result_of(retention.stop())
        database.confirmed()
        self.assertEqual(len(purges.cutoffs), 2)
        self.assertEqual(self.clock.getDelayedCalls(), [])
