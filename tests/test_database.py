"""Tests for bridge.database: what becomes of who asks while it is being started."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import structlog
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from bridge.database import STARTING_SECONDS, Database, Patient
from bridge.domain.identity import Secret
from bridge.store.connection import Cursor
from bridge.store.errors import StoreError, StoreUnavailable
from bridge.store.rows import one
from tests.support.postgres import StoreTestCase


class Told:
    """A server whose address somebody tells."""

    def __init__(self) -> None:
        self.address: Deferred[str] = Deferred()

    async def start(self) -> str:
        """Return the address once it is known."""
        return await self.address

    async def stop(self) -> None:
        """Leave it alone."""


class DatabaseCase(StoreTestCase):
    """With a real server, whose address comes when it is told."""

    @cached_property
    def told(self) -> Told:
        """Where the address comes from."""
        return Told()

    @cached_property
    def database(self) -> Database:
        """A database, being started."""
        database = new_database(self.told, reactor)
        self.addCleanup(lambda: Deferred.fromCoroutine(database.stop()))
        self.starting = Deferred.fromCoroutine(database.start())
        return database


class StartingTests(DatabaseCase):
    async def test_the_patient_are_answered_once_it_is_there(self) -> None:
        asked = [ask(Patient(self.database)) for _ in range(3)]
        asked[1].cancel()
        self.assertFalse(asked[0].called)

        self.told.address.callback(self.dsn)

        self.assertEqual([await asked[0], await asked[2]], [1, 1])
        self.failureResultOf(asked[1], CancelledError)
        self.assertEqual(await ask(Patient(self.database)), 1)

    async def test_others_are_refused_at_once(self) -> None:
        self.failureResultOf(ask(self.database), StoreUnavailable)

        self.told.address.callback(self.dsn)
        await self.starting
        self.assertEqual(await ask(self.database), 1)


class QuestionTests(DatabaseCase):
    """With more questions than connections, each of which waits for a lock."""

    async def setUp(self) -> None:
        await super().setUp()
        self.told.address.callback(self.dsn)
        questions = Patient(self.database, questions=True)
        self.locked: Deferred[None] = Deferred()
        self.unlock: Deferred[None] = Deferred()
        self.locking = Deferred.fromCoroutine(self.pool.transaction(self._lock))
        await self.locked
        await self.starting
        self.asked = [Deferred.fromCoroutine(questions.transaction(_locked)) for _ in range(20)]

    async def test_who_stores_or_follows_does_not_wait_for_them(self) -> None:
        self.assertEqual(await ask(self.database), 1)
        self.assertEqual(await ask(Patient(self.database)), 1)
        self.assertFalse(any(each.called for each in self.asked))

        self.unlock.callback(None)

        self.assertEqual([await each for each in self.asked], [1] * 20)

    async def test_a_question_that_nobody_waits_for_still_has_its_turn(self) -> None:
        for each in self.asked:
            each.cancel()
            self.failureResultOf(each, CancelledError)
        more = Deferred.fromCoroutine(Patient(self.database, questions=True).transaction(_locked))

        self.assertEqual(await ask(self.database), 1)

        self.unlock.callback(None)
        self.assertEqual(await more, 1)

    async def _lock(self, cursor: Cursor) -> None:
        await _locked(cursor)
        self.locked.callback(None)
        await self.unlock


class NotStartingTests(TestCase):
    """With a server that there will never be."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.told = Told()
        self.database = new_database(self.told, self.clock)

    def test_who_asks_before_the_start_waits_too(self) -> None:
        asked = ask(Patient(self.database))
        self.assertNoResult(asked)

        Deferred.fromCoroutine(self.database.start())
        self.assertNoResult(asked)
        self.told.address.errback(StoreUnavailable("It is away."))

        self.failureResultOf(asked, StoreUnavailable)

    def test_after_a_failed_attempt_nobody_waits(self) -> None:
        starting = Deferred.fromCoroutine(self.database.start())
        self.told.address.errback(StoreUnavailable("It is away."))
        self.assertNoResult(starting)

        failure = self.failureResultOf(ask(Patient(self.database)), StoreUnavailable)
        self.assertIn("It is away.", str(failure.value))

    def test_what_cannot_be_helped_lets_nobody_wait(self) -> None:
        starting = Deferred.fromCoroutine(self.database.start())
        asked = ask(Patient(self.database))

        self.told.address.errback(StoreError("It is too old."))

        self.failureResultOf(starting, StoreError)
        self.failureResultOf(asked, StoreUnavailable)

    def test_nobody_waits_longer_than_for_a_start(self) -> None:
        Deferred.fromCoroutine(self.database.start())
        self.clock.advance(STARTING_SECONDS - 1)
        asked = ask(Patient(self.database))
        self.clock.advance(0.9)
        self.assertNoResult(asked)

        self.clock.advance(0.2)

        failure = self.failureResultOf(asked, StoreUnavailable)
        self.assertIn("still being started", str(failure.value))
        self.failureResultOf(ask(Patient(self.database)), StoreUnavailable)

    def test_the_stop_lets_nobody_wait(self) -> None:
        Deferred.fromCoroutine(self.database.start())
        asked = ask(Patient(self.database))

        self.successResultOf(Deferred.fromCoroutine(self.database.stop()))

        failure = self.failureResultOf(asked, StoreUnavailable)
        self.assertIn("stopping", str(failure.value))


def new_database(told: Told, clock: Any) -> Database:
    """Return a database whose address comes from `told`."""
    return Database(
        address=Secret("embedded"),
        data_dir=Path("/nonexistent"),
        run_as="",
        statement_seconds=10.0,
        reactor=clock,
        log=structlog.get_logger("test"),
        server=told,
    )


async def _locked(cursor: Cursor) -> int:
    await one(cursor, "SELECT pg_advisory_xact_lock(1)")
    return 1


def ask(database: Database | Patient) -> Deferred[int]:
    """Ask for a number."""

    async def number(cursor: Cursor) -> int:
        (found,) = await one(cursor, "SELECT 1")
        return int(found)

    return Deferred.fromCoroutine(database.transaction(number))
