"""The command line in processes of its own, on the test's database."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.utils import getProcessOutputAndValue

from tests.support.postgres import StoreTestCase

ROOT = Path(__file__).resolve().parents[2]


class ProcessCase(StoreTestCase):
    """Needs the real reactor, because processes and a database are waited for."""

    async def setUp(self) -> None:
        await super().setUp()
        holder = tempfile.TemporaryDirectory(prefix="aibridge-test-")
        self.addCleanup(holder.cleanup)
        self.directory = Path(holder.name)
        self.data_dir = self.directory / "data"
        self.environment = {
            "PATH": os.environ.get("PATH", ""),
            "PYTHONPATH": str(ROOT / "src"),
            "AIBRIDGE_DATABASE": self.dsn,
            "AIBRIDGE_DATA_DIR": str(self.data_dir),
        }

    async def call(self, *arguments: str, expected: int = 0, **environment: str) -> tuple[str, str]:
        """Return what `aibridge` printed on its two outputs."""
        out, err = await self.call_bytes(*arguments, expected=expected, **environment)
        return out.decode(), err.decode()

    async def call_bytes(
        self, *arguments: str, expected: int = 0, **environment: str
    ) -> tuple[bytes, bytes]:
        """Return the same, byte for byte."""
        out, err, code = await getProcessOutputAndValue(
            sys.executable,
            ("-c", "from bridge.cli.main import main; main()", *arguments),
            env={**self.environment, **environment},
            path=str(self.directory),
            reactor=reactor,
        )
        self.assertEqual(code, expected, (out + err).decode())
        return out, err
