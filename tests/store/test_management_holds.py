"""The endpoint of legal holds on a real server: owners see them, nobody else does."""

from __future__ import annotations

from datetime import UTC, date, datetime
from uuid import UUID

from bridge.store import holds
from bridge.store.holds import Hold
from tests.store.journalled import ALICE
from tests.store.test_management import ManagementTestCase

HOLDS = "/api/v2/aibridge/holds"
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


class HoldsTests(ManagementTestCase):
    async def test_owners_see_what_is_held_and_since_when_not(self) -> None:
        """Both kinds, with who made them and why."""
        for n, (user, first, last) in enumerate(
            ((ALICE, None, None), (None, date(2026, 11, 1), date(2026, 11, 2)))
        ):
            hold = Hold(
                id=UUID(int=n + 1),
                user_id=user,
                username=None,
                from_day=first,
                to_day=last,
                reason=f"case {n}",
                created_by="root",
                created_at=NOW,
                released_at=None,
            )
            await self.pool.transaction(lambda cursor, hold=hold: holds.create(cursor, hold))
        await self.pool.transaction(lambda cursor: holds.release(cursor, UUID(int=2), NOW))

        status, found = await self.get(HOLDS, "aib_owner")

        self.assertEqual(status, 200, found)
        first, second = found["holds"]
        self.assertEqual((first["user_id"], first["released_at"]), (str(ALICE), None))
        self.assertEqual((second["from_day"], second["to_day"]), ("2026-11-01", "2026-11-02"))
        self.assertEqual((second["user_id"], second["reason"]), (None, "case 1"))
        self.assertIsNotNone(second["released_at"])

    async def test_others_are_refused(self) -> None:
        """Who is held is nobody's business but the owners'."""
        for token in ("aib_alice", "aib_auditor", "aib_agent"):
            self.assertEqual((await self.get(HOLDS, token))[0], 403, token)
        self.assertEqual((await self.get(HOLDS, None))[0], 401)
