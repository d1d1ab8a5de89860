"""No record is lost or doubled when the bridge is stopped, or killed again while it catches up."""

from __future__ import annotations

import signal

import psycopg2

from tests.durability.cases import (
    REQUESTS,
    DurabilityTestCase,
    running_at,
    statements_waiting,
    time_now,
)
from tests.durability.database import Database
from tests.durability.load import COMPLETE
from tests.durability.records import Records
from tests.support.bridge_process import BridgeProcess, eventually

_SECONDS = 20.0


class RestartTests(DurabilityTestCase):
    def test_killed_again_while_the_journal_is_being_stored(self) -> None:
        """A bridge dies in the middle of a transaction, and its successor right after one."""
        database = self.database()
        bridge = self.bridge(database=database)
        database.stop()
        load = self.load(bridge)
        load.wait_for(answered=REQUESTS // 2)
        bridge.kill()
        bridge.start()
        load.wait_for(answered=REQUESTS)
        attempts = load.stop()
        bridge.kill()
        database.start()
        records = Records(database.address)

        self.kill_in_a_transaction(bridge, database)
        self.assertEqual(records.stored(), 0)
        self.kill_after_a_transaction(bridge, records)
        print(f"{records.stored()} interceptions stored at the second kill", flush=True)
        bridge.start()
        self.wait_until_stored(bridge, records, attempts)

        self.compare(records, attempts)

    def test_stopped_in_mid_load(self) -> None:
        """SIGTERM: answers that are running end as they should, and all is stored at the exit."""
        database = self.database()
        bridge = self.bridge(database=database, limits={"drain": "10s"})
        load = self.load(bridge, slowness=3.0)
        load.wait_for(answered=REQUESTS)
        stopped_at = time_now()

        code = bridge.terminate()
        records = Records(database.address)
        stored = records.stored()
        attempts = load.stop()

        # Twisted ends with the signal that it was sent, once everything is stopped.
        self.assertIn(code, {0, -signal.SIGTERM})
        self.assertGreater(running_at(attempts, stopped_at), 0)
        self.assertEqual(
            [each for each in attempts if each.status == 200 and each.outcome != COMPLETE], []
        )
        self.assertEqual(records.states(), {"completed": stored})
        bridge.start()
        self.wait_until_stored(bridge, records, attempts)
        self.assertEqual(records.states(), {"completed": stored})
        self.compare(records, attempts)

    def kill_in_a_transaction(self, bridge: BridgeProcess, database: Database) -> None:
        """Start the bridge, hold up its first transaction in the middle, and kill it there."""
        connection = psycopg2.connect(database.address)
        try:
            with connection.cursor() as cursor:
                cursor.execute("LOCK TABLE aibridge_legs IN SHARE ROW EXCLUSIVE MODE")
                bridge.start()
                eventually(
                    lambda: statements_waiting(database) > 0,
                    seconds=_SECONDS,
                    what="the writer to wait for the table",
                )
                bridge.kill()
            connection.rollback()
        finally:
            connection.close()
        eventually(
            lambda: statements_waiting(database) == 0,
            seconds=_SECONDS,
            what="the dead bridge's transaction to end",
        )

    def kill_after_a_transaction(self, bridge: BridgeProcess, records: Records) -> None:
        """Start the bridge, and kill it when something can be seen of what it stores."""
        bridge.start(until_ready=False)
        eventually(
            lambda: records.stored() > 0,
            seconds=_SECONDS,
            what="the first records to be stored",
            pause_seconds=0.001,
        )
        bridge.kill()
