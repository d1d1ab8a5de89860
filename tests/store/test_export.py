"""Tests for bridge.store.export, on a real server: everything, once, in pages that are bounded."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from msgspec.structs import replace

from bridge.domain.records import Record
from bridge.store.export import Page, export_pages
from bridge.store.filters import Filter, parse
from bridge.store.reads import read_interception
from bridge.store.reads_json import InterceptionWithLegs
from bridge.store.writes import write_batch
from tests.store.journalled import ALICE, BOB, START, Maker, lines
from tests.support.postgres import StoreTestCase

DAY = timedelta(days=1)


class ExportTestCase(StoreTestCase):
    """Interceptions go in, lines come out."""

    async def setUp(self) -> None:
        await super().setUp()
        self.maker = Maker()

    async def write(self, *records: Record) -> None:
        """Store `records`."""
        batch = lines(*records)
        await self.pool.transaction(lambda cursor: write_batch(cursor, batch))

    async def whole(self, at: datetime = START, **members: object) -> UUID:
        """Store an interception with everything."""
        records = self.maker.whole(at, **members)
        await self.write(*records)
        return records[0].id

    async def pages(self, **arguments: Any) -> list[Page]:
        """Return all pages of an export."""
        return [page async for page in export_pages(self.pool, **arguments)]

    async def exported(self, **arguments: Any) -> list[Any]:
        """Return what all lines of an export say."""
        pages = await self.pages(**arguments)
        text = "".join(page.lines for page in pages)
        self.assertEqual(sum(page.count for page in pages), text.count("\n"))
        return [json.loads(line) for line in text.split("\n")[:-1]]

    async def ids(self, **arguments: Any) -> list[UUID]:
        """Return the ids in an export."""
        return [UUID(each["id"]) for each in await self.exported(**arguments)]


class Lines(ExportTestCase):
    """What a line says."""

    async def test_a_line_is_what_the_management_api_says_of_it(self) -> None:
        identifier = await self.whole(prompt='"\n\u2028\\ ☃ </script> {"a": 1}')

        (line,) = await self.exported()

        read = await self.pool.transaction(
            lambda cursor: read_interception(cursor, identifier, visible_to=None, cutoff=None)
        )
        self.assertEqual(msgspec.convert(line, InterceptionWithLegs), read)

    async def test_children_are_in_their_order_and_none_is_an_empty_list(self) -> None:
        start = self.maker.started(prompt=None)
        tokens = [self.maker.tokens(start, n) for n in (3, 1, 2)]
        await self.write(start, *tokens, self.maker.ended(start))

        (line,) = await self.exported()

        self.assertEqual([each["n"] for each in line["token_usages"]], [1, 2, 3])
        for name in ("user_prompts", "tool_usages", "model_thoughts", "legs"):
            self.assertEqual(line[name], [])


class Which(ExportTestCase):
    """What is in an export."""

    async def test_everything_once_oldest_first_over_days_and_pages(self) -> None:
        ids = [await self.whole(START + n * timedelta(hours=5)) for n in range(17)]

        for rows in (1, 2, 5, 100):
            self.assertEqual(await self.ids(page_rows=rows), ids)

    async def test_it_can_go_on_where_it_was_broken_off(self) -> None:
        ids = [await self.whole(START + n * timedelta(hours=9)) for n in range(7)]
        first = await anext(aiter(export_pages(self.pool, page_rows=3)))

        rest = await self.ids(after_id=first.last_id, page_rows=3)

        self.assertEqual((first.count, first.last_id), (2, ids[1]))  # a page is of one day
        self.assertEqual(rest, ids[2:])

    async def test_days_are_inclusive_and_what_is_over_its_time_is_hidden(self) -> None:
        ids = [await self.whole(START + n * DAY) for n in range(4)]
        second, third = (START + DAY).date(), (START + 2 * DAY).date()

        self.assertEqual(await self.ids(first=second, last=third), ids[1:3])
        self.assertEqual(await self.ids(cutoff=START + DAY), ids[1:])

    async def test_filters_and_whose(self) -> None:
        own = await self.whole(model="a")
        other = await self.whole(model="b", initiator_id=BOB, username="bob")

        self.assertEqual(await self.ids(wanted=parse("model:b")), [other])
        self.assertEqual(await self.ids(visible_to=ALICE), [own])
        self.assertEqual(await self.ids(wanted=parse("nobody")), [])

    async def test_what_runs_or_was_passed_through_only_when_asked_for(self) -> None:
        running = self.maker.started()
        passed = self.maker.started(traffic="passthrough", prompt=None)
        await self.write(running, passed, self.maker.ended(passed))

        self.assertEqual(await self.exported(), [])
        (line,) = await self.exported(wanted=Filter(status="running"))
        self.assertEqual((line["id"], line["status"]), (str(running.id), "running"))
        (line,) = await self.exported(wanted=Filter(kind="passthrough"))
        self.assertEqual(line["id"], str(passed.id))

    async def test_nothing_is_no_page(self) -> None:
        self.assertEqual(await self.pages(), [])


class Bounds(ExportTestCase):
    """How large a page may be."""

    async def test_a_page_has_as_much_content_as_it_may_and_never_none(self) -> None:
        ids = []
        for size in (10, 5000, 10, 10, 300, 300, 300, 10):
            start = self.maker.started(prompt="x" * (size // 2))
            tool = replace(self.maker.tool(start, "c"), input="y" * (size // 2))
            await self.write(start, tool, self.maker.ended(start))
            ids.append(start.id)
        ids.sort()

        pages = await self.pages(page_bytes=1000)

        contents = [
            sum(
                len(each["user_prompts"][0]["prompt"]) + len(each["tool_usages"][0]["input"])
                for each in map(json.loads, page.lines.splitlines())
            )
            for page in pages
        ]
        self.assertEqual([size for size in contents if size > 1000], [5000])
        self.assertEqual(sum(page.count for page in pages), 8)
        self.assertEqual(pages[-1].last_id, ids[-1])
