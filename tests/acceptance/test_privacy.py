"""A whole bridge: secrets are not recorded though they are relayed; who is erased stays erased."""

from __future__ import annotations

import json

import psycopg2

from tests.acceptance.running import AcceptanceCase, command, message, recorded
from tests.domain.secret_samples import X
from tests.support.bridge_process import BridgeProcess, eventually

PROVIDERS = [{"name": "demo", "type": "demo"}]
SCRUBBED_SECONDS = 60.0
_KEY = f"ghp_{X(36)}"


class PrivacyTests(AcceptanceCase):
    def stored(self, bridge: BridgeProcess) -> str:
        """Return every row of every table as one text."""
        connection = psycopg2.connect(bridge.database_address())
        try:
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT c.relname FROM pg_class c WHERE c.relkind IN ('r', 'p') "
                    "AND c.relnamespace = 'public'::regnamespace AND NOT c.relispartition"
                )
                texts = []
                for (table,) in cursor.fetchall():
                    cursor.execute(f"SELECT t::text FROM {table} t")  # as found
                    texts += [text for (text,) in cursor.fetchall()]
        finally:
            connection.close()
        return "\n".join(texts)

    def on_disk(self, bridge: BridgeProcess) -> str:
        """Return all files of the journals and the log as one text."""
        files = [path for path in (bridge.data_dir / "journal").rglob("*") if path.is_file()]
        texts = [path.read_bytes().decode("utf-8", "replace") for path in files]
        return "\n".join([*texts, bridge.output])

    def test_secrets_are_relayed_and_not_recorded(self) -> None:
        """The model gets the key that somebody pasted; journal, database and log do not."""
        bridge = self.new_bridge({"aibridge": {"providers": PROVIDERS, "structured_logging": True}})
        bridge.start()
        bridge.wait_for_database()

        status, _, body = bridge.ask(
            "POST", "/demo/v1/messages", message("demo-text", f"giraffe: what is {_KEY}?")
        )

        self.assertEqual(status, 200)
        self.assertIn(_KEY, json.loads(body)["content"][0]["text"])
        record = recorded(bridge, "giraffe: what is [redacted:github-token]?")
        self.assertGreaterEqual(record["redactions"], 1)
        self.assertNotIn(_KEY, self.stored(bridge))
        self.assertNotIn(_KEY, self.on_disk(bridge))
        self.assertIn("giraffe", self.on_disk(bridge))

    def test_who_is_erased_beside_a_running_bridge_is_gone_and_stays_gone(self) -> None:
        """From the database and the journal; a replay brings nothing back, others stay."""
        bridge = self.new_bridge({"aibridge": {"providers": PROVIDERS}})
        bridge.start()
        bridge.wait_for_database()
        self.assertEqual(command(bridge, "user", "create", "alice").returncode, 0)
        token = command(bridge, "token", "create", "--user", "alice").stdout.strip()

        def known() -> bool:
            status, _, _ = bridge.ask(
                "POST", "/demo/v1/messages", message("demo-text", "zebra"), token=token
            )
            return status == 200

        eventually(known, seconds=15.0, what="the token to be known")
        bridge.ask("POST", "/demo/v1/messages", message("demo-text", "giraffe"))
        recorded(bridge, "giraffe")
        # Right before, so that some of it is still on its way.
        for _ in range(20):
            bridge.ask("POST", "/demo/v1/messages", message("demo-thinking", "zebra"), token=token)

        erased = command(bridge, "user", "erase", "alice", "--yes")

        self.assertEqual(erased.returncode, 0, erased.stderr)
        eventually(
            lambda: "zebra" not in self.stored(bridge),
            seconds=15.0,
            what="what was on its way to be blank",
        )
        status, _, _ = bridge.ask(
            "POST", "/demo/v1/messages", message("demo-text", "zebra"), token=token
        )
        self.assertEqual(status, 401)
        replay = command(bridge, "journal", "replay", "--since", "1h")
        self.assertEqual(replay.returncode, 0, replay.stderr)
        self.assertNotIn("zebra", self.stored(bridge))
        self.assertIn("giraffe", self.stored(bridge))

        # The bridge begins a new segment when it hears of it, and scrubs the former.
        eventually(
            lambda: "zebra" not in self.on_disk(bridge),
            seconds=SCRUBBED_SECONDS,
            what="the journal to be scrubbed",
        )
        self.assertIn("giraffe", self.on_disk(bridge))
