"""Tests for bridge.store.sessions, on a real server: sessions are what the rows say they are."""

from __future__ import annotations

import random
from datetime import timedelta
from functools import cached_property
from typing import Any

import structlog
from twisted.internet import reactor
from twisted.internet.task import Clock

from bridge.domain.records import Record
from bridge.store.errors import StoreUnavailable
from bridge.store.sessions import FOLLOW_SECONDS, Pass, SessionsFollower, follow
from bridge.store.writes import write_batch
from tests.store.journalled import ALICE, BOB, START, Maker, lines
from tests.support.cases import BridgeTestCase
from tests.support.postgres import StoreTestCase

_ALL = "SELECT to_jsonb(s) FROM aibridge_sessions s ORDER BY session_id, initiator_id"


class Sessions(StoreTestCase):
    """Rows recomputed from rows."""

    @cached_property
    def maker(self) -> Maker:
        """The maker of all records of a test."""
        return Maker()

    async def write(self, *records: Record) -> None:
        """Store `records`."""
        batch = lines(*records)
        await self.pool.transaction(lambda cursor: write_batch(cursor, batch))

    async def sessions(self) -> list[Any]:
        """Follow, and return all sessions."""
        while (await self.pool.transaction(follow)).marks:
            pass
        return [row[0] for row in await self.fetch(_ALL)]

    async def test_a_session_sums_up_its_interceptions(self) -> None:
        first = self.maker.whole(client_session_id="s", prompt="first", model="a")
        later = START + timedelta(minutes=5)
        second = self.maker.whole(
            later, client_session_id="s", prompt="second", model="b", provider_name="other"
        )
        third = self.maker.whole(later + timedelta(minutes=1), client_session_id="s", prompt=None)

        await self.write(*first, *second, *third)

        (found,) = await self.sessions()
        self.assertEqual(
            {name: found[name] for name in ("interceptions", "threads", "output_tokens", "client")},
            {"interceptions": 3, "threads": 3, "output_tokens": 60, "client": "Claude Code"},
        )
        self.assertEqual(found["models"], ["a", "b", "claude-sonnet-4-5"])
        self.assertEqual(found["provider_names"], ["anthropic", "other"])
        self.assertEqual(found["last_prompt"], "second")
        self.assertEqual(found["last_active_at"], "2026-11-24T12:05:00+00:00")
        self.assertEqual(found["ended_at"], "2026-11-24T12:06:02+00:00")

    async def test_a_thread_without_a_session_of_the_client_is_one(self) -> None:
        for records in self.maker.thread(3, prompt=None):
            await self.write(*records)

        (found,) = await self.sessions()

        self.assertEqual((found["interceptions"], found["threads"]), (3, 1))

    async def test_a_thread_that_is_put_together_late_becomes_one_session(self) -> None:
        story = self.maker.thread(4, START - timedelta(hours=12, seconds=15))
        for records in reversed(story):
            await self.write(*records)
            await self.sessions()

        (found,) = await self.sessions()

        self.assertEqual((found["interceptions"], found["threads"]), (4, 1))
        self.assertEqual((found["first_day"], found["last_day"]), ("2026-11-23", "2026-11-24"))

    async def test_two_users_with_one_session_id_have_two_sessions(self) -> None:
        await self.write(*self.maker.whole(client_session_id="s"))
        await self.write(*self.maker.whole(client_session_id="s", initiator_id=BOB))

        self.assertEqual(
            [each["initiator_id"] for each in await self.sessions()], [str(ALICE), str(BOB)]
        )

    async def test_running_and_passed_through_ones_are_no_sessions(self) -> None:
        await self.write(self.maker.started())
        await self.write(*self.maker.whole(traffic="passthrough", prompt=None))
        await self.write(self.maker.ended(self.maker.started()))

        self.assertEqual(await self.sessions(), [])

    async def test_any_order_with_follows_between_gives_the_same_sessions(self) -> None:
        story: list[Record] = []
        for records in self.maker.thread(4, START - timedelta(hours=12, seconds=15)):
            story.extend(records)
        story += self.maker.whole(client_session_id="s")
        await self.write(*story)
        expected = await self.sessions()

        for seed in range(5):
            await self.fetch(
                "TRUNCATE aibridge_interceptions, aibridge_tool_usages, aibridge_token_usages, "
                "aibridge_user_prompts, aibridge_sessions, aibridge_session_terms; SELECT 1"
            )
            chance = random.Random(seed)
            shuffled = chance.sample(story, len(story))
            for begin in range(0, len(shuffled), 5):
                await self.write(*shuffled[begin : begin + 5])
                await self.sessions()
            self.assertEqual(await self.sessions(), expected, seed)

    async def test_a_session_without_rows_goes_away(self) -> None:
        await self.write(*self.maker.whole(client_session_id="s"))
        await self.sessions()
        await self.fetch("DELETE FROM aibridge_interceptions RETURNING 1")
        await self.fetch(
            "INSERT INTO aibridge_session_marks "
            "SELECT initiator_id, session_id, first_day FROM aibridge_sessions RETURNING 1"
        )

        self.assertEqual(await self.sessions(), [])

    async def test_facets_name_what_each_user_used_and_when_last(self) -> None:
        day = timedelta(days=1)
        await self.write(*self.maker.whole(model="a"), *self.maker.whole(START - day, model="a"))
        await self.sessions()
        await self.write(*self.maker.whole(START - 2 * day, model="b", client="Codex"))

        await self.sessions()

        self.assertEqual(
            await self.fetch(
                "SELECT facet, value, last_day::text FROM aibridge_facets ORDER BY 1, 2"
            ),
            [
                ("client", "Claude Code", "2026-11-24"),
                ("client", "Codex", "2026-11-22"),
                ("model", "a", "2026-11-24"),
                ("model", "b", "2026-11-22"),
                ("provider_name", "anthropic", "2026-11-24"),
            ],
        )

    async def test_a_pass_takes_no_more_than_it_is_told(self) -> None:
        for _ in range(3):
            await self.write(*self.maker.whole())

        done = await self.pool.transaction(lambda cursor: follow(cursor, marks=2))

        self.assertEqual(done, Pass(marks=2, sessions=2))

    async def test_only_one_follows_at_a_time(self) -> None:
        await self.write(*self.maker.whole())

        async def both(cursor: Any) -> tuple[Pass, Pass]:
            mine = await follow(cursor)
            return mine, await self.pool.transaction(follow)

        mine, other = await self.pool.transaction(both)

        self.assertEqual((mine.marks, other.marks), (1, 0))

    async def test_the_follower_follows_by_itself(self) -> None:
        await self.write(*self.maker.whole())
        follower = SessionsFollower(pool=self.pool, reactor=reactor, log=structlog.get_logger())

        follower.start()
        await follower.stop()

        self.assertEqual(await self.fetch("SELECT count(*) FROM aibridge_sessions"), [(1,)])


class Absent:
    """A database that is away, and then finds nothing to do."""

    def __init__(self) -> None:
        self.away = True
        self.asked = 0

    async def transaction(self, work: Any, *, statement_seconds: float | None = None) -> Any:
        """Count, and fail."""
        self.asked += 1
        if self.away:
            raise StoreUnavailable("It is away.")
        return Pass()


class Following(BridgeTestCase):
    """When the follower asks."""

    def follower(self, pool: Absent, clock: Clock) -> SessionsFollower:
        """Return a started follower."""
        log = structlog.get_logger("test")
        follower = SessionsFollower(pool=pool, reactor=clock, log=log)
        follower.start()
        return follower

    def test_it_asks_every_second_and_goes_on_after_the_database_was_away(self) -> None:
        pool = Absent()
        follower = self.follower(pool, self.clock)
        pool.away = False
        self.clock.advance(10)
        before = pool.asked

        self.clock.pump([FOLLOW_SECONDS] * 3)

        self.assertEqual((before, pool.asked), (2, 5))
        self.result_of(follower.stop())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stopped_before_it_was_started_it_says_nothing(self) -> None:
        log = structlog.get_logger("test")
        follower = SessionsFollower(pool=Absent(), reactor=self.clock, log=log)

        self.result_of(follower.stop())
