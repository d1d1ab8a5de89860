"""Texts that a page lets one save, piece by piece: for how long somebody gets one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

from bridge.domain.ids import day_of
from bridge.pages import interceptions
from bridge.pages.app import Pages
from bridge.pages.interceptions import InterceptionPages
from bridge.pages.reading import Reading
from bridge.pages.visit import Fields, Visit
from bridge.store.blanking import blank_day
from bridge.web.incoming import BridgeRequest
from bridge.web.paced import CHECK_SECONDS
from tests.store.journalled import START
from tests.store.test_management import ACTORS, CLIENT_STALL
from tests.store.test_management_export import PROMPT, ExportCase
from tests.support.rawclient import CLEAN, raw_request

T = TypeVar("T")

PIECES = 8


class Door:
    """Takes everybody for the auditor."""

    async def visit(self, request: BridgeRequest) -> Visit:
        return Visit(
            request=request,
            actor=ACTORS["aib_auditor"],
            source="127.0.0.1",
            cookie="",
            form_token="",
            origin="",
            query=Fields(),
            form=Fields(),
        )

    async def sign_out(self, visit: Visit) -> Any:
        raise NotImplementedError


async def at_once(work: Callable[[], T]) -> T:
    return work()


class DownloadTests(ExportCase):
    """Needs the real reactor, because of a real database and the buffers of real connections."""

    prompts = 1

    async def setUp(self) -> None:
        await super().setUp()
        self.patch(interceptions, "_PIECE_CHARACTERS", len(PROMPT) // PIECES)
        self.request = raw_request(
            b"GET", b"/ui/interceptions/%b/prompt.txt" % self.ids[0].encode()
        )

    def resource(self) -> Any:
        reading = Reading(
            pool=self.pool_used,
            cutoff=lambda: self.cutoff,
            access=self.management.access,
            clock=self.clock,
        )
        door: Any = Door()
        pages = Pages(
            entrance=door,
            parts=(InterceptionPages(reading),),
            first="/ui/",
            in_thread=at_once,
            pacing=self.management.pacing,
        )
        return pages.app.resource()

    async def test_who_reads_gets_all_of_it(self) -> None:
        self.client.send(self.request)

        answer = await self.client.response()

        self.assertEqual((answer.status, answer.end), (200, CLEAN))
        self.assertTrue(answer.body == PROMPT.encode())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    async def test_who_reads_nothing_for_too_long_is_cut_off(self) -> None:
        await self.begun()
        read = self.pool_used.count

        self.clock.advance(CLIENT_STALL)

        self.is_cut_off(await self.rest())
        self.assertLess(read, PIECES)
        self.assertEqual(self.pool_used.count, read)

    async def test_a_revocation_ends_a_download_that_waits_for_its_reader(self) -> None:
        await self.begun()
        read = self.pool_used.count
        self.tokens.ended.add("bob")

        self.clock.advance(CHECK_SECONDS)

        self.is_cut_off(await self.rest())
        self.assertEqual(self.pool_used.count, read)

    async def test_a_revocation_before_the_first_piece_is_a_page_that_says_so(self) -> None:
        self.pool_used.after[2] = lambda: self.tokens.ended.add("bob")
        self.client.send(self.request)

        answer = await self.client.response()

        self.assertEqual(answer.status, 401)
        self.assertIn(b"has ended", answer.body)
        self.assertIsNone(answer.header(b"content-disposition"))

    async def test_a_text_that_grows_too_old_meanwhile_is_cut_off(self) -> None:
        def ends() -> None:
            self.cutoff = START + timedelta(hours=1)

        self.pool_used.after[3] = ends
        self.client.send(self.request)

        answer = await self.client.response()

        self.is_cut_off(answer)
        self.assertLessEqual(len(answer.body), len(PROMPT) // PIECES)

    async def test_a_text_that_is_deleted_meanwhile_is_cut_off(self) -> None:
        """Where it would have gone on there is nothing, as behind the end of another text."""
        day = day_of(UUID(self.ids[0]))

        async def ends() -> None:
            await self.pool.transaction(lambda cursor: blank_day(cursor, day, None))

        self.pool_used.after[3] = ends
        self.client.send(self.request)

        answer = await self.client.response()

        self.is_cut_off(answer)
