"""Who made what a provider keeps is found again."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

from msgspec.structs import replace

from bridge.store.stored_objects import makers
from tests.store.journalled import ALICE, START, Maker
from tests.store.test_writes import WritesTestCase

BOB = UUID(int=0xB0B)


class MadeByTests(WritesTestCase):
    async def setUp(self) -> None:
        await super().setUp()
        make = Maker()
        first, second = make.whole(START), make.whole(START - timedelta(days=3))
        await self.write(*first, *second)
        self.ids = [f"resp_{records[0].id}" for records in (first, second)]

    async def makers(self, *object_ids: str, provider: str = "anthropic") -> Mapping[str, UUID]:
        return await self.pool.transaction(
            lambda cursor: makers(cursor, provider_name=provider, object_ids=object_ids),
            read_only=True,
        )

    async def test_the_maker_is_found_of_any_day(self) -> None:
        found = await self.makers(*self.ids, self.ids[0], "resp_strange", "' OR 1=1 --")

        self.assertEqual(found, dict.fromkeys(self.ids, ALICE))

    async def test_another_providers_are_others(self) -> None:
        self.assertEqual(await self.makers(self.ids[0], provider="openai"), {})

    async def test_the_first_to_make_it_is_its_maker(self) -> None:
        start = Maker().started(START + timedelta(seconds=9), initiator_id=BOB)
        claimed = replace(Maker().stored(start, self.ids[0]), id=UUID(int=7))
        await self.write(start, claimed)

        self.assertEqual(await self.makers(self.ids[0]), {self.ids[0]: ALICE})
