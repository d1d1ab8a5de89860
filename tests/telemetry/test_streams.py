"""Lines reach the file or descriptor they were meant for, or are counted as lost."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from bridge.telemetry.streams import LogTargetError, Stream
from tests.support.cases import BridgeTestCase


class FileStreamTests(BridgeTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.path = self.temporary_directory() / "bridge.log"

    def stream(self, target: str) -> Stream:
        stream = Stream(target)
        self.addCleanup(stream.close)
        return stream

    def test_file_is_private_whatever_the_umask(self) -> None:
        """Log files are 0600, also when they were there before with more."""
        self.path.touch(mode=0o644)
        old = os.umask(0)
        self.addCleanup(os.umask, old)

        self.stream(str(self.path))

        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)

    def test_lines_are_appended(self) -> None:
        """What was in the file stays."""
        self.path.write_text("old\n")

        self.stream(str(self.path)).write(b"new\n")

        self.assertEqual(self.path.read_text(), "old\nnew\n")

    def test_moved_file_is_let_go_of_on_reopen(self) -> None:
        """After logrotate and SIGHUP, new lines are in a new private file."""
        stream = self.stream(str(self.path))
        stream.write(b"1\n")
        moved = self.path.with_suffix(".1")
        self.path.rename(moved)
        stream.write(b"2\n")

        stream.reopen()
        stream.write(b"3\n")

        self.assertEqual((moved.read_text(), self.path.read_text()), ("1\n2\n", "3\n"))
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)

    def test_missing_directory_is_one_sentence(self) -> None:
        """Directories for logs are not made up."""
        with self.assertRaisesRegex(LogTargetError, r"the directory .*/no does not exist\.$"):
            Stream(str(self.path.parent / "no" / "x.log"))

    def test_failing_reopen_keeps_the_old_file(self) -> None:
        """A log is not lost because its new file cannot be made."""
        folder = self.path.parent / "logs"
        folder.mkdir()
        stream = self.stream(str(folder / "x.log"))
        moved = folder.with_name("gone")
        folder.rename(moved)

        self.assertRaises(LogTargetError, stream.reopen)
        stream.write(b"still\n")

        self.assertEqual((moved / "x.log").read_text(), "still\n")

    def test_device_keeps_its_mode(self) -> None:
        """Logging to /dev/null does not make it private to us."""
        before = Path("/dev/null").stat().st_mode

        self.stream("/dev/null").write(b"x\n")

        self.assertEqual(Path("/dev/null").stat().st_mode, before)

    def test_full_disk_is_counted(self) -> None:
        """ENOSPC loses the line, says nothing, and is counted."""
        stream = self.stream("/dev/full")

        stream.write(b"x\n")

        self.assertEqual(stream.lost, 1)

    def test_pipe_that_takes_half_a_line_starts_a_new_one(self) -> None:
        """A torn line is ended before the next, so that only one entry is damaged."""
        fifo = self.path.with_name("pipe")
        os.mkfifo(fifo)
        reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        stream = self.stream(str(fifo))

        stream.write(b"a" * 300_000 + b"\n")
        taken = os.read(reader, 1 << 20)
        stream.write(b"next\n")

        self.assertTrue(0 < len(taken) < 300_000)
        self.assertEqual(os.read(reader, 100), b"\nnext\n")
        self.assertEqual(stream.lost, 1)

    def test_no_target_takes_nothing(self) -> None:
        """An empty target turns the sink off."""
        stream = self.stream("")

        stream.write(b"x\n")

        self.assertFalse(stream.open)
        self.assertEqual(stream.lost, 0)

    def test_closed_stream_is_silent(self) -> None:
        """Nothing is written, least of all to a descriptor that is somebody else's by now."""
        stream = self.stream(str(self.path))
        stream.close()

        stream.write(b"x\n")

        self.assertEqual(self.path.read_bytes(), b"")
