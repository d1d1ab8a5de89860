"""The embedded server as a process: it needs the real reactor, because it starts real ones."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from bridge.store.embedded.place import LONGEST_SOCKET_DIRECTORY, short_socket_directory
from bridge.store.embedded.processes import server_processes
from bridge.store.errors import StoreError, StoreUnavailable, WrongMajorVersion
from tests.support.embedded import RUN_A_SERVER, EmbeddedTestCase, Script


class ServerTests(EmbeddedTestCase):
    """Starting, stopping, falling, and being shared."""

    async def test_records_survive_a_stop_and_a_start(self) -> None:
        server = self.new_server()
        dsn = await server.start()
        await self.execute(dsn, "CREATE TABLE kept AS SELECT 7 AS n")
        await server.stop()
        self.assertEqual(server_processes(server.home / "cluster"), [])

        again = self.new_server()
        found = await self.ask(await again.start(), "SELECT n FROM kept")

        self.assertEqual(found, (7,))

    async def test_same_server_can_be_started_after_it_was_stopped(self) -> None:
        server = self.new_server()
        await server.start()
        await server.stop()

        dsn = await server.start()

        self.assertEqual(await server.start(), dsn)
        self.assertEqual(await self.ask(dsn, "SELECT 1"), (1,))

    async def test_fallen_server_is_started_again(self) -> None:
        server = self.new_server()
        dsn = await server.start()
        fallen = server.pid
        assert fallen is not None

        os.kill(fallen, signal.SIGKILL)
        await self.until(lambda: server.pid not in {None, fallen} and server.ready)

        self.assertEqual(await self.ask(dsn, "SELECT 1"), (1,))

    async def test_second_process_uses_the_first_ones_server(self) -> None:
        first, second = self.new_server(), self.new_server()
        dsn = await first.start()

        self.assertEqual(await second.start(), dsn)
        self.assertFalse(second.owned)
        await second.stop()

        self.assertEqual(await self.ask(dsn, "SELECT 1"), (1,))

    async def test_second_process_takes_over_when_the_first_leaves(self) -> None:
        first, second = self.new_server(), self.new_server()
        dsn = await first.start()
        await second.start()

        await first.stop()
        await self.until(lambda: second.owned and second.ready)

        self.assertEqual(await self.ask(dsn, "SELECT 1"), (1,))

    async def test_server_that_outlived_its_bridge_is_replaced(self) -> None:
        bridge = Script(RUN_A_SERVER, "0", str(self.data_dir), "stay")
        word, pid, home = (await bridge.line()).split()
        self.assertEqual(word, "ready")
        bridge.transport.signalProcess("KILL")
        await bridge.over
        self.assertIn(int(pid), server_processes(Path(home) / "cluster"))

        server = self.new_server()
        dsn = await server.start()

        self.assertNotEqual(server.pid, int(pid))
        self.assertNotIn(int(pid), server_processes(server.home / "cluster"))
        self.assertEqual(await self.ask(dsn, "SELECT 1"), (1,))

    async def test_pid_file_naming_a_stranger_is_cleared_away(self) -> None:
        server = self.new_server()
        await server.start()
        await server.stop()
        (server.home / "cluster" / "postmaster.pid").write_text(f"{os.getpid()}\n")

        dsn = await self.new_server().start()

        self.assertEqual(await self.ask(dsn, "SELECT 1"), (1,))

    async def test_interrupted_making_is_begun_anew(self) -> None:
        server = self.new_server()
        await server.start()
        await server.stop()
        (server.home / "cluster").rename(server.home / "cluster.new")

        dsn = await self.new_server().start()

        self.assertEqual(await self.ask(dsn, "SELECT 1"), (1,))

    async def test_stop_during_start_ends_it(self) -> None:
        server = self.new_server()
        starting = Deferred.fromCoroutine(server.start())

        await server.stop()

        await self.assertFailure(starting, StoreError)

    async def test_other_major_version_is_named(self) -> None:
        server = self.new_server()
        await server.start()
        await server.stop()
        (server.home / "cluster" / "PG_VERSION").write_text("17\n")

        failing = Deferred.fromCoroutine(self.new_server().start())
        error = await self.assertFailure(failing, WrongMajorVersion)

        self.assertIn("PostgreSQL 17", str(error))

    async def test_unusable_cluster_says_what_the_server_said(self) -> None:
        server = self.new_server()
        await server.start()
        await server.stop()
        shutil.rmtree(server.home / "cluster" / "global")

        failing = Deferred.fromCoroutine(self.new_server().start())
        error = await self.assertFailure(failing, StoreUnavailable)

        self.assertIn("did not start", str(error))
        self.assertIn("global", str(error))


class SocketDirectoryTests(TestCase):
    """The kernel's limit for the path of a socket."""

    def test_short_path_is_used_as_it_is(self) -> None:
        self.assertEqual(short_socket_directory(Path("/short/run")), Path("/short/run"))

    def test_long_path_gets_a_link_of_ours(self) -> None:
        run = Path("/" + "deep/" * 30) / "run"

        link = short_socket_directory(run)
        self.addCleanup(link.unlink)

        self.assertLessEqual(len(str(link)), LONGEST_SOCKET_DIRECTORY)
        self.assertEqual(link.readlink(), run)
        self.assertEqual(short_socket_directory(run), link)

    def test_name_taken_by_another_is_passed_over(self) -> None:
        run = Path("/" + "deeper/" * 30) / "run"
        taken = short_socket_directory(run)
        self.addCleanup(taken.unlink)
        taken.unlink()
        taken.symlink_to("/elsewhere")

        link = short_socket_directory(run)
        self.addCleanup(link.unlink)

        self.assertNotEqual(link, taken)
