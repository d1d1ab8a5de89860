"""An operator makes a backup, and puts it back; real commands on a real database."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.utils import getProcessOutputAndValue

from bridge.cli.backup import replay_since
from bridge.cli.backup_directory import Manifest, checked
from bridge.cli.restore import check_readable
from bridge.domain.clock import utc
from bridge.domain.errors import BadRequest
from bridge.domain.ids import uuid7
from bridge.journal.directory import WRITER_LOCK_NAME, try_lock
from bridge.journal.files import private_directory
from bridge.store.errors import SchemaTooNew
from tests.journal.samples import new_journal, started
from tests.support.cases import BridgeTestCase
from tests.support.postgres import SharedServer, StoreTestCase

ROOT = Path(__file__).resolve().parents[2]
_SECRET = "sk-ant-api03-0123456789-abcdefghijklmnopqrstuvwxyz"


class BackupTests(StoreTestCase):
    """Needs the real reactor, because processes and a database are waited for."""

    timeout = 180

    async def setUp(self) -> None:
        await super().setUp()
        holder = tempfile.TemporaryDirectory(prefix="aibridge-test-")
        self.addCleanup(holder.cleanup)
        self.directory = Path(holder.name)
        self.data_dir = self.directory / "data"
        self.data_dir.mkdir(mode=0o700)
        self.backup = self.directory / "backup"

    async def call(
        self, *arguments: str, expected: int = 0, dsn: str | None = None
    ) -> tuple[str, str]:
        """Return what `aibridge` printed on its two outputs."""
        out, err, code = await getProcessOutputAndValue(
            sys.executable,
            ("-c", "from bridge.cli.main import main; main()", *arguments),
            env={
                "PATH": os.environ.get("PATH", ""),
                "PYTHONPATH": str(ROOT / "src"),
                "AIBRIDGE_DATABASE": dsn or self.dsn,
                "AIBRIDGE_DATA_DIR": str(self.data_dir),
                "ANTHROPIC_API_KEY": _SECRET,
            },
            path=str(self.directory),
            reactor=reactor,
        )
        self.assertEqual(code, expected, err.decode())
        return out.decode(), err.decode()

    async def empty(self) -> str:
        dsn = await SharedServer.empty_database()
        self.addCleanup(lambda: SharedServer.drop(dsn))
        return dsn

    async def test_users_and_tokens_come_back_in_another_database(self) -> None:
        await self.call("user", "create", "alice", "--role", "auditor")
        await self.call("token", "create", "--user", "alice", "--lifetime", "30d")
        token, _ = await self.call("token", "list", "--json")
        said, _ = await self.call("backup", str(self.backup))
        other = await self.empty()

        restored, hint = await self.call("restore", str(self.backup), dsn=other)

        self.assertIn("Backed up to", said)
        self.assertIn("Restored what was stored by", restored)
        self.assertIn("aibridge journal replay --since ", hint)
        self.assertEqual((await self.call("token", "list", "--json", dsn=other))[0], token)
        audited = json.loads((await self.call("audit", "list", "--json", dsn=other))[0])
        self.assertEqual(
            [each["action"] for each in audited],
            ["database.restore", "token.create", "user.create"],
        )
        made = json.loads((await self.call("audit", "list", "--json"))[0])
        self.assertEqual(made[0]["action"], "database.backup")

    async def test_it_is_private_and_has_no_secret(self) -> None:
        await self.call("backup", str(self.backup))

        names = sorted(path.name for path in self.backup.iterdir())
        modes = {path.stat().st_mode & 0o777 for path in self.backup.iterdir()}
        configured = (self.backup / "configuration.json").read_text()
        password = self.dsn.split(":")[2].partition("@")[0]

        self.assertEqual(names, ["configuration.json", "database.dump", "manifest.json"])
        self.assertEqual((self.backup.stat().st_mode & 0o777, modes), (0o700, {0o600}))
        self.assertIn('"database"', configured)
        self.assertNotIn(_SECRET, configured)
        self.assertNotIn(password, configured)

    async def test_a_database_in_use_is_kept_unless_told_otherwise(self) -> None:
        await self.call("backup", str(self.backup))
        await self.call("user", "create", "bob")

        _, refused = await self.call("restore", str(self.backup), expected=1)
        users, _ = await self.call("user", "list", "--json")
        await self.call("restore", "--replace", str(self.backup))

        self.assertIn("--replace would give them up", refused)
        self.assertEqual([each["username"] for each in json.loads(users)], ["bob"])
        self.assertEqual((await self.call("user", "list", "--json"))[0], "[]\n")

    async def test_a_running_bridge_is_not_overtaken(self) -> None:
        await self.call("backup", str(self.backup))
        root = self.data_dir / "journal"
        private_directory(root)
        claim = try_lock(root / WRITER_LOCK_NAME)
        assert claim is not None
        self.addCleanup(claim.release)

        _, refused = await self.call("restore", "--replace", str(self.backup), expected=1)

        self.assertIn("stop it first", refused)

    async def test_a_directory_in_use_is_kept(self) -> None:
        self.backup.mkdir()
        (self.backup / "notes").write_text("mine")

        _, refused = await self.call("backup", str(self.backup), expected=1)

        self.assertIn("is not empty", refused)
        self.assertEqual([path.name for path in self.backup.iterdir()], ["notes"])

    async def test_a_backup_that_fails_leaves_no_half(self) -> None:
        """The driver can connect, and pg_dump cannot be told how."""
        await self.call("user", "create", "alice")
        bad = self.dsn + "&fallback_application_name=x%20"

        _, said = await self.call("backup", str(self.backup), expected=1, dsn=bad)

        self.assertIn("pg_dump cannot be told", said)
        self.assertEqual(list(self.backup.iterdir()), [])


class DirectoryTests(BridgeTestCase):
    """What is checked before the database is touched."""

    def written(self, **members: object) -> Path:
        directory = self.temporary_directory()
        (directory / "database.dump").write_bytes(b"PGDMP")
        manifest = {
            "format": 1,
            "made_at": "2026-11-24T08:00:00Z",
            "replay_since": "2026-11-24T07:59:00Z",
            "bridge_version": "0.1.0",
            "schema_version": 3,
            "min_reader": 0,
            "server_version": "18.4",
            "files": [
                {
                    "name": "database.dump",
                    "bytes": 5,
                    "sha256": "3e5da0e42a3b7ed57a3c33a9d7b5e1e4ba9ec7c1e4b0ba76bb54a1a8d4a3ab5c",
                }
            ],
            **members,
        }
        (directory / "manifest.json").write_text(json.dumps(manifest))
        return directory

    def refusal(self, directory: Path) -> str:
        with self.assertRaises(BadRequest) as refused:
            checked(directory)
        return refused.exception.message

    def test_an_unfinished_backup_is_none(self) -> None:
        directory = self.written()
        (directory / "manifest.json").unlink()

        self.assertIn("no finished backup", self.refusal(directory))

    def test_a_flipped_byte_is_found(self) -> None:
        self.assertIn("is damaged", self.refusal(self.written()))

    def test_a_later_format_is_not_guessed_at(self) -> None:
        self.assertIn("format 2", self.refusal(self.written(format=2)))

    def test_files_elsewhere_are_not_touched(self) -> None:
        files = [{"name": name, "bytes": 0, "sha256": ""} for name in ("../x", "database.dump")]

        self.assertIn("elsewhere", self.refusal(self.written(files=files)))

    def test_a_backup_of_a_later_version_is_refused(self) -> None:
        manifest = Manifest(
            format=1,
            made_at=utc(0),
            replay_since=utc(0),
            bridge_version="9.0",
            schema_version=9000,
            min_reader=9000,
            server_version="18.4",
            files=(),
        )

        with self.assertRaises(SchemaTooNew):
            check_readable(manifest)

    def test_replay_begins_with_the_oldest_record_that_was_not_stored(self) -> None:
        root = self.temporary_directory() / "journal"
        now = self.clock.seconds()
        self.assertEqual(replay_since(root, utc(now)), utc(now - 60))
        journal = new_journal(root, self.clock)
        journal.append([started(uuid7(now - 3600), now - 3600)])

        self.assertEqual(replay_since(root, utc(now)), utc(now - 3660))
        self.successResultOf(journal.close())
