"""A bridge of several processes: killed, reloaded and stopped under load it loses nothing."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

from twisted.internet.threads import deferToThread

from bridge.pages.guards import ATTEMPTS
from tests.acceptance.changing import ChangingCase, asking, eventually_in_thread
from tests.acceptance.test_drain import DRAIN_SECONDS, ENDED_WELL, MORE_SECONDS
from tests.acceptance.test_reload import NOT_RELOADED, RELOADED
from tests.acceptance.test_under_load import BETWEEN, CLIENTS, CROSSING, states_in
from tests.acceptance.under_load import COMPLETE, REFUSED, Load
from tests.durability.database import Database
from tests.durability.records import Records
from tests.loopback.speech import MESSAGES, RESPONSES
from tests.pages.browserless import Browserless
from tests.support.rawclient import CLEAN, raw_request

WORKERS = 2
RATE = 5
MEASURED_SECONDS = 6.0
SECONDS = 150.0
UNANSWERED = 0.01
"""Of the requests, at most, that find no connection while a worker is replaced."""
_SUM = re.compile(r"^aibridge_interceptions_total\{.*\} (\S+)$", re.MULTILINE)


class WorkersCase(ChangingCase):
    """The database is not the bridge's own: it is looked at whatever becomes of the bridge."""

    timeout = 600

    async def start_workers(self, **settings: Any) -> None:
        self.server = database = Database(directory=self.directory / "database")
        self.addCleanup(deferToThread, database.close)
        await deferToThread(database.start)
        self.database = database.address
        self.records = Records(database.address)
        self.former = await self.provider("former", MESSAGES, RESPONSES)
        self.latter = await self.provider("latter", MESSAGES, RESPONSES)
        self.fixed = {
            "database": self.database,
            "workers": WORKERS,
            "limits": {"drain": f"{DRAIN_SECONDS}s"},
            **settings,
        }
        await self.start(
            self.former.configured(key="sk-former"), self.former.configured("openai"), **self.fixed
        )
        await eventually_in_thread(self.all_ready, "all workers", SECONDS)

    async def begin_load(self) -> None:
        answers = {
            b for each in (self.former, self.latter) for b in (each.document(), each.stream())
        }
        self.load = Load(port=self.bridge.port, token=self.token, clients=CLIENTS, answers=answers)
        self.load.begin()
        await self.load.complete(BETWEEN)

    def status(self) -> dict[str, Any]:
        """Ask for the details; blocks."""
        found = self.operations("/status")
        details: dict[str, Any] = json.loads(found)
        return details

    def operations(self, path: str) -> str:
        code, _, body = self.bridge.ask("GET", path, token=None, port=self.bridge.operations_port)
        assert code == 200, body
        return body.decode()

    def counted(self) -> float:
        """Return how many interceptions the metrics know of; blocks."""
        return sum(map(float, _SUM.findall(self.operations("/metrics"))))

    def all_ready(self) -> bool:
        return all(each["state"] == "ready" for each in self.status()["workers"])

    async def assert_all_have_one_end(self) -> dict[str, str | None]:
        """Wait until nothing is open; every complete answer is stored so, and nothing twice."""
        await eventually_in_thread(lambda: self.records.open() == 0, "the ends", SECONDS)
        states = await deferToThread(states_in, self.database)
        complete = {each.prompt for each in self.load.asked if each.outcome == COMPLETE}
        await eventually_in_thread(
            lambda: complete <= set(states_in(self.database)), "all records", SECONDS
        )
        states = await deferToThread(states_in, self.database)
        self.assertEqual({states[each] for each in complete}, {"completed"})
        self.assertEqual(await deferToThread(self.records.stored), len(states))
        return states


class KilledTests(WorkersCase):
    async def test_a_worker_is_killed_under_load(self) -> None:
        await self.start_workers()
        await self.begin_load()
        before = await deferToThread(self.counted)
        (victim, *_) = (await deferToThread(self.status))["workers"]

        os.kill(victim["pid"], signal.SIGKILL)
        seen = [before]
        for _ in range(4):
            await self.load.complete(BETWEEN // 4)
            seen.append(await deferToThread(self.counted))
        await eventually_in_thread(self.all_ready, "another worker", SECONDS)
        await self.load.complete(BETWEEN)
        await self.load.stop()
        seen.append(await deferToThread(self.counted))

        counts = self.load.counts
        print(f"\nworker killed: {len(self.load.asked)} requests, {dict(counts)}", flush=True)
        # Only what it had under way is lost, at most one request of every client.
        self.assertLessEqual(len(self.load.asked) - counts[COMPLETE], CLIENTS)
        self.assertLessEqual(counts[REFUSED], UNANSWERED * len(self.load.asked))
        states = await self.assert_all_have_one_end()
        self.assertLessEqual(set(states.values()), {"completed", "lost"})
        self.assertEqual(seen, sorted(seen))
        # What a worker counted in its last second may be missing from the metrics.
        self.assertGreaterEqual(seen[-1], counts[COMPLETE] - BETWEEN)
        details = await deferToThread(self.status)
        self.assertEqual([each["restarts"] for each in details["workers"]], [1, 0])
        self.assertNotIn(victim["pid"], [each["pid"] for each in details["workers"]])
        self.assertIn(
            "aibridge_worker_restarts_total 1.0", await deferToThread(self.operations, "/metrics")
        )

    async def test_the_parent_is_killed_under_load(self) -> None:
        await self.start_workers()
        await self.begin_load()
        workers = [each["pid"] for each in (await deferToThread(self.status))["workers"]]

        await deferToThread(self.bridge.kill)
        await self.load.left()
        await eventually_in_thread(
            lambda: not any(map(is_running, workers)), "the end of the workers", SECONDS
        )
        counts = self.load.counts
        print(f"\nparent killed: {len(self.load.asked)} requests, {dict(counts)}", flush=True)
        self.assertLessEqual(set(counts) - {COMPLETE, REFUSED}, UNLUCKY)
        await deferToThread(self.bridge.start)

        states = await self.assert_all_have_one_end()
        # The workers drained: what was accepted came to its own end.
        self.assertEqual(set(states.values()), {"completed"})


class ChangeTests(WorkersCase):
    async def test_reloaded_renewed_and_then_stopped_under_load(self) -> None:
        await self.start_workers()
        await self.begin_load()

        self.configure(self.latter.configured(key="sk-latter"), **self.fixed)
        done = await self.command("reload")
        self.assertEqual(done.returncode, 0, done.stderr)
        await self.load.complete(BETWEEN)
        asked = len(self.former.requests)
        self.bridge.config.write_text("aibridge: [\n")
        self.bridge.signal(signal.SIGHUP)
        await self.said(NOT_RELOADED)
        await self.load.complete(BETWEEN)
        self.assertEqual(len(self.former.requests), asked)
        self.assertIn(RELOADED, self.output)

        (renewed, _) = (await deferToThread(self.status))["workers"]
        os.kill(renewed["pid"], signal.SIGTERM)
        await self.said("worker ended")
        await eventually_in_thread(self.all_ready, "another worker", SECONDS)
        await self.load.complete(BETWEEN)
        self.assertEqual(set(self.load.counts), {COMPLETE})

        self.load.changing()
        self.bridge.signal(signal.SIGTERM)
        began = time.monotonic()
        code = await deferToThread(self.bridge.wait)
        took = time.monotonic() - began
        await self.load.left()
        sent = [each for each in self.load.asked if each.outcome != REFUSED]
        before = Counter(each.outcome for each in sent if each.before)
        after = Counter(each.outcome for each in sent if not each.before)
        print(f"\nworkers stopped after {took:.1f} s: {dict(before)}, {dict(after)}", flush=True)
        self.assertIn(code, ENDED_WELL)
        self.assertLess(took, DRAIN_SECONDS + MORE_SECONDS)
        self.assertEqual(set(before), {COMPLETE})
        self.assertLessEqual(sum(after.values()) - after[COMPLETE], CROSSING)
        states = await deferToThread(states_in, self.database)
        answered = {each.prompt for each in sent if each.outcome == COMPLETE}
        self.assertEqual(states, dict.fromkeys(answered, "completed"))
        self.assertNotIn("Traceback", self.output)


class SharingTests(WorkersCase):
    async def test_failed_sign_ins_are_limited_by_all_workers_together(self) -> None:
        await self.start_workers()

        def tries() -> Counter[int]:
            # Each on a connection of its own, which some worker gets.
            return Counter(
                Browserless(self.bridge).sign_in(f"aib_no_{n}").status for n in range(3 * ATTEMPTS)
            )

        statuses = await deferToThread(tries)

        print(f"\n{3 * ATTEMPTS} failed sign-ins with {WORKERS} workers: {dict(statuses)}")
        self.assertEqual(statuses, {401: ATTEMPTS, 429: 2 * ATTEMPTS})

    async def test_the_page_of_providers_says_that_it_is_one_workers(self) -> None:
        await self.start_workers()

        def seen() -> str:
            visitor = Browserless(self.bridge)
            self.assertEqual(visitor.sign_in(self.bridge.token("admin")).status, 303)
            return visitor.get("/ui/providers").text

        page = await deferToThread(seen)

        self.assertIn("one of the bridge's worker processes", page)
        self.assertIn("Each worker process has", page)

    async def test_who_asks_a_new_worker_waits_until_it_has_a_database(self) -> None:
        await self.start_workers()
        self.server.pause()
        self.addCleanup(self.server.resume)
        for each in (await deferToThread(self.status))["workers"]:
            os.kill(each["pid"], signal.SIGKILL)
        await self.said("worker ended", times=WORKERS)
        await eventually_in_thread(self.all_ready, "other workers", SECONDS)

        agent = await self.connect()
        agent.send(going_on(self.token, "resp_nobodys"))
        visitor = Browserless(self.bridge)
        signing_in = deferToThread(visitor.sign_in, self.bridge.token("admin"))
        journal = self.bridge.data_dir / "journal"
        # Written down just before the database is asked for the first time.
        await eventually_in_thread(
            lambda: any(b"page.sign-in" in each.read_bytes() for each in journal.glob("*/*")),
            "somebody to be let in",
        )
        self.server.resume()

        self.assertEqual((await signing_in).status, 303)
        self.assertEqual((await agent.response()).status, 404)

    async def test_limits_hold_for_all_workers_together(self) -> None:
        await self.start_workers(limit_max_streams_per_user=3)
        # Connections are spread, so that both workers have some.
        clients = [await self.connect() for _ in range(20)]
        for each in clients:
            self.assertEqual((await self.probe(each))[0], 200)
        shares = [each["connections"] for each in (await deferToThread(self.status))["workers"]]
        print(f"\n20 kept connections: {shares}", flush=True)
        self.assertEqual(sum(shares), 20)
        self.assertLessEqual(max(shares), 0.65 * 20)

        for n in range(3):
            clients[n].send(asking(self.token, f"held {n}; hold the end", stream=True))
            await clients[n].begun(self.former.begun())
        statuses = []
        for each in clients[3:]:
            each.send(asking(self.token, "one too many"))
            statuses.append((await each.response()).status)
        self.assertEqual(set(statuses), {429})
        self.former.release()
        for each in clients[:3]:
            self.assertEqual((await each.response()).end, CLEAN)

        self.configure(self.former.configured(), limit_rate_limit=RATE, **self.fixed)
        done = await self.command("reload")
        self.assertEqual(done.returncode, 0, done.stderr)
        # One worker gets nine in ten requests: the rate is the user's all the same.
        statuses, began = [], time.monotonic()
        while time.monotonic() - began < MEASURED_SECONDS:
            for each in (*[clients[3]] * 9, clients[4]):
                each.send(asking(self.token, "again"))
                statuses.append((await each.response()).status)
        seconds = time.monotonic() - began
        answered = statuses.count(200)
        print(f"rate_limit {RATE}: {answered} of {len(statuses)} in {seconds:.1f} s", flush=True)
        self.assertEqual(set(statuses), {200, 429})
        # A second's requests may come at once, at the beginning.
        self.assertLessEqual(answered, RATE * (seconds + 1) * 1.1)
        self.assertGreaterEqual(answered, RATE * seconds * 0.9)

    async def test_what_one_worker_has_made_another_finds_at_once(self) -> None:
        await self.start_workers()
        clients = [await self.connect() for _ in range(6)]
        kept = json.loads(self.former.document(RESPONSES))["id"]
        clients[0].send(asking(self.token, "keep this", RESPONSES))
        self.assertEqual((await clients[0].response()).status, 200)
        for each in clients:
            each.send(going_on(self.token, kept))
        statuses = [(await each.response()).status for each in clients]

        self.assertEqual(statuses, [200] * 6)
        shares = [each["connections"] for each in (await deferToThread(self.status))["workers"]]
        self.assertGreater(min(shares), 1)
        for each in clients:
            await each.close()
        found = await deferToThread(
            partial(self.bridge.ask, "GET", "/api/v2/aibridge/interceptions", token="admin")
        )
        self.assertEqual(found[0], 200)


UNLUCKY = frozenset({"503", "unanswered, kept connection", "unanswered, new connection"})
"""What a request may come to that is sent while the bridge is going."""


def going_on(token: bytes, response_id: str) -> bytes:
    """Return a request that goes on from an earlier answer, as it goes over the wire."""
    link = b',"previous_response_id":"%b"}' % response_id.encode()
    headers = [(b"Authorization", b"Bearer " + token), (b"Content-Type", b"application/json")]
    return raw_request(b"POST", b"/openai/v1/responses", RESPONSES.ask[:-1] + link, headers)


def is_running(pid: int) -> bool:
    """Whether there is such a process."""
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except OSError:
        return False
