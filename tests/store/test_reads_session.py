"""Tests for bridge.store.reads_session, on a real server: a session told as it went."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any
from uuid import UUID

from benchmarks.store_ask import Question, explain
from bridge.domain.records import Record
from bridge.store.connection import Cursor
from bridge.store.filters import Filter, InvalidFilter
from bridge.store.reads_results import LOOKED_FOR, read_detail
from bridge.store.reads_session import MAX_ACTIONS, read_session
from bridge.store.reads_sessions import AmbiguousSession
from bridge.store.sessions_json import SessionDetail
from tests.store.followed import follow_everything
from tests.store.journalled import ALICE, BOB, START
from tests.store.test_reads_sessions import MINUTE, SessionReadsTestCase


class Detail(SessionReadsTestCase):
    """One session."""

    async def read(self, session: str = "s", **options: Any) -> SessionDetail | None:
        """Return it."""
        chosen: dict[str, Any] = {
            "whose": Filter(), "visible_to": None, "cutoff": None, **options
        }  # fmt: skip
        return await self.pool.transaction(
            lambda cursor: read_session(cursor, session, **chosen), read_only=True
        )

    async def there(self, session: str = "s", **options: Any) -> SessionDetail:
        """Return it, which is there."""
        found = await self.read(session, **options)
        assert found is not None
        return found

    async def test_threads_hold_what_was_asked_thought_and_called(self) -> None:
        first = self.maker.thread(3, client_session_id="s", prompt="do it")
        second = self.maker.whole(START + MINUTE, client_session_id="s", prompt="and that")
        await self.write(*[record for records in first for record in records], *second)

        found = await self.there()

        self.assertEqual([each.id for each in found.threads], [first[0][0].id, second[0].id])
        self.assertEqual([each.prompt for each in found.threads], ["do it", "and that"])
        thread = found.threads[0]
        self.assertEqual(
            [(each.id, each.parent_id) for each in thread.agentic_actions],
            [
                (first[0][0].id, None),
                (first[1][0].id, first[0][0].id),
                (first[2][0].id, first[1][0].id),
            ],
        )
        action = thread.agentic_actions[0]
        self.assertEqual([each.text for each in action.thinking], ["Let me see."])
        self.assertEqual([each.source for each in action.thinking], ["thinking"])
        (call,) = action.tool_calls
        self.assertEqual((call.tool, call.input), ("get_time", '{"zone": "UTC"}'))
        self.assertEqual(call.interception_id, action.id)
        self.assertEqual((action.duration_ms, action.status), (2000, "completed"))
        self.assertEqual(action.token_usage.output_tokens, 20)
        self.assertEqual(thread.token_usage.output_tokens, 60)
        self.assertEqual(found.token_usage_summary.output_tokens, 80)
        self.assertEqual(thread.started_at, START)
        self.assertEqual(thread.ended_at, START + timedelta(seconds=22))
        self.assertEqual((found.thread_count, found.has_more, found.truncated), (2, False, False))
        self.assertEqual((found.page_started_at, found.page_ended_at),
                         (START, START + MINUTE + timedelta(seconds=2)))  # fmt: skip

    async def test_a_call_has_its_result_beside_it_however_calls_are_numbered(self) -> None:
        records: list[Record] = []
        calls = []
        # Two conversations at once, on an upstream that calls every call the same.
        for name in ("s", "t"):
            call = self.maker.started(client_session_id=name, prompt="do it", tool_results=[])
            records += [call, self.maker.tool(call, "call_0"), self.maker.ended(call)]
            calls.append(call)
        for number, (name, failed) in enumerate((("t", True), ("s", False)), 1):
            answer = self.maker.started(
                START + number * MINUTE, client_session_id=name, prompt=None,
                correlating_tool_call_id="call_0",
                tool_results=[self.maker.result("call_0", is_error=failed, size_bytes=number)],
            )  # fmt: skip
            records += [answer, self.maker.ended(answer)]
        await self.write(*records)

        (call,) = (await self.there("t")).threads[0].agentic_actions[0].tool_calls

        assert call.result is not None
        self.assertEqual((call.result.is_error, call.result.size_bytes), (True, 1))
        self.assertEqual(call.result.duration_ms, 59_000)
        self.assertEqual(call.result.created_at, START + MINUTE)
        self.assertIsNone(call.result.content)

    async def test_results_of_parallel_calls_and_contents(self) -> None:
        call = self.maker.started(client_session_id="s", tool_results=[])
        answer = self.maker.started(
            START + MINUTE, client_session_id="s", correlating_tool_call_id="b",
            tool_results=[self.maker.result("a", content="<b>"), self.maker.result("b")],
        )  # fmt: skip
        others = self.maker.started(
            START + MINUTE, client_session_id="s", initiator_id=BOB, username="bob",
            tool_results=[self.maker.result("c")],
        )  # fmt: skip
        await self.write(
            call, *(self.maker.tool(call, name, n) for n, name in enumerate("abc", 1)),
            self.maker.ended(call), answer, self.maker.ended(answer),
            others, self.maker.ended(others),
        )  # fmt: skip

        found = await self.there(whose=Filter(initiator_id=ALICE))

        results = [each.result for each in found.threads[0].agentic_actions[0].tool_calls]
        self.assertEqual([each and each.content for each in results], ["<b>", None, None])
        self.assertEqual([each is None for each in results], [False, False, True])

    async def test_an_interception_read_alone_has_its_results_beside_its_calls(self) -> None:
        call = self.maker.started(client_session_id="s", tool_results=[])
        answer = self.maker.started(
            START + MINUTE, client_session_id="s", correlating_tool_call_id="a",
            tool_results=[self.maker.result("a", content="<b>", is_error=True)],
        )  # fmt: skip
        calls = [self.maker.tool(call, name, n) for n, name in enumerate("ab", 1)]
        await self.write(call, *calls, self.maker.ended(call), answer, self.maker.ended(answer))

        found = await self.pool.transaction(
            lambda cursor: read_detail(cursor, call.id, visible_to=None, cutoff=None)
        )

        assert found is not None
        (result,) = found.call_results
        self.assertEqual(result.tool_usage_id, found.tool_usages[0].id)
        self.assertEqual((result.interception_id, result.content, result.is_error),
                         (answer.id, "<b>", True))  # fmt: skip
        self.assertEqual(result.duration_ms, 59_000)

    async def test_agents_are_a_tree(self) -> None:
        records: list[Record] = []
        for number, (agent, parent) in enumerate(
            ((None, None), ("a", None), ("b", "a"), ("a", None), ("c", "nobody"), ("d", "d"))
        ):
            ids = {"agent_id": agent, "parent_agent_id": parent}
            start = self.maker.started(
                START + number * MINUTE, client_session_id="s",
                metadata={name: text for name, text in ids.items() if text},
            )  # fmt: skip
            records += [start, self.maker.ended(start)]
        await self.write(*records)

        found = await self.there()

        main = found.agent
        self.assertEqual((main.id, main.interceptions), (None, 1))
        self.assertEqual([each.id for each in main.sub_agents], ["a", "c", "d"])
        first = main.sub_agents[0]
        self.assertEqual((first.interceptions, first.models), (2, ("claude-sonnet-4-5",)))
        self.assertEqual([each.id for each in first.sub_agents], ["b"])
        self.assertEqual(
            [each.agentic_actions[0].agent_id for each in found.threads],
            [None, "a", "b", "a", "c", "d"],
        )

    async def test_extra_types_of_tokens_are_summed(self) -> None:
        records: list[Record] = []
        for number in (1, 2):
            start = self.maker.started(START + number * MINUTE, client_session_id="s")
            tokens = self.maker.tokens(start, metadata={"audio": 5, "tier": "flex", "yes": True})
            records += [start, tokens, self.maker.ended(start)]
        await self.write(*records)

        found = await self.there()

        self.assertEqual(found.token_usage_summary.metadata, {"audio": 10})
        self.assertEqual(found.threads[0].token_usage.metadata, {"audio": 5})

    async def test_an_error_is_told_and_one_that_was_got_over_is_not_the_threads(self) -> None:
        start = self.maker.started(client_session_id="s")
        failed = self.maker.ended(
            start, status="upstream_error", http_status=529, error_type="overloaded",
            error_message="Overloaded",
        )  # fmt: skip
        await self.write(start, failed)

        (thread,) = (await self.there()).threads

        self.assertEqual((thread.error_type, thread.error_message, thread.status),
                         ("overloaded", "Overloaded", "upstream_error"))  # fmt: skip
        self.assertEqual(thread.agentic_actions[0].http_status, 529)

    async def test_pages_of_threads(self) -> None:
        ids = [await self.ended("s", START + number * MINUTE) for number in range(6)]

        async def page(**options: Any) -> tuple[list[int], bool]:
            found = await self.there(limit=2, **options)
            self.assertEqual(found.thread_count, 6)
            return [ids.index(each.id) for each in found.threads], found.has_more

        self.assertEqual(await page(), ([0, 1], True))
        self.assertEqual(await page(after_id=ids[1]), ([2, 3], True))
        self.assertEqual(await page(after_id=ids[3]), ([4, 5], False))
        self.assertEqual(await page(after_id=ids[5]), ([], False))
        self.assertEqual(await page(before_id=ids[4]), ([2, 3], True))
        self.assertEqual(await page(before_id=ids[2]), ([0, 1], False))
        self.assertEqual(await page(before_id=ids[0]), ([], False))

    async def test_a_page_looks_at_the_days_of_its_threads_only(self) -> None:
        days = [START + timedelta(days=day) for day in range(12)]
        ids = [await self.ended("s", day) for day in days]
        two_days = self.maker.thread(2, START + MINUTE, timedelta(days=1), client_session_id="s")
        await self.write(*[record for records in two_days for record in records])
        await follow_everything(self.pool)

        async def ask(cursor: Cursor) -> SessionDetail | None:
            return await read_session(
                cursor, "s", whose=Filter(), limit=1, after_id=ids[2], visible_to=None, cutoff=None
            )

        found = await self.pool.transaction(ask, read_only=True)
        plans = await explain(self.pool, Question(name="page", ask=ask, limit_ms=100))

        assert found is not None
        self.assertEqual([each.id for each in found.threads], [ids[3]])
        self.assertEqual((found.thread_count, found.has_more), (13, True))
        for table, first, last in (
            ("aibridge_interceptions", 2, 3 + LOOKED_FOR.days),  # of which the last for results
            ("aibridge_tool_usages", 3, 3),
        ):
            touched = [f"{days[day]:%Y%m%d}" for day in range(first, last + 1)]
            self.assertEqual(sorted(set(re.findall(rf"{table}_p(\d+) ", plans))), touched)

    async def test_a_page_is_the_same_with_and_without_an_outline_of_the_session(self) -> None:
        elsewhere = self.maker.thread(1, START - MINUTE, client_session_id="t")
        call = f"call-{elsewhere[0][0].id}"
        for rooted in (True, False):
            records = [
                record
                for day in range(3)
                for one in self.maker.thread(
                    3, START + timedelta(days=day), timedelta(hours=9), client_session_id="s",
                    metadata={"agent_id": f"a{day}"} if day else {},
                )
                for record in one
            ]  # fmt: skip
            if not rooted:
                records += [
                    *elsewhere[0],
                    *self.maker.whole(
                        START + timedelta(days=2, hours=1), client_session_id="s",
                        correlating_tool_call_id=call,
                    ),
                ]  # fmt: skip
            await self.write(*records)
            ((outline,),) = await self.fetch(
                "SELECT outline FROM aibridge_sessions WHERE session_id = 's'"
            )
            whole = await self.there()
            ids = [each.id for each in whole.threads]
            wanted: list[dict[str, Any]] = [{}, {"limit": 2}, {"after_id": ids[0], "limit": 1}]
            wanted += [{"before_id": ids[-1], "limit": 1}, {"before_id": ids[0]}]
            wanted.append({"after_action_id": whole.threads[0].agentic_actions[0].id})

            with_it = [await self.there(**options) for options in wanted]
            without_it = []
            for change in ("NULL", "jsonb_set(outline, '{interceptions}', '1')"):
                await self.fetch(f"UPDATE aibridge_sessions SET outline = {change} RETURNING 1")
                without_it.append([await self.there(**options) for options in wanted])
                await self.fetch(
                    "UPDATE aibridge_sessions SET outline = %s::jsonb RETURNING 1",
                    json.dumps(outline),
                )

            self.assertEqual(outline["rooted"], rooted)
            self.assertEqual(outline["threads"], len(ids))
            self.assertEqual(without_it, [with_it, with_it])

    async def test_an_edge_that_is_no_thread_of_it_is_told(self) -> None:
        await self.ended("s")
        other = await self.ended("t")

        for name in ("after_id", "before_id"):
            with self.assertRaises(InvalidFilter) as caught:
                await self.read(**{name: other})
            self.assertEqual(caught.exception.validations[0].field, name)
        with self.assertRaises(InvalidFilter):
            await self.read(after_id=other, before_id=other)

    async def test_sessions_of_the_same_name_never_mix(self) -> None:
        own = await self.ended("s")
        others = await self.ended("s", initiator_id=BOB, username="bob")

        async def threads(**options: Any) -> list[UUID]:
            return [each.id for each in (await self.there(**options)).threads]

        with self.assertRaises(AmbiguousSession) as caught:
            await self.read()
        self.assertEqual(caught.exception.validations[0].field, "initiator")
        self.assertEqual(await threads(visible_to=ALICE), [own])
        self.assertEqual(await threads(whose=Filter(initiator_id=BOB)), [others])
        self.assertIsNone(await self.read(visible_to=ALICE, whose=Filter(initiator_id=BOB)))

    async def test_what_is_not_there(self) -> None:
        await self.ended("s")

        self.assertIsNone(await self.read("t"))
        self.assertIsNone(await self.read(visible_to=BOB))
        self.assertIsNone(await self.read(cutoff=START + MINUTE))
        self.assertIsNone(await self.read(whose=Filter(initiator_name="nobody")))

    async def test_what_retention_has_ended_is_hidden(self) -> None:
        await self.ended("s", START - timedelta(days=2))
        kept = await self.ended("s")

        found = await self.there(cutoff=START - timedelta(days=1))

        self.assertEqual([each.id for each in found.threads], [kept])
        self.assertEqual(found.thread_count, 1)

    async def test_a_full_page_ends_with_a_whole_thread_and_the_others_follow(self) -> None:
        most = MAX_ACTIONS // 2 + 1
        await self.threads_of(most, most, most)

        first = await self.there()
        second = await self.there(after_id=first.threads[-1].id)
        same = await self.there(after_action_id=first.threads[-1].agentic_actions[-1].id)
        last = await self.there(after_id=second.threads[-1].id)

        pages = (first, second, last)
        self.assertEqual(
            [[len(each.agentic_actions) for each in page.threads] for page in pages],
            [[most]] * 3,
        )
        self.assertEqual(same.threads, second.threads)
        self.assertEqual(len({page.threads[0].id for page in pages}), 3)
        self.assertEqual([page.truncated for page in pages], [True, True, False])
        self.assertEqual([page.has_more for page in pages], [True, True, False])

    async def test_a_page_before_a_thread_ends_with_the_one_next_to_it(self) -> None:
        ids = await self.threads_of(*[MAX_ACTIONS // 3] * 5, 1)

        async def page(**options: Any) -> tuple[list[int], bool, bool]:
            found = await self.there(**options)
            shown = [ids.index(each.id) for each in found.threads]
            return shown, found.has_more, found.truncated

        # Three have room.
        self.assertEqual(await page(), ([0, 1, 2], True, True))
        self.assertEqual(await page(before_id=ids[5]), ([2, 3, 4], True, True))
        self.assertEqual(await page(before_id=ids[5], limit=3), ([2, 3, 4], True, False))
        self.assertEqual(await page(before_id=ids[2]), ([0, 1], False, False))

    async def test_a_page_is_bounded_by_what_there_is_to_read(self) -> None:
        prompt = "x" * 1000
        ids = [await self.ended("s", START + number * MINUTE, prompt=prompt) for number in range(5)]

        async def page(**options: Any) -> tuple[list[int], bool, bool]:
            found = await self.there(most_bytes=3999, **options)
            shown = [ids.index(each.id) for each in found.threads]
            return shown, found.has_more, found.truncated

        self.assertEqual(await page(), ([0, 1, 2], True, True))
        self.assertEqual(await page(after_id=ids[2]), ([3, 4], False, False))
        self.assertEqual(await page(before_id=ids[4]), ([1, 2, 3], True, True))
        self.assertEqual(await page(longest=100), ([0, 1, 2, 3, 4], False, False))

    async def test_a_page_before_a_thread_is_bounded_too(self) -> None:
        ids = await self.threads_of(1, MAX_ACTIONS + 5, 1)

        found = await self.there(before_id=ids[2])

        (thread,) = found.threads
        self.assertEqual((thread.id, len(thread.agentic_actions)), (ids[1], MAX_ACTIONS))
        self.assertEqual((found.truncated, found.has_more), (True, True))
        earlier = await self.there(before_id=ids[1])
        self.assertEqual([each.id for each in earlier.threads], ids[:1])
        self.assertEqual((earlier.truncated, earlier.has_more), (False, False))

    async def test_threads_that_just_have_room_are_shown_whole(self) -> None:
        ids = await self.threads_of(MAX_ACTIONS - 1, 1, 1)

        found = await self.there()

        self.assertEqual([each.id for each in found.threads], ids[:2])
        self.assertEqual((found.truncated, found.has_more), (True, True))

    async def test_after_the_last_interception_there_is_no_more(self) -> None:
        ids = await self.threads_of(2, MAX_ACTIONS)
        last = (await self.there(after_id=ids[0])).threads[0].agentic_actions[-1].id

        found = await self.there(after_action_id=last)

        self.assertEqual((found.threads, found.has_more, found.truncated), ((), False, False))

    async def test_behind_an_interception_a_page_that_is_full_has_more(self) -> None:
        ids = await self.threads_of(2, MAX_ACTIONS, 1)
        last = (await self.there(limit=1)).threads[0].agentic_actions[-1].id

        found = await self.there(after_action_id=last)

        self.assertEqual([each.id for each in found.threads], [ids[1]])
        self.assertEqual((found.has_more, found.truncated), (True, True))

    async def threads_of(self, *interceptions: int) -> list[UUID]:
        """Write threads of so many interceptions; return their ids."""
        records: list[Record] = []
        roots = []
        for number, count in enumerate(interceptions):
            call = None
            for later in range(count):
                start = self.maker.started(
                    START + number * MINUTE + timedelta(milliseconds=later),
                    client_session_id="s", correlating_tool_call_id=call, prompt=None,
                )  # fmt: skip
                if call is None:
                    roots.append(start.id)
                call = f"call-{start.id}"
                records += [start, self.maker.tool(start, call), self.maker.ended(start)]
        await self.write(*records)
        return roots

    async def test_a_page_is_bounded_however_long_its_threads_are(self) -> None:
        _, other = await self.threads_of(MAX_ACTIONS + 5, 1)

        found = await self.there()

        thread = found.threads[0]
        self.assertEqual(len(thread.agentic_actions), MAX_ACTIONS)
        self.assertTrue(found.truncated)
        self.assertEqual(found.interceptions, MAX_ACTIONS + 6)

        rest = await self.there(after_action_id=thread.agentic_actions[-1].id)

        self.assertEqual([each.id for each in rest.threads], [thread.id, other])
        self.assertEqual([len(each.agentic_actions) for each in rest.threads], [5, 1])
        self.assertFalse(rest.truncated)
        with self.assertRaises(InvalidFilter) as caught:
            await self.read(after_action_id=ALICE)
        self.assertEqual(caught.exception.validations[0].field, "after_action_id")
