"""The endpoint of usage on a real server: who may ask what, and what is refused."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tests.store.followed import follow_everything
from tests.store.journalled import BOB, START
from tests.store.test_management import ManagementTestCase


class UsageTests(ManagementTestCase):
    async def usage(self, query: str = "", token: str = "aib_auditor") -> Any:
        await follow_everything(self.pool)
        status, found = await self.get(f"/api/v2/aibridge/usage{query}", token)
        self.assertEqual(status, 200, found)
        return found

    async def test_groups_have_what_they_are_grouped_by_and_nothing_else(self) -> None:
        await self.ended(model="a")
        await self.ended(START + timedelta(days=1), model="a")

        found = await self.usage("?group_by=day,model,initiator")

        self.assertEqual(
            [(row["day"], row["model"], row["initiator"]["username"]) for row in found["results"]],
            [("2026-11-24", "a", "alice"), ("2026-11-25", "a", "alice")],
        )
        self.assertNotIn("client", found["results"][0])
        self.assertEqual(found["total"]["interceptions"], 2)
        self.assertEqual(found["total"]["input_tokens"], 20)
        self.assertEqual(found["total"]["duration"]["count"], 2)
        self.assertFalse(found["truncated"])

    async def test_days_and_search(self) -> None:
        for days in range(3):
            await self.ended(START + timedelta(days=days), model=f"m{days}")

        some = await self.usage("?from=2026-11-25&to=2026-11-26&group_by=model")
        one = await self.usage("?q=model:m0")

        self.assertEqual([row["model"] for row in some["results"]], ["m1", "m2"])
        self.assertEqual((one["total"]["interceptions"], one["results"]), (1, []))

    async def test_members_see_their_own_and_auditors_everybodys(self) -> None:
        await self.ended()
        await self.ended(initiator_id=BOB, username="bob")

        own = await self.usage("?group_by=initiator", "aib_alice")
        other = await self.usage(f"?q=initiator:{BOB}", "aib_alice")
        everybodys = await self.usage("?group_by=initiator")

        self.assertEqual([row["initiator"]["username"] for row in own["results"]], ["alice"])
        self.assertEqual(other["total"]["interceptions"], 0)
        self.assertEqual(everybodys["total"]["interceptions"], 2)
        self.assertEqual(self.audited, [])

    async def test_what_is_wrong_is_named_by_field(self) -> None:
        for query, field in (
            ("?group_by=day,colour", "group_by"),
            ("?group_by=day,day", "group_by"),
            ("?group_by=day,", "group_by"),
            ("?group_by=day%3BDROP", "group_by"),
            ("?from=yesterday", "from"),
            ("?from=2026-13-01", "from"),
            ("?to=2026-11-24T00:00:00Z", "to"),
            ("?to=%D9%A2%D9%A0%D9%A2%D9%A6-11-24", "to"),
            ("?from=2026-11-25&to=2026-11-24", "to"),
            ("?limit=10001", "limit"),
            ("?limit=-1", "limit"),
            ("?q=status:lost", "status"),
            ("?q=session_id:x", "session_id"),
            ("?q=kind:passthrough", "kind"),
            ("?days=3", "days"),
            ("?q=%00", "initiator"),
        ):
            status, found = await self.get(f"/api/v2/aibridge/usage{query}")
            self.assertEqual(status, 400, query)
            self.assertEqual([each["field"] for each in found["validations"]], [field], query)

    async def test_an_inference_token_is_refused(self) -> None:
        status, _ = await self.get("/api/v2/aibridge/usage", "aib_agent")

        self.assertEqual(status, 403)
