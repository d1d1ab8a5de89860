"""What is recorded, and since when, can be read in the audit log."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.acceptance.running import command
from tests.support.bridge_process import BridgeProcess, eventually

_PROVIDER = {"name": "anthropic", "type": "anthropic", "key": "sk-a"}
_SECONDS = 20.0


class RecordingTests(SynchronousTestCase):
    def setUp(self) -> None:
        holder = tempfile.TemporaryDirectory(prefix="aibridge-test-")
        self.addCleanup(holder.cleanup)
        self.bridge = BridgeProcess(directory=Path(holder.name))
        self.addCleanup(self.bridge.close)

    def configure(self, *, record: Any = None, aibridge: Any = None, of_it: Any = None) -> None:
        provider = {**_PROVIDER, **({"record": of_it} if of_it else {})}
        self.bridge.configure(
            {"record": record, "aibridge": {"providers": [provider], **(aibridge or {})}}
        )

    def reload(self) -> None:
        done = command(self.bridge, "reload")
        self.assertEqual(done.returncode, 0, done.stderr)

    def changes(self) -> list[tuple[str, Any, Any]]:
        """Return what the audit log says of it, oldest first."""
        path = "/api/v2/aibridge/audit?action=recording.change"
        status, _, body = self.bridge.ask("GET", path, token="admin")
        self.assertEqual(status, 200, body)
        return [
            (each["source"], each["detail"]["before"], each["detail"]["after"])
            for each in reversed(json.loads(body)["entries"])
        ]

    def noted(self, expected: list[tuple[str, Any, Any]]) -> None:
        """Wait until the audit log says so."""
        eventually(
            lambda: len(self.changes()) >= len(expected), seconds=_SECONDS, what="the audit log"
        )
        self.assertEqual(self.changes(), expected)

    def test_every_change_is_noted_once_however_it_comes_into_force(self) -> None:
        self.configure()
        self.bridge.start()
        no_prompts = {"record.prompts": "off"}
        redacted = {"aibridge.redact_secrets": "false"}
        quiet = {"aibridge.providers.anthropic.record.tool_inputs": "off"}

        self.configure(record={"prompts": "off"})
        self.reload()
        self.reload()  # nothing is new
        first = ("reload", {}, no_prompts)
        self.noted([first])

        # Secrets are taken out until the next start.
        self.configure(aibridge={"redact_secrets": False}, of_it={"tool_inputs": "off"})
        self.reload()
        second = ("reload", no_prompts, quiet)
        self.noted([first, second])

        self.bridge.terminate()
        self.bridge.start()
        third = ("start", quiet, {**redacted, **quiet})
        self.noted([first, second, third])

        self.bridge.terminate()
        self.configure(aibridge={"retention": "30d"})
        self.bridge.start()
        self.noted([first, second, third, ("start", third[2], {"aibridge.retention": "30d"})])
