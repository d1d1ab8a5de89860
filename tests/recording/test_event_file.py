"""Tests for bridge.recording.event_file: no event is lost to rotation, a crash or a full disk."""

from __future__ import annotations

import errno
import os
import resource
import stat

from bridge.recording.event_file import EventFile
from tests.support.cases import BridgeTestCase


class EventFileTests(BridgeTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.path = self.temporary_directory() / "events.jsonl"
        self.file = EventFile(self.path)
        self.addCleanup(self.file.close)

    def limit_file_size(self, size: int) -> None:
        """Let no file of this process grow beyond `size`: the disk is full at that byte."""
        former = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, former[1]))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_FSIZE, former)

    def test_lines_are_appended_to_what_is_there(self) -> None:
        self.path.write_bytes(b"former\n")

        self.file.append(b"one\n")
        self.file.append(b"two\n")

        self.assertEqual(self.path.read_bytes(), b"former\none\ntwo\n")

    def test_only_its_owner_reads_it_whatever_the_umask(self) -> None:
        umask = os.umask(0)
        self.addCleanup(os.umask, umask)

        self.file.append(b"one\n")

        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)

    def test_a_renamed_file_is_let_go_of(self) -> None:
        self.file.append(b"one\n")
        rotated = self.path.rename(self.path.with_suffix(".1"))

        self.file.append(b"two\n")

        self.assertEqual((rotated.read_bytes(), self.path.read_bytes()), (b"one\n", b"two\n"))

    def test_a_new_file_in_its_place_is_written_to(self) -> None:
        self.file.append(b"one\n")
        self.path.rename(self.path.with_suffix(".1"))
        self.path.touch(0o640)

        self.file.append(b"two\n")

        self.assertEqual(self.path.read_bytes(), b"two\n")
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)

    def test_a_deleted_file_comes_again(self) -> None:
        self.file.append(b"one\n")
        self.path.unlink()

        self.file.append(b"two\n")

        self.assertEqual(self.path.read_bytes(), b"two\n")

    def test_a_file_that_was_copied_and_cut_is_written_from_its_beginning(self) -> None:
        self.file.append(b"one\n")
        os.truncate(self.path, 0)

        self.file.append(b"two\n")

        self.assertEqual(self.path.read_bytes(), b"two\n")

    def test_a_file_taken_away_while_it_is_written_loses_nothing(self) -> None:
        def rotating(descriptor: int) -> None:
            os.fsync(descriptor)
            if not self.path.with_suffix(".1").exists():
                self.path.rename(self.path.with_suffix(".1"))

        file = EventFile(self.path, sync=rotating)
        self.addCleanup(file.close)

        file.append(b"two\n")

        self.assertEqual(self.path.read_bytes(), b"two\n")

    def test_an_unfinished_line_is_ended_first(self) -> None:
        self.path.write_bytes(b'whole\n{"torn":')

        self.file.append(b"one\n")

        self.assertEqual(self.path.read_bytes(), b'whole\n{"torn":\none\n')

    def test_on_a_full_disk_it_fails_and_the_next_attempt_writes_all(self) -> None:
        self.file.append(b"one\n")
        self.limit_file_size(7)

        error = self.assertRaises(OSError, self.file.append, b"two\nthree\n")
        self.assertEqual(error.errno, errno.EFBIG)
        self.limit_file_size(resource.RLIM_INFINITY)
        self.file.append(b"two\nthree\n")

        self.assertEqual(self.path.read_bytes(), b"one\ntwo\ntwo\nthree\n")

    def test_what_is_no_regular_file_is_refused(self) -> None:
        os.mkfifo(self.path)

        error = self.assertRaises(OSError, self.file.append, b"one\n")

        self.assertEqual(error.errno, errno.EINVAL)

    def test_a_missing_directory_is_an_error_and_no_crash(self) -> None:
        gone = EventFile(self.path.parent / "gone" / "events.jsonl")

        error = self.assertRaises(OSError, gone.append, b"one\n")

        self.assertEqual(error.errno, errno.ENOENT)
