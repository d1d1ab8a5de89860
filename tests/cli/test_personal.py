"""A person's records are exported whole, and erased for good, whatever happens meanwhile."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

from structlog.testing import CapturingLogger
from twisted.internet import reactor
from twisted.internet.task import Clock

from bridge.cli.hold import create_hold, list_holds, release_hold
from bridge.cli.journal import replayed
from bridge.cli.personal import erase_user, export_user
from bridge.config.load import load
from bridge.domain.clock import utc
from bridge.domain.errors import BadRequest, Conflict, NotFound
from bridge.domain.identity import Role
from bridge.domain.records import Record
from bridge.domain.tokens import User
from bridge.journal.format import DamagedLine
from bridge.recording.quarantine import Quarantine
from bridge.recording.scrub import scrub
from bridge.recording.writer import Writer
from bridge.store import erasure, identity
from bridge.store.writes import write_batch
from tests.cli.process import ProcessCase
from tests.cli.running import RecordingSession
from tests.journal.samples import append_all, logger, new_journal
from tests.store.journalled import ALICE, BOB, Maker, lines
from tests.support.postgres import StoreTestCase

SECRETS = ("zebra", "alice", "Let me see.", "zone")
"""What tells of her in the records that are made here."""


class PersonalCase(StoreTestCase):
    """A data directory, two users, and records in a journal."""

    async def setUp(self) -> None:
        await super().setUp()
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.root = Path(holder.name) / "journal"
        self.session = RecordingSession(reactor=reactor, pool=self.pool)
        self.session.settings = load(None, {"data-dir": holder.name}, {})
        self.now = float(reactor.seconds())  # type: ignore[attr-defined]
        self.clock = Clock()
        self.clock.rightNow = self.now
        self.maker = Maker()
        for identifier, name in ((ALICE, "alice"), (BOB, "bob")):
            user = User(
                id=identifier,
                username=name,
                roles=frozenset({Role.MEMBER}),
                created_at=utc(self.now),
            )
            await self.pool.transaction(lambda c, user=user: identity.create_user(c, user))

    def whole(self, ago: float = 10.0, **members: Any) -> list[Record]:
        """Return the records of an interception of alice's."""
        result = self.maker.result("a-call", content=f"of {members.get('prompt', 'zebra')}")
        given = {"prompt": "zebra", "tool_results": [result], **members}
        return self.maker.whole(utc(self.now - ago), **given)

    def his(self) -> list[Record]:
        return self.whole(initiator_id=BOB, username="bob", prompt="giraffe")

    async def write_all(self) -> None:
        writer = Writer(
            journal_root=self.root,
            pool=self.pool,
            write_batch=write_batch,
            reactor=reactor,
            log=logger(CapturingLogger()),
            cutoff=lambda: None,
        )
        writer.start()
        await writer.flush()
        await writer.stop()

    async def erase(self, name: str = "alice") -> Any:
        return await erase_user(self.session, name, agree=lambda _: None)

    async def everything(self) -> str:
        """Return all rows of all tables as one text."""
        tables = await self.fetch(
            "SELECT c.relname FROM pg_class c WHERE c.relkind IN ('r', 'p') "
            "AND c.relnamespace = 'public'::regnamespace AND NOT c.relispartition"
        )
        texts = []
        for (table,) in tables:
            rows = await self.fetch(f"SELECT t::text FROM {table} t")  # as found
            texts += [text for (text,) in rows]
        return "\n".join(texts)

    def on_disk(self) -> str:
        """Return all files of all journals as one text."""
        files = sorted(path for path in self.root.rglob("*") if path.is_file())
        return "\n".join(path.read_bytes().decode("utf-8", "replace") for path in files)

    def assert_gone(self, text: str) -> None:
        for secret in SECRETS:
            self.assertNotIn(secret, text.replace("giraffe", ""))


class EraseTests(PersonalCase):
    async def test_stored_segments_lose_only_the_lines_of_the_erased(self) -> None:
        """And what is left can still be replayed."""
        journal = new_journal(self.root, self.clock)
        append_all(journal, [*self.whole(), *self.his()])
        journal.begin_anew()
        append_all(journal, self.his())
        await self.write_all()

        killed = journal.directory / "0000000001.999999999.scrubbed"
        killed.write_text("zebra")

        done = await self.erase()

        self.assertEqual((done.interceptions, done.days), (1, 1))
        self.assertEqual(done.lines, 3)
        disk = self.on_disk()
        for secret in ("zebra", "alice"):
            self.assertNotIn(secret, disk)
        self.assertIn("giraffe", disk)
        self.assertNotIn("wrong checksum", disk)
        await self.fetch(
            "WITH a AS (DELETE FROM aibridge_user_prompts), "
            "b AS (DELETE FROM aibridge_interceptions) SELECT 1"
        )
        outcome = await replayed(self.session, timedelta(hours=1))
        self.assertEqual((outcome.damaged, outcome.refused), (0, 0))
        everything = await self.everything()
        self.assertIn("giraffe", everything)
        self.assertNotIn("zebra", everything)

    async def test_replay_of_what_is_still_in_the_newest_segment_brings_nothing_back(self) -> None:
        """A segment that is being written is not touched; the database refuses what is in it."""
        journal = new_journal(self.root, self.clock)
        append_all(journal, self.whole())
        await self.write_all()
        await self.erase()
        self.assertIn("zebra", self.on_disk())

        await replayed(self.session, timedelta(hours=1))

        self.assertNotIn("zebra", await self.everything())

        journal.begin_anew()
        append_all(journal, self.his())
        await self.write_all()
        (erased,) = await self.pool.transaction(
            lambda cursor: erasure.recent(cursor, within_seconds=60.0)
        )

        async def now(work: Any) -> Any:
            return work()

        await scrub(root=self.root, pool=self.pool, erased={ALICE: erased.pseudonym}, in_thread=now)
        self.assertNotIn("zebra", self.on_disk())

    async def test_journal_of_a_process_that_is_gone_is_scrubbed_to_its_end(self) -> None:
        """Nobody will begin another segment there."""
        journal = new_journal(self.root, self.clock)
        append_all(journal, [*self.whole(), *self.his()])
        await self.write_all()
        await journal.close()

        await self.erase()

        self.assertNotIn("zebra", self.on_disk())
        self.assertIn("giraffe", self.on_disk())

    async def test_records_that_are_not_stored_yet_arrive_blank(self) -> None:
        """Erased while they wait in the journal."""
        journal = new_journal(self.root, self.clock)
        append_all(journal, [*self.whole(), *self.his()])

        await self.erase()
        await self.write_all()

        everything = await self.everything()
        self.assertIn("giraffe", everything)
        for secret in ("zebra", "alice"):
            self.assertNotIn(secret, everything)

    async def test_quarantine_loses_lines_of_the_erased(self) -> None:
        """Found by the interception, or by who is named in the line."""
        quarantine = Quarantine(root=self.root, clock=self.clock)
        known = self.whole()
        batch = lines(*known)
        await self.pool.transaction(lambda cursor: write_batch(cursor, batch))
        (unknown, *_) = lines(*self.whole())
        (other, *_) = lines(*self.his())
        for n, line in enumerate((batch[2], unknown, other)):
            quarantine.put(line, directory=f"{n:04d}", reason="test")
        quarantine.put(DamagedLine(b"unreadable", "torn", 1, 1), directory="0001", reason="torn")

        await self.erase()

        left = self.on_disk()
        self.assertNotIn("zebra", left)
        self.assertNotIn("zone", left)
        self.assertIn("giraffe", left)
        self.assertIn("unreadable", left)

    async def test_tokens_end_and_it_is_audited_without_the_name(self) -> None:
        done = await self.erase()

        (record,) = self.session.audited
        self.assertEqual((record.action, record.target), ("user.erase", done.pseudonym))
        with self.assertRaises(NotFound):
            await self.erase()

    async def test_nobody_is_erased_unasked_or_by_an_ambiguous_name(self) -> None:
        class No(Exception):  # noqa: N818
            pass

        def refuse(_: Any) -> None:
            raise No

        with self.assertRaises(No):
            await erase_user(self.session, "alice", agree=refuse)
        at = utc(self.now)
        await self.pool.transaction(lambda c: identity.delete_user(c, "alice", at))
        again = User(
            id=self.maker.id(at),
            username="alice",
            roles=frozenset({Role.MEMBER}),
            created_at=at,
        )
        await self.pool.transaction(lambda c: identity.create_user(c, again))

        with self.assertRaisesRegex(BadRequest, str(ALICE)):
            await self.erase()
        await self.erase(str(ALICE))

        self.assertEqual([each.username for each in await self.left()], ["alice"])

    async def left(self) -> list[User]:
        found = await self.pool.transaction(lambda c: identity.users(c, deleted_too=False))
        return [each for each in found if each.username != "bob"]

    async def test_hold_forbids_it(self) -> None:
        hold = await create_hold(
            self.session, name="alice", from_day=None, to_day=None, reason="case 7"
        )

        with self.assertRaisesRegex(BadRequest, "hold"):
            await self.erase()

        await release_hold(self.session, hold.id)
        await self.erase()
        self.assertEqual(
            [each.action for each in self.session.audited],
            ["hold.create", "hold.release", "user.erase"],
        )
        self.assertEqual(await list_holds(self.session, released_too=False), ())

    async def test_days_are_not_held_while_an_erasure_may_blank_records_of_them(self) -> None:
        """Days of a user who is not erased can be, and all days when it is done."""
        day = utc(self.now).date()

        async def hold(name: str | None) -> object:
            return await create_hold(
                self.session, name=name, from_day=day, to_day=day, reason="case 7"
            )

        await self.pool.transaction(lambda cursor: erasure.begin(cursor, ALICE))

        with self.assertRaisesRegex(Conflict, "is being erased"):
            await hold(None)
        self.assertEqual(await list_holds(self.session, released_too=True), ())
        await hold("bob")

        for each in await self.pool.transaction(erasure.unfinished):
            await erasure.carry_out(self.pool, each)
        await hold(None)
        self.assertEqual(len(await list_holds(self.session, released_too=False)), 2)

    async def test_hold_must_say_whom_or_when(self) -> None:
        with self.assertRaises(BadRequest):
            await create_hold(self.session, name=None, from_day=None, to_day=None, reason="")
        with self.assertRaises(NotFound):
            await create_hold(self.session, name="carol", from_day=None, to_day=None, reason="")


class ExportTests(PersonalCase):
    async def test_everything_of_the_person_is_in_it_and_nothing_of_others(self) -> None:
        """And that somebody took it is audited."""
        nasty = "\x9b31m \u202e owned"
        records = [*self.whole(model=nasty), *self.whole(ago=40 * 86400.0), *self.his()]
        records.append(self.maker.audit(utc(self.now)))
        batch = lines(*records)
        await self.pool.transaction(lambda cursor: write_batch(cursor, batch))
        said: list[str] = []

        count = await export_user(self.session, "alice", said.append)

        rows = [json.loads(line) for line in said]
        self.assertEqual(count, len(rows))
        kinds = sorted({row["type"] for row in rows})
        self.assertEqual(kinds, ["audit", "interception", "stored_object", "user"])
        mine = [row for row in rows if row["type"] == "interception"]
        self.assertEqual(len(mine), 2)
        self.assertIn(nasty, [each["model"] for each in mine])
        self.assertEqual(
            [
                (each["user_prompts"][0]["prompt"], each["tool_usages"][0]["input"],
                 each["model_thoughts"][0]["content"], len(each["legs"]))
                for each in mine
            ],
            [("zebra", '{"zone": "UTC"}', "Let me see.", 1)] * 2,
        )  # fmt: skip
        self.assertNotIn("giraffe", "".join(said))
        self.assertTrue("".join(said).isprintable())
        self.assertEqual(
            [(each.action, each.target) for each in self.session.audited],
            [("user.export", "alice")],
        )


class KilledTests(ProcessCase):
    """Needs processes, because they are killed."""

    async def test_erasure_that_is_killed_half_way_can_be_called_again(self) -> None:
        """kill -9 while the second day is under way."""
        self.data_dir.mkdir(mode=0o700)
        await self.call("user", "create", "alice")
        ((user,),) = await self.fetch("SELECT id FROM users WHERE username = 'alice'")
        maker = Maker()
        now = float(reactor.seconds())  # type: ignore[attr-defined]
        records = [
            each
            for days in (0, 1, 2)
            for each in maker.whole(
                utc(now - days * 86400), initiator_id=user, username="alice", prompt="zebra"
            )
        ]
        batch = lines(*records)
        await self.pool.transaction(lambda cursor: write_batch(cursor, batch))
        middle = records[7].day
        other = self.new_pool(size=1)
        await other.start()
        killed: list[int] = []

        async def in_the_way(cursor: Any) -> None:
            await cursor.execute(
                "SELECT 1 FROM aibridge_interceptions WHERE day = %s FOR UPDATE", (middle,)
            )
            process = self.start_erasing()
            waiting: list[Any] = []
            while not waiting and process.poll() is None:
                waiting = await self.fetch("SELECT 1 FROM pg_locks WHERE NOT granted")
            process.kill()
            killed.append(process.wait())

        await other.transaction(in_the_way)

        self.assertEqual(killed, [-9])
        left = "SELECT count(*) FROM aibridge_user_prompts WHERE prompt <> ''"
        ((count,),) = await self.fetch(left)
        self.assertIn(count, (1, 2))
        await self.call("user", "erase", "alice", "--yes")
        self.assertEqual(await self.fetch(left), [(0,)])
        self.assertEqual(
            await self.fetch("SELECT DISTINCT left(username, 7) FROM aibridge_interceptions"),
            [("erased-",)],
        )

    def start_erasing(self) -> subprocess.Popen[bytes]:
        """Run `aibridge user erase alice --yes`, and do not wait for it."""
        program = "from bridge.cli.main import main; main()"
        return subprocess.Popen(
            [sys.executable, "-c", program, "user", "erase", "alice", "--yes"],
            env=self.environment,
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
