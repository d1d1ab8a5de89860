"""Tests for bridge.store.export and bridge.cli.resuming, on a real server."""

from __future__ import annotations

import csv
import io
import json
import tempfile
import threading
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import psycopg2
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from bridge.cli.resuming import resume_point
from bridge.domain.errors import BadRequest
from bridge.domain.records import Record
from bridge.store import export
from bridge.store.connection import Cursor
from bridge.store.errors import StoreError, StoreUnavailable
from bridge.store.export import HEADINGS, Export, Format
from bridge.store.export_pages import Pages
from bridge.store.export_sql import MERGE
from bridge.store.filters import Filter, filter_from
from bridge.store.reads import list_interceptions, read_interception
from bridge.store.reads_json import InterceptionWithLegs
from bridge.store.rows import none, one
from bridge.store.threaded import RawCursor, Readers
from bridge.store.writes import write_batch
from tests.store.journalled import ALICE, BOB, START, Maker, lines
from tests.support.postgres import StoreTestCase

NASTY = "=cmd|' /C calc'!A0 \"quoted\", \r\nsecond\nthird \x1b[31m \u202e \u2028 \x00"
PROMPTS = (
    "plain",
    NASTY,
    '"',
    "\r\n",
    "+1",
    "-1",
    "@x",
    "\ttab",
    "\rcr",
    "",
    '""\r\n""',
    "é\U0001f600",
)


class ExportCase(StoreTestCase):
    @cached_property
    def maker(self) -> Maker:
        """The maker of all records of a test."""
        return Maker()

    async def write(self, *records: Record) -> None:
        batch = lines(*records)
        await self.pool.transaction(lambda cursor: write_batch(cursor, batch))

    async def write_many(self, count: int = 24) -> None:
        """Store interceptions of several days, with prompts of every nasty kind."""
        for number in range(count):
            at = START - timedelta(days=number % 3, seconds=number)
            await self.write(*self.maker.whole(at, prompt=PROMPTS[number % len(PROMPTS)]))

    async def text(
        self,
        form: Format,
        *,
        after_id: UUID | None = None,
        wanted: Filter | None = None,
        rows: int = 7,
        **options: Any,
    ) -> str:
        """Return a whole export."""
        arguments: dict[str, Any] = {"visible_to": None, "cutoff": None, **options}
        export = Export(wanted or Filter(), format=form, after_id=after_id, **arguments)
        found = "" if after_id is not None else HEADINGS[form]
        while page := await self.pool.transaction(
            lambda cursor: export.next(cursor, rows=rows), read_only=True
        ):
            self.assertLessEqual(page.rows, rows)
            found += page.data.decode()
        return found


class ExportTests(ExportCase):
    async def test_json_lines_say_what_the_api_says(self) -> None:
        await self.write_many()
        text = await self.text(Format.JSONL)
        found = [
            msgspec.json.decode(line, type=InterceptionWithLegs)
            for line in text.removesuffix("\n").split("\n")
        ]

        self.assertEqual(len(found), 24)
        self.assertEqual([each.id for each in found], sorted(each.id for each in found))
        for each in found:
            read = await self.pool.transaction(
                lambda cursor, each=each: read_interception(  # type: ignore[misc]
                    cursor, each.id, visible_to=None, cutoff=None
                )
            )
            self.assertEqual(each, read)

    async def test_every_character_and_every_kind_of_detail_comes_through(self) -> None:
        strange = "".join(map(chr, range(1, 0x100))) + "\u2028\ufeff\U0001f600 \\v \\\\n"
        await self.write(*self.maker.whole(prompt=strange, model=strange, client=strange))
        await self.write(*self.maker.whole())

        text = await self.text(Format.JSONL)

        found = [json.loads(line) for line in text.removesuffix("\n").split("\n")]
        (one,) = [each for each in found if each["model"] == strange]
        self.assertEqual((one["client"], one["user_prompts"][0]["prompt"]), (strange, strange))
        for each in found:
            for name in ("token_usages", "user_prompts", "tool_usages", "model_thoughts", "legs"):
                self.assertEqual({of["interception_id"] for of in each[name]}, {each["id"]}, name)

    async def test_details_are_in_their_order_however_they_came(self) -> None:
        """As they lie in the table they would not be."""
        starts = [
            self.maker.started(START + timedelta(seconds=at), model=name)
            for at, name in enumerate(("one", "running", "other"))
        ]
        numbers = list(range(1, 13))
        for n in [*numbers[::2], *numbers[1::2]][::-1]:
            for start in starts:
                details = (
                    self.maker.tokens(start, n), self.maker.leg(start, n),
                    self.maker.tool(start, f"call-{n}", n), self.maker.thought(start, n),
                )  # fmt: skip
                await self.write(*details[:: -1 if start.model == "one" else 1])
        for start in starts:
            ended = () if start.model == "running" else (self.maker.ended(start),)
            await self.write(start, *ended)

        for rows in (1, 100, 100):
            text = await self.text(Format.JSONL, rows=rows)

            found = [json.loads(line) for line in text.splitlines()]
            self.assertEqual(sorted(each["model"] for each in found), ["one", "other"])
            for each in found:
                for name in ("token_usages", "tool_usages", "model_thoughts", "legs"):
                    self.assertEqual([of["n"] for of in each[name]], numbers, name)
                    self.assertEqual({of["interception_id"] for of in each[name]}, {each["id"]})
            # Now the server knows how few there are, and sorts them in place of using an index.
            await self.pool.transaction(lambda cursor: none(cursor, "ANALYZE"))

    async def test_what_is_read_in_threads_is_the_same(self) -> None:
        await self.write_many()
        for form in Format:
            whole = await self.text(form)
            readers = Readers(dsn=self.dsn, reactor=reactor, size=2, statement_seconds=30)
            export = Export(Filter(), format=form, visible_to=None, cutoff=None)
            pages = Pages(readers, export, ahead=3, rows=5)

            found = HEADINGS[form].encode()
            while (page := await pages.next()) is not None:
                found += page.data
            await pages.close()
            await readers.close()

            self.assertEqual(found.decode(), whole)

    async def test_the_threads_are_few_and_end_with_the_reading(self) -> None:
        """What a large result leaves in a thread's heap is left in so many heaps at most."""
        readers = Readers(dsn=self.dsn, reactor=reactor, size=2, statement_seconds=30)
        threads: set[threading.Thread] = set()

        async def work(cursor: Cursor) -> None:
            threads.add(threading.current_thread())
            await cursor.execute("SELECT pg_sleep(0.02)")

        reading = [Deferred.fromCoroutine(readers.transaction(work)) for _ in range(8)]
        for each in reading:
            await each
        self.assertEqual(len(threads), 2)
        await readers.close()
        for thread in threads:
            thread.join(10)
            self.assertFalse(thread.is_alive())

    async def test_the_order_is_that_of_ids_however_the_server_joins(self) -> None:
        await self.write_many()
        expected = [await self.text(form) for form in Format]
        await self.pool.transaction(lambda cursor: none(cursor, "ANALYZE"))
        other = ("mergejoin", "nestloop", "indexscan", "bitmapscan")
        self.patch(export, "MERGE", ";".join(f"SET LOCAL enable_{each} = off" for each in other))

        self.assertEqual([await self.text(form, rows=100) for form in Format], expected)

    async def test_a_query_is_planned_once_until_another_is_run(self) -> None:
        planned = (
            "SELECT count(*), sum(generic_plans), sum(custom_plans) FROM pg_prepared_statements"
        )
        readers = Readers(dsn=self.dsn, reactor=reactor, size=1, statement_seconds=30)

        async def ask(sql: str, text: str, number: int) -> list[object]:
            async def work(cursor: Cursor) -> list[object]:
                assert isinstance(cursor, RawCursor)
                await none(cursor, MERGE)
                found = cursor.texts(sql, {"text": text}, {"number": number})
                return [*found, *await one(cursor, planned)]

            return await readers.transaction(work)

        first = "SELECT %(text)s || ': ' || %(number)s::bigint"
        other = "SELECT x::text FROM generate_series(1, %(number)s::int) x WHERE %(text)s <> ''"
        strange = "100% of 'é\\"
        self.assertEqual(await ask(first, "a", 1), [b"a: 1", 1, 1, 0])
        self.assertEqual(await ask(first, "a", 2**40), [b"a: 1099511627776", 1, 2, 0])
        self.assertEqual(await ask(first, strange, 3), [f"{strange}: 3".encode(), 1, 1, 0])
        self.assertEqual(await ask(other, "a", 2), [b"1", b"2", 1, 1, 0])
        with self.assertRaises(StoreError):
            await ask("SELECT 1 / %(number)s::int, %(text)s", "a", 0)
        self.assertEqual(await ask(first, "a", 4), [b"a: 4", 1, 1, 0])
        with self.assertRaises(StoreUnavailable):
            await ask("SELECT pg_terminate_backend(pg_backend_pid())::text", "a", 0)
        self.assertEqual(await ask(first, "a", 5), [b"a: 5", 1, 1, 0])
        await readers.close()

    async def test_a_query_is_that_query_whoever_used_the_connection_before(self) -> None:
        """As behind a pool of connections, which gives a transaction whichever is free."""
        connections = [psycopg2.connect(self.dsn) for _ in range(2)]
        for each in connections:
            self.addCleanup(each.close)
        for number in range(8):
            for what in ("a", "b"):
                # Each in turn with either connection.
                cursor = RawCursor(connections[(number // 2 + (what == "b")) % 2].cursor())
                sql = "SELECT %(what)s || %(number)s::bigint"
                found = cursor.texts(sql, {"what": what}, {"number": number})

                self.assertEqual(found, [f"{what}{number}".encode()])
                if number % 3 == 0:  # another server process, which has prepared nothing
                    cursor.run("DEALLOCATE ALL")

    async def test_a_spreadsheet_reads_every_record_and_runs_no_formula(self) -> None:
        await self.write_many()
        listed = await self.pool.transaction(
            lambda cursor: list_interceptions(
                cursor, Filter(), limit=100, after_id=None, visible_to=None, cutoff=None
            )
        )

        text = await self.text(Format.CSV)

        rows = list(csv.DictReader(io.StringIO(text, newline="")))
        self.assertEqual([row["id"] for row in rows], [str(x.id) for x in reversed(listed.results)])
        for row, each in zip(rows, reversed(listed.results), strict=True):
            prompt = "".join(one.prompt for one in each.user_prompts)
            safe = "'" if prompt[:1] in tuple("=+-@\t\r\n") and prompt else ""
            self.assertEqual(row["prompt"], safe + prompt)
            self.assertEqual(row["input_tokens"], "10")
            self.assertEqual(row["tools"], "get_time")
            self.assertEqual(row["thread_root_id"], str(each.thread_root_id or ""))
        for row in rows:
            for value in row.values():
                self.assertNotIn(value[:1], tuple("=+-@\t\r\n"))

    async def test_a_threads_first_names_no_root_in_a_spreadsheet_either(self) -> None:
        first, second = self.maker.thread(2)
        await self.write(*first, *second)

        rows = csv.DictReader(io.StringIO(await self.text(Format.CSV), newline=""))

        self.assertEqual([row["thread_root_id"] for row in rows], ["", str(first[0].id)])

    async def test_what_is_named_like_a_formula_is_safe_in_every_column(self) -> None:
        await self.write(
            *self.maker.whole(
                model="=1+1", client="@SUM(A1)", client_session_id="+1", username="-x",
                provider_name="\tx", route="\r=1",
            )
        )  # fmt: skip

        (row,) = csv.DictReader(io.StringIO(await self.text(Format.CSV), newline=""))

        for name, value in {
            "model": "'=1+1", "client": "'@SUM(A1)", "session_id": "'+1", "username": "'-x",
            "provider_name": "'\tx", "route": "'\r=1",
        }.items():  # fmt: skip
            self.assertEqual(row[name], value)

    async def test_filters_and_visibility_are_kept(self) -> None:
        await self.write(*self.maker.whole(initiator_id=ALICE, model="a"))
        await self.write(*self.maker.whole(initiator_id=BOB, model="b"))
        await self.write(*self.maker.whole(START - timedelta(days=2), model="c"))
        await self.write(self.maker.started(model="running"))

        async def models(**options: Any) -> list[str]:
            text = await self.text(Format.JSONL, **options)
            return [json.loads(line)["model"] for line in text.splitlines()]

        self.assertEqual(await models(), ["c", *await models(wanted=filter_from(_SINCE))])
        self.assertEqual(sorted(await models()), ["a", "b", "c"])
        self.assertEqual(await models(visible_to=BOB), ["b"])
        self.assertEqual(await models(wanted=filter_from({"model": "a"})), ["a"])
        self.assertEqual(sorted(await models(cutoff=START - timedelta(days=1))), ["a", "b"])

    async def models_as_time_goes_by(self, wanted: Filter) -> list[str]:
        """Export six hours of requests while, after the first page, the older half is ended."""
        for hours in range(6):
            await self.write(*self.maker.whole(START - timedelta(hours=hours), model=f"{hours}"))
        export = Export(wanted, format=Format.JSONL, visible_to=None, cutoff=None)
        found = []
        while page := await self.pool.transaction(
            lambda cursor: export.next(cursor, rows=1), read_only=True
        ):
            found += [json.loads(line)["model"] for line in page.data.splitlines()]
            export.cutoff = START - timedelta(hours=2, minutes=30)
        return found

    async def test_what_grows_too_old_between_two_pages_is_left_out(self) -> None:
        found = await self.models_as_time_goes_by(Filter())

        self.assertEqual(found, ["5", "2", "1", "0"])

    async def test_what_grows_too_old_between_two_pages_of_a_search_is_left_out(self) -> None:
        found = await self.models_as_time_goes_by(Filter(client="Claude Code"))

        self.assertEqual(found, ["5", "2", "1", "0"])

    async def test_an_export_cut_anywhere_and_resumed_is_the_same(self) -> None:
        await self.write_many()
        for form in Format:
            whole = (await self.text(form)).encode()
            cuts = {*range(0, len(whole), 97), *range(len(whole) - 40, len(whole) + 1)}
            cuts |= {at for at in range(len(whole)) if whole[at : at + 1] in (b"\r", b"\n", b'"')}
            rest: dict[UUID | None, bytes] = {}
            with tempfile.TemporaryDirectory() as directory:
                path = Path(directory) / "cut"
                for cut in sorted(cuts)[::3]:
                    path.write_bytes(whole[:cut])

                    size, after_id = resume_point(path, form)

                    if after_id not in rest:
                        more = await self.text(form, after_id=after_id, rows=100)
                        rest[after_id] = more.encode()
                    self.assertEqual(whole[:size] + rest[after_id], whole, (form, cut))

    async def test_a_file_of_another_kind_is_not_written_over(self) -> None:
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory) / "thesis"
            path.write_text("It was a dark and stormy night.\n")

            self.assertRaises(BadRequest, resume_point, path, Format.JSONL)


_SINCE = {"started_after": (START - timedelta(hours=1)).isoformat()}
