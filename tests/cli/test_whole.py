"""The command line in processes of its own, on a real database."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.utils import getProcessOutputAndValue

from bridge.auth.token import token_id
from tests.support.postgres import StoreTestCase

ROOT = Path(__file__).resolve().parents[2]


class WholeTests(StoreTestCase):
    """Needs the real reactor, because processes and a database are waited for."""

    async def setUp(self) -> None:
        await super().setUp()
        holder = tempfile.TemporaryDirectory(prefix="aibridge-test-")
        self.addCleanup(holder.cleanup)
        self.directory = Path(holder.name)

    async def call(self, *arguments: str, expected: int = 0) -> tuple[str, str]:
        """Return what `aibridge` printed on its two outputs."""
        out, err, code = await getProcessOutputAndValue(
            sys.executable,
            ("-c", "from bridge.cli.main import main; main()", *arguments),
            env={
                "PATH": os.environ.get("PATH", ""),
                "PYTHONPATH": str(ROOT / "src"),
                "AIBRIDGE_DATABASE": self.dsn,
                "AIBRIDGE_DATA_DIR": str(self.directory / "data"),
            },
            path=str(self.directory),
            reactor=reactor,
        )
        self.assertEqual(code, expected, err.decode())
        return out.decode(), err.decode()

    async def test_from_a_user_to_a_revoked_token_and_its_traces(self) -> None:
        """A token alone on standard output, and every change in the audit log."""
        (self.directory / "data").mkdir(mode=0o700)

        await self.call("user", "create", "alice", "--role", "auditor")
        made, said = await self.call("token", "create", "--user", "alice", "--lifetime", "30d")
        identifier = token_id(made.removesuffix("\n"))
        assert identifier is not None
        revoked, _ = await self.call("token", "revoke", identifier)
        listed, _ = await self.call("token", "list", "--all", "--json")
        audited, _ = await self.call("audit", "list", "--json")

        of_bob, _ = await self.call("audit", "list", "--json", "--user", "bob")
        of_alice, _ = await self.call(
            *("audit", "list", "--json", "--user", "alice", "--from", "1h", "--target", identifier)
        )
        before, _ = await self.call("audit", "list", "--json", "--to", "2020-01-01")

        self.assertEqual([json.loads(each) for each in (of_bob, before)], [[], []])
        self.assertEqual(
            [each["action"] for each in json.loads(of_alice)], ["token.revoke", "token.create"]
        )
        self.assertIn(f"Token {identifier} of alice", said)
        self.assertNotIn(made.strip(), said)
        self.assertEqual(revoked, f"Revoked the token {identifier}.\n")
        (token,) = json.loads(listed)
        self.assertEqual((token["username"], token["state"]), ("alice", "revoked"))
        self.assertEqual(
            [(each["action"], each["target"]) for each in json.loads(audited)],
            [("token.revoke", identifier), ("token.create", identifier), ("user.create", "alice")],
        )
        self.assertNotIn(made[17:60], audited + listed)

    async def test_a_refusal_is_one_sentence(self) -> None:
        """Exit code 1, nothing on standard output, no traceback."""
        (self.directory / "data").mkdir(mode=0o700)

        out, err = await self.call("token", "create", "--user", "nobody", expected=1)

        self.assertEqual(out, "")
        self.assertEqual(err, "Error: There is no user nobody; `aibridge user create` makes one.\n")
