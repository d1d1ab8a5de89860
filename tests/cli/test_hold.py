"""`aibridge hold`: what is wrong is said before the database is asked, and what is not there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.cli.running import CommandCase

ROOT = Path(__file__).resolve().parents[2]


class ArgumentTests(CommandCase):
    def test_a_hold_of_nothing_is_wrong_usage(self) -> None:
        """It says whose records, or of which days."""
        for options in ((), ("--from", "2026-11-01"), ("--from", "soon", "--user", "ada")):
            answer = self.call("hold", "create", *options)

            self.assertEqual((answer.exit_code, answer.stdout), (2, ""), options)

    def test_days_in_the_wrong_order_are_wrong_usage(self) -> None:
        """With the reason."""
        answer = self.call("hold", "create", "--from", "2026-11-02", "--to", "2026-11-01")

        self.assertEqual(answer.exit_code, 2)
        self.assertIn("must not be after the last", answer.stderr)


class DatabaseOnlyTests(CommandCase):
    def test_a_bridge_elsewhere_is_not_asked(self) -> None:
        """Who has only its API is told what to use there."""
        for command, instead in (("audit", "/audit"), ("hold", "/holds")):
            done = self.process(command, "list", AIBRIDGE_URL="https://bridge.example")

            self.assertEqual((done.returncode, done.stdout), (1, ""))
            self.assertIn("works on the database only", done.stderr)
            self.assertIn(f"GET /api/v2/aibridge{instead}", done.stderr)
            self.assertIn("There is no database in", done.stderr)

    def test_without_one_there_only_is_no_database(self) -> None:
        """Most likely it is another directory."""
        done = self.process("audit", "list")

        self.assertTrue(done.stderr.startswith("Error: There is no database in"), done.stderr)

    def process(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run it in a process of its own, which has a reactor of its own."""
        return subprocess.run(
            [sys.executable, "-m", "bridge.cli", *arguments],
            check=False,
            capture_output=True,
            text=True,
            cwd=self.directory,
            env={
                "PATH": os.environ.get("PATH", ""),
                "PYTHONPATH": str(ROOT / "src"),
                "AIBRIDGE_DATA_DIR": str(self.directory / "data"),
                **environment,
            },
        )
