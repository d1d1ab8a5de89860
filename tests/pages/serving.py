"""A real bridge with records in it, for browsers; started once for a test case."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import psycopg2
import structlog
from twisted.internet import reactor
from twisted.internet.threads import deferToThread

from bridge.domain.identity import Role
from bridge.domain.records import Record
from bridge.domain.tokens import User
from bridge.store import identity
from bridge.store.pool import Cursor, Pool
from bridge.store.writes import write_batch
from tests.pages.seeding import PEOPLE, company
from tests.store.journalled import lines
from tests.support.bridge_process import BridgeProcess, eventually

FOLLOWED_SECONDS = 60.0
_DERIVED = """
SELECT 1 WHERE NOT EXISTS (SELECT FROM aibridge_session_marks)
    AND NOT EXISTS (SELECT FROM aibridge_usage_marks)
    AND NOT EXISTS (SELECT FROM aibridge_search_marks)
"""

DEMO = {"aibridge": {"providers": [{"name": "demo", "type": "demo"}]}}


class Served:
    """The bridge, and tokens to manage with of several people."""

    def __init__(self) -> None:
        """Start it."""
        self.directory = Path(tempfile.mkdtemp(prefix="aibridge-test-pages-"))
        self.bridge = BridgeProcess(directory=self.directory, settings=DEMO)
        self.bridge.start()
        self.bridge.wait_for_database()
        self.tokens: dict[str, str] = {"owner": self.bridge.token("admin")}

    @property
    def origin(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.bridge.port}"

    def close(self) -> None:
        """End it, and leave nothing behind."""
        self.bridge.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def restart(self) -> None:
        """Stop it and start it again."""
        self.bridge.terminate()
        self.bridge.start()
        self.bridge.wait_for_database()
        for token in self.tokens.values():
            self.until_known(token)

    def ask_the_demo(self, prompt: str) -> None:
        """Send a request to the demo provider, as the owner's client."""
        body = {"model": "demo-text", "max_tokens": 64}
        content = json.dumps({**body, "messages": [{"role": "user", "content": prompt}]})
        status, _, answer = self.bridge.ask(
            "POST",
            "/demo/v1/messages",
            content.encode(),
            headers={"content-type": "application/json"},
        )
        assert status == 200, answer

    async def write(self, records: Sequence[Record]) -> None:
        """Put records into the database, and wait until all that is derived of them is there."""
        batch = lines(*records)
        await self.transaction(lambda cursor: write_batch(cursor, batch))
        await deferToThread(eventually, self._derived, seconds=FOLLOWED_SECONDS, what="followers")

    def _derived(self) -> bool:
        with closing(psycopg2.connect(self.bridge.database_address())) as connection:
            cursor = connection.cursor()
            cursor.execute(_DERIVED)
            return cursor.fetchone() is not None

    async def people(self) -> None:
        """Make the company's people: alice a member, bob an auditor, carol a member."""
        roles = {"bob": frozenset({Role.AUDITOR, Role.MEMBER})}

        async def work(cursor: Cursor) -> None:
            for name, identifier in PEOPLE.items():
                user = User(
                    id=identifier,
                    username=name,
                    roles=roles.get(name, frozenset({Role.MEMBER})),
                    created_at=datetime.now(UTC),
                )
                await identity.create_user(cursor, user)

        await self.transaction(work)

    async def transaction(self, work: Callable[[Cursor], Awaitable[object]]) -> None:
        """Run `work` on the bridge's database."""
        pool = Pool(
            dsn=self.bridge.database_address(),
            reactor=reactor,
            size=1,
            statement_seconds=30.0,
            log=structlog.get_logger("test"),
        )
        await pool.start()
        try:
            await pool.transaction(work)
        finally:
            await pool.close()

    async def seed(self) -> None:
        """Fill it with people, tokens and records."""
        await self.people()
        for name in PEOPLE:
            self.tokens[name] = self.new_token(name)
        await self.write(company().records)

    def new_token(self, name: str, scope: str = "manage") -> str:
        """Make a token for somebody, with the command line."""
        done = subprocess.run(
            [
                *(sys.executable, "-m", "bridge.cli", "--config", str(self.bridge.config)),
                *("token", "create", "--user", name, "--scope", scope),
            ],
            env=self.bridge.environment,
            cwd=self.directory,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    def until_known(self, token: str) -> None:
        """Wait until the bridge has heard of a new token."""

        def known() -> bool:
            status, _, _ = self.bridge.ask(
                "GET", "/api/v2/aibridge/interceptions?limit=1", token=token
            )
            return status == 200

        eventually(known, seconds=30.0, what="a new token to be known")
