"""Tests for bridge.store.blanking, erasure and holds, on a real server."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from bridge.content_passes import ContentPasses
from bridge.domain.identity import Role
from bridge.domain.records import Record
from bridge.domain.tokens import User
from bridge.retention import Retention
from bridge.store import erasure, holds, identity
from bridge.store.holds import Hold
from bridge.store.writes import write_batch
from tests.store.administered import read_by_name, tokens_made_and_revoked
from tests.store.followed import follow_everything
from tests.store.journalled import ALICE, BOB, Maker, lines
from tests.support.postgres import StoreTestCase

DAY = timedelta(days=1)
WEEK = 7 * 86400.0


class PrivacyCase(StoreTestCase):
    """Two users, and records of theirs."""

    async def setUp(self) -> None:
        await super().setUp()
        self.maker = Maker()
        self.counted: list[int] = []
        now = await self.now()
        for identifier, name in ((ALICE, "alice"), (BOB, "bob")):
            user = User(
                id=identifier, username=name, roles=frozenset({Role.MEMBER}), created_at=now
            )
            await self.pool.transaction(lambda c, user=user: identity.create_user(c, user))

    async def now(self) -> datetime:
        ((now,),) = await self.fetch("SELECT now()")
        return now.astimezone(UTC)  # type: ignore[no-any-return]

    async def store(self, records: Sequence[Record]) -> None:
        batch = lines(*records)
        await self.pool.transaction(lambda cursor: write_batch(cursor, batch))

    async def recorded(self, at: datetime, user: UUID = ALICE, **members: Any) -> UUID:
        """Store a whole interception of `user`, and return its id."""
        name = "alice" if user == ALICE else "bob"
        result = self.maker.result("a-call", content="zoned result")
        members = {"tool_results": [result], **members}
        records = self.maker.whole(at, initiator_id=user, username=name, **members)
        await self.store(records)
        return records[0].id

    async def content(self, identifier: UUID) -> tuple[str, str, str]:
        """Return prompt, tool arguments and thought of an interception."""
        ((prompt, tool, thought),) = await self.fetch(
            "SELECT p.prompt, u.input, t.content FROM aibridge_user_prompts p "
            "JOIN aibridge_tool_usages u USING (interception_id) "
            "JOIN aibridge_model_thoughts t USING (interception_id) "
            "WHERE p.interception_id = %s",
            str(identifier),
        )
        return prompt, tool, thought

    def passes(self, seconds: float = WEEK) -> ContentPasses:
        return ContentPasses(
            pool=self.pool,
            content_seconds=seconds,
            clock=reactor,
            log=structlog.get_logger("t"),
            blanked=self.counted.append,
        )

    async def hold(
        self, user: UUID | None = None, first: date | None = None, last: date | None = None
    ) -> UUID:
        now = await self.now()
        hold = Hold(
            id=self.maker.id(now), user_id=user, username=None, from_day=first, to_day=last,
            reason="a case", created_by="me", created_at=now, released_at=None,
        )  # fmt: skip
        self.assertTrue(await self.pool.transaction(lambda cursor: holds.create(cursor, hold)))
        return hold.id

    def retention(self) -> Retention:
        async def purge(_: datetime) -> int:
            return 0

        return Retention(
            pool=self.pool, retention_seconds=30 * 86400.0, reactor=reactor,
            log=structlog.get_logger("t"), journal_purge=purge,
        )  # fmt: skip

    async def erase(self, user: UUID = ALICE) -> None:
        await self.pool.transaction(lambda cursor: erasure.begin(cursor, user))
        for each in await self.pool.transaction(erasure.unfinished):
            await erasure.carry_out(self.pool, each)


class ContentRetentionTests(PrivacyCase):
    """Content goes before its row."""

    async def test_old_content_is_blank_and_its_numbers_stay(self) -> None:
        now = await self.now()
        old = await self.recorded(now - 8 * DAY, client_session_id="s-old")
        await follow_everything(self.pool)

        await self.passes().pass_once()
        await self.passes().pass_once()
        await follow_everything(self.pool)

        self.assertEqual(sum(self.counted), 1, "each is blanked, and counted, once")
        self.assertEqual(await self.content(old), ("", "", ""))
        results = await self.fetch("SELECT content, size_bytes FROM aibridge_tool_results")
        self.assertEqual(results, [(None, 11)])
        ((output,),) = await self.fetch(
            "SELECT output_tokens FROM aibridge_token_usages WHERE interception_id = %s", str(old)
        )
        self.assertEqual(output, 20)
        ((blanked, username),) = await self.fetch(
            "SELECT content_blanked_at IS NOT NULL, username FROM aibridge_interceptions"
        )
        self.assertEqual((blanked, username), (True, "alice"))
        self.assertEqual(
            await self.fetch("SELECT last_prompt, interceptions FROM aibridge_sessions"),
            [(None, 1)],
        )
        self.assertEqual(
            await self.fetch("SELECT 1 FROM aibridge_search WHERE words @@ 'what | see | zone'"),
            [],
        )

    async def test_day_in_which_the_time_ends_is_kept(self) -> None:
        """Whole days: of the boundary day everything is still there."""
        now = await self.now()
        boundary = datetime.combine((now - 7 * DAY).date(), datetime.min.time(), UTC)
        first = await self.recorded(boundary)
        before = await self.recorded(boundary - timedelta(milliseconds=1))

        await self.passes().pass_once()

        self.assertEqual((await self.content(first))[0], "What is the time?")
        self.assertEqual((await self.content(before))[0], "")

    async def test_content_that_comes_late_is_blank_at_once(self) -> None:
        """A journal that waited for the database, or a replay, brings nothing back."""
        now = await self.now()
        await self.passes().pass_once()

        late = await self.recorded(now - 9 * DAY)

        self.assertEqual(await self.content(late), ("", "", ""))

    async def test_without_a_retention_of_content_everything_stays(self) -> None:
        now = await self.now()
        await self.passes().pass_once()
        await self.passes(0.0).pass_once()

        old = await self.recorded(now - 30 * DAY)
        await self.passes(0.0).pass_once()

        self.assertEqual((await self.content(old))[2], "Let me see.")

    async def test_many_are_blanked_over_several_transactions(self) -> None:
        now = await self.now()
        for _ in range(3):
            records = [each for _ in range(200) for each in self.maker.whole(now - 8 * DAY)]
            await self.store(records)

        await self.passes().pass_once()

        self.assertEqual(
            await self.fetch("SELECT count(*) FROM aibridge_user_prompts WHERE prompt <> ''"),
            [(0,)],
        )

    async def test_held_content_stays_until_the_hold_is_released(self) -> None:
        now = await self.now()
        hers, his = await self.recorded(now - 8 * DAY), await self.recorded(now - 8 * DAY, BOB)
        hold = await self.hold(ALICE)
        passes = self.passes()

        await passes.pass_once()

        self.assertEqual((await self.content(hers))[0], "What is the time?")
        self.assertEqual((await self.content(his))[0], "")

        at = await self.now()
        self.assertTrue(await self.pool.transaction(lambda c: holds.release(c, hold, at)))
        await passes.pass_once()

        self.assertEqual((await self.content(hers))[0], "")


class ErasureTests(PrivacyCase):
    """A user is gone, and does not come back."""

    async def everything(self) -> str:
        """Return all rows of all tables as one text, but for the user's id."""
        tables = await self.fetch(
            "SELECT c.relname FROM pg_class c WHERE c.relkind IN ('r', 'p') "
            "AND c.relnamespace = 'public'::regnamespace AND NOT c.relispartition"
        )
        texts = []
        for (table,) in tables:
            rows = await self.fetch(
                f"SELECT coalesce(string_agg(t::text, E'\\n'), '') FROM {table} t"
            )
            texts.append(rows[0][0])
        return "\n".join(texts)

    async def test_nothing_in_the_database_tells_of_the_user_any_more(self) -> None:
        now = await self.now()
        marked = {
            "prompt": "zebra-alice",
            "user_agent": "agent-alice",
            "client_session_id": "session-alice",
            "metadata": {"a": "meta-alice"},
        }
        for days in (0, 3):
            await self.recorded(now - days * DAY, **marked)
        his = await self.recorded(now, BOB)
        await self.store(
            [
                self.maker.audit(now, action="user.create", actor_id=BOB, actor_name="bob",
                                 target="alice"),
                self.maker.audit(now, action="content.read", actor_id=BOB, actor_name="bob",
                                 target="2 interceptions", detail={"users": ["alice", "bob"]}),
                self.maker.audit(now, action="token.create"),
            ]
        )  # fmt: skip
        await self.store(await tokens_made_and_revoked(self.pool, "alice"))
        await self.store(await read_by_name(self.pool, "alice"))
        await follow_everything(self.pool)
        self.assertIn("alice", await self.everything())

        await self.erase()
        await follow_everything(self.pool)

        self.assertNotIn("alice", await self.everything())
        self.assertEqual((await self.content(his))[0], "What is the time?")
        ((count, tokens),) = await self.fetch(
            "SELECT count(DISTINCT i.id), sum(t.output_tokens) FROM aibridge_interceptions i "
            "JOIN aibridge_token_usages t ON t.interception_id = i.id WHERE i.initiator_id = %s",
            str(ALICE),
        )
        self.assertEqual((count, tokens), (2, 40))
        ((name,),) = await self.fetch("SELECT username FROM users WHERE id = %s", str(ALICE))
        self.assertRegex(name, r"^erased-[0-9a-f]{8}$")

    async def test_what_comes_from_a_journal_afterwards_is_blank(self) -> None:
        """Still on its way, or replayed: whole, in parts, and in any order."""
        now = await self.now()
        whole = self.maker.whole(now, prompt="zebra-alice")
        split = self.maker.whole(now, prompt="zebra-alice")
        await self.store(split[:1])
        await self.erase()

        await self.store(whole)
        await self.store(split[1:])
        await self.store([*split, self.maker.audit(now)])
        await follow_everything(self.pool)

        everything = await self.everything()
        for secret in ("zebra", "alice", "Let me see.", "zone"):
            self.assertNotIn(secret, everything)

    async def test_erasure_that_was_broken_off_is_carried_to_its_end(self) -> None:
        """Whatever was done before, another pass does the rest, with the same pseudonym."""
        now = await self.now()
        for days in (0, 1, 2):
            await self.recorded(now - days * DAY, prompt="zebra")
        first = await self.pool.transaction(lambda cursor: erasure.begin(cursor, ALICE))
        again = await self.pool.transaction(lambda cursor: erasure.begin(cursor, ALICE))

        await self.passes(0.0).pass_once()

        self.assertEqual(first, again)
        self.assertEqual(await self.pool.transaction(erasure.unfinished), [])
        self.assertNotIn("zebra", await self.everything())

    async def test_batch_under_way_is_waited_for(self) -> None:
        """A batch that began before the erasure and ends after it leaves nothing."""
        now = await self.now()
        batch = lines(*self.maker.whole(now, prompt="zebra"))
        begun: list[Any] = []

        async def slow(cursor: Any) -> None:
            await write_batch(cursor, batch)
            # The erasure begins while this transaction is open.
            begun.append(Deferred.fromCoroutine(self.erase()))
            await cursor.execute("SELECT pg_sleep(0.3)")

        await self.pool.transaction(slow)
        await begun[0]

        self.assertNotIn("zebra", await self.everything())

    async def test_hold_forbids_erasure_and_an_erased_user_cannot_be_held(self) -> None:
        now = await self.now()
        identifier = await self.recorded(now)
        hold = await self.hold(ALICE)

        self.assertIsNone(await self.pool.transaction(lambda c: erasure.begin(c, ALICE)))
        self.assertEqual((await self.content(identifier))[0], "What is the time?")

        at = await self.now()
        await self.pool.transaction(lambda c: holds.release(c, hold, at))
        await self.hold(None, now.date(), now.date())
        self.assertIsNone(await self.pool.transaction(lambda c: erasure.begin(c, ALICE)))


class HoldTests(PrivacyCase):
    """Retention passes by what is held."""

    async def counts(self) -> dict[str, int]:
        rows = await self.fetch(
            "SELECT username, count(*) FROM aibridge_interceptions GROUP BY username"
        )
        return dict(rows)

    async def test_held_rows_of_an_old_day_stay_and_the_others_go(self) -> None:
        now = await self.now()
        hers = await self.recorded(now - 31 * DAY)
        await self.recorded(now - 31 * DAY, BOB)
        await self.recorded(now)
        await self.fetch(
            "UPDATE aibridge_retention SET first_kept_day = %s RETURNING 1",
            (now - 31 * DAY).date(),
        )
        hold = await self.hold(ALICE)

        await self.retention().pass_once()

        self.assertEqual(await self.counts(), {"alice": 2})
        self.assertEqual((await self.content(hers))[2], "Let me see.")
        ((details,),) = await self.fetch(
            "SELECT count(*) FROM aibridge_legs WHERE day = %s", (now - 31 * DAY).date()
        )
        self.assertEqual(details, 1)

        at = await self.now()
        await self.pool.transaction(lambda c: holds.release(c, hold, at))
        await self.retention().pass_once()

        self.assertEqual(await self.counts(), {"alice": 1})

    async def test_held_days_stay_whole(self) -> None:
        now = await self.now()
        held, other = now - 31 * DAY, now - 32 * DAY
        for at in (held, other, now):
            await self.recorded(at, BOB)
        await self.fetch(
            "UPDATE aibridge_retention SET first_kept_day = %s RETURNING 1", other.date()
        )
        await self.hold(None, held.date(), held.date())

        await self.retention().pass_once()

        days = await self.fetch("SELECT DISTINCT day FROM aibridge_interceptions ORDER BY day")
        self.assertEqual(days, [(held.date(),), (now.date(),)])
