"""Tests for bridge.store.purge: what may be given up, and that it goes."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from twisted.internet.defer import Deferred

from bridge.store.connection import Cursor
from bridge.store.errors import StoreUnavailable
from bridge.store.partitions import (
    TABLES,
    Attachment,
    ensure_days,
    partition_name,
    partitions,
    stored_days,
)
from bridge.store.purge import (
    LEASE_SECONDS,
    Begun,
    State,
    begin,
    confirm,
    decide,
    drop,
    end,
    read_state,
)
from bridge.store.sessions import follow
from bridge.store.writes import write_batch
from tests.store.followed import follow_everything
from tests.store.journalled import Maker, lines
from tests.support.cases import BridgeTestCase
from tests.support.postgres import StoreTestCase

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
DAY = timedelta(days=1)
MONTH = 30 * 86400.0


def day(before: int) -> date:
    """Return the day so many days before NOW."""
    return (NOW - before * DAY).date()


class Deciding(BridgeTestCase):
    """Whole days, by the database's clock, and not too many at once."""

    def test_the_day_in_which_the_cutoff_lies_is_kept_and_earlier_ones_go(self) -> None:
        state = State(now=NOW, first_kept_day=day(31))

        decision = decide(state, MONTH, [day(31), day(30), day(29), day(0)])

        self.assertEqual(decision.cutoff, NOW - 30 * DAY)
        self.assertEqual(decision.first_kept_day, day(30))
        self.assertEqual((decision.waiting, decision.pending_day), ((), None))

    def test_two_days_beyond_the_last_pass_go_and_three_wait(self) -> None:
        stored = [day(33), day(32), day(31), day(30), day(0)]

        two = decide(State(now=NOW, first_kept_day=day(32)), MONTH, stored)
        three = decide(State(now=NOW, first_kept_day=day(33)), MONTH, stored)

        self.assertEqual(two.waiting, ())
        self.assertEqual(three.waiting, (day(33), day(32), day(31)))
        self.assertEqual(three.first_kept_day, day(33))
        self.assertEqual(three.cutoff, datetime(2026, 10, 22, tzinfo=UTC))
        self.assertEqual(three.pending_day, day(30))

    def test_a_first_pass_over_much_that_is_old_waits(self) -> None:
        decision = decide(State(now=NOW), MONTH, [day(90), day(80), day(70), day(0)])

        self.assertEqual(decision.first_kept_day, day(90))
        self.assertEqual(len(decision.waiting), 3)

    def test_a_first_pass_over_nothing_is_no_matter(self) -> None:
        self.assertEqual(decide(State(now=NOW), MONTH, []).first_kept_day, day(30))

    def test_a_jump_that_would_leave_nothing_waits_however_little_there_is(self) -> None:
        state = State(now=NOW + 100 * DAY, first_kept_day=day(30))

        self.assertEqual(decide(state, MONTH, [day(0)]).waiting, (day(0),))

    def test_what_waits_goes_on_waiting_when_newer_days_have_come(self) -> None:
        state = State(now=NOW, first_kept_day=day(130), pending_day=day(30))

        self.assertEqual(decide(state, MONTH, [day(100), day(0)]).waiting, (day(100),))

    def test_a_clock_that_comes_to_its_senses_makes_the_waiting_end(self) -> None:
        state = State(now=NOW, first_kept_day=day(31), pending_day=day(-70))

        self.assertEqual(decide(state, MONTH, [day(31), day(0)]).waiting, ())

    def test_confirmed_days_go(self) -> None:
        state = State(now=NOW, first_kept_day=day(99), pending_day=day(30), confirmed_day=day(30))

        decision = decide(state, MONTH, [day(99), day(98), day(97), day(0)])

        self.assertEqual((decision.waiting, decision.first_kept_day), ((), day(30)))

    def test_a_longer_period_brings_nothing_back_and_deletes_nothing(self) -> None:
        state = State(now=NOW, first_kept_day=day(30))

        decision = decide(state, 2 * MONTH, [day(20), day(0)])

        self.assertEqual((decision.cutoff, decision.waiting), (NOW - 60 * DAY, ()))


class Dropping(StoreTestCase):
    """Partitions on a real server, whose clock is the real one."""

    async def begin(self, seconds: float = MONTH) -> Begun:
        """Begin a pass."""
        return await self.pool.transaction(lambda cursor: begin(cursor, seconds))

    async def whole_pass(self, seconds: float = MONTH) -> int:
        """Make a pass, and return how many rows of interceptions went."""
        begun = await self.begin(seconds)
        rows = 0
        for each in begun.leaving:
            gone = await drop(self.pool, each)
            rows += gone if each.table == "aibridge_interceptions" else 0
        await self.pool.transaction(lambda cursor: end(cursor, begun.decision))
        return rows

    async def now(self) -> datetime:
        """Return the server's time."""
        ((now,),) = await self.fetch("SELECT now()")
        moment: datetime = now
        return moment

    async def record(self, *days_ago: int, **members: object) -> None:
        """Store an interception with everything, and an audit row, for each day."""
        now, maker = await self.now(), Maker()
        for count in days_ago:
            at = now - count * DAY
            batch = lines(*maker.whole(at, **members), maker.audit(at))
            await self.pool.transaction(
                lambda cursor, batch=batch: write_batch(cursor, batch)  # type: ignore[misc]
            )

    async def kept(self, days_ago: int) -> None:
        """Pretend that the last pass kept all from so many days ago on."""
        first = (await self.now() - days_ago * DAY).date()
        await self.fetch("UPDATE aibridge_retention SET first_kept_day = %s RETURNING 1", first)

    async def test_old_days_go_from_all_tables_and_the_rest_stays(self) -> None:
        await self.record(32, 31, 30, 0)
        await follow_everything(self.pool)
        await self.kept(32)

        rows = await self.whole_pass()

        self.assertEqual(rows, 2)
        for table in TABLES:
            self.assertEqual(await self.fetch(f"SELECT count(*) FROM {table}"), [(2,)])

    async def test_a_pass_makes_room_for_today_and_tomorrow(self) -> None:
        today = (await self.now()).date()

        await self.whole_pass(0)

        self.assertEqual(await self.pool.transaction(stored_days), [today + DAY, today])

    async def test_nothing_is_ever_deleted_when_everything_is_kept(self) -> None:
        await self.record(4000, 0)

        self.assertEqual(await self.whole_pass(0), 0)
        self.assertEqual(await self.fetch("SELECT count(*) FROM audit_log"), [(2,)])

    async def test_too_many_days_wait_until_somebody_confirms(self) -> None:
        await self.record(40, 39, 38, 0)
        await self.kept(40)

        before = await self.whole_pass()
        state = await self.pool.transaction(read_state)
        confirmed = await self.pool.transaction(confirm)
        after = await self.whole_pass()

        self.assertEqual((before, after), (0, 3))
        self.assertIsNotNone(state.pending_since)
        self.assertEqual(confirmed, state.pending_day)
        end_state = await self.pool.transaction(read_state)
        self.assertEqual((end_state.pending_day, end_state.confirmed_day), (None, None))
        self.assertEqual(end_state.first_kept_day, state.pending_day)

    async def test_there_is_nothing_to_confirm_when_nothing_waits(self) -> None:
        self.assertIsNone(await self.pool.transaction(confirm))

    async def test_a_straggler_of_a_day_given_up_goes_with_the_next_pass(self) -> None:
        await self.record(0)
        await self.kept(30)
        await self.record(50)

        self.assertEqual(await self.whole_pass(), 1)

    async def test_a_day_that_somebody_left_half_detached_is_finished(self) -> None:
        await self.record(31, 0)
        await self.kept(31)
        gone = (await self.now() - 31 * DAY).date()
        await self.pool.outside_transaction(
            "ALTER TABLE aibridge_legs DETACH PARTITION "
            f"{partition_name('aibridge_legs', gone)} CONCURRENTLY"
        )

        await self.whole_pass()

        left = {each.day for each in await self.pool.transaction(partitions)}
        self.assertNotIn(gone, left)

    async def test_a_reader_of_an_old_day_holds_up_the_pass_and_nobody_else(self) -> None:
        await self.record(31, 0)
        await self.kept(31)
        leaving = (await self.begin()).leaving[-1]

        async def read_and_meanwhile_write(cursor: Cursor) -> tuple[int, Deferred[int]]:
            await cursor.execute("SELECT count(*) FROM aibridge_interceptions")
            dropping = Deferred.fromCoroutine(drop(self.pool, leaving))
            states: dict[str, Attachment] = {}
            while states.get(leaving.name) is not Attachment.PENDING:
                found = await self.pool.transaction(partitions)
                states = {each.name: each.attachment for each in found}
            await self.record(0)
            return len(await self.fetch("SELECT FROM aibridge_interceptions")), dropping

        rows, dropping = await self.pool.transaction(read_and_meanwhile_write)

        self.assertEqual(rows, 2)  # two of today: what is on its way out is seen no more
        self.assertEqual(await dropping, 1)

    async def left_pending(self, days_ago: int) -> date:
        """Break the detaching of a day off half-way, as a slow reader does, and return the day."""
        gone = (await self.now() - days_ago * DAY).date()
        name = partition_name("aibridge_legs", gone)

        async def read_and_meanwhile_detach(cursor: Cursor) -> None:
            await cursor.execute("SELECT count(*) FROM aibridge_legs")
            with self.assertRaises(StoreUnavailable):
                await self.pool.outside_transaction(
                    f"ALTER TABLE aibridge_legs DETACH PARTITION {name} CONCURRENTLY",
                    statement_seconds=0.3,
                )

        await self.pool.transaction(read_and_meanwhile_detach)
        found = {each.name: each.attachment for each in await self.pool.transaction(partitions)}
        self.assertEqual(found[name], Attachment.PENDING)
        return gone

    async def test_a_detaching_that_took_too_long_is_finished_by_the_next_pass(self) -> None:
        await self.record(31, 0)
        await self.kept(31)
        gone = await self.left_pending(31)

        await self.whole_pass()

        left = {each.day for each in await self.pool.transaction(partitions)}
        self.assertNotIn(gone, left)

    async def test_while_a_detaching_is_unfinished_new_days_and_stragglers_are_stored(
        self,
    ) -> None:
        await self.record(31, 0)
        await self.left_pending(31)

        await self.record(-1)
        await self.record(31)

        rows = await self.fetch("SELECT day FROM aibridge_legs")
        self.assertEqual(len(rows), 3)  # the one that was on its way out is gone

    async def test_only_one_makes_a_pass_and_a_dead_one_is_forgotten(self) -> None:
        first = await self.begin()
        second = await self.begin()
        await self.fetch(
            "UPDATE aibridge_retention SET working_until = working_until - %s * interval '1 second'"
            " RETURNING 1", LEASE_SECONDS,
        )  # fmt: skip

        third = await self.begin()

        self.assertEqual((first.mine, second.mine, third.mine), (True, False, True))
        self.assertIsNotNone(second.decision)

    async def test_sessions_and_facets_of_days_that_are_gone_are_gone(self) -> None:
        await self.record(31, client_session_id="old", model="old-model")
        await self.record(31, client_session_id="both")
        await self.record(0, client_session_id="both")
        await self.pool.transaction(follow)
        await self.kept(31)

        await self.whole_pass()
        await self.pool.transaction(follow)

        self.assertEqual(
            await self.fetch("SELECT session_id, interceptions FROM aibridge_sessions"),
            [("both", 1)],
        )
        self.assertEqual(
            await self.fetch("SELECT value FROM aibridge_facets WHERE facet = 'model'"),
            [("claude-sonnet-4-5",)],
        )

    async def test_making_a_day_that_was_given_up_again_works(self) -> None:
        await self.record(31, 0)
        await self.kept(31)
        await self.whole_pass()
        gone = (await self.now() - 31 * DAY).date()

        made = await self.pool.transaction(lambda cursor: ensure_days(cursor, [gone]))

        self.assertEqual(made, len(TABLES))
