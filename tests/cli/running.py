"""A session without processes of its own: the test's database, and the audit records in a list."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from bridge.cli.main import aibridge
from bridge.cli.session import Session
from bridge.config.load import load
from bridge.domain.errors import Unavailable
from bridge.domain.records import AuditRecorded
from bridge.store.pool import Pool
from tests.support.cases import BridgeTestCase


class RecordingSession(Session):
    """Keeps what it should audit, and can be unable to."""

    def __init__(self, *, reactor: Any, pool: Pool) -> None:
        super().__init__(settings=load(None, {}, {}), reactor=reactor, pool=pool)
        self.audited: list[AuditRecorded] = []
        self.full = False

    async def audit(self, records: Sequence[AuditRecorded]) -> None:
        if self.full:
            raise Unavailable("The journal is full.")
        self.audited += records


class CommandCase(BridgeTestCase):
    """Calls the command line in this process, in a directory of its own."""

    def setUp(self) -> None:
        super().setUp()
        self.directory = self.temporary_directory()

    def call(self, *arguments: str, environ: dict[str, str] | None = None) -> Result:
        """Return what `aibridge` with these arguments printed, and its exit code."""
        given = {"AIBRIDGE_CONFIG": "", "ANTHROPIC_API_KEY": "", **(environ or {})}
        return CliRunner().invoke(aibridge, arguments, env=given, prog_name="aibridge")

    def write(self, text: str) -> Path:
        path = self.directory / "bridge.yaml"
        path.write_text(text, "utf-8")
        return path
