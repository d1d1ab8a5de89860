"""Tests for bridge.domain.ids: the id says the day, and ids are in the order of time."""

from __future__ import annotations

from datetime import UTC, date, datetime
from uuid import RFC_4122

from bridge.domain.ids import day_of, timestamp_of, uuid7
from tests.support.cases import BridgeTestCase

MIDNIGHT = datetime(2026, 11, 24, tzinfo=UTC).timestamp()


class IdTests(BridgeTestCase):
    def test_it_is_a_uuid_of_version_seven(self) -> None:
        identifier = uuid7(MIDNIGHT)

        self.assertEqual((identifier.version, identifier.variant), (7, RFC_4122))

    def test_the_day_changes_at_midnight_utc(self) -> None:
        self.assertEqual(day_of(uuid7(MIDNIGHT - 0.0005)), date(2026, 11, 23))
        self.assertEqual(day_of(uuid7(MIDNIGHT)), date(2026, 11, 24))

    def test_the_time_inside_is_to_the_millisecond(self) -> None:
        found = timestamp_of(uuid7(MIDNIGHT + 1.2345))

        self.assertEqual(found, datetime(2026, 11, 24, 0, 0, 1, 234000, tzinfo=UTC))

    def test_later_ids_are_greater(self) -> None:
        ids = [uuid7(MIDNIGHT + n / 1000) for n in range(100)]

        self.assertEqual(ids, sorted(ids))
        self.assertEqual(len(set(ids)), 100)
