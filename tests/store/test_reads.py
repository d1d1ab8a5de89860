"""Tests for bridge.store.reads, on a real server: what people see of what was recorded."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any
from uuid import UUID

import msgspec

from bridge.domain.errors import InvalidRequest
from bridge.domain.records import InterceptionStarted, Record
from bridge.store.filters import Filter, parse
from bridge.store.reads import list_interceptions, read_interception
from bridge.store.reads_json import InterceptionList, InterceptionWithLegs
from bridge.store.sessions import follow as follow_sessions
from bridge.store.writes import write_batch
from tests.store.followed import follow_everything
from tests.store.journalled import ALICE, BOB, START, Maker, lines
from tests.support.postgres import StoreTestCase


class ReadsTestCase(StoreTestCase):
    """Stores, and lists."""

    @cached_property
    def maker(self) -> Maker:
        """The maker of all records of a test."""
        return Maker()

    async def write(self, *records: Record) -> None:
        """Store `records`."""
        batch = lines(*records)
        await self.pool.transaction(lambda cursor: write_batch(cursor, batch))

    async def ended(self, at: datetime = START, **members: object) -> UUID:
        """Store a whole interception, and return its id."""
        records = self.maker.whole(at, **members)
        await self.write(*records)
        return records[0].id

    async def listed(
        self, wanted: Filter | str = "", *, limit: int = 100, after_id: UUID | None = None,
        visible_to: UUID | None = None, cutoff: datetime | None = None, **options: Any,
    ) -> InterceptionList:  # fmt: skip
        """Return a page."""
        search = parse(wanted) if isinstance(wanted, str) else wanted
        return await self.pool.transaction(
            lambda cursor: list_interceptions(
                cursor,
                search,
                limit=limit,
                after_id=after_id,
                visible_to=visible_to,
                cutoff=cutoff,
                **options,
            ),
            read_only=True,
        )

    async def ids(self, wanted: Filter | str = "", **options: Any) -> list[UUID]:
        """Return the ids on a page."""
        return [each.id for each in (await self.listed(wanted, **options)).results]

    async def one(self, identifier: UUID, **options: Any) -> InterceptionWithLegs | None:
        """Return one interception."""
        chosen: dict[str, Any] = {"visible_to": None, "cutoff": None, **options}
        return await self.pool.transaction(
            lambda cursor: read_interception(cursor, identifier, **chosen), read_only=True
        )


class Lists(ReadsTestCase):
    """Pages of interceptions."""

    async def test_an_empty_store_has_an_empty_list(self) -> None:
        self.assertEqual(msgspec.json.encode(await self.listed()), b'{"count":0,"results":[]}')

    async def test_the_list_has_the_established_shape_and_our_columns(self) -> None:
        identifier = await self.ended()

        page: Any = msgspec.json.decode(msgspec.json.encode(await self.listed()))

        found = page["results"][0]
        self.assertEqual(page["count"], 1)
        self.assertEqual(found["id"], str(identifier))
        self.assertEqual(found["initiator"], {"id": str(ALICE), "username": "alice"})
        self.assertEqual(found["started_at"], "2026-11-24T12:00:00Z")
        self.assertEqual(found["metadata"], {"request_user_agent": "claude-cli/2.0"})
        self.assertEqual(found["user_prompts"][0]["prompt"], "What is the time?")
        self.assertEqual(found["token_usages"][0]["cache_read_input_tokens"], 3)
        self.assertEqual(found["token_usages"][0]["usage_source"], "provider_final")
        self.assertEqual(found["tool_usages"][0]["tool"], "get_time")
        self.assertEqual(found["model_thoughts"][0]["content"], "Let me see.")
        ours = ("status", "http_status", "ttfb_ms", "duration_ms", "bytes_in", "bytes_out")
        self.assertEqual([found[name] for name in ours], ["completed", 200, 150, 2000, 120, 4096])
        self.assertFalse(found["partially_observed"])
        self.assertEqual(found["response_sha256"], "ab" * 32)

    async def test_pages_follow_each_other_newest_first_over_many_days(self) -> None:
        ids = [await self.ended(START - timedelta(days=number * 3)) for number in range(12)]

        pages, after = [], None
        while page := await self.ids(limit=5, after_id=after):
            pages.append(page)
            after = page[-1]

        self.assertEqual(pages, [ids[:5], ids[5:10], ids[10:]])
        self.assertEqual((await self.listed(limit=1, after_id=ids[3])).count, 12)

    async def test_more_texts_than_one_answer_has_room_for_are_asked_for_in_pieces(self) -> None:
        prompt = "x" * 1000
        ids = [await self.ended(START + timedelta(minutes=n), prompt=prompt) for n in range(4)][
            ::-1
        ]

        with self.assertRaises(InvalidRequest) as caught:
            await self.listed(most_bytes=2999)
        first = await self.ids(limit=2, most_bytes=2999)
        second = await self.ids(limit=2, after_id=first[-1], most_bytes=2999)

        (problem,) = caught.exception.validations
        self.assertEqual(problem.field, "limit")
        self.assertTrue(problem.detail.startswith("must be at most 2:"), problem.detail)
        self.assertEqual([*first, *second], ids)
        # One alone is shown however much it has, and all where not all of their texts is.
        self.assertEqual(await self.ids(limit=1, most_bytes=10), ids[:1])
        self.assertEqual(await self.ids(longest=100, most_bytes=2999), ids)

    async def test_running_passed_through_and_startless_ones_are_in_no_ordinary_list(self) -> None:
        running = self.maker.started()
        startless = self.maker.ended(self.maker.started())
        await self.write(running, startless)
        passed = await self.ended(traffic="passthrough", prompt=None)
        ended = await self.ended()

        self.assertEqual(await self.ids(), [ended])
        self.assertEqual(await self.ids("kind:passthrough"), [passed])
        self.assertEqual(await self.ids("status:running"), [running.id])
        self.assertEqual((await self.listed("status:running")).results[0].status, "running")

    async def test_each_filter_finds_what_it_names_and_nothing_else(self) -> None:
        other = await self.ended(START - timedelta(hours=1))
        special = await self.ended(
            START, initiator_id=BOB, username="bob", provider="openai", provider_name="broker",
            model="gpt-5", client="Codex", client_session_id="s 1",
        )  # fmt: skip
        searches = (
            str(BOB), "provider:openai", "provider_name:broker", "model:gpt-5", "client:Codex",
            'session_id:"s 1"', 'started_after:"2026-11-24T12:00:00Z"',
        )  # fmt: skip

        for search in searches:
            page = await self.listed(search)
            self.assertEqual(([each.id for each in page.results], page.count), ([special], 1))
        self.assertEqual(await self.ids('started_before:"2026-11-24T12:00:00Z"'), [other])
        self.assertEqual(await self.ids("status:completed"), [special, other])
        self.assertEqual(await self.ids("status:lost"), [])

    async def test_a_name_finds_all_who_have_had_it(self) -> None:
        await self.fetch(
            "INSERT INTO users (id, username, roles, created_at, deleted_at) VALUES "
            "(%s, 'alice', '{member}', now(), now()), (%s, 'alice', '{member}', now(), NULL) "
            "RETURNING id", ALICE, BOB,
        )  # fmt: skip
        first = await self.ended()
        second = await self.ended(START + timedelta(seconds=1), initiator_id=BOB)

        self.assertEqual(await self.ids("alice"), [second, first])
        self.assertEqual(await self.ids("nobody"), [])

    async def test_members_see_their_own_whatever_they_ask_for(self) -> None:
        mine = await self.ended()
        await self.ended(initiator_id=BOB, username="bob")

        self.assertEqual(await self.ids(visible_to=ALICE), [mine])
        self.assertEqual(await self.ids(f"initiator:{BOB}", visible_to=ALICE), [])
        self.assertEqual((await self.listed(visible_to=ALICE)).count, 1)

    async def test_what_is_older_than_the_cutoff_is_hidden_to_the_second(self) -> None:
        kept = await self.ended(START)
        await self.ended(START - timedelta(seconds=1))
        await self.ended(START - timedelta(days=2))

        page = await self.listed(cutoff=START)

        self.assertEqual(([each.id for each in page.results], page.count), ([kept], 1))

    async def test_a_count_stops_at_ten_thousand(self) -> None:
        await self.ended()
        await self.fetch(
            "INSERT INTO aibridge_interceptions (id, day, kind, initiator_id, username, provider, "
            "provider_name, method, route, model, streaming, user_agent, credential_kind, "
            "credential_hint, metadata, started_at, ended_at, status, bytes_in, partially_observed)"
            " SELECT gen_random_uuid(), day, kind, initiator_id, username, provider, "
            "provider_name, method, route, model, streaming, user_agent, credential_kind, "
            "credential_hint, metadata, started_at, ended_at, status, bytes_in, partially_observed "
            "FROM aibridge_interceptions, generate_series(1, 10000) RETURNING 1"
        )

        page = await self.listed(limit=1)

        self.assertEqual((page.count, page.count_capped), (10_000, True))

    async def test_a_users_interceptions_of_old_days_are_counted_by_their_sums(self) -> None:
        for days in (0, 1, 2, 3):
            await self.ended(START - timedelta(days=days))
        await self.ended(START - timedelta(days=2), initiator_id=BOB, username="bob")
        await follow_everything(self.pool)
        # So that it can be told what is counted.
        await self.fetch(
            "UPDATE aibridge_usage_daily SET interceptions = interceptions * 10 RETURNING 1"
        )
        mine = f"initiator:{ALICE}"

        self.assertEqual((await self.listed(mine)).count, 1 + 1 + 10 + 10)
        self.assertEqual((await self.listed(visible_to=BOB)).count, 10)
        self.assertEqual((await self.listed(f"{mine} model:other")).count, 0)
        # What sums know nothing of, and what is partly over its time, is looked at.
        self.assertEqual((await self.listed(f"{mine} status:completed")).count, 4)
        cutoff = START - timedelta(days=3)
        self.assertEqual((await self.listed(mine, cutoff=cutoff)).count, 1 + 1 + 10 + 1)
        self.assertEqual((await self.listed()).count, 5)

    async def test_a_day_whose_sums_are_behind_is_counted_by_its_rows(self) -> None:
        for days in (0, 1, 2, 3):
            await self.ended(START - timedelta(days=days))
        await follow_everything(self.pool)
        mine = f"initiator:{ALICE}"

        await self.ended(START - timedelta(days=3, seconds=-1))
        of_rows = await self.listed(mine)
        await self.pool.transaction(follow_sessions)
        between = await self.listed(mine)
        await follow_everything(self.pool)
        of_sums = await self.listed(mine)

        self.assertEqual([each.count for each in (of_rows, between, of_sums)], [5, 5, 5])


class Single(ReadsTestCase):
    """One interception with all that belongs to it."""

    async def test_one_is_read_with_its_legs(self) -> None:
        identifier = await self.ended()

        found = await self.one(identifier)

        assert found is not None
        self.assertEqual(found.legs[0].outcome, "completed")
        self.assertEqual(found.tool_usages[0].input, '{"zone": "UTC"}')
        self.assertIn(b'"legs":[{', msgspec.json.encode(found))

    async def test_a_running_one_and_a_passed_one_can_be_read(self) -> None:
        running: InterceptionStarted = self.maker.started()
        await self.write(running)
        passed = await self.ended(traffic="passthrough", prompt=None)

        self.assertIsNotNone(await self.one(running.id))
        self.assertIsNotNone(await self.one(passed))

    async def test_what_is_anothers_or_too_old_or_nowhere_is_not_there(self) -> None:
        identifier = await self.ended()

        self.assertIsNone(await self.one(identifier, visible_to=BOB))
        self.assertIsNone(await self.one(identifier, cutoff=START + timedelta(seconds=1)))
        self.assertIsNone(await self.one(self.maker.id(START)))
        self.assertIsNone(await self.one(self.maker.id(datetime(2001, 1, 1, tzinfo=UTC))))
        self.assertIsNone(await self.one(UUID(int=2**128 - 1)))
