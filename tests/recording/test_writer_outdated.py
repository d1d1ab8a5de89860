"""Tests for bridge.recording.writer: nothing is left out of the store without a word."""

from __future__ import annotations

from datetime import timedelta

from bridge.domain.clock import utc
from bridge.domain.ids import uuid7
from tests.journal.samples import NOW, append_all, said, tool
from tests.recording.writer_case import WriterCase

SENTENCE = "records older than the retention are not stored"


class OutdatedTests(WriterCase):
    def test_the_first_that_are_left_out_are_told_once(self) -> None:
        old = uuid7(NOW - 10 * 86400)
        journal = self.journal()
        append_all(journal, [tool(old), tool(self.one)])
        self.cutoff = utc(NOW) - timedelta(days=3)
        self.running()
        self.pass_time(1)
        append_all(journal, [tool(old, 2)])
        self.pass_time(1)

        self.assertEqual(said(self.log, "warning"), [SENTENCE])

    def test_nothing_is_told_when_all_are_stored(self) -> None:
        journal = self.journal()
        append_all(journal, self.tools(3))
        self.cutoff = utc(NOW) - timedelta(days=3)
        self.running()
        self.pass_time(1)

        self.assertEqual(said(self.log, "warning"), [])
