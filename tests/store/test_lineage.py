"""Tests for bridge.store.lineage, on a real server: who is whose parent, in whatever order."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import timedelta
from functools import cached_property
from itertools import pairwise
from typing import Any
from uuid import UUID

from twisted.internet.defer import Deferred, gatherResults

from bridge.domain.records import Record
from bridge.store.lineage import _MOST_OF_A_CALL, FAR_DAYS
from bridge.store.writes import write_batch
from tests.store.journalled import BOB, START, Maker, lines
from tests.support.postgres import StoreTestCase

Links = dict[UUID, tuple[UUID | None, UUID | None]]


class Lineage(StoreTestCase):
    """Parents and roots."""

    @cached_property
    def maker(self) -> Maker:
        """The maker of all records of a test."""
        return Maker()

    async def write(self, *records: Record) -> None:
        """Store `records` as one batch."""
        batch = lines(*records)
        await self.pool.transaction(lambda cursor: write_batch(cursor, batch))

    async def links(self) -> Links:
        """Return (parent, root) by interception."""
        rows = await self.fetch(
            "SELECT id, thread_parent_id, thread_root_id FROM aibridge_interceptions"
        )
        return {row[0]: (row[1], row[2]) for row in rows}

    def chained(self, story: Sequence[Sequence[Record]]) -> Links:
        """Return what `story`, a thread, must look like."""
        ids = [records[0].id for records in story]
        found: Links = {ids[0]: (None, None)}
        for parent, child in pairwise(ids):
            found[child] = (parent, ids[0])
        return found

    async def test_a_thread_is_one_in_whatever_order_it_comes(self) -> None:
        story = self.maker.thread(6, START - timedelta(hours=12, seconds=25))
        expected = self.chained(story)

        for seed in range(8):
            await self.fetch("TRUNCATE aibridge_interceptions, aibridge_tool_usages; SELECT 1")
            records = [record for each in story for record in each]
            chance = random.Random(seed)
            chance.shuffle(records)
            while records:
                size = chance.randint(1, 12)
                batch, records = records[:size], records[size:]
                await self.write(*batch)
            self.assertEqual(await self.links(), expected, seed)

    async def test_the_root_of_a_long_chain_changes_when_an_earlier_part_comes(self) -> None:
        story = self.maker.thread(30)
        for part in (story[20:], story[10:20], story[:10]):
            await self.write(*(record for each in part for record in each))

        self.assertEqual(await self.links(), self.chained(story))

    async def test_the_latest_earlier_one_that_made_the_call_is_the_parent(self) -> None:
        minute = timedelta(minutes=1)
        first, second = self.maker.started(), self.maker.started(START + minute)
        child = self.maker.started(START + 2 * minute, correlating_tool_call_id="call")
        later = self.maker.started(START + 3 * minute)
        batches: list[tuple[Record, ...]] = [
            (first, self.maker.tool(first, "call")),
            (child,),
            (later, self.maker.tool(later, "call")),
            (second, self.maker.tool(second, "call")),
        ]

        for batch in batches:
            await self.write(*batch)

        self.assertEqual((await self.links())[child.id], (second.id, second.id))

    async def test_of_a_call_that_very_many_made_the_latest_is_found(self) -> None:
        second = timedelta(seconds=1)
        makers = [self.maker.started(START + n * second) for n in range(_MOST_OF_A_CALL + 100)]
        await self.write(
            *(each for maker in makers for each in (maker, self.maker.tool(maker, "call_0")))
        )
        child = self.maker.started(START + 900 * second, correlating_tool_call_id="call_0")
        await self.write(child)

        self.assertEqual((await self.links())[child.id], (makers[-1].id, makers[-1].id))

    async def test_one_of_two_users_with_the_same_call_is_not_the_others_parent(self) -> None:
        bobs = self.maker.started(initiator_id=BOB, username="bob")
        child = self.maker.started(START + timedelta(minutes=1), correlating_tool_call_id="call")

        await self.write(bobs, self.maker.tool(bobs, "call"), child)

        self.assertEqual((await self.links())[child.id], (None, None))

    async def test_passing_through_makes_no_parent(self) -> None:
        passed = self.maker.started(traffic="passthrough", prompt=None)
        child = self.maker.started(START + timedelta(minutes=1), correlating_tool_call_id="call")

        await self.write(passed, self.maker.tool(passed, "call"), child)

        self.assertEqual((await self.links())[child.id], (None, None))

    async def test_two_branches_of_a_thread_share_its_root(self) -> None:
        parent = self.maker.started()
        left, right = (
            self.maker.started(START + timedelta(minutes=n), correlating_tool_call_id=f"call-{n}")
            for n in (1, 2)
        )

        await self.write(left, right)
        await self.write(
            self.maker.tool(parent, "call-1", 1), self.maker.tool(parent, "call-2", 2), parent
        )

        found = await self.links()
        self.assertEqual((found[left.id], found[right.id]), ((parent.id, parent.id),) * 2)

    async def test_a_thread_taken_up_after_days_goes_on_and_after_a_month_is_new(self) -> None:
        parent = self.maker.started()
        soon, late = (
            self.maker.started(START + timedelta(days=days), correlating_tool_call_id="call")
            for days in (FAR_DAYS, FAR_DAYS + 2)
        )
        await self.write(parent, self.maker.tool(parent, "call"))

        await self.write(soon)
        await self.write(late)

        found = await self.links()
        self.assertEqual((found[soon.id][0], found[late.id][0]), (parent.id, None))

    async def test_parent_and_child_stored_by_two_at_once_find_each_other(self) -> None:
        pairs = [
            (parent, child, self.maker.tool(parent, f"call-{n}"))
            for n in range(6)
            for parent in [self.maker.started()]
            for child in [
                self.maker.started(
                    START + timedelta(seconds=1), correlating_tool_call_id=f"call-{n}"
                )
            ]
        ]
        await self.write(self.maker.started())  # the day is there

        for parent, child, tool in pairs:
            sides: list[Any] = [
                Deferred.fromCoroutine(self.write(parent, tool)),
                Deferred.fromCoroutine(self.write(child)),
            ]
            await gatherResults(sides)

        found = await self.links()
        self.assertEqual(
            [found[child.id][0] for _, child, _ in pairs], [parent.id for parent, _, _ in pairs]
        )
