"""Tests for the schema files: what people who look into the database rely on."""

from __future__ import annotations

from typing import get_args

from bridge.domain.records import AnyRecord
from bridge.store.partitions import TABLES
from tests.support.postgres import StoreTestCase

_RENAMED = {"tool_results", "at", "traffic", "prompt", "kind"}
# They are called started_at, ended_at, created_at; kind; a row of aibridge_user_prompts.


class Schema(StoreTestCase):
    """Tables, columns, comments."""

    async def test_every_table_and_column_says_what_it_holds(self) -> None:
        silent = await self.fetch(
            "SELECT c.relname, a.attname FROM pg_class c "
            "JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum >= 0 AND NOT a.attisdropped "
            "WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') "
            "AND (col_description(c.oid, a.attnum) IS NULL OR obj_description(c.oid) IS NULL)"
        )

        self.assertEqual(silent, [])

    async def test_every_member_of_a_record_has_a_column(self) -> None:
        columns = {
            name
            for (name,) in await self.fetch(
                "SELECT attname FROM pg_attribute WHERE attrelid = ANY(%s::regclass[])",
                list(TABLES),
            )
        }
        members = {
            name for record in get_args(AnyRecord) for name in record.__struct_fields__
        } - _RENAMED

        self.assertEqual(members - columns, set())

    async def test_records_live_in_partitions_by_day(self) -> None:
        keys = await self.fetch(
            "SELECT c.relname, pg_get_partkeydef(c.oid) FROM pg_class c WHERE c.relkind = 'p'"
        )

        self.assertEqual(dict(keys), dict.fromkeys(TABLES, "RANGE (day)"))
