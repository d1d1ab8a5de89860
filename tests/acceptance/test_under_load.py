"""Many clients notice nothing of a reload, and lose no answer to a stop."""

from __future__ import annotations

import signal
import time
from collections import Counter

import psycopg2
from twisted.internet.threads import deferToThread

from tests.acceptance.changing import HELD, ChangingCase
from tests.acceptance.test_drain import DRAIN_SECONDS, ENDED_WELL, MORE_SECONDS
from tests.acceptance.test_reload import NOT_RELOADED, RELOADED
from tests.acceptance.under_load import (
    BROKEN,
    COMPLETE,
    REFUSED,
    RETRYABLE,
    Asked,
    Load,
)
from tests.durability.database import Database

CLIENTS = 20
BETWEEN = 150
"""Complete answers between one change and the next."""
CROSSING = 2
"""Requests, at most, that are sent while the connection they need is closed for good."""
UNSERVED = 0.01
"""Of the requests, at most, to be sent again because of a reload or a stop."""
_STATES = """
SELECT p.prompt, i.status FROM aibridge_interceptions i
JOIN aibridge_user_prompts p ON p.interception_id = i.id
"""


class LoadCase(ChangingCase):
    async def setUp(self) -> None:  # type: ignore[override]  # trial waits for it
        super().setUp()
        database = Database(directory=self.directory / "database")
        self.addCleanup(deferToThread, database.close)
        await deferToThread(database.start)
        self.database = database.address
        self.former = await self.provider("former")
        self.latter = await self.provider("latter")
        self.fixed = {"database": self.database, "limits": {"drain": f"{DRAIN_SECONDS}s"}}
        await self.start(self.former.configured(key="sk-former"), **self.fixed)
        self.load = Load(
            port=self.bridge.port,
            token=self.token,
            clients=CLIENTS,
            answers={
                body for each in (self.former, self.latter)
                for body in (each.document(), each.stream())
            },
        )  # fmt: skip
        self.load.begin()
        await self.load.complete(BETWEEN)

    async def states(self) -> dict[str, str | None]:
        """Return how each request is stored, by its prompt."""
        return await deferToThread(states_in, self.database)

    def tell(self, what: str, more: str = "") -> None:
        """Print the counts."""
        counts = dict(self.load.counts)
        print(f"\n{what} under load: {len(self.load.asked)} requests, {counts} {more}", flush=True)

    def having(self, outcome: str) -> list[Asked]:
        """Return the requests that came to this."""
        return [each for each in self.load.asked if each.outcome == outcome]


class ReloadUnderLoadTests(LoadCase):
    async def test_every_request_is_answered_while_the_configuration_changes(self) -> None:
        self.configure(self.latter.configured(key="sk-latter"), **self.fixed)
        self.bridge.signal(signal.SIGHUP)
        await self.said(RELOADED)
        before = len(self.latter.requests)
        await self.load.complete(BETWEEN)
        self.assertGreater(len(self.latter.requests), before)

        self.bridge.config.write_text("aibridge: [\n")
        self.bridge.signal(signal.SIGHUP)
        await self.said(NOT_RELOADED)
        before = len(self.latter.requests)
        await self.load.complete(BETWEEN)
        self.assertGreater(len(self.latter.requests), before)

        self.configure(self.former.configured(key="sk-again"), **self.fixed)
        done = await self.command("reload")
        self.assertEqual(done.returncode, 0, done.stderr)
        await self.load.complete(BETWEEN)
        self.assertEqual(self.former.requests[-1].header(b"x-api-key"), b"sk-again")

        self.configure(
            self.latter.configured(key="sk-latter"), limit_max_concurrency=1000, **self.fixed
        )
        self.bridge.signal(signal.SIGHUP)
        self.bridge.signal(signal.SIGHUP)
        await self.said(RELOADED, times=3)
        await self.load.complete(BETWEEN)
        await self.load.stop()

        self.tell("reload")
        counts = self.load.counts
        self.assertEqual(self.having(BROKEN), [])
        self.assertLessEqual(set(counts), {COMPLETE, RETRYABLE})
        self.assertLessEqual(counts[RETRYABLE], UNSERVED * len(self.load.asked))
        await deferToThread(self.bridge.terminate)
        self.assertEqual(
            await self.states(), {each.prompt: "completed" for each in self.having(COMPLETE)}
        )
        self.assertNotIn("Traceback", self.output)


class DrainUnderLoadTests(LoadCase):
    async def test_every_request_is_answered_or_can_be_sent_again(self) -> None:
        self.load.changing()
        self.bridge.signal(signal.SIGTERM)

        await self.assert_nothing_lost()

    async def test_nobody_is_left_waiting_while_a_long_stream_ends(self) -> None:
        stream = await self.begin(self.former, "the long one")
        self.load.changing()
        self.bridge.signal(signal.SIGTERM)

        await self.load.left()
        self.former.release()

        self.assertEqual((await stream.response()).body, self.former.stream())
        await self.assert_nothing_lost(f"the long one; {HELD}")

    async def assert_nothing_lost(self, *others: str) -> None:
        """The bridge ends in time; every client knows what became of its request, and so do we.

        Args:
            others: prompts that were answered, too.
        """
        began = time.monotonic()
        code = await deferToThread(self.bridge.wait)
        took = time.monotonic() - began
        await self.load.left()
        sent = [each for each in self.load.asked if each.outcome != REFUSED]
        before = Counter(each.outcome for each in sent if each.before)
        after = Counter(each.outcome for each in sent if not each.before)
        self.tell(
            "drain",
            f"ended after {took:.1f} s; sent before SIGTERM {dict(before)}, after it {dict(after)}",
        )
        self.assertIn(code, ENDED_WELL)
        self.assertLess(took, DRAIN_SECONDS + MORE_SECONDS)
        self.assertEqual(self.having(BROKEN), [])
        answered = [*(each.prompt for each in self.having(COMPLETE)), *others]
        # Nothing is stored, and no provider was asked, for who has to send it again.
        self.assertEqual(await self.states(), dict.fromkeys(answered, "completed"))
        self.assertEqual(len(self.former.requests), len(answered))
        # What was sent before is answered; what was sent after is, unless it crosses the very end.
        self.assertEqual(set(before), {COMPLETE})
        self.assertGreater(after[COMPLETE], 0)
        self.assertLessEqual(sum(after.values()) - after[COMPLETE], CROSSING)
        self.assertLessEqual(len(sent) - len(self.having(COMPLETE)), UNSERVED * len(sent))
        self.assertNotIn("Traceback", self.output)
        self.assertNotIn("step of the stop failed", self.output)


def states_in(address: str) -> dict[str, str | None]:
    """Return how each request is stored, by its prompt."""
    connection = psycopg2.connect(address, connect_timeout=10)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(_STATES)
            return dict(cursor.fetchall())
    finally:
        connection.close()
