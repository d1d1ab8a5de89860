"""Tests for bridge.store.holds, on a real server: what of the audit log is kept for a held user."""

from __future__ import annotations

from uuid import UUID

from bridge.store import holds
from tests.store.journalled import ALICE, BOB
from tests.store.test_audit_about import NamesCase
from tests.store.test_blanking import DAY

DORA = UUID("01890000-0000-7000-8000-00000000000e")
OLD = 31 * DAY
"""Longer ago than records are kept."""


class AuditHoldTests(NamesCase):
    """Days of which the audit log is all that is held."""

    async def setUp(self) -> None:
        await super().setUp()
        now = await self.now()
        await self.created(DORA, "dora", now - 60 * DAY)
        await self.fetch(
            "UPDATE aibridge_retention SET first_kept_day = %s RETURNING 1", (now - 40 * DAY).date()
        )
        for at in (now - OLD, now):
            await self.recorded(at, BOB)

    async def kept(self) -> list[str]:
        """Make a pass, and return what the entries that are left are about."""
        await self.retention().pass_once()
        return [each for (each,) in await self.fetch("SELECT target FROM audit_log ORDER BY 1")]

    async def test_what_the_held_user_did_stays_on_days_without_requests_of_theirs(self) -> None:
        """What others did goes with the day, held on another or not, and so do their requests."""
        for user, name in ((DORA, "dora"), (BOB, "bob"), (ALICE, "alice")):
            await self.wrote(OLD, action="page.sign-in", target=f"by {name}",
                             actor_id=user, actor_name=name)  # fmt: skip
        hold = await self.hold(DORA)
        another = (await self.now() - OLD - DAY).date()
        await self.hold(ALICE, another, another)

        self.assertEqual(await self.kept(), ["by dora"])
        self.assertEqual(await self.fetch("SELECT count(*) FROM aibridge_interceptions"), [(1,)])

        at = await self.now()
        await self.pool.transaction(lambda cursor: holds.release(cursor, hold, at))
        self.assertEqual(await self.kept(), [])

    async def test_what_was_read_of_the_held_user_or_done_to_them_stays(self) -> None:
        """By name, or by id where there is one; an export of everybody is an export of them."""
        identifier = str(DORA)
        await self.told(OLD, "user.disable", "dora")
        await self.told(OLD, "token.create", "a token of dora", user="dora", name="laptop")
        await self.told(OLD, "content.read", "2 sessions of dora", users=["bob", "dora"])
        await self.told(OLD, "content.read", "export", users=[], format="jsonl")
        await self.told(OLD, "token.create", "by id", user="dora", user_id=identifier)
        await self.told(OLD, "content.read", "by ids", users=["dora"], whose={identifier: "dora"})
        await self.told(OLD, "content.read", "dora", users=["bob"])
        await self.told(OLD, "token.create", "a token of bob", user="bob", name="dora")
        await self.told(OLD, "token.create", "another", user="dora", user_id=str(UUID(int=7)))
        await self.told(65 * DAY, "token.create", "before her time", user="dora")
        await self.hold(DORA)

        self.assertEqual(
            await self.kept(),
            ["2 sessions of dora", "a token of dora", "by id", "by ids", "dora", "export"],
        )
        self.assertEqual(
            await self.fetch("SELECT action FROM audit_log WHERE target = 'dora'"),
            [("user.disable",)],
        )

    async def test_entries_that_are_held_alone_are_exported_and_lose_names_of_others(self) -> None:
        """Their day has no requests any more."""
        await self.told(OLD, "content.read", "s", users=["dora"], q="initiator:dora")
        await self.hold(BOB)
        await self.fetch("DELETE FROM aibridge_interceptions WHERE true RETURNING 1")
        self.assertEqual(await self.kept(), ["s"])

        self.assertEqual(await self.exported(DORA), ["s"])
        name = await self.erased(DORA)

        self.assertEqual(
            await self.fetch("SELECT detail FROM audit_log"),
            [({"users": [name], "q": f"initiator:{name}"},)],
        )
