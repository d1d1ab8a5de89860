"""An export of a running bridge keeps to the limits of its configuration."""

from __future__ import annotations

import shutil
import tempfile
from datetime import timedelta
from pathlib import Path

import structlog
from twisted.internet import reactor
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from bridge.store.pool import Cursor, Pool
from bridge.store.rows import one
from bridge.store.writes import write_batch
from tests.store.journalled import START, Maker, lines
from tests.support.bridge_process import BridgeProcess, eventually
from tests.support.rawclient import RESET, TRUNCATED, raw_request
from tests.support.rawclient_blocking import BlockingClient

COUNT = 12
PROMPT = "x" * 2_000_000
"""So often more than the kernel keeps for a client."""


class ExportTests(TestCase):
    """Needs the reactor for putting records into the bridge's database."""

    timeout = 180

    async def test_who_leaves_an_export_unread_is_cut_off_after_the_configured_time(self) -> None:
        directory = Path(tempfile.mkdtemp(prefix="aibridge-test-"))
        self.addCleanup(shutil.rmtree, directory, ignore_errors=True)
        bridge = BridgeProcess(
            directory=directory,
            settings={"aibridge": {"retention": 0}, "limits": {"client_stall": "1s"}},
        )
        self.addCleanup(bridge.close)
        bridge.start()
        bridge.wait_for_database()
        await self.fill(bridge)
        client = BlockingClient(bridge.port, timeout=60, receive_buffer=64 * 1024)
        self.addCleanup(client.close)
        bearer = f"Bearer {bridge.token('admin')}".encode()

        client.send(
            raw_request(b"GET", b"/api/v2/aibridge/export", headers=[(b"authorization", bearer)])
        )
        await deferToThread(client.begun)
        await deferToThread(
            eventually,
            lambda: "limits.client_stall" in bridge.output,
            seconds=60.0,
            what="the export to be cut off",
        )

        answer = await deferToThread(client.response)
        self.assertIn(answer.end, (TRUNCATED, RESET))
        self.assertLess(len(answer.body), COUNT * len(PROMPT))

    async def fill(self, bridge: BridgeProcess) -> None:
        """Store requests of the first user."""
        pool = Pool(
            dsn=bridge.database_address(),
            reactor=reactor,
            size=1,
            statement_seconds=60.0,
            log=structlog.get_logger("test"),
        )
        await pool.start()
        maker = Maker()

        async def work(cursor: Cursor) -> None:
            (admin,) = await one(cursor, "SELECT id FROM users WHERE username = 'admin'")
            for number in range(COUNT):
                at = START + timedelta(seconds=number)
                records = maker.whole(at, prompt=PROMPT, initiator_id=admin, username="admin")
                await write_batch(cursor, lines(*records))

        try:
            await pool.transaction(work)
        finally:
            await pool.close()
