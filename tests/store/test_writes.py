"""Tests for bridge.store.writes, on a real server: any order, any cut, any number of times."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from bridge.domain.records import Record
from bridge.store.errors import StoreError
from bridge.store.partitions import RECORDED
from bridge.store.writes import write_batch
from tests.store.journalled import BOB, START, Maker, lines
from tests.support.postgres import StoreTestCase


class WritesTestCase(StoreTestCase):
    """What is stored after batches."""

    async def write(self, *records: Record) -> None:
        """Store `records` as one batch."""
        batch = lines(*records)
        await self.pool.transaction(lambda cursor: write_batch(cursor, batch))

    async def contents(self) -> dict[str, list[Any]]:
        """Return all rows of all tables that records go to."""
        found = {}
        for table in RECORDED:
            found[table] = sorted(
                (row[0] for row in await self.fetch(f"SELECT to_jsonb(t) FROM {table} t")), key=str
            )
        return found

    async def clear(self) -> None:
        """Delete all rows."""
        await self.fetch(f"TRUNCATE {', '.join(RECORDED)}; SELECT 1")


class Storing(WritesTestCase):
    """One interception."""

    async def test_everything_recorded_of_an_interception_is_in_its_tables(self) -> None:
        maker = Maker()
        records = maker.whole()

        await self.write(*records, maker.audit())

        found = await self.contents()
        self.assertEqual(
            {table: len(rows) for table, rows in found.items()}, dict.fromkeys(RECORDED, 1)
        )
        interception: Any = found["aibridge_interceptions"][0]
        self.assertEqual(interception["id"], str(records[0].id))
        self.assertEqual(interception["day"], "2026-11-24")
        self.assertEqual(interception["status"], "completed")
        self.assertEqual(interception["session_id"], str(records[0].id))
        self.assertEqual(interception["response_sha256"], "ab" * 32)
        self.assertEqual(interception["metadata"], {"request_user_agent": "claude-cli/2.0"})
        prompt: Any = found["aibridge_user_prompts"][0]
        self.assertEqual(prompt["prompt"], "What is the time?")
        self.assertEqual(prompt["provider_response_id"], "msg_1")
        tool: Any = found["aibridge_tool_usages"][0]
        self.assertEqual(tool["input"], '{"zone": "UTC"}')

    async def test_an_end_that_comes_later_fills_the_row_and_the_prompts_response(self) -> None:
        maker = Maker()
        start = maker.started()
        await self.write(start)
        running = await self.fetch("SELECT status, ended_at FROM aibridge_interceptions")

        await self.write(maker.ended(start, credential_hint="sk-b...wxyz"))

        rows = await self.fetch(
            "SELECT i.status, i.http_status, i.credential_hint, p.provider_response_id "
            "FROM aibridge_interceptions i JOIN aibridge_user_prompts p ON p.interception_id = i.id"
        )
        self.assertEqual(running, [(None, None)])
        self.assertEqual(rows, [("completed", 200, "sk-b...wxyz", "msg_1")])

    async def test_an_end_without_its_start_waits_for_it_outside_every_list(self) -> None:
        maker = Maker()
        start = maker.started()
        await self.write(maker.ended(start))
        alone = await self.fetch("SELECT kind, status, started_at FROM aibridge_interceptions")

        await self.write(start)

        rows = await self.fetch("SELECT kind, status, username, model FROM aibridge_interceptions")
        self.assertEqual(alone, [("unknown", "completed", START)])
        self.assertEqual(rows, [("intercepted", "completed", "alice", "claude-sonnet-4-5")])

    async def test_a_real_end_replaces_a_lost_one_and_never_the_other_way(self) -> None:
        maker = Maker()
        first, second = maker.started(), maker.started()
        lost = {"status": "lost", "http_status": None, "response_id": None}
        await self.write(first, maker.ended(first, **lost), second, maker.ended(second))

        await self.write(maker.ended(first), maker.ended(second, **lost))

        rows = await self.fetch("SELECT status, http_status FROM aibridge_interceptions")
        self.assertEqual(rows, [("completed", 200), ("completed", 200)])

    async def test_the_better_token_count_of_a_leg_stays_whatever_comes_first(self) -> None:
        maker = Maker()
        start = maker.started()
        sources = ("provider_partial", "estimated", "drained", "provider_final")
        counts = [
            maker.tokens(start, output_tokens=number, usage_source=source)
            for number, source in enumerate(sources)
        ]
        await self.write(start, *reversed(counts))
        together = await self.fetch("SELECT output_tokens FROM aibridge_token_usages")
        await self.clear()

        for count in counts[::-1]:
            await self.write(count)

        apart = await self.fetch("SELECT usage_source, output_tokens FROM aibridge_token_usages")
        self.assertEqual(together, [(3,)])
        self.assertEqual(apart, [("provider_final", 3)])

    async def test_a_later_count_of_the_same_quality_replaces_the_earlier(self) -> None:
        maker = Maker()
        start = maker.started()
        early = maker.tokens(start, output_tokens=1)
        late = maker.tokens(start, output_tokens=2, at=early.at + timedelta(seconds=1))

        await self.write(start, late)
        await self.write(early)

        self.assertEqual(
            await self.fetch("SELECT output_tokens FROM aibridge_token_usages"), [(2,)]
        )

    async def test_a_record_that_the_database_refuses_leaves_nothing_of_its_batch(self) -> None:
        maker = Maker()
        good = lines(*maker.whole())
        bad = lines(maker.tokens(maker.started(), n=2**40))

        with self.assertRaises(StoreError):
            await self.pool.transaction(lambda cursor: write_batch(cursor, [*good, *bad]))

        self.assertEqual(await self.fetch("SELECT count(*) FROM aibridge_interceptions"), [(0,)])

    async def test_an_empty_batch_is_no_matter(self) -> None:
        await self.write()

        self.assertEqual(await self.fetch("SELECT count(*) FROM audit_log"), [(0,)])

    async def test_text_that_looks_like_a_placeholder_or_an_escape_is_kept(self) -> None:
        maker = Maker()
        prompt = "100%s %(x)s {day} \\' \\n \\u0041 'quoted' \N{SNOWMAN}"

        await self.write(maker.started(prompt=prompt))

        self.assertEqual(await self.fetch("SELECT prompt FROM aibridge_user_prompts"), [(prompt,)])


class AnyOrder(WritesTestCase):
    """The journal may be replayed, cut anywhere, and several have no common order."""

    def _story(self) -> list[Record]:
        maker = Maker(seed=7)
        records: list[Record] = []
        for each in maker.thread(3, START - timedelta(hours=12, seconds=15)):
            records.extend(each)
        other = maker.started(initiator_id=BOB, username="bob", partially_observed=True)
        crashed = maker.started(prompt=None, client_session_id="a session")
        records += [
            other,
            maker.tokens(other, usage_source="provider_partial", output_tokens=1),
            maker.tokens(other),
            maker.ended(other, status="client_abort"),
            crashed,
            maker.ended(crashed, status="lost", partially_observed=True, response_id=None),
            maker.ended(crashed, at=crashed.at + timedelta(seconds=5)),
            maker.audit(),
        ]
        return records

    async def _written(self, batches: Sequence[Sequence[Record]]) -> dict[str, Any]:
        await self.clear()
        for batch in batches:
            if batch:
                await self.write(*batch)
        return await self.contents()

    async def test_every_cut_into_two_batches_gives_the_same_rows(self) -> None:
        story = self._story()
        expected = await self._written([story])

        for cut in range(1, len(story)):
            found = await self._written([story[:cut], story[cut:]])
            self.assertEqual(found, expected, cut)

    async def test_a_batch_stored_twice_changes_nothing(self) -> None:
        story = self._story()
        expected = await self._written([story])

        self.assertEqual(await self._written([story, story]), expected)
        self.assertEqual(await self._written([[*story, *story]]), expected)

    async def test_any_order_gives_the_same_rows(self) -> None:
        story = self._story()
        expected = await self._written([story])

        for seed in range(15):
            chance = random.Random(seed)
            shuffled = chance.sample(story, len(story))
            cut = chance.randrange(len(story))
            found = await self._written([shuffled[:cut], shuffled[cut:], shuffled[: cut // 2]])
            self.assertEqual(found, expected, seed)

    async def test_one_record_at_a_time_backwards_gives_the_same_rows(self) -> None:
        story = self._story()
        expected = await self._written([story])

        self.assertEqual(await self._written([[each] for each in reversed(story)]), expected)
