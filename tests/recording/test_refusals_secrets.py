"""Tests for bridge.recording.refusals: a secret that somebody put into a path is not kept."""

from __future__ import annotations

from collections.abc import Sequence

from bridge.auth.token import new_token
from bridge.domain.errors import BadRequest
from bridge.domain.records import AuditRecorded, Record
from bridge.recording.refusals import WINDOW_SECONDS, Refusals
from tests.support.cases import BridgeTestCase


class SecretsInPathsTests(BridgeTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.rows: list[AuditRecorded] = []
        self.refusals = Refusals(append=self._append, clock=self.clock)

    def _append(self, records: Sequence[Record]) -> None:
        self.rows.extend(record for record in records if isinstance(record, AuditRecorded))

    def target(self, path: str) -> str:
        self.refusals.note(BadRequest("No."), actor=None, path=path, source="192.0.2.7")
        return self.rows[-1].target or ""

    def test_a_token_in_a_path_is_masked(self) -> None:
        token = new_token()
        secret = token.value.reveal()[17:]

        target = self.target(f"/anthropic/v1/models/{token.value.reveal()}")

        self.assertEqual(target, f"/anthropic/v1/models/aib_{token.id}_...")
        self.assertNotIn(secret, repr(self.rows))

    def test_a_token_with_escaped_underscores_is_masked(self) -> None:
        value = new_token().value.reveal()
        for escape in ("%5f", "%5F"):
            target = self.target(f"/anthropic/{value.replace('_', escape)}/x")

            self.assertNotIn(value[17:], target)
            self.assertTrue(target.endswith("/x"), target)

    def test_a_provider_key_in_a_path_is_masked(self) -> None:
        target = self.target("/anthropic/v1/models/sk-ant-api03-" + "k" * 40)

        self.assertEqual(target, "/anthropic/v1/models/sk-...")

    def test_a_secret_cut_by_the_limit_of_a_target_is_masked(self) -> None:
        value = new_token().value.reveal()

        target = self.target("/" + "x" * 460 + "/" + value)

        self.assertNotIn(value[17:25], target)

    def test_what_is_counted_is_masked_too(self) -> None:
        value = new_token().value.reveal()
        for _ in range(3):
            self.target(f"/anthropic/{value}")
        self.clock.advance(WINDOW_SECONDS)
        self.result_of(self.refusals.flush())

        self.assertEqual([row.count for row in self.rows], [1, 2])
        self.assertNotIn(value[17:], repr(self.rows))
