"""SIGTERM while answers run: they may end within limits.drain, and everything is on record."""

from __future__ import annotations

import json
import re
import signal
import time
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError
from twisted.internet.threads import deferToThread

from tests.acceptance.changing import HELD, ChangingCase, asking
from tests.acceptance.test_reload import RELOADED
from tests.durability.database import Database
from tests.durability.records import Records
from tests.loopback.speech import CHAT, MESSAGES, RESPONSES, Speech
from tests.support.rawclient import CLEAN, TRUNCATED

STOPPING = " stopping "
DRAIN_SECONDS = 20
SHORT_SECONDS = 1
MORE_SECONDS = 10.0
"""For what comes after the drain: the last records are stored, all parts stopped."""
ENDED_WELL = frozenset({0, -signal.SIGTERM})
"""Twisted ends with the signal that it was sent, once everything is stopped."""
_EVENT = re.compile(rb"(?:event: (\w+)\n)?data: (.*)\n\n")


class DrainCase(ChangingCase):
    """The database is not the bridge's own: it is looked at as the bridge has left it."""

    async def start_draining(self, seconds: int, *speeches: Speech, waits: bool = False) -> None:
        """Have a stream of each API under way, and send SIGTERM.

        Args:
            seconds: that these may go on.
            speeches: one for each API.
            waits: whether a document is awaited, too.
        """
        database = Database(directory=self.directory / "database")
        self.addCleanup(deferToThread, database.close)
        await deferToThread(database.start)
        self.records = Records(database.address)
        self.upstream = await self.provider("upstream", *speeches)
        names = dict.fromkeys(each.provider for each in speeches)
        await self.start(
            *[self.upstream.configured(name) for name in names],
            database=database.address,
            limits={"drain": f"{seconds}s"},
        )
        self.idle = await self.connect()
        self.operations = await self.connect(self.bridge.operations_port)
        for client in (self.idle, self.operations):
            self.assertEqual((await self.probe(client))[0], 200)
        self.streams = [
            (speech, await self.begin(self.upstream, "a long one", speech)) for speech in speeches
        ]
        self.document = await self.connect()
        if waits:
            self.document.send(asking(self.token, f"a document; {HELD}"))
            await self.upstream.requested(len(speeches) + 1)
        self.bridge.signal(signal.SIGTERM)
        self.began = time.monotonic()
        await self.said(STOPPING)

    async def assert_stream_ends_well(self) -> None:
        """The stream under way comes to its own end."""
        self.upstream.release()
        for speech, client in self.streams:
            response = await client.response()
            what = f"{response.body[-300:]!r}\n{time.monotonic() - self.began:.1f} s\n{self.output}"
            self.assertEqual((response.status, response.end), (200, CLEAN), what)
            self.assertEqual(response.body, speech.seen(self.upstream.stream(speech)))

    async def assert_exits(self, within: float) -> None:
        """The process ends well, and in time."""
        code = await deferToThread(self.bridge.wait)
        self.assertIn(code, ENDED_WELL)
        self.assertLess(time.monotonic() - self.began, within)
        self.assertNotIn("Traceback", self.output)
        self.assertNotIn("step of the stop failed", self.output)


class DrainTests(DrainCase):
    async def test_a_stream_ends_and_meanwhile_the_bridge_says_that_it_drains(self) -> None:
        await self.start_draining(DRAIN_SECONDS, MESSAGES)

        self.assertEqual(await self.probe(self.operations), (503, b"draining\n"))
        self.assertEqual(await self.probe(self.idle), (503, b"draining\n"))
        self.assertEqual(await self.idle.ended(), "closed")

        await self.assert_stream_ends_well()
        await self.assert_exits(within=DRAIN_SECONDS)
        self.assertEqual(await deferToThread(self.records.states), {"completed": 1})

    async def test_nobody_can_connect_any_more(self) -> None:
        await self.start_draining(DRAIN_SECONDS, MESSAGES)

        await self.assertFailure(Deferred.fromCoroutine(self.connect()), ConnectError)
        await self.assert_stream_ends_well()
        await self.assert_exits(within=DRAIN_SECONDS)

    async def test_a_request_on_a_kept_connection_is_its_last(self) -> None:
        await self.start_draining(DRAIN_SECONDS, MESSAGES)

        self.idle.send(asking(self.token, "in the last moment"))
        response = await self.idle.response()

        self.assertEqual((response.status, response.end), (200, CLEAN))
        self.assertEqual(response.body, self.upstream.document())
        self.assertEqual(response.header(b"connection"), b"close")
        self.assertEqual(await self.idle.ended(), "closed")
        await self.assert_stream_ends_well()
        await self.assert_exits(within=DRAIN_SECONDS)
        self.assertEqual(await deferToThread(self.records.states), {"completed": 2})

    async def test_who_is_connected_and_silent_is_not_waited_for(self) -> None:
        await self.start_draining(DRAIN_SECONDS)

        self.assertEqual(await self.idle.ended(), "closed")
        await self.assert_exits(within=MORE_SECONDS)

    async def test_longer_streams_end_with_an_error_event(self) -> None:
        await self.start_draining(SHORT_SECONDS, MESSAGES, CHAT, RESPONSES)

        for speech, client in self.streams:
            response = await client.response()
            # Not even who overlooks the event takes the answer for whole.
            self.assertEqual((response.status, response.end), (200, TRUNCATED))
            begun = speech.seen(self.upstream.begun(speech))
            self.assertEqual(response.body[: len(begun)], begun)
            error = self.error_in(speech, response.body[len(begun) :])
            self.assertIn("limits.drain", error.pop("message"))
            self.assertEqual(error, speech.error("overloaded"))
        self.assertGreaterEqual(time.monotonic() - self.began, SHORT_SECONDS)
        await self.assert_exits(within=SHORT_SECONDS + MORE_SECONDS)
        self.assertEqual(await deferToThread(self.records.states), {"gateway_abort": 3})
        self.assertEqual(await deferToThread(self.records.open), 0)

    async def test_a_document_that_is_awaited_for_longer_is_to_be_asked_for_again(self) -> None:
        await self.start_draining(SHORT_SECONDS, MESSAGES, waits=True)

        response = await self.document.response()

        self.assertEqual((response.status, response.end), (503, CLEAN))
        self.assertEqual(response.header(b"retry-after"), b"1")
        self.assertIn(b"limits.drain", response.body)
        await self.assert_exits(within=SHORT_SECONDS + MORE_SECONDS)
        self.assertEqual(await deferToThread(self.records.states), {"gateway_abort": 2})

    async def test_hangups_while_draining_do_no_harm(self) -> None:
        await self.start_draining(DRAIN_SECONDS, MESSAGES)
        latter = await self.provider("latter")
        self.configure(latter.configured())

        self.bridge.signal(signal.SIGHUP)
        await self.said(RELOADED)
        self.bridge.signal(signal.SIGHUP)
        await self.said(RELOADED, times=2)

        self.assertEqual(await self.probe(self.operations), (503, b"draining\n"))
        self.idle.send(asking(self.token, "in the last moment"))
        self.assertEqual((await self.idle.response()).body, latter.document())
        await self.assert_stream_ends_well()
        await self.assert_exits(within=DRAIN_SECONDS)
        self.assertEqual(await deferToThread(self.records.states), {"completed": 2})

    def error_in(self, speech: Speech, event: bytes) -> dict[str, Any]:
        """Return the members of the error that this one event is."""
        match = _EVENT.fullmatch(event)
        assert match is not None, event
        self.assertEqual(match[1] or b"", speech.error_name)
        error: dict[str, Any] = json.loads(match[2])["error"]
        return error
