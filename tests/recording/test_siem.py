"""Tests for bridge.recording.siem and bridge.store.siem, on a real server and a real file."""

from __future__ import annotations

import errno
import json
import tempfile
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from structlog.testing import CapturingLogger
from twisted.internet import reactor
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import deferLater

from bridge.domain.records import Record
from bridge.recording.event_file import EventFile
from bridge.recording.siem import SiemFollower
from bridge.store import siem
from bridge.store.connection import Cursor
from bridge.store.errors import StoreUnavailable
from bridge.store.purge import Decision, end
from bridge.store.rows import none
from bridge.store.writes import write_batch
from tests.journal.samples import logger
from tests.store.journalled import START, Maker, lines
from tests.support.postgres import StoreTestCase

OF_ONE = 7
"""Events of one interception of `Maker.whole`."""


class Broken:
    """A file of which the disk is full until `mend`."""

    def __init__(self, path: Path) -> None:
        self.full = True
        self.refused = 0
        self._file = EventFile(path)
        self.reopen, self.close = self._file.reopen, self._file.close

    def append(self, data: bytes) -> None:
        if self.full:
            self.refused += 1
            raise OSError(errno.ENOSPC, "No space left on device", "events")
        self._file.append(data)


class SometimesAway:
    """The pool, but for when it is away."""

    def __init__(self, pool: Any) -> None:
        self.pool = pool
        self.away = False
        self.asked = 0

    async def transaction(self, work: Callable[[Cursor], Awaitable[Any]]) -> Any:
        self.asked += 1
        if self.away:
            raise StoreUnavailable("The database is away.")
        return await self.pool.transaction(work)


class SiemCase(StoreTestCase):
    async def setUp(self) -> None:
        await super().setUp()
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.path = Path(holder.name) / "events.jsonl"
        self.maker = Maker()
        self.said = CapturingLogger()

    def follower(self, **options: Any) -> SiemFollower:
        """Return a started follower that ends with the test."""
        arguments: dict[str, Any] = {
            "pool": self.pool,
            "events": EventFile(self.path),
            "content": True,
            "in_thread": lambda work: succeed(work()),
            "reactor": reactor,
            "log": logger(self.said),
            **options,
        }
        follower = SiemFollower(**arguments)
        self.addCleanup(lambda: Deferred.fromCoroutine(follower.stop()))
        follower.start()
        return follower

    async def followed(self) -> None:
        """Come back once the marks are asked for."""
        await self.until_row("SELECT 1 FROM aibridge_siem WHERE seen_at IS NOT NULL")

    async def write(self, *records: Record) -> None:
        batch = lines(*records)
        await self.pool.transaction(lambda cursor: write_batch(cursor, batch))

    async def until_row(self, sql: str) -> None:
        while not await self.fetch(sql):
            await deferLater(reactor, 0.02)

    async def all_told(self) -> list[dict[str, Any]]:
        """Return the events of the file, once no mark is left."""
        await self.until_row("SELECT 1 WHERE NOT EXISTS (SELECT FROM aibridge_siem_marks)")
        return self.events()

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.path.read_bytes().splitlines()]


class TellingTests(SiemCase):
    async def test_every_record_of_an_interception_is_told(self) -> None:
        self.follower()
        await self.followed()
        result = self.maker.result("an-earlier-call", content="14 passed")
        records = self.maker.whole(prompt="What is\n\u2028the time?", tool_results=[result])

        await self.write(*records)

        events = await self.all_told()
        self.assertEqual(
            [each["record_type"] for each in events],
            [
                *("interception_start", "prompt_usage", "tool_result", "model_thought"),
                *("tool_usage", "token_usage", "interception_end"),
            ],
        )
        self.assertEqual({each["interception_id"] for each in events}, {str(records[0].id)})
        self.assertEqual({each["username"] for each in events}, {"alice"})
        self.assertEqual({each["event"] for each in events}, {"interception log"})
        self.assertEqual(events[0]["ts"], "2026-11-24T12:00:00.000000Z")
        self.assertEqual(events[1]["prompt"], "What is\n\u2028the time?")
        self.assertEqual(
            [
                events[2][name]
                for name in ("tool_call_id", "n", "size_bytes", "is_error", "content")
            ],
            ["an-earlier-call", 1, 11, False, "14 passed"],
        )
        self.assertEqual(events[3]["content"], "Let me see.")
        self.assertEqual(events[4]["input"], '{"zone": "UTC"}')
        self.assertEqual(events[5]["input_tokens"], 10)
        self.assertEqual(events[6]["status"], "completed")
        self.assertEqual(len({each["event_id"] for each in events}), 7)

    async def test_audit_rows_are_told(self) -> None:
        self.follower()
        await self.followed()

        await self.write(self.maker.audit())

        (event,) = await self.all_told()
        self.assertEqual((event["record_type"], event["event"]), ("audit", "audit log"))
        self.assertEqual((event["action"], event["actor_name"]), ("user.create", "alice"))
        self.assertEqual(event["detail"], {"roles": ["member"]})

    async def test_without_content_neither_prompt_nor_arguments_nor_thoughts_are_told(self) -> None:
        self.follower(content=False)
        await self.followed()

        result = self.maker.result("an-earlier-call", content="secret result")
        await self.write(*self.maker.whole(prompt="secret prompt", tool_results=[result]))

        events = await self.all_told()
        self.assertEqual(
            [each["record_type"] for each in events],
            ["interception_start", "tool_result", "tool_usage", "token_usage", "interception_end"],
        )
        text = self.path.read_text()
        for secret in ("secret prompt", "zone", "Let me see", "secret result"):
            self.assertNotIn(secret, text)

    async def test_records_that_come_late_and_are_older_are_told(self) -> None:
        self.follower()
        await self.followed()
        await self.write(*self.maker.whole())
        await self.all_told()
        late = self.maker.whole(START - timedelta(days=3))

        await self.write(*late)

        events = await self.all_told()
        of_it = [e for e in events if e["interception_id"] == str(late[0].id)]
        self.assertEqual(len(of_it), OF_ONE)

    async def test_a_transaction_that_commits_last_is_not_skipped(self) -> None:
        """Ids and times of what is stored say nothing of when it can be seen."""
        self.follower()
        await self.followed()
        slow, quick = self.maker.whole(), self.maker.whole(START + timedelta(seconds=1))
        held: Deferred[None] = Deferred()
        begun: Deferred[None] = Deferred()

        async def slowly(cursor: Cursor) -> None:
            await write_batch(cursor, lines(*slow))
            begun.callback(None)
            await held

        writing = Deferred.fromCoroutine(self.pool.transaction(slowly))
        await begun
        batch = lines(self.maker.audit(), *quick[:1])
        await self.pool.transaction(
            lambda cursor: none(cursor, siem.MARK.format(day="DATE '2026-11-24'"), _mark(batch))
        )
        await self.until_row("SELECT 1 WHERE NOT EXISTS (SELECT FROM aibridge_siem_marks)")
        held.callback(None)
        await writing

        events = await self.all_told()
        self.assertEqual({each["interception_id"] for each in events}, {str(slow[0].id)})
        self.assertEqual(len(events), OF_ONE)

    async def test_the_real_end_of_what_was_taken_for_lost_is_another_event(self) -> None:
        self.follower()
        await self.followed()
        start = self.maker.started()
        await self.write(start, self.maker.ended(start, status="lost", http_status=None))
        await self.all_told()

        await self.write(self.maker.ended(start))

        ends = [e for e in await self.all_told() if e["record_type"] == "interception_end"]
        self.assertEqual([each["status"] for each in ends], ["lost", "completed"])
        self.assertEqual(len({each["event_id"] for each in ends}), 2)

    async def test_more_than_one_load_is_told_in_pieces(self) -> None:
        self.follower()
        await self.followed()
        records = [
            record
            for number in range(700)
            for record in self.maker.whole(START + timedelta(seconds=number))
        ]

        for begin in range(0, len(records), 490):
            await self.write(*records[begin : begin + 490])

        events = await self.all_told()
        self.assertEqual(len({each["event_id"] for each in events}), 700 * OF_ONE)

    async def test_nothing_is_marked_while_nobody_follows(self) -> None:
        await self.write(*self.maker.whole())

        self.assertEqual(await self.fetch("SELECT FROM aibridge_siem_marks"), [])

    async def test_after_a_week_without_a_follower_a_gap_is_told(self) -> None:
        await self.fetch(
            "UPDATE aibridge_siem SET seen_at = now() - interval '8 days' RETURNING seen_at"
        )
        await self.write(*self.maker.whole())

        self.follower()

        while not self.path.exists():
            await deferLater(reactor, 0.02)
        (event,) = await self.all_told()
        self.assertEqual((event["record_type"], event["event"]), ("gap", "records missing"))

    async def test_days_given_up_by_the_retention_take_their_marks_along(self) -> None:
        await self.fetch("UPDATE aibridge_siem SET seen_at = now() RETURNING seen_at")
        old = self.maker.whole(START - timedelta(days=9))
        await self.write(*old)
        await self.write(*self.maker.whole())

        decision = Decision(cutoff=START, first_kept_day=START.date())
        await self.pool.transaction(lambda cursor: end(cursor, decision))

        self.assertEqual(await self.fetch("SELECT day FROM aibridge_siem_marks"), [(START.date(),)])


class TroubleTests(SiemCase):
    async def test_on_a_full_disk_it_waits_says_so_and_goes_on(self) -> None:
        events = Broken(self.path)
        follower = self.follower(events=events)
        await self.followed()
        await self.write(*self.maker.whole())
        while not follower.status().problem:
            await deferLater(reactor, 0.02)
        problem = follower.status().problem

        events.full = False

        self.assertEqual(len(await self.all_told()), OF_ONE)
        self.assertEqual(problem, "events cannot be written: No space left on device.")
        while follower.status().problem:
            await deferLater(reactor, 0.02)
        self.assertEqual(
            [call.args[0] for call in _said(self.said)],
            ["SIEM is not told, its records wait in the database", "SIEM is told again"],
        )

    async def test_while_the_database_is_away_it_waits_and_goes_on(self) -> None:
        pool = SometimesAway(self.pool)
        follower = self.follower(pool=pool)
        await self.followed()
        pool.away = True
        await self.write(*self.maker.whole())
        while not follower.status().problem:
            await deferLater(reactor, 0.02)

        pool.away = False

        self.assertEqual(len(await self.all_told()), OF_ONE)

    async def test_one_of_two_followers_writes_and_the_other_takes_over(self) -> None:
        first = self.follower()
        await self.followed()
        other = self.path.with_name("other.jsonl")
        second = self.follower(events=EventFile(other))
        await self.write(*self.maker.whole())
        self.assertEqual(len(await self.all_told()), OF_ONE)
        self.assertFalse(other.exists())
        self.assertEqual((first.status().writing, second.status().writing), (True, False))

        await first.stop()
        await self.write(*self.maker.whole(START + timedelta(seconds=1)))
        await self.all_told()

        self.assertEqual(len(other.read_bytes().splitlines()), OF_ONE)

    async def test_told_twice_when_it_dies_between_file_and_database(self) -> None:
        await self.fetch("UPDATE aibridge_siem SET seen_at = now() RETURNING seen_at")
        await self.write(*self.maker.whole())
        load = await self.pool.transaction(
            lambda cursor: siem.take(cursor, self.maker.id(START), content=True)
        )
        assert load is not None
        EventFile(self.path).append(load.lines.encode())
        await self.fetch("UPDATE aibridge_siem SET held_until = now() RETURNING held_until")

        self.follower()

        events = await self.all_told()
        self.assertEqual(len(events), 2 * OF_ONE)
        self.assertEqual(len({each["event_id"] for each in events}), OF_ONE)


def _mark(batch: Any) -> tuple[str, str, str]:
    """Return what a mark of the lines says."""
    ids = [json.loads(line.body)["id"] for line in batch]
    kinds = ",".join(line.kind for line in batch)
    of = ",".join(str(line.interception_id or "NULL") for line in batch)
    return f"{{{kinds}}}", f"{{{','.join(ids)}}}", f"{{{of}}}"


def _said(log: CapturingLogger) -> list[Any]:
    return [call for call in log.calls if call.method_name in ("error", "info")]
