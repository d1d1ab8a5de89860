"""Tests for bridge.store.search and reads_search, on a real server."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from msgspec.structs import replace

from bridge.domain.records import Record
from bridge.store.filters import parse
from bridge.store.partitions import day_literal, stored_days
from bridge.store.reads_search import MOST_HIGHLIGHTS, Hit, Hits, search
from bridge.store.rows import none
from bridge.store.search import MAX_CHARACTERS, Pass, follow
from bridge.store.search_words import Part, parse_words, plain, unescaped
from bridge.store.writes import write_batch
from tests.store.followed import follow_everything
from tests.store.journalled import ALICE, BOB, START, Maker, lines
from tests.support.postgres import StoreTestCase


class SearchTestCase(StoreTestCase):
    """Interceptions go in, and are found."""

    async def setUp(self) -> None:
        await super().setUp()
        self.maker = Maker()

    async def write(self, *records: Record) -> None:
        """Store `records`."""
        batch = lines(*records)
        await self.pool.transaction(lambda cursor: write_batch(cursor, batch))

    async def asked(
        self,
        prompt: str | None,
        at: datetime = START,
        *,
        thought: str | None = None,
        tools: Sequence[tuple[str, str]] = (),
        **members: object,
    ) -> UUID:
        """Store an interception and return its id."""
        start = self.maker.started(at, prompt=prompt, **members)
        records: list[Record] = [start]
        if thought is not None:
            records.append(replace(self.maker.thought(start), content=thought))
        for number, (tool, arguments) in enumerate(tools, 1):
            call = self.maker.tool(start, f"c{number}", number)
            records.append(replace(call, tool=tool, input=arguments))
        await self.write(*records, self.maker.ended(start))
        return start.id

    async def search(
        self, words: str, *, parts: Sequence[Part] = (), q: str = "", **more: Any
    ) -> Hits:
        """Follow, and return what is found."""
        await follow_everything(self.pool)
        given: dict[str, Any] = {
            "limit": 50, "after_id": None, "visible_to": None, "cutoff": None,
        }  # fmt: skip
        return await self.pool.transaction(
            lambda cursor: search(
                cursor, parse_words(words, parts=parts), parse(q), **(given | more)
            ),
            read_only=True,
        )

    async def found(self, words: str, **more: Any) -> list[UUID]:
        """Return the ids of what is found."""
        return [each.interception_id for each in (await self.search(words, **more)).results]

    async def hit(self, words: str, **more: Any) -> Hit:
        """Return the one that is found."""
        (found,) = (await self.search(words, **more)).results
        return found


class Finding(SearchTestCase):
    """What is found by which words."""

    async def test_prompts_thoughts_and_tool_calls(self) -> None:
        it = await self.asked(
            "Deploy the thing",
            thought="Perhaps rollback?",
            tools=[("mcp__github__create_issue", '{"title": "broken\\nnightly"}')],
        )
        await self.asked("Something else")

        for words in ("deploy", "ROLLBACK", "github", '"create issue"', "broken", "nightly",
                      "deploy rollback nightly", "roll* deploy", '"deploy the" -else'):  # fmt: skip
            self.assertEqual(await self.found(words), [it], words)
        for words in ("nnightly", "deploy else", '"the deploy"', "ploy", "deploy -rollback"):
            self.assertEqual(await self.found(words), [], words)

    async def test_where_words_stand(self) -> None:
        asked = await self.asked("alpha", thought="beta")
        thought = await self.asked("beta", thought="alpha")

        self.assertEqual(await self.found("alpha", parts=[Part.PROMPT]), [asked])
        self.assertEqual(await self.found("alpha", parts=[Part.THOUGHT]), [thought])
        self.assertEqual(await self.found("alpha", parts=[Part.TOOL]), [])
        self.assertCountEqual(
            await self.found("alpha", parts=[Part.PROMPT, Part.THOUGHT]), [thought, asked]
        )

    async def test_paths_identifiers_and_numbers_are_found_by_their_parts(self) -> None:
        it = await self.asked("see /usr/local/lib/foo_bar-1.25e3.py, https://example.com/a?b=c")

        for words in ("local", "foo_bar", "/usr/local", "example.com", "1.25e3", "b=c", "py"):
            self.assertEqual(await self.found(words), [it], words)

    async def test_languages(self) -> None:
        it = await self.asked("Größe ändern — 请修复这个错误 ошибка 수정")

        for words in ("größe", "修复", "错误", "Ошибка", "수정", "änder*"):
            self.assertEqual(await self.found(words), [it], words)
        self.assertEqual(await self.found("复修"), [])

    async def test_alternatives(self) -> None:
        one, two = await self.asked("one"), await self.asked("two")
        await self.asked("three")

        self.assertCountEqual(await self.found("one OR two"), [one, two])

    async def test_only_what_has_ended_and_was_no_passthrough(self) -> None:
        await self.write(self.maker.started(prompt="word"))
        start = self.maker.started(prompt="word", traffic="passthrough")
        await self.write(start, self.maker.ended(start))

        self.assertEqual(await self.found("word"), [])

    async def test_details_that_come_after_the_end_are_found_too(self) -> None:
        start = self.maker.started(prompt="first")
        await self.write(start, self.maker.ended(start))
        before = await self.found("later")
        await self.write(replace(self.maker.thought(start), content="later"))

        self.assertEqual(before, [])
        self.assertEqual(await self.found("first later"), [start.id])

    async def test_what_stands_behind_the_limit_is_not_found(self) -> None:
        it = await self.asked("start " + "x" * MAX_CHARACTERS + " end")

        self.assertEqual(await self.found("start"), [it])
        self.assertEqual(await self.found("end"), [])

    async def test_the_largest_texts_fit_whatever_they_are_made_of(self) -> None:
        rng = random.Random(3)
        for alphabet in ("abcdefghijkl", "\u4e00\u4e01\u4e02", "\U00020000\U00020001\U00020002",
                         "\u0430\u0431\u0432\u0433\u0434\u0435"):  # fmt: skip
            text = "".join(
                "".join(rng.choices(alphabet, k=rng.randint(1, 3))) + " "
                for _ in range(MAX_CHARACTERS // 2)
            )
            unique = "".join(f"{chr(0x4E00 + n % 20000)}{chr(0x10000 + n)} " for n in range(30_000))
            it = await self.asked(text + " z", thought=unique, tools=[("t", unique)])

            self.assertIn(it, await self.found(alphabet[0]))

    async def test_empty_and_odd_contents_are_no_obstacle(self) -> None:
        await self.asked("")
        await self.asked(None)
        await self.asked("🎉 …")
        it = await self.asked("\x01 \u2028 odd \x7f", tools=[("", "not json \\"), ("t", "")])

        self.assertEqual(await self.found("odd"), [it])


class Pages(SearchTestCase):
    """Newest first, page by page, over days."""

    async def test_pages_follow_each_other_over_many_days(self) -> None:
        ids = [await self.asked("word", START - timedelta(hours=7 * n)) for n in range(40)]
        seen: list[UUID] = []
        while True:
            page = await self.search("word", limit=7, after_id=seen[-1] if seen else None)
            seen += [each.interception_id for each in page.results]
            if not page.more:
                break

        self.assertEqual(seen, ids)

    async def test_more_is_said_only_when_there_is_more(self) -> None:
        for _ in range(2):
            await self.asked("word")

        self.assertFalse((await self.search("word", limit=2)).more)
        self.assertTrue((await self.search("word", limit=1)).more)


class Wanted(SearchTestCase):
    """In which interceptions."""

    async def test_filters_as_in_lists(self) -> None:
        it = await self.asked(
            "word", model="m", provider="openai", provider_name="p", client="c",
            client_session_id="s", initiator_id=BOB, username="bob",
        )  # fmt: skip
        other = await self.asked("word", START + timedelta(days=1), client=None)

        for q in ("model:m", "provider:openai", "provider_name:p", "client:c", "session_id:s",
                  f"initiator:{BOB}", 'started_before:"2026-11-25T00:00:00Z"',
                  "model:m client:c status:completed"):  # fmt: skip
            self.assertEqual(await self.found("word", q=q), [it], q)
        self.assertEqual(await self.found("word", q="client:Unknown"), [other])
        since = START + timedelta(seconds=3)  # it ended a second before
        self.assertEqual(await self.found("word", q=f'ended_after:"{since:%FT%TZ}"'), [other])
        for q in ("model:x", "nobody", "status:running", "kind:passthrough", "status:lost"):
            self.assertEqual(await self.found("word", q=q), [], q)

    async def test_members_find_their_own_only(self) -> None:
        own = await self.asked("word")
        await self.asked("word", initiator_id=BOB, username="bob")

        self.assertEqual(await self.found("word", visible_to=ALICE), [own])
        self.assertEqual(await self.found("word", visible_to=ALICE, q=f"initiator:{BOB}"), [])

    async def test_what_is_over_its_time_is_hidden(self) -> None:
        await self.asked("word", START - timedelta(hours=1))
        kept = await self.asked("word")

        self.assertEqual(await self.found("word", cutoff=START), [kept])


class Highlights(SearchTestCase):
    """What is shown of what was found."""

    async def test_what_surrounds_it_in_pieces(self) -> None:
        await self.asked("x " * 200 + "the <b>Needle</b> here" + " y" * 400)

        (shown,) = (await self.hit("needle")).highlights

        self.assertEqual((shown.part, shown.n), ("prompt", 1))
        self.assertTrue(shown.cut_before and shown.cut_after)
        self.assertEqual([each.text for each in shown.fragments if each.match], ["Needle"])
        self.assertIn("the <b>", shown.fragments[0].text)
        self.assertLess(sum(len(each.text) for each in shown.fragments), 300)

    async def test_a_whole_text_is_not_cut(self) -> None:
        await self.asked("find me")

        (shown,) = (await self.hit("me")).highlights

        self.assertEqual((shown.cut_before, shown.cut_after), (False, False))
        self.assertEqual("".join(each.text for each in shown.fragments), "find me")

    async def test_tool_calls_with_their_names(self) -> None:
        await self.asked(
            None, tools=[("Bash", '{"command": "ls"}'), ("Read", '{"path": "a\\\\new.txt"}')]
        )

        (by_name,) = (await self.hit("bash")).highlights
        (by_argument,) = (await self.hit("new.txt")).highlights

        self.assertEqual((by_name.part, by_name.n), ("tool", 1))
        self.assertEqual((by_argument.part, by_argument.n), ("tool", 2))
        self.assertEqual([f.text for f in by_argument.fragments if f.match], ["new.txt"])

    async def test_there_are_a_few_at_most(self) -> None:
        await self.asked("word", thought="word", tools=[("word", "word")] * 9)

        shown = (await self.hit("word")).highlights

        self.assertEqual(len(shown), MOST_HIGHLIGHTS)
        self.assertEqual([each.part for each in shown[:2]], ["prompt", "thought"])

    async def test_python_and_the_server_read_texts_alike(self) -> None:
        text = "".join(chr(c) for c in range(1, 0x3100) if not 0xD800 <= c < 0xE000)
        json = r"a\nb \\n \" \/ \t\r\b\f \u00e9 \x"

        ((there, also),) = await self.fetch(
            "SELECT aibridge_plain(%s), aibridge_unescaped(%s)", text, json
        )

        self.assertEqual(there, plain(text))
        self.assertEqual(also, unescaped(json))

    async def test_what_is_hostile_is_text(self) -> None:
        evil = "<script>alert(1)</script> \x1b[31m ${x} {{y}} '); DROP TABLE users; -- word"
        await self.asked(evil)

        (shown,) = (await self.hit("word")).highlights

        self.assertEqual("".join(each.text for each in shown.fragments), evil)


class Following(SearchTestCase):
    """How the index follows the records."""

    async def test_what_is_erased_and_marked_is_found_no_more(self) -> None:
        it = await self.asked("secret")
        self.assertEqual(await self.found("secret"), [it])

        async def erase(cursor: Any) -> None:
            await none(cursor, "UPDATE aibridge_user_prompts SET prompt = ''")
            await none(
                cursor,
                "INSERT INTO aibridge_search_marks "
                f"VALUES ({day_literal(START.date())}, ARRAY['{it}'::uuid])",
            )

        await self.pool.transaction(erase)

        self.assertEqual(await self.found("secret"), [])
        self.assertEqual(await self.fetch("SELECT count(*) FROM aibridge_search"), [(0,)])

    async def test_records_that_come_twice_are_there_once(self) -> None:
        start = self.maker.started(prompt="word")
        end = self.maker.ended(start)
        await self.write(start, end)
        await self.write(start, end)

        self.assertEqual(await self.found("word"), [start.id])

    async def test_a_pass_says_what_waits(self) -> None:
        await self.asked("one")
        await self.asked("two")

        first = await self.pool.transaction(lambda cursor: follow(cursor, marks=1))
        second = await self.pool.transaction(lambda cursor: follow(cursor, marks=1))

        self.assertEqual(first, Pass(marks=1, interceptions=1, pending=1))
        self.assertEqual((second.pending, second.more), (0, False))

    async def test_only_one_follows_at_a_time(self) -> None:
        await self.asked("one")

        async def both(cursor: Any) -> tuple[Pass, Pass]:
            return await follow(cursor), await self.pool.transaction(follow)

        mine, other = await self.pool.transaction(both)

        self.assertEqual((mine.marks, other), (1, Pass()))

    async def test_a_mark_of_a_day_that_is_gone_makes_no_partition(self) -> None:
        gone = date(2020, 1, 1)
        await self.fetch(
            f"INSERT INTO aibridge_search_marks VALUES ({day_literal(gone)}, "
            f"ARRAY['{ALICE}'::uuid]) RETURNING 1"
        )

        await follow_everything(self.pool)

        self.assertNotIn(gone, await self.pool.transaction(stored_days))
        self.assertEqual(await self.fetch("SELECT count(*) FROM aibridge_search_marks"), [(0,)])
