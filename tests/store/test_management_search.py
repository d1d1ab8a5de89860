"""The endpoint of the search on a real server: who may find what, and what that leaves behind."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tests.store.followed import follow_everything
from tests.store.journalled import BOB, START
from tests.store.test_management import ManagementTestCase


class SearchTests(ManagementTestCase):
    async def found(self, query: str, token: str = "aib_auditor") -> Any:
        await follow_everything(self.pool)
        status, found = await self.get(f"/api/v2/aibridge/search{query}", token)
        self.assertEqual(status, 200, found)
        return found

    async def test_what_was_found_is_shown_in_pieces(self) -> None:
        identifier = await self.ended(prompt="Fix the <i>login</i> form", client_session_id="s")

        found = await self.found("?q=login&in=prompt")

        (hit,) = found["results"]
        self.assertEqual(hit["interception_id"], str(identifier))
        self.assertEqual((hit["session_id"], hit["initiator"]["username"]), ("s", "alice"))
        (shown,) = hit["highlights"]
        self.assertEqual(
            shown["fragments"],
            [
                {"text": "Fix the <i>", "match": False},
                {"text": "login", "match": True},
                {"text": "</i> form", "match": False},
            ],
        )
        self.assertFalse(found["more"])

    async def test_pages_follow_each_other(self) -> None:
        ids = [str(await self.ended(START + timedelta(minutes=n))) for n in range(3)]

        first = await self.found("?q=time&limit=2")
        last = first["results"][-1]["interception_id"]
        second = await self.found(f"?q=time&limit=2&after={last}")

        self.assertEqual(
            [each["interception_id"] for each in first["results"] + second["results"]], ids[::-1]
        )
        self.assertEqual((first["more"], second["more"]), (True, False))

    async def test_members_find_their_own_and_leave_no_trace(self) -> None:
        own = await self.ended()
        await self.ended(initiator_id=BOB, username="bob")

        found = await self.found("?q=time", "aib_alice")

        self.assertEqual([each["interception_id"] for each in found["results"]], [str(own)])
        self.assertEqual(self.audited, [])

    async def test_auditors_find_everybodys_and_it_is_written_down(self) -> None:
        identifier = await self.ended()

        await self.found("?q=time%20-never&filter=model:claude-sonnet-4-5")

        (row,) = self.rows(lambda row: row.action == "content.read")
        self.assertEqual((row.actor_name, row.target), ("bob", str(identifier)))
        self.assertEqual(row.detail["search"], "time -never")
        self.assertEqual(row.detail["users"], ["alice"])

    async def test_what_cannot_be_written_down_is_not_shown(self) -> None:
        await self.ended()
        await follow_everything(self.pool)
        self.journal_full = True

        status, found = await self.get("/api/v2/aibridge/search?q=time")

        self.assertEqual(status, 503)
        self.assertNotIn("results", found)

    async def test_what_is_wrong_is_named_by_field(self) -> None:
        for query, field in (
            ("", "q"),
            ("?q=", "q"),
            ("?q=-only", "q"),
            ("?q=%00", "q"),
            ("?q=%ff", "q"),
            (f"?q={'x' * 1001}", "q"),
            (f"?q={'+x' * 60}", "q"),
            ("?q=a&in=answer", "in"),
            ("?q=a&in=prompt,", "in"),
            ("?q=a&filter=colour:red", "colour"),
            ("?q=a&filter=a:b:c", "filter"),
            ("?q=a&limit=201", "limit"),
            ("?q=a&after=nonsense", "after"),
            ("?q=a&after=01890000-0000-4000-8000-00000000000a", "after"),
            ("?q=a&offset=3", "offset"),
            ("?q=a&q=b", "q"),
        ):
            status, found = await self.get(f"/api/v2/aibridge/search{query}")
            self.assertEqual(status, 400, query)
            self.assertEqual([each["field"] for each in found["validations"]], [field], query)

    async def test_queries_that_would_be_broken_elsewhere_find_nothing_or_something(self) -> None:
        await self.ended()
        for query in ("'", "a'b", "((", "a%26%26", "%7C", "!!!a", "a:*BCD", "%22", "\\\\",
                      "%F0%9F%8E%89", "a%3C-%3E", "time%20OR", "%25s", "%25(words)s"):  # fmt: skip
            status, found = await self.get(f"/api/v2/aibridge/search?q={query}")
            self.assertIn(status, (200, 400), (query, found))

    async def test_an_inference_token_is_refused(self) -> None:
        status, _ = await self.get("/api/v2/aibridge/search?q=time", "aib_agent")

        self.assertEqual(status, 403)
