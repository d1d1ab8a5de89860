"""As whom the embedded server runs and who can reach it; real processes need the real reactor."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from unittest import SkipTest, skipUnless

import structlog
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from bridge.store.embedded.server import EmbeddedServer
from bridge.store.errors import StoreError
from tests.support.embedded import (
    RUN_A_SERVER,
    EmbeddedTestCase,
    Script,
    interpreter_for_others,
    output,
)
from tests.support.postgres import SharedServer, StoreTestCase

_AS_ROOT = skipUnless(os.geteuid() == 0, "only root can become somebody else")
_STRANGER = 54_321
"""A user id without an entry in the passwd file."""

_TRY_TO_CONNECT = """
import os, sys, psycopg2
uid, gid = int(sys.argv[1]), int(sys.argv[2])
directory, password = sys.argv[3], sys.argv[4]
os.setgroups([]); os.setgid(gid); os.setuid(uid)
for user in ("aibridge", "postgres"):
    try:
        psycopg2.connect(host=directory, user=user, password=password or None, dbname="postgres")
    except psycopg2.OperationalError as e:
        print("refused:", str(e).strip().splitlines()[0])
    else:
        print("connected")
"""


class AccessTests(StoreTestCase):
    """Who can reach a server, and what the bridge may do on it."""

    def test_nothing_is_open_to_others(self) -> None:
        home = self.server().home

        modes = {
            name: oct((home / name).stat().st_mode & 0o777)
            for name in ("cluster", "run", "lock", "password", "postgres-password", "postgres.log")
        }

        self.assertEqual(
            modes,
            {
                "cluster": "0o700",
                "run": "0o700",
                "lock": "0o600",
                "password": "0o600",
                "postgres-password": "0o600",
                "postgres.log": "0o600",
            },
        )

    async def test_parameters_are_those_of_a_small_private_server(self) -> None:
        self.server()
        for name, value in (
            ("listen_addresses", ""),
            ("shared_buffers", "64MB"),
            ("max_connections", "50"),
            ("password_encryption", "scram-sha-256"),
            ("is_superuser", "off"),
        ):
            self.assertEqual(await self.fetch(f"SHOW {name}"), [(value,)], name)

    @_AS_ROOT
    def test_other_users_cannot_connect(self) -> None:
        run = self.server().home / "run"
        password = self.dsn.partition("aibridge:")[2].partition("@")[0]

        def attempt(uid: int, gid: int, password: str) -> str:
            return output(_TRY_TO_CONNECT, str(uid), str(gid), str(run), password)

        self.assertEqual(attempt(0, 0, password).splitlines()[0], "connected")
        with_password = attempt(_STRANGER, _STRANGER, password)
        self.assertEqual(with_password.count("Permission denied"), 2, with_password)
        owner = pwd.getpwuid(run.stat().st_uid)
        for wrong in ("", "wrong"):
            refused = attempt(owner.pw_uid, owner.pw_gid, wrong)
            self.assertEqual(refused.count("refused"), 2, refused)
            self.assertEqual(refused.count("password"), 2, refused)

    def server(self) -> EmbeddedServer:
        if SharedServer.running is None:
            raise SkipTest("another server is used")
        return SharedServer.running


class UserTests(EmbeddedTestCase):
    """As whom the server runs, and who can reach it."""

    @_AS_ROOT
    async def test_root_runs_it_as_somebody_else(self) -> None:
        server = self.new_server(run_as="nobody")
        await server.start()

        status = _status_of(server.pid)
        self.assertIn("Uid:\t65534\t65534\t65534\t65534", status)
        self.assertIn("Gid:\t65534\t65534\t65534\t65534", status)
        self.assertIn("Groups:\t \n", status)

    @_AS_ROOT
    async def test_plain_user_runs_it_in_the_data_directory(self) -> None:
        python = interpreter_for_others()
        os.chown(self.data_dir, 65534, 65534)
        script = Script(RUN_A_SERVER, "65534", str(self.data_dir), "stop", interpreter=python)

        line = await script.line()
        await script.over

        self.assertEqual(line.split()[0], "ready", line)
        self.assertEqual(line.split()[2], str(self.data_dir / "postgres"))

    @_AS_ROOT
    async def test_root_uses_what_a_plain_user_made(self) -> None:
        python = interpreter_for_others()
        os.chown(self.data_dir, 65534, 65534)
        script = Script(RUN_A_SERVER, "65534", str(self.data_dir), "stop", interpreter=python)
        await script.line()
        await script.over

        server = self.new_server()
        await server.start()

        self.assertEqual(server.home, self.data_dir / "postgres")
        owners = {path.stat().st_uid for path in server.home.iterdir()}
        self.assertEqual(owners, {65534})

    @_AS_ROOT
    async def test_user_id_without_name_gets_a_sentence(self) -> None:
        python = interpreter_for_others()
        os.chown(self.data_dir, _STRANGER, _STRANGER)
        script = Script(
            RUN_A_SERVER, str(_STRANGER), str(self.data_dir), "stop", interpreter=python
        )

        line = await script.line()
        await script.over

        self.assertIn(f"cannot run as user id {_STRANGER}", line)

    @_AS_ROOT
    async def test_run_as_must_exist_and_not_be_root(self) -> None:
        for name, sentence in (("nosuchuser", "no system user nosuchuser"), ("root", "as root")):
            failing = Deferred.fromCoroutine(
                EmbeddedServer(
                    data_dir=self.data_dir,
                    run_as=name,
                    reactor=reactor,
                    log=structlog.get_logger("test"),
                ).start()
            )
            error = await self.assertFailure(failing, StoreError)
            self.assertIn(sentence, str(error))


def _status_of(pid: int | None) -> str:
    return Path(f"/proc/{pid}/status").read_text()
