"""No record is lost or doubled when the bridge is killed, the database is away, or both."""

from __future__ import annotations

from tests.durability.cases import REQUESTS, DurabilityTestCase, cut
from tests.durability.records import Records

KILLS = 3


class CrashTests(DurabilityTestCase):
    def test_bridge_killed_three_times_in_mid_load(self) -> None:
        """`kill -9`, and started again at once, with the database that it brings itself."""
        bridge = self.bridge()
        load = self.load(bridge)

        for n in range(1, KILLS + 1):
            load.wait_for(answered=n * REQUESTS // (KILLS + 1))
            bridge.kill()
            bridge.start()
        load.wait_for(answered=REQUESTS)
        attempts = load.stop()
        bridge.wait_for_database()
        records = Records(bridge.database_address())
        self.wait_until_stored(bridge, records, attempts)

        self.compare(records, attempts)
        self.assertGreater(cut(attempts), 0)

    def test_database_away_for_the_whole_load(self) -> None:
        """Requests go on without Postgres, and their records come when it does."""
        database = self.database()
        bridge = self.bridge(database=database)
        database.stop()
        load = self.load(bridge)

        load.wait_for(answered=REQUESTS)
        attempts = load.stop()
        self.assertTrue(database.away)
        database.start()
        records = Records(database.address)
        self.wait_until_stored(bridge, records, attempts)

        self.compare(records, attempts)
        self.assertEqual({each.status for each in attempts}, {200})

    def test_bridge_killed_three_times_while_the_database_is_away(self) -> None:
        """The journals of four runs of the bridge wait for Postgres."""
        database = self.database()
        bridge = self.bridge(database=database)
        database.stop()
        load = self.load(bridge)

        for n in range(1, KILLS + 1):
            load.wait_for(answered=n * REQUESTS // (KILLS + 1))
            bridge.kill()
            bridge.start()
        load.wait_for(answered=REQUESTS)
        attempts = load.stop()
        self.assertTrue(database.away)
        database.start()
        records = Records(database.address)
        self.wait_until_stored(bridge, records, attempts)

        self.compare(records, attempts)
        self.assertGreater(cut(attempts), 0)
