"""`aibridge export` that somebody or something ends half-way, and its going on."""

from __future__ import annotations

import os
import pty
import signal
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import treq
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError, ProcessDone, ProcessTerminated
from twisted.internet.protocol import ProcessProtocol, Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.internet.utils import getProcessOutputAndValue
from twisted.python.failure import Failure
from twisted.trial.unittest import SkipTest, TestCase
from twisted.web.http import OK

from benchmarks.store_fill import Size, fill
from bridge.cli.export import Writing
from bridge.cli.resuming import resume_point
from bridge.store.errors import StoreUnavailable
from bridge.store.export import Format
from tests.cli.process import ProcessCase
from tests.support.bridge_process import BridgeProcess
from tests.support.postgres import SharedServer

COUNT = 4000
ENOUGH = 3_000_000
"""Bytes after which something happens; all of them are many times as many."""
_RETRY_SECONDS = 0.1
_WITH_PEAK = """
import pathlib
from bridge.cli.main import main
try:
    main()
finally:
    status = pathlib.Path("/proc/self/status").read_text()
    print(status.partition("VmHWM:")[2].split()[0])
"""
_WITH_BAD_DISK = f"""
import errno, os
from bridge.cli import export, main

def fdatasync(descriptor):
    if os.fstat(descriptor).st_size > {ENOUGH}:
        raise OSError(errno.ENOSPC, "full")

os.fdatasync = fdatasync
export._SYNC_BYTES = 1 << 20
main.main()
"""


class InterruptedTests(ProcessCase):
    timeout = 240

    async def setUp(self) -> None:
        await super().setUp()
        yesterday = datetime.now(UTC).date() - timedelta(days=1)
        size = Size(interceptions=COUNT, days=2, searchable_days=0, users=20)
        await fill(self.pool, size, last=yesterday)
        whole = self.directory / "whole"
        await self.call("export", "--output", str(whole))
        self.whole = whole.read_bytes()
        self.assertEqual(self.whole.count(b"\n"), COUNT)
        self.assertGreater(len(self.whole), 5 * ENOUGH)

    async def export_until(self, happens: Callable[[Any], object]) -> tuple[bytes, int, str]:
        """Begin an export, and have something happen in the middle of it.

        Returns:
            What was read of it, how the process ended, and what it said.
        """
        watching = _Watching(happens)
        reactor.spawnProcess(
            watching,
            sys.executable,
            (sys.executable, "-c", "from bridge.cli.main import main; main()", "export"),
            env=self.environment,
            path=str(self.directory),
        )
        code = await watching.ended
        return b"".join(watching.out), code, b"".join(watching.err).decode()

    async def assert_goes_on(self, begun: bytes, *options: str, **environment: str) -> None:
        """A file that holds what came of an export is brought to its end, and is as in one go."""
        self.assertGreaterEqual(len(begun), ENOUGH)
        self.assertLess(len(begun), len(self.whole))
        self.assertTrue(self.whole.startswith(begun))
        path = self.directory / "begun"
        path.write_bytes(begun)

        await self.call("export", "--output", str(path), "--resume", *options, **environment)

        self.assertEqual(path.read_bytes(), self.whole)

    async def test_a_killed_export_is_gone_on_with(self) -> None:
        begun, code, _ = await self.export_until(lambda process: process.signalProcess("KILL"))

        self.assertEqual(code, -signal.SIGKILL)
        await self.assert_goes_on(begun)

    async def test_an_interrupted_export_ends_in_good_order(self) -> None:
        begun, code, said = await self.export_until(lambda process: process.signalProcess("INT"))

        self.assertEqual((code, "Traceback" in said), (130, False), said)
        await self.assert_goes_on(begun)

    async def test_an_export_whose_reader_left_is_gone_on_with(self) -> None:
        begun, code, said = await self.export_until(lambda process: process.closeStdout())

        self.assertNotIn("Traceback", said)
        self.assertNotEqual(code, 0)
        await self.assert_goes_on(begun)

    async def test_an_export_whose_disk_fails_says_so_and_is_gone_on_with(self) -> None:
        path = self.directory / "failed"
        out, err, code = await getProcessOutputAndValue(
            sys.executable,
            ("-c", _WITH_BAD_DISK, "export", "--output", str(path)),
            env=self.environment,
            path=str(self.directory),
            reactor=reactor,
        )

        self.assertEqual(
            (code, out, err.decode()), (1, b"", f"Error: {path}: No space left on device.\n")
        )
        await self.assert_goes_on(path.read_bytes())

    async def test_an_export_survives_no_restart_of_the_database_but_goes_on_after_it(self) -> None:
        server = SharedServer.running
        if server is None or server.pid is None:
            self.skipTest("It is not ours to restart.")
        begun, code, said = await self.export_until(
            lambda _: os.kill(server.pid or 0, signal.SIGINT)
        )

        self.assertEqual((code, "Traceback" in said), (3, False), said)
        await self.until_back()
        await self.assert_goes_on(begun)

    async def test_a_client_of_the_api_that_hung_up_goes_on(self) -> None:
        bridge = BridgeProcess(directory=self.directory, settings={"database": self.dsn})
        self.addCleanup(lambda: deferToThread(bridge.terminate))
        bridge.start(until_ready=False)  # it writes no tokens: there are users
        url = f"http://127.0.0.1:{bridge.port}"
        await self.call("user", "create", "eve", "--role", "auditor")
        token, _ = await self.call("token", "create", "--user", "eve", "--scope", "manage")
        token = token.strip()
        await self.until_served(url, token)
        answer = await treq.get(
            f"{url}/api/v2/aibridge/export",
            headers={"Authorization": f"Bearer {token}"},
            unbuffered=True,
        )
        self.assertEqual(answer.code, OK)
        reading = _Reading()
        answer.original.deliverBody(reading)

        begun = await reading.left

        await self.assert_goes_on(begun, AIBRIDGE_URL=url, AIBRIDGE_TOKEN=token)

    async def until_served(self, url: str, token: str) -> None:
        """Wait until a bridge answers with what is in the database."""
        headers = {"Authorization": f"Bearer {token}"}
        while True:
            try:
                answer = await treq.get(f"{url}/api/v2/aibridge/models", headers=headers)
                await answer.content()
            except ConnectError:
                pass  # not yet
            else:
                if answer.code == OK:
                    return
            await deferLater(reactor, _RETRY_SECONDS, lambda: None)

    async def until_back(self) -> None:
        """Wait until the database has been started again."""
        while True:
            try:
                await self.fetch("SELECT 1")
            except StoreUnavailable:
                await deferLater(reactor, _RETRY_SECONDS, lambda: None)
            else:
                return


class MemoryTests(ProcessCase):
    timeout = 240

    async def peak(self, *options: str) -> tuple[int, int]:
        """Return the most memory that an export took, in KiB, and how many lines it wrote."""
        path = self.directory / f"of{len(options)}"
        out, err, code = await getProcessOutputAndValue(
            sys.executable,
            ("-c", _WITH_PEAK, "export", "--output", str(path), *options),
            env=self.environment,
            path=str(self.directory),
            reactor=reactor,
        )
        self.assertEqual(code, 0, (out + err).decode())
        return int(out), path.read_bytes().count(b"\n")

    async def test_memory_does_not_grow_with_what_is_exported(self) -> None:
        yesterday = datetime.now(UTC).date() - timedelta(days=1)
        size = Size(interceptions=36_000, days=3, searchable_days=0, users=20)
        await fill(self.pool, size, last=yesterday)

        few, lines = await self.peak("--from", yesterday.isoformat())
        many, all_lines = await self.peak()

        self.assertEqual((lines, all_lines), (12_000, 36_000))
        # 24 000 more of them are 130 MB; both fill the pages that are read ahead.
        self.assertLess(many - few, 32 << 10)


class WritingTests(TestCase):
    def test_what_the_disk_has_is_not_kept_in_memory(self) -> None:
        """An export would drive out what the database reads."""
        data = bytes(range(256)) * (1 << 14)
        with tempfile.TemporaryFile(dir=".") as control, tempfile.TemporaryFile(dir=".") as file:
            control.write(data)
            control.flush()
            os.fsync(control.fileno())
            try:
                self.assertTrue(_in_memory(control.fileno()))
            except OSError as error:
                raise SkipTest("This file system does not say what is in memory.") from error
            os.posix_fadvise(control.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            if _in_memory(control.fileno()):
                raise SkipTest("This file system has everything in memory.")
            writing = Writing(file.fileno(), Format.JSONL, after_id=None)
            writing.write(data, rows=0)

            writing.sync()

            self.assertFalse(_in_memory(file.fileno()))
            self.assertEqual(os.pread(file.fileno(), len(data) + 1, 0), data)


def _in_memory(descriptor: int) -> bool:
    """Return whether the beginning of a file can be read without waiting for the disk."""
    try:
        os.preadv(descriptor, [bytearray(4096)], 0, os.RWF_NOWAIT)
    except BlockingIOError:
        return False
    return True


class ProgressTests(ProcessCase):
    async def test_somebody_who_watches_sees_how_far_it_is_of_how_many(self) -> None:
        day = datetime.now(UTC).date() - timedelta(days=1)
        await fill(self.pool, Size(interceptions=300, days=1, searchable_days=0), last=day)
        for options, shown in (((), "300/300"), (("--status", "completed"), "2")):
            terminal, theirs = pty.openpty()
            path = self.directory / f"all{len(options)}"
            watching = _Watching(lambda _: None)
            reactor.spawnProcess(
                watching,
                sys.executable,
                (sys.executable, "-c", "from bridge.cli.main import main; main()", "export",
                 "--output", str(path), *options),
                env=self.environment,
                path=str(self.directory),
                childFDs={0: 0, 1: "r", 2: theirs},
            )  # fmt: skip
            os.close(theirs)

            code = await watching.ended

            said = os.read(terminal, 65536).decode()
            os.close(terminal)
            self.assertEqual(code, 0, said)
            self.assertIn("Interceptions", said)
            self.assertIn(shown, said)
            size, _ = resume_point(path, Format.JSONL)
            self.assertEqual(size, path.stat().st_size)


class _Watching(ProcessProtocol):
    """Keeps what a process says, and has something happen once it has said enough."""

    def __init__(self, happens: Callable[[Any], object]) -> None:
        self.out: list[bytes] = []
        self.err: list[bytes] = []
        self.ended: Deferred[int] = Deferred()
        self._happens: Callable[[Any], object] | None = happens
        self._length = 0

    def outReceived(self, data: bytes) -> None:
        self.out.append(data)
        self._length += len(data)
        happens = self._happens
        if self._length >= ENOUGH and happens is not None:
            self._happens = None
            happens(self.transport)

    def errReceived(self, data: bytes) -> None:
        self.err.append(data)

    def processEnded(self, reason: Failure) -> None:
        reason.trap(ProcessDone, ProcessTerminated)
        ended = reason.value
        self.ended.callback(-ended.signal if ended.signal else ended.exitCode or 0)


class _Reading(Protocol):
    """Reads enough of an answer, and hangs up."""

    def __init__(self) -> None:
        self.left: Deferred[bytes] = Deferred()
        self._read = b""

    def dataReceived(self, data: bytes) -> None:
        self._read += data
        if len(self._read) >= ENOUGH and self.transport is not None:
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.left.callback(self._read)
