"""Directories are held by one process each, and given back when it is gone."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from bridge.journal.directory import (
    Checkpoint,
    claim_directory,
    delete_stored,
    directories,
    load_checkpoint,
    remove_directory,
    save_checkpoint,
    segment_path,
    segments,
    try_claim,
    try_lock,
)
from tests.support.cases import BridgeTestCase


class ClaimTests(BridgeTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.root = self.temporary_directory() / "journal"

    def test_each_process_gets_a_directory_of_its_own(self) -> None:
        first, held = claim_directory(self.root)
        second, also_held = claim_directory(self.root)

        self.assertEqual((first.name, second.name), ("0001", "0002"))
        held.release()
        also_held.release()

    def test_a_directory_that_was_let_go_is_taken_again(self) -> None:
        _, claim = claim_directory(self.root)
        claim.release()

        directory, again = claim_directory(self.root)

        self.assertEqual(directory.name, "0001")
        again.release()

    def test_other_people_cannot_look_inside_whatever_the_umask(self) -> None:
        before = os.umask(0)
        self.addCleanup(os.umask, before)

        directory, claim = claim_directory(self.root)

        modes = [stat.S_IMODE(path.stat().st_mode) for path in (self.root, directory)]
        self.assertEqual(modes, [0o700, 0o700])
        self.assertEqual(stat.S_IMODE((directory / "lock").stat().st_mode), 0o600)
        claim.release()

    def test_what_else_lies_around_is_no_directory(self) -> None:
        directory, claim = claim_directory(self.root)
        (self.root / "quarantine").mkdir()
        (self.root / "writer.lock").touch()

        self.assertEqual(directories(self.root), [directory])
        claim.release()

    def test_a_lock_file_that_was_replaced_lets_nobody_in_twice(self) -> None:
        path = self.temporary_directory() / "lock"
        held = try_lock(path)
        assert held is not None
        self.assertIsNone(try_lock(path))
        path.unlink()

        fresh = try_lock(path)

        assert fresh is not None
        self.assertIsNone(try_lock(path))
        fresh.release()
        held.release()

    def test_a_removed_directory_cannot_be_claimed(self) -> None:
        directory, claim = claim_directory(self.root)
        (directory / "checkpoint").write_bytes(b"{}")

        self.assertTrue(remove_directory(directory))

        claim.release()
        self.assertFalse(directory.exists())
        self.assertIsNone(try_claim(directory))

    def test_a_directory_that_holds_something_stays(self) -> None:
        directory, claim = claim_directory(self.root)
        segment_path(directory, 1).touch()

        self.assertFalse(remove_directory(directory))

        self.assertTrue(directory.exists())
        claim.release()


class CheckpointTests(BridgeTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.directory = self.temporary_directory()

    def test_a_checkpoint_is_read_back(self) -> None:
        save_checkpoint(self.directory, Checkpoint(segment=2, offset=3, seq=4))

        found = load_checkpoint(self.directory)

        self.assertEqual(found, Checkpoint(segment=2, offset=3, seq=4))

    def test_an_unreadable_checkpoint_means_the_beginning(self) -> None:
        (self.directory / "checkpoint").write_bytes(b"")

        self.assertEqual(load_checkpoint(self.directory), Checkpoint())


class DeleteTests(BridgeTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.directory = self.temporary_directory()
        for number in (1, 2, 3):
            self.segment(number).write_bytes(b"x" * 100)
            os.utime(self.segment(number), (number * 1000, number * 1000))

    def segment(self, number: int) -> Path:
        return segment_path(self.directory, number)

    def delete(self, checkpoint: Checkpoint, **options: object) -> int:
        arguments: dict[str, object] = {"older_than": None, **options}
        return delete_stored(self.directory, checkpoint=checkpoint, **arguments)  # type: ignore[arg-type]

    def test_only_stored_segments_are_deleted(self) -> None:
        freed = self.delete(Checkpoint(segment=2, offset=99))

        self.assertEqual((freed, segments(self.directory)), (100, [2, 3]))

    def test_the_newest_stays_for_its_appender(self) -> None:
        freed = self.delete(Checkpoint(segment=3, offset=100))

        self.assertEqual((freed, segments(self.directory)), (200, [3]))

    def test_an_orphan_loses_the_newest_too(self) -> None:
        freed = self.delete(Checkpoint(segment=3, offset=100), last_too=True)

        self.assertEqual((freed, segments(self.directory)), (300, []))

    def test_what_is_young_is_kept_for_a_replay(self) -> None:
        freed = self.delete(Checkpoint(segment=3, offset=100), older_than=1500.0)

        self.assertEqual((freed, segments(self.directory)), (100, [2, 3]))

    def test_no_more_is_given_up_than_needed(self) -> None:
        freed = self.delete(Checkpoint(segment=3, offset=100), enough=50)

        self.assertEqual((freed, segments(self.directory)), (100, [2, 3]))
