"""Exports over the API: for how long somebody gets one, and how it ends."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

from bridge.store.connection import Cursor
from bridge.store.errors import StoreUnavailable
from bridge.web import management_export
from bridge.web.management_interceptions import Transactions
from tests.store.journalled import START
from tests.store.test_management import ManagementTestCase
from tests.support.rawclient import RESET, TRUNCATED, RawResponse, raw_request

T = TypeVar("T")

LINES = 5
EXPORT = raw_request(
    b"GET", b"/api/v2/aibridge/export", headers=[(b"coder-session-token", b"aib_auditor_1")]
)


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
        self.after.get(self.count, lambda: None)()
        return found


class ExportCase(ManagementTestCase):
    """Needs the real reactor, because of a real database and real connections."""

    async def setUp(self) -> None:
        await super().setUp()
        self.patch(management_export, "PAGE_ROWS", 1)
        self.ids = [
            str(await self.ended(START - timedelta(hours=LINES - number)))
            for number in range(LINES)
        ]

    def transactions(self) -> Transactions:
        self.pool_used = Counted(self.pool)
        return self.pool_used

    def is_cut_off(self, answer: RawResponse) -> None:
        self.assertEqual(answer.status, 200)
        self.assertIn(answer.end, (TRUNCATED, RESET))


class BrokenTests(ExportCase):
    async def test_an_error_in_the_middle_is_no_clean_end(self) -> None:
        def breaks() -> None:
            raise StoreUnavailable("The database has gone.")

        self.pool_used.after[3] = breaks
        self.client.send(EXPORT)

        answer = await self.client.response()

        self.is_cut_off(answer)
