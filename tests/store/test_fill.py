"""The store's benchmark fills a database with what our own writer could have stored."""

from __future__ import annotations

from datetime import date
from typing import Any

from benchmarks.store_ask import explain, questions
from benchmarks.store_fill import Size, fill
from benchmarks.store_rows import RARE_CLIENT, RARE_MODEL, RARE_PROVIDER, RARE_ROWS, RARE_WORD
from bridge.store.partitions import ensure_days, stored_days
from bridge.store.search import index_day
from tests.support.postgres import StoreTestCase

COUNT = 3000
MANY = 100_000


class FillTests(StoreTestCase):
    timeout = 400

    async def count(self, sql: str) -> Any:
        ((found,),) = await self.fetch(sql)
        return found

    async def test_records_hang_together_and_everything_is_derived_from_them(self) -> None:
        size = Size(interceptions=COUNT, days=3, users=50)

        await fill(self.pool, size, last=date(2026, 11, 24))

        rows = "SELECT count(*) FROM aibridge_"
        self.assertEqual(await self.count(f"{rows}interceptions"), COUNT)
        self.assertEqual(await self.count(f"{rows}user_prompts"), COUNT * 2)
        self.assertEqual(await self.count(f"{rows}token_usages"), COUNT * 3 // 2)
        self.assertLess(abs(await self.count(f"{rows}tool_usages") - COUNT * 3), COUNT // 50)
        self.assertEqual(
            await self.count("SELECT count(DISTINCT day) FROM aibridge_interceptions"), 3
        )
        # An id's own time is started_at's, and so is its day.
        self.assertEqual(
            await self.count(
                f"{rows}interceptions WHERE day <> (started_at AT TIME ZONE 'UTC')::date "
                "OR ('x' || translate(left(id::text, 13), '-', ''))::bit(48)::bigint "
                "<> round(extract(epoch FROM started_at) * 1000)"
            ),
            0,
        )
        orphans = "WHERE NOT EXISTS (SELECT FROM aibridge_interceptions i WHERE i.id = "
        for each in ("user_prompts", "token_usages", "tool_usages", "model_thoughts", "legs"):
            self.assertEqual(await self.count(f"{rows}{each} c {orphans} c.interception_id)"), 0)
        parents = f"{rows}interceptions c {orphans} c.thread_parent_id) AND c.thread_parent_id "
        self.assertEqual(await self.count(f"{parents} IS NOT NULL"), 0)
        self.assertEqual(
            await self.count("SELECT sum(interceptions)::int FROM aibridge_sessions"), COUNT
        )
        self.assertEqual(
            await self.count("SELECT sum(interceptions)::int FROM aibridge_usage_daily"), COUNT
        )
        self.assertEqual(await self.count(f"{rows}session_marks"), 0)
        # What a user uses changes little, so usage is far less than what it sums up.
        self.assertLess(await self.count(f"{rows}usage_daily"), COUNT // 3)

    async def test_of_a_hundred_thousand_indexes_answer_what_is_asked(self) -> None:
        days = 20
        size = Size(interceptions=MANY, days=days, searchable_days=0)

        await fill(self.pool, size, last=date(2026, 11, 24))

        for table, of_each in {
            "interceptions": 1.0, "user_prompts": 2.0, "token_usages": 1.5, "legs": 1.5,
            "tool_usages": 3.0, "model_thoughts": 0.5,
        }.items():  # fmt: skip
            count = await self.count(f"SELECT count(*) FROM aibridge_{table}")
            self.assertLess(abs(count - MANY * of_each), MANY // 1000, (table, count))
        asked = {question.name: question for question in await questions(self.pool)}
        for name in ("usage by day, a member's own", "interceptions, a user"):
            plans = await explain(self.pool, asked[name])
            self.assertIn("Index", plans)
            self.assertNotIn("Seq Scan on aibridge_interceptions", plans)
            self.assertNotIn("Seq Scan on aibridge_usage_daily", plans)

    async def test_what_is_searchable_is_what_our_follower_makes_of_the_records(self) -> None:
        size = Size(interceptions=600, days=2, users=50)
        await fill(self.pool, size, last=date(2026, 11, 24))
        sql = "SELECT interception_id, initiator_id, started_at, words::text FROM aibridge_search "
        filled = await self.fetch(f"{sql} ORDER BY interception_id")

        for day in await self.pool.transaction(stored_days):
            await self.pool.transaction(lambda cursor, day=day: index_day(cursor, day))  # type: ignore[misc]  # bound at once

        self.assertEqual(len(filled), 600)
        self.assertEqual(await self.fetch(f"{sql} ORDER BY interception_id"), filled)

    async def test_tables_are_the_same_as_the_writers(self) -> None:
        day = date(2026, 11, 24)
        await fill(self.pool, Size(interceptions=100, days=1), last=day)
        await self.pool.transaction(lambda cursor: ensure_days(cursor, [date(2026, 11, 25)]))
        indexes = (
            "SELECT replace(pg_get_indexdef(i.indexrelid), %s, '') AS made, i.indisvalid "
            "FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t "
            "ON t.oid = i.indrelid WHERE c.relispartition AND t.relname LIKE %s ORDER BY 1"
        )
        options = (
            "SELECT reloptions FROM pg_class WHERE relkind = 'r' AND relname LIKE %s "
            "ORDER BY relname"
        )

        filled, made = [
            [
                await self.fetch(indexes, digits, f"%\\_p{digits}"),
                await self.fetch(options, f"%\\_p{digits}"),
            ]
            for digits in ("20261124", "20261125")
        ]

        self.assertEqual(filled, made)

    async def test_sizes_are_uneven_and_rare_values_are_rare(self) -> None:
        size = Size(interceptions=COUNT, days=3, users=50)

        await fill(self.pool, size, last=date(2026, 11, 24))

        for column, value in (
            ("model", RARE_MODEL),
            ("client", RARE_CLIENT),
            ("provider_name", RARE_PROVIDER),
        ):
            found = await self.fetch(
                f"SELECT count(*) FROM aibridge_interceptions WHERE {column} = %s", value
            )
            self.assertEqual(found, [(RARE_ROWS,)])
        self.assertEqual(
            await self.fetch(
                "SELECT count(*) FROM aibridge_user_prompts WHERE prompt LIKE %s", f"%{RARE_WORD}%"
            ),
            [(RARE_ROWS,)],
        )
        (largest, median) = (
            await self.fetch(
                "SELECT max(interceptions), "
                "percentile_disc(0.5) WITHIN GROUP (ORDER BY interceptions) FROM aibridge_sessions"
            )
        )[0]
        self.assertGreater(largest, 20 * median)
