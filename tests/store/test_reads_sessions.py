"""Tests for bridge.store.reads_sessions, on a real server: the list says what the rows say."""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any
from uuid import UUID

import msgspec

from bridge.domain.records import InterceptionStarted, Record
from bridge.store.filters import Filter, InvalidFilter, parse
from bridge.store.reads_facets import list_values
from bridge.store.reads_sessions import After, AmbiguousSession, list_sessions
from bridge.store.sessions import follow
from bridge.store.sessions_json import SessionList
from bridge.store.writes import write_batch
from tests.store.journalled import ALICE, BOB, START, Maker, lines
from tests.support.postgres import StoreTestCase

MINUTE = timedelta(minutes=1)
Rows = dict[tuple[str, UUID], list[InterceptionStarted]]


class SessionReadsTestCase(StoreTestCase):
    """Stores, follows, and lists."""

    @cached_property
    def maker(self) -> Maker:
        """The maker of all records of a test."""
        return Maker()

    async def write(self, *records: Record) -> None:
        """Store `records`, and recompute their sessions."""
        batch = lines(*records)
        await self.pool.transaction(lambda cursor: write_batch(cursor, batch))
        while (await self.pool.transaction(follow)).marks:
            pass

    async def ended(
        self, session: str | None = None, at: datetime = START, **members: object
    ) -> UUID:
        """Store a whole interception of a session, and return its id."""
        records = self.maker.whole(at, client_session_id=session, **members)
        await self.write(*records)
        return records[0].id

    async def listed(self, wanted: Filter | str = "", **options: Any) -> SessionList:
        """Return a page."""
        search = parse(wanted) if isinstance(wanted, str) else wanted
        chosen: dict[str, Any] = {"limit": 100, "visible_to": None, "cutoff": None, **options}
        return await self.pool.transaction(
            lambda cursor: list_sessions(cursor, search, **chosen), read_only=True
        )

    async def ids(self, wanted: Filter | str = "", **options: Any) -> list[str]:
        """Return the ids on a page."""
        return [each.id for each in (await self.listed(wanted, **options)).sessions]


class Lists(SessionReadsTestCase):
    """Pages of sessions."""

    async def test_an_empty_store_has_an_empty_list(self) -> None:
        self.assertEqual(msgspec.json.encode(await self.listed()), b'{"count":0,"sessions":[]}')

    async def test_the_list_has_the_established_shape_and_our_columns(self) -> None:
        await self.ended("s", prompt="first")
        await self.ended("s", START + MINUTE, prompt="second", model="b", provider_name="other")

        page: Any = msgspec.json.decode(msgspec.json.encode(await self.listed()))

        self.assertEqual(
            page["sessions"],
            [
                {
                    "id": "s",
                    "initiator": {
                        "id": str(ALICE),
                        "username": "alice",
                        "name": "alice",
                        "avatar_url": "",
                    },
                    "providers": ["anthropic"],
                    "provider_names": ["anthropic", "other"],
                    "models": ["b", "claude-sonnet-4-5"],
                    "client": "Claude Code",
                    "metadata": {"request_user_agent": "claude-cli/2.0"},
                    "started_at": "2026-11-24T12:00:00Z",
                    "ended_at": "2026-11-24T12:01:02Z",
                    "threads": 2,
                    "token_usage_summary": {
                        "input_tokens": 20,
                        "output_tokens": 40,
                        "cache_read_input_tokens": 6,
                        "cache_write_input_tokens": 8,
                    },
                    "last_prompt": "second",
                    "last_active_at": "2026-11-24T12:01:00Z",
                    "interceptions": 2,
                }
            ],
        )

    async def test_two_users_sessions_of_the_same_name_are_two(self) -> None:
        await self.ended("s")
        await self.ended("s", START + MINUTE, initiator_id=BOB, username="bob")

        found = (await self.listed()).sessions

        self.assertEqual(
            [(each.id, each.initiator.id, each.interceptions) for each in found],
            [("s", BOB, 1), ("s", ALICE, 1)],
        )
        self.assertEqual(len((await self.listed(visible_to=ALICE)).sessions), 1)
        self.assertEqual((await self.listed(f"initiator:{BOB}", visible_to=ALICE)).count, 0)

    async def test_pages_follow_each_other(self) -> None:
        for number in range(7):
            await self.ended(f"s{number}", START + number * MINUTE)

        pages = [
            await self.ids(limit=3),
            await self.ids(limit=3, after=After(session_id="s4")),
            await self.ids(limit=3, after=After(session_id="s1", initiator_id=ALICE)),
            await self.ids(limit=3, offset=5),
        ]

        self.assertEqual(pages, [["s6", "s5", "s4"], ["s3", "s2", "s1"], ["s0"], ["s1", "s0"]])

    async def test_a_cursor_of_two_users_must_say_whose(self) -> None:
        await self.ended("s")
        await self.ended("s", START + MINUTE, initiator_id=BOB, username="bob")

        with self.assertRaises(AmbiguousSession) as caught:
            await self.listed(after=After(session_id="s"))

        self.assertEqual(caught.exception.validations[0].field, "after_initiator_id")
        found = await self.listed(after=After(session_id="s", initiator_id=BOB))
        self.assertEqual([each.initiator.id for each in found.sessions], [ALICE])
        # Whoever sees only their own knows of no other.
        self.assertEqual(await self.ids(after=After(session_id="s"), visible_to=ALICE), [])

    async def test_a_cursor_that_is_none_is_told(self) -> None:
        await self.ended("s", initiator_id=BOB, username="bob")

        for options in ({}, {"visible_to": ALICE}):
            name = "s" if options else "nothing"
            with self.assertRaises(InvalidFilter) as caught:
                await self.listed(after=After(session_id=name), **options)
            self.assertEqual(caught.exception.validations[0].field, "after_session_id")

    async def test_what_makes_no_sense_of_sessions_is_told(self) -> None:
        for wanted, field in (("kind:passthrough", "kind"), ("status:running", "status")):
            with self.assertRaises(InvalidFilter) as caught:
                await self.listed(wanted)
            self.assertEqual(caught.exception.validations[0].field, field)

    async def test_an_unnamed_client_is_found_as_unknown(self) -> None:
        await self.ended("s", client="")
        await self.ended("t", client="Unknown")

        self.assertEqual(await self.ids("client:Unknown"), ["t"])

    async def test_values_of_any_length_and_kind_are_found(self) -> None:
        for value in ("m" * 500, "é" * 201, "'; DROP TABLE users; --", 'a,b{}\\"', "%_", "model:x"):
            await self.ended(f"of {value[:9]}", model=value)

            self.assertEqual(await self.ids(Filter(model=value)), [f"of {value[:9]}"])

    async def test_what_retention_has_ended_is_hidden_and_so_are_its_prompts(self) -> None:
        await self.ended("old", START - timedelta(days=3))
        await self.ended("half", START - timedelta(days=3), prompt="too old")
        await self.ended("half", START, prompt=None)

        page = await self.listed(cutoff=START - timedelta(days=1))

        self.assertEqual([(each.id, each.last_prompt) for each in page.sessions], [("half", None)])
        self.assertEqual(page.count, 1)


class Searches(SessionReadsTestCase):
    """Any search, on any page, finds what the rows say."""

    async def test_any_search_is_answered_as_by_looking_at_every_row(self) -> None:
        rand = random.Random(20261124)
        sessions = await self._sessions(rand)

        for number in range(150):
            members = _any_search(rand)
            expected = sorted(
                (key for key, rows in sessions.items() if _matches(rows, members)),
                key=lambda key: _place(key, sessions[key]),
                reverse=True,
            )
            options, begin = _any_page(rand, expected)

            found = await self.listed(Filter(**members), **options)

            self.assertEqual(
                [(each.id, each.initiator.id) for each in found.sessions],
                expected[begin : begin + options["limit"]],
                (number, members, options),
            )
            count = min(len(expected), options.get("count_to", 10_000))
            self.assertEqual((found.count, found.count_capped), (count, count < len(expected)))

    async def _sessions(self, rand: random.Random) -> Rows:
        """Store some, and return their rows."""
        sessions: Rows = defaultdict(list)
        records: list[Record] = []
        for _ in range(300):
            start = self.maker.started(
                START + rand.randrange(20_000) * timedelta(seconds=1),
                client_session_id=f"s{rand.randrange(60)}",
                initiator_id=rand.choice((ALICE, BOB)),
                model=rand.choice("abcd"),
                client=rand.choice(("Codex", "Claude Code")),
                provider=rand.choice(("anthropic", "openai")),
                provider_name=rand.choice("pqr"),
                prompt=rand.choice(("hello", None)),
            )
            sessions[start.client_session_id or "", start.initiator_id].append(start)
            records += [start, self.maker.ended(start)]
        await self.write(*records)
        return sessions


class Values(SessionReadsTestCase):
    """Models, clients and providers in use."""

    async def values(self, facet: Any, **options: Any) -> tuple[str, ...]:
        """Return values."""
        chosen: dict[str, Any] = {"limit": 100, "visible_to": None, "cutoff": None, **options}
        return await self.pool.transaction(
            lambda cursor: list_values(cursor, facet, **chosen), read_only=True
        )

    async def test_each_value_is_there_once_and_only_for_whom_it_may_be(self) -> None:
        await self.ended(model="b")
        await self.ended(model="a", client="Codex")
        await self.ended(model="b", initiator_id=BOB, username="bob", provider_name="mine")
        await self.ended(model="A_%", initiator_id=BOB, username="bob")

        self.assertEqual(set(await self.values("model")), {"A_%", "a", "b"})
        self.assertEqual(await self.values("model", visible_to=ALICE), ("a", "b"))
        self.assertEqual(await self.values("client", visible_to=ALICE), ("Claude Code", "Codex"))
        self.assertEqual(await self.values("provider_name"), ("anthropic", "mine"))
        self.assertEqual(await self.values("model", prefix="A_%"), ("A_%",))
        self.assertEqual(await self.values("model", prefix="%"), ())
        self.assertEqual(await self.values("model", visible_to=ALICE, limit=1, offset=1), ("b",))

    async def test_what_retention_has_ended_is_hidden(self) -> None:
        await self.ended(at=START - timedelta(days=3), model="old")

        self.assertEqual(await self.values("model", cutoff=START), ())


def _any_search(rand: random.Random) -> dict[str, Any]:
    """Return the members of some filter."""
    members: dict[str, Any] = {}
    for name, values in (
        ("model", "abcde"), ("client", ("Codex", "Claude Code")),
        ("provider", ("anthropic", "openai")), ("provider_name", "pqr"),
        ("initiator_id", (ALICE, BOB)), ("status", ("completed", "lost")),
    ):  # fmt: skip
        if rand.random() < 0.25:
            members[name] = rand.choice(values)
    after, before = sorted(rand.sample(range(20_000), 2))
    if rand.random() < 0.3:
        members["started_after"] = START + after * timedelta(seconds=1)
    if rand.random() < 0.3:
        members["started_before"] = START + before * timedelta(seconds=1)
    return members


def _any_page(rand: random.Random, expected: list[tuple[str, UUID]]) -> tuple[dict[str, Any], int]:
    """Return the options of a page, and how many of `expected` are before it."""
    options: dict[str, Any] = {"limit": rand.choice((3, 10, 100))}
    begin = 0
    if rand.random() < 0.5:  # more than are counted
        options |= {"count_to": 2, "walk_rows": rand.choice((0, 5, 1000))}
    if expected and rand.random() < 0.4:
        begin = rand.randrange(len(expected)) + 1
        session, initiator = expected[begin - 1]
        options["after"] = After(session_id=session, initiator_id=initiator)
    elif rand.random() < 0.4:
        begin = options["offset"] = rand.randrange(30)
    return options, begin


def _place(key: tuple[str, UUID], rows: list[InterceptionStarted]) -> tuple[datetime, str, UUID]:
    """Return the place of a session in the list."""
    prompts = [each.at for each in rows if each.prompt is not None]
    return (max(prompts, default=min(each.at for each in rows)), *key)


def _matches(rows: list[InterceptionStarted], members: dict[str, Any]) -> bool:
    """Return whether the session with `rows` is to be found."""
    for name in ("model", "client", "provider", "provider_name", "initiator_id"):
        if name in members and all(getattr(row, name) != members[name] for row in rows):
            return False
    first, last = min(row.at for row in rows), max(row.at for row in rows)
    after, before = members.get("started_after"), members.get("started_before")
    in_time = (after is None or last >= after) and (before is None or first < before)
    return in_time and members.get("status") != "lost"
