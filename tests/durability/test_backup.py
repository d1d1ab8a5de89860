"""The drill: a backup under load, the database lost, restored, and refilled from the journal."""

from __future__ import annotations

import shutil
import subprocess
import sys
from datetime import UTC, datetime

from bridge.store.embedded.place import find_place
from tests.durability.cases import REQUESTS, DurabilityTestCase
from tests.durability.records import Records
from tests.support.bridge_process import BridgeProcess

_SECONDS = 120.0


class BackupTests(DurabilityTestCase):
    def test_backup_load_disaster_restore_replay(self) -> None:
        """Nothing that was answered is missing, and nothing is there twice."""
        bridge = self.bridge()
        bridge.wait_for_database()
        backup = self.directory / "backup"
        load = self.load(bridge)
        load.wait_for(answered=REQUESTS // 2)

        self.aibridge(bridge, "backup", str(backup))
        load.wait_for(answered=REQUESTS)
        attempts = load.stop()
        self.wait_until_stored(bridge, Records(bridge.database_address()), attempts)
        token = bridge.token()
        bridge.terminate()
        self.lose_the_database(bridge)
        hint = self.aibridge(bridge, "restore", str(backup))
        records = Records(bridge.database_address())
        since = hint.rpartition("--since ")[2].strip()
        self.assertLess(datetime.fromisoformat(since).replace(tzinfo=UTC), datetime.now(tz=UTC))
        self.aibridge(bridge, "journal", "replay", "--since", since)
        bridge.start()
        bridge.wait_for_database()
        self.wait_until_stored(bridge, records, attempts)

        self.compare(records, attempts)
        status, _, _ = bridge.ask("GET", "/demo/v1/models", token=token)
        self.assertEqual(status, 200)

    def lose_the_database(self, bridge: BridgeProcess) -> None:
        """The disk with the cluster is gone; the one with the journal is not."""
        home = find_place(bridge.data_dir, "").home
        shutil.rmtree(home)
        shutil.rmtree(bridge.data_dir / "postgres", ignore_errors=True)

    def aibridge(self, bridge: BridgeProcess, *arguments: str) -> str:
        """Run a command beside the bridge, and return what it said."""
        done = subprocess.run(
            [sys.executable, "-m", "bridge.cli", "--config", str(bridge.config), *arguments],
            env=bridge.environment,
            cwd=bridge.directory,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        print(done.stdout.strip(), flush=True)
        return done.stderr
