"""Exports over the API: for how long somebody gets one, and how it ends."""

from __future__ import annotations

import json
import socket
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, TypeVar

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from bridge.store.connection import Cursor
from bridge.store.errors import StoreUnavailable
from bridge.web import management_export
from bridge.web.management_interceptions import Transactions
from bridge.web.paced import CHECK_SECONDS
from tests.store.journalled import START
from tests.store.test_management import CLIENT_STALL, ManagementTestCase
from tests.support.rawclient import CLEAN, RESET, TRUNCATED, RawResponse, raw_request

T = TypeVar("T")

LINES = 5
BUFFER_BYTES = 256 * 1024
PATIENCE_SECONDS = 10
PROMPT = "x" * 2_000_000
"""More than all buffers on the way hold."""
EXPORT = raw_request(
    b"GET", b"/api/v2/aibridge/export", headers=[(b"coder-session-token", b"aib_auditor_1")]
)


class WaitingClock(Clock):
    """A clock that tells when something begins to wait by it."""

    def __init__(self) -> None:
        super().__init__()
        self.rightNow = START.timestamp()
        self._told: list[Deferred[None]] = []

    def callLater(self, *args: Any, **keywords: Any) -> Any:
        call = super().callLater(*args, **keywords)
        told, self._told = self._told, []
        for each in [each for each in told if not each.called]:
            # In a later turn, when who waits has done all that comes before the waiting.
            reactor.callLater(0, each.callback, None)  # type: ignore[attr-defined]
        return call

    async def waited_for(self) -> None:
        """Come back once something waits by the clock."""
        if not self.getDelayedCalls():
            told: Deferred[None] = Deferred()
            self._told.append(told)
            await told.addTimeout(PATIENCE_SECONDS, reactor)  # type: ignore[arg-type]


class Counted:
    """A pool of which one knows what it has done."""

    def __init__(self, pool: Transactions) -> None:
        self._pool = pool
        self.count = 0
        self.after: dict[int, Callable[[], object]] = {}
        """What happens at the end of which transaction, counted from 1."""

    async def transaction(
        self, work: Callable[[Cursor], Awaitable[T]], *, read_only: bool = False
    ) -> T:
        found = await self._pool.transaction(work, read_only=read_only)
        self.count += 1
        happens = self.after.get(self.count, lambda: None)()
        if isinstance(happens, Awaitable):
            await happens
        return found


class ExportCase(ManagementTestCase):
    """Needs the real reactor, because of a real database and the buffers of real connections."""

    request = EXPORT
    prompts = LINES
    """How many are stored."""

    async def setUp(self) -> None:
        self.clock = WaitingClock()
        await super().setUp()
        self.patch(management_export, "PAGE_ROWS", 1)
        # Connections get the buffers of the socket on which they come in.
        self.port.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
        await self.client.close()
        self.client = await self.client.to(reactor, self.port.getHost().port)
        self.client.transport.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        self.ids = [
            str(await self.ended(START - timedelta(hours=LINES - number), prompt=PROMPT))
            for number in range(self.prompts)
        ]

    def transactions(self) -> Transactions:
        self.pool_used = Counted(self.pool)
        return self.pool_used

    async def begun(self) -> RawResponse:
        """Begin an answer, and leave it unread once it has begun."""
        self.client.send(self.request)
        answer = await self.client.begun()
        await self.unread()
        return answer

    async def unread(self) -> None:
        """Read nothing any more, until the bridge waits for that."""
        self.client.stop_reading()
        await self.clock.waited_for()

    async def rest(self) -> RawResponse:
        """Read what there is still to read."""
        self.client.go_on_reading()
        return await self.client.response()

    def lines(self, answer: RawResponse) -> list[str]:
        """Return the ids of the interceptions of which something was shown."""
        return [found for found in self.ids if f'"id":"{found}"'.encode() in answer.body]

    def is_cut_off(self, answer: RawResponse) -> None:
        self.assertEqual(answer.status, 200)
        self.assertIn(answer.end, (TRUNCATED, RESET))


class ReaderTests(ExportCase):
    async def test_who_reads_gets_all_of_it(self) -> None:
        self.client.send(EXPORT)

        answer = await self.client.response()

        self.assertEqual(answer.end, CLEAN)
        self.assertEqual([json.loads(line)["id"] for line in answer.body.splitlines()], self.ids)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    async def test_who_reads_nothing_for_too_long_is_cut_off(self) -> None:
        await self.begun()
        read = self.pool_used.count

        self.clock.advance(CLIENT_STALL)

        self.is_cut_off(await self.rest())
        self.assertLess(read, LINES)
        self.assertEqual(self.pool_used.count, read)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    async def test_who_reads_little_by_little_is_waited_for(self) -> None:
        answer = await self.begun()
        for _ in range(4):
            self.clock.advance(CLIENT_STALL - 1)
            enough = len(answer.body) + BUFFER_BYTES
            self.client.go_on_reading()
            await self.client.until(lambda enough=enough: len(answer.body) > enough)  # type: ignore[misc]
            await self.unread()

        answer = await self.rest()

        self.assertEqual(answer.end, CLEAN)
        self.assertEqual(self.lines(answer), self.ids)

    async def test_who_leaves_is_not_waited_for(self) -> None:
        await self.begun()

        await self.client.reset()

        self.client = await self.client.to(reactor, self.port.getHost().port)
        await self.get("/api/v2/aibridge/interceptions")
        self.assertEqual(self.clock.getDelayedCalls(), [])


class BrokenTests(ExportCase):
    async def test_an_error_in_the_middle_is_no_clean_end(self) -> None:
        def breaks() -> None:
            raise StoreUnavailable("The database has gone.")

        self.pool_used.after[3] = breaks
        self.client.send(EXPORT)

        answer = await self.client.response()

        self.is_cut_off(answer)


class RevokedTests(ExportCase):
    async def test_a_revocation_ends_an_export_that_waits_for_its_reader(self) -> None:
        await self.begun()
        read = self.pool_used.count
        self.tokens.ended.add("bob")

        self.clock.advance(CHECK_SECONDS)

        self.is_cut_off(await self.rest())
        self.assertLess(read, LINES)
        self.assertEqual(self.pool_used.count, read)

    async def test_a_revocation_ends_an_export_that_is_being_read(self) -> None:
        """At once: what was just read is not shown any more."""
        self.pool_used.after[3] = lambda: self.tokens.ended.add("bob")
        self.client.send(EXPORT)

        answer = await self.client.response()

        self.is_cut_off(answer)
        self.assertLessEqual(len(self.lines(answer)), 2)
        self.assertEqual(self.pool_used.count, 3)

    async def test_a_revocation_before_the_first_line_is_a_401(self) -> None:
        self.pool_used.after[1] = lambda: self.tokens.ended.add("bob")

        status, said = await self.get("/api/v2/aibridge/export")

        self.assertEqual(status, 401, said)
        self.assertEqual(self.rows(lambda row: row.action == "content.read"), [])

    async def test_a_revocation_of_somebody_else_ends_nothing(self) -> None:
        self.pool_used.after[3] = lambda: self.tokens.ended.add("alice")
        self.client.send(EXPORT)

        answer = await self.client.response()

        self.assertEqual((answer.end, self.lines(answer)), (CLEAN, self.ids))


class RetentionTests(ExportCase):
    async def test_what_retention_ends_meanwhile_is_not_shown(self) -> None:
        def ends() -> None:
            self.cutoff = START - timedelta(hours=2, minutes=30)

        self.pool_used.after[2] = ends
        self.client.send(EXPORT)

        answer = await self.client.response()

        self.assertEqual(answer.end, CLEAN)
        self.assertEqual(self.lines(answer), [*self.ids[:2], *self.ids[-2:]])
