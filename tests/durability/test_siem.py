"""No event is missing in the SIEM's file, whoever is killed and whatever is rotated."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import psycopg2

from tests.durability.cases import REQUESTS, DurabilityTestCase
from tests.durability.records import Records
from tests.support.bridge_process import eventually

KILLS = 3
_EXPECTED = """
SELECT 'interception_start/' || id FROM aibridge_interceptions
UNION ALL SELECT 'interception_end/' || id || '/' || status FROM aibridge_interceptions
UNION ALL SELECT 'prompt_usage/' || interception_id FROM aibridge_user_prompts
UNION ALL SELECT 'token_usage/' || id FROM aibridge_token_usages
UNION ALL SELECT 'tool_usage/' || id FROM aibridge_tool_usages
UNION ALL SELECT 'model_thought/' || id FROM aibridge_model_thoughts
UNION ALL SELECT 'audit/' || id FROM audit_log
"""


class SiemTests(DurabilityTestCase):
    def test_bridge_killed_and_file_rotated_in_mid_load(self) -> None:
        """`kill -9` three times; the file is renamed, hung up on, and cut between."""
        path = self.directory / "events.jsonl"
        bridge = self.bridge(siem={"file": str(path)})
        eventually(path.exists, seconds=30.0, what="the first event")
        load = self.load(bridge)

        for n in range(1, KILLS + 1):
            load.wait_for(answered=n * REQUESTS // (KILLS + 1))
            bridge.kill()
            if path.exists():
                path.rename(path.with_suffix(f".{n}"))
            bridge.start()
        eventually(path.exists, seconds=60.0, what="the lease of the killed one to run out")
        path.rename(path.with_suffix(".hup"))
        bridge.signal(signal.SIGHUP)
        load.wait_for(answered=REQUESTS)
        attempts = load.stop()
        bridge.wait_for_database()
        records = Records(bridge.database_address())
        self.wait_until_stored(bridge, records, attempts)
        self.wait_until_told(bridge.database_address())

        told, broken = _events(path)
        expected = set(_ids(bridge.database_address()))
        self.assertEqual(expected - told.keys(), set())
        self.assertLessEqual(broken, KILLS)
        self.assertEqual(
            {kind for kind in (each["record_type"] for each in told.values()) if kind == "gap"},
            set(),
        )

    def wait_until_told(self, address: str) -> None:
        """Wait until nothing waits for the SIEM."""

        def told() -> bool:
            return _ask(address, "SELECT count(*) FROM aibridge_siem_marks") == [(0,)]

        eventually(told, seconds=60.0, what="the SIEM to be told", pause_seconds=0.2)


def _events(path: Path) -> tuple[dict[str, Any], int]:
    """Return all events by id, and how many lines are broken."""
    found, broken = {}, 0
    for each in path.parent.glob(f"{path.stem}.*"):
        for line in each.read_bytes().splitlines():
            try:
                event = json.loads(line)
            except ValueError:
                broken += 1
            else:
                found[event["event_id"]] = event
    return found, broken


def _ids(address: str) -> list[str]:
    return [row[0] for row in _ask(address, _EXPECTED)]


def _ask(address: str, sql: str) -> list[tuple[Any, ...]]:
    connection = psycopg2.connect(address)
    try:
        with connection.cursor() as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall())
    finally:
        connection.close()
