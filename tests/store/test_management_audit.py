"""The endpoint of the audit log on a real server: who may read it, and what is found."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from bridge.store.writes import write_batch
from tests.store.journalled import START, lines
from tests.store.test_management import ManagementTestCase

AUDIT = "/api/v2/aibridge/audit"
HOUR = timedelta(hours=1)


class AuditTests(ManagementTestCase):
    async def setUp(self) -> None:
        await super().setUp()
        rows = [
            self.maker.audit(START, action="user.create", target="bob"),
            self.maker.audit(START + HOUR, action="token.revoke", target="x", actor_name="carol"),
            self.maker.audit(
                START + 2 * HOUR, action="content.read", target="x", detail={"users": ["dave"]}
            ),
            self.maker.audit(START + 30 * HOUR, action="user.roles", target="<b>'--\x1b[31m"),
        ]
        batch = lines(*rows)
        await self.pool.transaction(lambda cursor: write_batch(cursor, batch))

    async def entries(self, query: str = "", token: str = "aib_auditor") -> list[str]:
        status, found = await self.get(f"{AUDIT}{query}", token)
        self.assertEqual(status, 200, found)
        return [each["action"] for each in found["entries"]]

    async def test_newest_first_for_owners_and_auditors(self) -> None:
        for token in ("aib_auditor", "aib_owner"):
            self.assertEqual(
                await self.entries("", token),
                ["user.roles", "content.read", "token.revoke", "user.create"],
            )

    async def test_filters(self) -> None:
        for query, expected in (
            ("?action=user", ["user.roles", "user.create"]),
            ("?action=token.revoke", ["token.revoke"]),
            ("?actor=carol", ["token.revoke"]),
            ("?target=bob", ["user.create"]),
            ("?user=bob", ["user.create"]),
            ("?user=dave", ["content.read"]),
            ("?user=&action=token", ["token.revoke"]),
            ("?target=%3Cb%3E'--%1b[31m", ["user.roles"]),
            ("?from=2026-11-24T13:00:00Z", ["user.roles", "content.read", "token.revoke"]),
            ("?to=2026-11-24T13:00:00Z", ["user.create"]),
            ("?from=2026-11-24T12:30:00Z&to=2026-11-24T15:30:00%2B02:00", ["token.revoke"]),
            ("?from=0001-01-01T00:00:00Z&to=9999-12-31T23:00:00Z&limit=1", ["user.roles"]),
            ("?target=%25", []),
        ):
            self.assertEqual(await self.entries(query), expected, query)

    async def test_pages_follow_each_other(self) -> None:
        found: list[str] = []
        after: Any = ""
        while after is not None:
            _, page = await self.get(f"{AUDIT}?limit=2&after_id={after}")
            found += [each["action"] for each in page["entries"]]
            after = page["next_after_id"]

        self.assertEqual(found, ["user.roles", "content.read", "token.revoke", "user.create"])

    async def test_members_and_inference_tokens_are_refused(self) -> None:
        status, found = await self.get(AUDIT, "aib_alice")
        self.assertEqual(status, 403)
        self.assertIn("auditor or owner", found["message"])
        self.assertEqual((await self.get(AUDIT, "aib_agent"))[0], 403)
        self.assertEqual((await self.get(AUDIT, None))[0], 401)

    async def test_what_is_wrong_is_named_by_field(self) -> None:
        for query, field in (
            ("?from=yesterday", "from"), ("?to=2026-13-01T00:00:00Z", "to"),
            ("?limit=1001", "limit"), ("?after_id=x", "after_id"), ("?target=%00", "target"),
            ("?user=%00", "user"),
            ("?colour=red", "colour"), (f"?actor={'x' * 5000}", "actor"),
        ):  # fmt: skip
            status, found = await self.get(f"{AUDIT}{query}")
            self.assertEqual((status, [each["field"] for each in found["validations"]]),
                             (400, [field]))  # fmt: skip
