"""Tests for bridge.store.usage and reads_usage, on a real server: sums are what the rows say."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from bridge.domain.records import Record
from bridge.store.filters import InvalidFilter, parse
from bridge.store.partitions import day_literal, stored_days
from bridge.store.reads_trends import Trend, read_trends
from bridge.store.reads_usage import Dimension, Usage, percentile, read_usage
from bridge.store.rows import none
from bridge.store.sessions import follow as follow_sessions
from bridge.store.usage import UPPER_BOUNDS_MS, follow
from bridge.store.writes import write_batch
from tests.store.followed import follow_everything
from tests.store.journalled import ALICE, BOB, START, Maker, lines
from tests.support.cases import BridgeTestCase
from tests.support.postgres import StoreTestCase


class UsageTestCase(StoreTestCase):
    """Interceptions go in, sums come out."""

    async def setUp(self) -> None:
        await super().setUp()
        self.maker = Maker()

    async def write(self, *records: Record) -> None:
        """Store `records`."""
        batch = lines(*records)
        await self.pool.transaction(lambda cursor: write_batch(cursor, batch))

    async def one(
        self, at: datetime = START, *, ended: dict[str, Any] | None = None, **members: Any
    ) -> None:
        """Store an interception of 10 + 20 tokens, with an end of its own."""
        start = self.maker.started(at, **members)
        await self.write(start, self.maker.tokens(start), self.maker.ended(start, **(ended or {})))

    async def follow(self) -> None:
        """Follow until nothing is left."""
        await follow_everything(self.pool)

    async def usage(self, *by: Dimension, q: str = "", **arguments: Any) -> Usage:
        """Follow, and return what is asked for."""
        await self.follow()
        given: dict[str, Any] = {
            "first": None, "last": None, "limit": 100, "visible_to": None, "cutoff": None,
        }  # fmt: skip
        wanted = parse(q)
        return await self.pool.transaction(
            lambda cursor: read_usage(cursor, wanted, by=by, **(given | arguments)),
            read_only=True,
        )


class Sums(UsageTestCase):
    """What is summed up."""

    async def test_everything_of_a_day_is_in_the_total(self) -> None:
        await self.one()
        await self.one(ended={"status": "upstream_error", "duration_ms": 400, "ttfb_ms": None})
        await self.one(ended={"status": "client_abort", "bytes_out": None})

        found = await self.usage()

        self.assertEqual(found.results, ())
        total = found.total
        self.assertEqual((total.interceptions, total.errors, total.client_aborts), (3, 1, 1))
        self.assertEqual((total.input_tokens, total.output_tokens), (30, 60))
        self.assertEqual((total.cache_read_input_tokens, total.cache_write_input_tokens), (9, 12))
        self.assertEqual((total.bytes_in, total.bytes_out), (360, 8192))
        self.assertEqual((total.duration.count, total.duration.sum_ms), (3, 4400))
        self.assertEqual((total.ttfb.count, total.ttfb.sum_ms), (2, 300))

    async def test_no_usage_is_a_total_of_nothing(self) -> None:
        for by in ((), (Dimension.DAY, Dimension.MODEL)):
            found = await self.usage(*by)

            self.assertEqual((found.total.interceptions, found.results), (0, ()))
            self.assertIsNone(found.total.duration.p95_ms)

    async def test_what_is_still_running_or_passed_through_does_not_count(self) -> None:
        await self.write(self.maker.started())
        passed = self.maker.started(traffic="passthrough")
        await self.write(passed, self.maker.ended(passed))

        self.assertEqual((await self.usage()).total.interceptions, 0)

    async def test_all_legs_count(self) -> None:
        start = self.maker.started()
        await self.write(
            start, self.maker.tokens(start, 1), self.maker.tokens(start, 2), self.maker.ended(start)
        )

        found = await self.usage()

        self.assertEqual((found.total.interceptions, found.total.output_tokens), (1, 40))

    async def test_records_that_come_late_or_twice_are_recomputed_not_added(self) -> None:
        start = self.maker.started()
        end, tokens = self.maker.ended(start), self.maker.tokens(start)
        await self.write(start, end)
        before = await self.usage()
        await self.write(tokens)
        await self.write(start, tokens, end)

        after = await self.usage()

        self.assertEqual((before.total.interceptions, before.total.output_tokens), (1, 0))
        self.assertEqual((after.total.interceptions, after.total.output_tokens), (1, 20))


class Groups(UsageTestCase):
    """By what sums are told apart."""

    async def test_any_subset_in_any_order(self) -> None:
        await self.one(model="b")
        await self.one(model="a", client=None)
        await self.one(START + timedelta(days=1), model="a", initiator_id=BOB, username="bob")

        by_day = await self.usage(Dimension.DAY)
        by_both = await self.usage(Dimension.MODEL, Dimension.DAY)
        by_person = await self.usage(Dimension.INITIATOR)
        by_client = await self.usage(Dimension.CLIENT)

        first, second = date(2026, 11, 24), date(2026, 11, 25)
        self.assertEqual(
            [(row.day, row.interceptions) for row in by_day.results], [(first, 2), (second, 1)]
        )
        self.assertEqual(
            [(row.model, row.day) for row in by_both.results],
            [("a", first), ("a", second), ("b", first)],
        )
        self.assertEqual(
            [(row.initiator.username, row.interceptions) for row in by_person.results],  # type: ignore[union-attr]  # set
            [("alice", 2), ("bob", 1)],
        )
        self.assertEqual([row.client for row in by_client.results], ["Claude Code", "Unknown"])
        self.assertEqual({found.total.interceptions for found in (by_day, by_both, by_person)}, {3})

    async def test_more_groups_than_the_limit_are_said_to_be_there(self) -> None:
        for model in "abc":
            await self.one(model=model)

        cut = await self.usage(Dimension.MODEL, limit=2)
        whole = await self.usage(Dimension.MODEL, limit=3)

        self.assertEqual([row.model for row in cut.results], ["a", "b"])
        self.assertEqual((cut.truncated, cut.total.interceptions), (True, 3))
        self.assertEqual((whole.truncated, len(whole.results)), (False, 3))

    async def test_a_cut_off_answer_by_day_is_the_beginning_of_the_whole_with_all_in_its_total(
        self,
    ) -> None:
        for days in (0, 1, 2, 5, 9):
            for model in range(1 + days % 3):
                await self.one(START + timedelta(days=days), model=f"m{model}")
        by = (Dimension.DAY, Dimension.MODEL)
        whole = await self.usage(*by)

        cut = [await self.usage(*by, limit=limit) for limit in range(1, 10)]
        later = await self.usage(*by, first=(START + timedelta(days=3)).date(), limit=2)

        self.assertEqual((len(whole.results), whole.truncated), (10, False))
        self.assertEqual([each.results for each in cut], [whole.results[:n] for n in range(1, 10)])
        self.assertEqual({each.truncated for each in cut}, {True})
        self.assertEqual({each.total for each in cut}, {whole.total})
        self.assertEqual(later.results, whole.results[6:8])
        self.assertEqual(later.total.interceptions, 4)

    async def test_hostile_names_are_values_and_nothing_else(self) -> None:
        name = "'); DROP TABLE aibridge_usage_daily; --%s"
        await self.one(model=name, provider_name=name, client=name)

        found = await self.usage(Dimension.MODEL, q='model:"' + name + '"')

        self.assertEqual([row.model for row in found.results], [name])


class Wanted(UsageTestCase):
    """Which days, and whose."""

    async def test_filters_as_in_lists(self) -> None:
        await self.one(model="a", provider_name="one")
        await self.one(model="b", provider_name="two", initiator_id=BOB, username="bob")

        for q in ("model:b", "provider_name:two", f"initiator:{BOB}"):
            found = await self.usage(Dimension.INITIATOR, q=q)
            self.assertEqual([row.initiator.id for row in found.results], [BOB], q)  # type: ignore[union-attr]  # set
        self.assertEqual((await self.usage(q="nobody")).total.interceptions, 0)

    async def test_what_usage_is_not_kept_by_is_refused(self) -> None:
        for q, name in (
            ("session_id:x", "session_id"),
            ("status:lost", "status"),
            ("kind:passthrough", "kind"),
            ('started_after:"2026-01-01T00:00:00Z"', "started_after"),
        ):
            with self.assertRaises(InvalidFilter) as raised:
                await self.usage(q=q)
            self.assertEqual([each.field for each in raised.exception.validations], [name])

    async def test_days_are_inclusive(self) -> None:
        for n in range(4):
            await self.one(START + timedelta(days=n))
        first, last = date(2026, 11, 25), date(2026, 11, 26)

        found = await self.usage(Dimension.DAY, first=first, last=last)

        self.assertEqual([row.day for row in found.results], [first, last])

    async def test_members_see_their_own_whatever_they_ask(self) -> None:
        await self.one()
        await self.one(initiator_id=BOB, username="bob")

        found = await self.usage(Dimension.INITIATOR, visible_to=ALICE)
        other = await self.usage(q=f"initiator:{BOB}", visible_to=ALICE)

        self.assertEqual([row.initiator.id for row in found.results], [ALICE])  # type: ignore[union-attr]  # set
        self.assertEqual(other.total.interceptions, 0)

    async def test_days_that_are_over_their_time_are_hidden_and_gone_with_their_partition(
        self,
    ) -> None:
        await self.one()
        later = START + timedelta(days=3)
        await self.one(later)
        cutoff = datetime(2026, 11, 25, 7, tzinfo=UTC)

        hidden = await self.usage(Dimension.DAY, cutoff=cutoff)

        self.assertEqual([row.day for row in hidden.results], [later.date()])


class Trends(UsageTestCase):
    """Who asked on each day, and of which models."""

    async def trends(self, *models: str, q: str = "", **arguments: Any) -> dict[date, Trend]:
        await self.follow()
        given: dict[str, Any] = {
            "first": START.date() - timedelta(days=5), "last": START.date(),
            "visible_to": None, "cutoff": None,
        }  # fmt: skip
        return dict(
            await self.pool.transaction(
                lambda cursor: read_trends(cursor, parse(q), models=models, **(given | arguments)),
                read_only=True,
            )
        )

    async def test_people_and_models_are_counted_by_day(self) -> None:
        nasty = "100%s '; --"
        yesterday = START - timedelta(days=1)
        await self.one(model="a")
        await self.one(model="a")
        await self.one(model=nasty, initiator_id=BOB, username="bob")
        await self.one(yesterday, model="b")

        today, before = START.date(), yesterday.date()
        self.assertEqual(
            await self.trends("a", nasty),
            {today: Trend(users=2, models=(2, 1)), before: Trend(users=1, models=(0, 0))},
        )
        self.assertEqual(
            await self.trends("b", q="initiator:" + str(ALICE)),
            {today: Trend(users=1, models=(0,)), before: Trend(users=1, models=(1,))},
        )
        self.assertEqual(await self.trends(visible_to=BOB), {today: Trend(users=1, models=())})
        self.assertEqual(list(await self.trends(cutoff=START)), [today])
        self.assertEqual(list(await self.trends(last=before)), [before])
        with self.assertRaises(InvalidFilter):
            await self.trends(q="session_id:x")


class Following(UsageTestCase):
    """What changes later."""

    async def test_what_is_deleted_and_marked_counts_no_more(self) -> None:
        await self.one()
        await self.one(initiator_id=BOB, username="bob")
        await self.usage()

        async def erase(cursor: Any) -> None:
            await none(cursor, "DELETE FROM aibridge_interceptions WHERE username = 'bob'")
            await none(
                cursor,
                f"INSERT INTO aibridge_usage_marks VALUES ('{BOB}', {day_literal(START.date())})",
            )

        await self.pool.transaction(erase)

        found = await self.usage(Dimension.INITIATOR)
        self.assertEqual([row.initiator.id for row in found.results], [ALICE])  # type: ignore[union-attr]  # set

    async def test_a_mark_of_a_day_that_is_gone_makes_no_partition(self) -> None:
        gone = date(2020, 1, 1)
        await self.fetch(
            f"INSERT INTO aibridge_usage_marks VALUES ('{BOB}', {day_literal(gone)}) RETURNING 1"
        )

        await self.follow()

        days = await self.pool.transaction(stored_days)
        self.assertNotIn(gone, days)
        self.assertEqual(await self.fetch("SELECT count(*) FROM aibridge_usage_marks"), [(0,)])

    async def test_only_one_follows_at_a_time(self) -> None:
        await self.one()
        await self.pool.transaction(follow_sessions)

        async def both(cursor: Any) -> tuple[int, int]:
            mine = await follow(cursor)
            other = await self.pool.transaction(follow)
            return mine.marks, other.marks

        self.assertEqual(await self.pool.transaction(both), (1, 0))


class Percentiles(BridgeTestCase):
    """What is read from a histogram."""

    def test_values_are_spread_evenly_within_a_bucket(self) -> None:
        up_to = [0] + [100] * len(UPPER_BOUNDS_MS)  # all between 125 and 250 ms

        self.assertEqual(percentile(up_to, 0.5), 188)
        self.assertEqual(percentile(up_to, 1.0), 250)

    def test_values_of_several_buckets(self) -> None:
        up_to = [50, 50] + [100] * (len(UPPER_BOUNDS_MS) - 1)  # half to 125, half from 250 to 500

        self.assertEqual(percentile(up_to, 0.25), 62)
        self.assertEqual(percentile(up_to, 0.75), 375)

    def test_beyond_the_last_bound_that_is_told(self) -> None:
        up_to = [0] * len(UPPER_BOUNDS_MS) + [3]

        self.assertEqual(percentile(up_to, 0.95), UPPER_BOUNDS_MS[-1])

    def test_of_nothing_there_is_none(self) -> None:
        self.assertIsNone(percentile([0] * 13, 0.5))
