"""Tests for bridge.recording.refusals: none is forgotten, and none of them can fill the disk."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from bridge.domain.errors import Forbidden, Unauthenticated, Unavailable
from bridge.domain.identity import Holder
from bridge.domain.records import AuditRecorded, Record
from bridge.recording.refusals import WINDOW_SECONDS, Refusals
from tests.policy.test_admission import person
from tests.support.cases import BridgeTestCase


class RefusalsTests(BridgeTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.rows: list[AuditRecorded] = []
        self.full = False
        self.refusals = Refusals(append=self._append, clock=self.clock)

    def _append(self, records: Sequence[Record]) -> None:
        if self.full:
            raise Unavailable("The journal is full.")
        self.rows.extend(record for record in records if isinstance(record, AuditRecorded))

    def note(self, path: str = "/anthropic/v1/messages", source: str = "192.0.2.7") -> None:
        self.refusals.note(Unauthenticated("No token."), actor=None, path=path, source=source)

    def flush(self) -> None:
        self.result_of(self.refusals.flush())

    def test_the_first_is_written_at_once(self) -> None:
        self.note()

        (row,) = self.rows
        self.assertEqual((row.action, row.status, row.count), ("refusal", 401, 1))
        self.assertEqual((row.target, row.source), ("/anthropic/v1/messages", "192.0.2.7"))
        self.assertEqual(row.detail, {"code": "unauthenticated"})

    def test_who_was_refused_is_named_when_known(self) -> None:
        error = Forbidden("Not with this token.")
        actor = person(1, token="tokentokento")
        self.refusals.note(error, actor=actor, path="/x", source="192.0.2.7")

        (row,) = self.rows
        self.assertEqual((row.actor_name, row.token_id), ("somebody", "tokentokento"))

    def test_whose_token_has_ended_is_told_and_counted_for_each(self) -> None:
        """Several people may share an address."""
        for n in (1, 2, 1):
            holder = Holder(user_id=UUID(int=n), username=f"user-{n}")
            error = Unauthenticated("The token has ended.", holder=holder)
            self.refusals.note(error, actor=None, path="/x", source="192.0.2.7")
        self.refusals.close()

        self.assertEqual(
            [(row.detail["user"], row.detail["user_id"], row.actor_name, row.count)
             for row in self.rows],
            [(f"user-{n}", str(UUID(int=n)), None, 1) for n in (1, 2, 1)],
        )  # fmt: skip
        self.assertEqual({row.detail["code"] for row in self.rows}, {"unauthenticated"})

    def test_alike_ones_are_counted_and_written_together(self) -> None:
        for _ in range(1000):
            self.note()
        self.assertEqual(len(self.rows), 1)

        self.clock.advance(WINDOW_SECONDS)
        self.flush()

        self.assertEqual([row.count for row in self.rows], [1, 999])

    def test_what_was_counted_says_when_it_came(self) -> None:
        for _ in range(3):
            self.note()
            self.clock.advance(1)
        self.clock.advance(WINDOW_SECONDS)
        self.flush()

        first, counted = self.rows
        came = [(first.at + timedelta(seconds=after)).isoformat() for after in (1, 2)]
        self.assertEqual([counted.detail[name] for name in ("first_at", "last_at")], came)
        self.assertNotIn("first_at", first.detail)

    def test_another_reason_is_a_row_of_its_own(self) -> None:
        for reason in ("It is not valid.", "No token was sent.", "It is not valid."):
            self.refusals.note(Unauthenticated(reason), actor=None, path="/x", source="192.0.2.7")
        self.refusals.close()

        self.assertEqual(
            [(row.reason, row.count) for row in self.rows],
            [("It is not valid.", 1), ("No token was sent.", 1), ("It is not valid.", 1)],
        )

    def test_what_comes_no_more_is_forgotten(self) -> None:
        self.note()
        self.clock.advance(WINDOW_SECONDS)
        self.flush()
        self.note()

        self.assertEqual([row.count for row in self.rows], [1, 1])

    def test_made_up_addresses_and_paths_end_in_a_number(self) -> None:
        for n in range(5000):
            self.note(path=f"/{n}", source=f"host {n}")
        self.refusals.close()

        self.assertLess(len(self.rows), 1100)
        self.assertEqual(sum(row.count for row in self.rows), 5000)

    def test_a_long_path_is_cut(self) -> None:
        self.note(path="/" + "x" * 100_000)

        self.assertLessEqual(len(self.rows[0].target), 500)

    def test_closing_writes_what_was_counted(self) -> None:
        self.note()
        self.note()
        self.refusals.close()

        self.assertEqual([row.count for row in self.rows], [1, 1])

    def test_what_cannot_be_written_is_counted(self) -> None:
        self.full = True

        self.note()

        self.assertEqual(self.refusals.lost, 1)
