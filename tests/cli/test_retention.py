"""`aibridge retention`: what an operator sees, and that a confirmation is audited."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from twisted.internet import reactor

from bridge.cli.retention import Status, ask_and_confirm, confirm_waiting, read_status, rows_of
from bridge.config.load import load
from bridge.domain.errors import NotFound, Unavailable
from bridge.store.partitions import ensure_days
from bridge.store.purge import begin, end
from tests.cli.running import CommandCase, RecordingSession
from tests.support.postgres import StoreTestCase

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


class OnADatabase(StoreTestCase):
    """Needs the real reactor, because a real database is asked."""

    def session(self, retention: str = "30d") -> RecordingSession:
        """Return a session of a bridge that keeps records so long."""
        session = RecordingSession(reactor=reactor, pool=self.pool)
        session.settings = load(None, {"aibridge-retention": retention}, {})
        return session

    async def days(self, *before: int) -> list[date]:
        """Make room for days so long ago, and return them."""
        ((now,),) = await self.fetch("SELECT now()")
        found = [(now - timedelta(days=count)).date() for count in before]
        await self.pool.transaction(lambda cursor: ensure_days(cursor, found))
        return found

    async def make_pass(self) -> None:
        """Let the bridge look over what there is, without dropping anything."""
        begun = await self.pool.transaction(lambda cursor: begin(cursor, 30 * 86400.0))
        await self.pool.transaction(lambda cursor: end(cursor, begun.decision))

    async def test_an_empty_store_waits_for_nothing(self) -> None:
        found = await read_status(self.session())

        self.assertEqual((found.stored_days, found.waiting_days), (0, ()))
        self.assertIsNotNone(found.cutoff)

    async def test_for_ever_has_no_cutoff(self) -> None:
        await self.days(4000)

        found = await read_status(self.session("0"))

        self.assertIsNone(found.cutoff)
        self.assertEqual(found.waiting_days, ())

    async def test_what_waits_is_shown_and_a_confirmation_is_audited(self) -> None:
        days = await self.days(50, 49, 48, 0)
        await self.make_pass()
        session = self.session()
        before = await read_status(session)

        until = await confirm_waiting(session, before.waiting_days)

        self.assertEqual(before.waiting_days, tuple(days[:3]))
        self.assertIsNotNone(before.waiting_since)
        (record,) = session.audited
        self.assertEqual((record.action, record.target), ("retention.confirm", f"before {until}"))
        self.assertEqual(record.detail["days"], 3)
        after = await read_status(session)
        self.assertEqual((after.waiting_days, after.confirmed_until), ((), until))

    async def test_without_a_pass_that_waits_there_is_nothing_to_confirm(self) -> None:
        session = self.session()

        with self.assertRaises(NotFound):
            await confirm_waiting(session, (NOW.date(),))

        self.assertEqual(session.audited, [])

    async def test_confirming_says_what_goes_and_refuses_when_nothing_does(self) -> None:
        session = self.session()
        with self.assertRaises(NotFound):
            await ask_and_confirm(session, yes=True)
        await self.days(50, 49, 48, 0)
        await self.make_pass()

        until = await ask_and_confirm(session, yes=True)

        self.assertEqual((await read_status(session)).confirmed_until, until)

    async def test_a_confirmation_that_cannot_be_recorded_is_none(self) -> None:
        await self.days(50, 49, 48, 0)
        await self.make_pass()
        session = self.session()
        session.full = True

        with self.assertRaises(Unavailable):
            await confirm_waiting(session, (NOW.date(),))

        self.assertIsNone((await read_status(session)).confirmed_until)


class Tables(CommandCase):
    """What is printed."""

    def status(self, **members: object) -> Status:
        """Return a status, with some of it replaced."""
        values: dict[str, object] = {
            "retention_seconds": 30 * 86400.0,
            "cutoff": NOW - timedelta(days=30),
            "last_pass_at": NOW,
            "stored_days": 31,
            "first_day": date(2026, 10, 25),
            "last_day": date(2026, 11, 24),
            "size_bytes": 3 * 1024**2,
            "waiting_days": (),
            "waiting_since": None,
            "confirmed_until": None,
        }
        return Status(**(values | members))  # type: ignore[arg-type]

    def test_all_that_matters_is_in_the_table(self) -> None:
        self.assertEqual(
            rows_of(self.status()),
            [
                ("shown and kept since", "2026-10-25 12:00:00 UTC"),
                ("stored days", "31 (2026-10-25 to 2026-11-24), 3.0 MiB"),
                ("last pass", "2026-11-24 12:00:00 UTC"),
                ("waiting to be deleted", "nothing"),
            ],
        )

    def test_what_waits_comes_with_what_to_do(self) -> None:
        waiting = (date(2026, 9, 1), date(2026, 9, 2), date(2026, 9, 3))

        rows = dict(rows_of(self.status(waiting_days=waiting)))

        self.assertEqual(
            rows["waiting to be deleted"],
            "3 days (2026-09-01 to 2026-09-03): aibridge retention confirm",
        )

    def test_the_commands_explain_themselves(self) -> None:
        found = self.call("retention", "--help")

        self.assertEqual(found.exit_code, 0)
        self.assertIn("confirm", found.output)
        self.assertIn("status", found.output)
