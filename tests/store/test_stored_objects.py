"""Who made what a provider keeps is found again, for exactly the one who made it."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from bridge.store.stored_objects import made_by
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

    async def made(self, *object_ids: str, user: UUID = ALICE, provider: str = "anthropic") -> bool:
        return await self.pool.transaction(
            lambda cursor: made_by(
                cursor, initiator_id=user, provider_name=provider, object_ids=object_ids
            ),
            read_only=True,
        )

    async def test_the_maker_finds_their_own_of_any_day(self) -> None:
        self.assertTrue(await self.made(*self.ids))
        self.assertTrue(await self.made(self.ids[0], self.ids[0]))

    async def test_nobody_else_does(self) -> None:
        self.assertFalse(await self.made(self.ids[0], user=BOB))
        self.assertFalse(await self.made(self.ids[0], provider="openai"))

    async def test_one_strange_id_among_several_is_enough(self) -> None:
        self.assertFalse(await self.made(*self.ids, "resp_strange"))
        self.assertFalse(await self.made("' OR 1=1 --"))
