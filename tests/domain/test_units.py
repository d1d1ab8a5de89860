"""Tests for bridge.domain.units: durations and sizes as people write them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bridge.domain.units import format_duration, format_size, parse_duration, parse_size
from tests.support.cases import BridgeTestCase


class DurationTests(BridgeTestCase):
    def test_what_people_write(self) -> None:
        for text, seconds in (
            ("90d", 90 * 86400),
            ("2w", 14 * 86400),
            ("12h30m", 45000),
            ("30s", 30),
            ("250ms", 0.25),
            ("1.5h", 5400),
            (" 60D ", 60 * 86400),
            ("0", 0),
            ("0s", 0),
        ):
            self.assertEqual(parse_duration(text), seconds, text)

    def test_what_they_should_not(self) -> None:
        for text in ("", "60", "d", "-1d", "1 d x", "1d,2h", "1y", "1e9d", "999999999w"):
            self.assertRaises(ValueError, parse_duration, text)

    @given(st.integers(min_value=0, max_value=10**10))
    def test_what_is_shown_is_read_back(self, milliseconds: int) -> None:
        seconds = milliseconds / 1000

        self.assertAlmostEqual(parse_duration(format_duration(seconds)), seconds, places=3)


class SizeTests(BridgeTestCase):
    def test_what_people_write(self) -> None:
        for text, size in (
            ("32MiB", 32 * 1024**2),
            ("1 GiB", 1024**3),
            ("1gb", 10**9),
            ("65536", 65536),
            ("0.5KiB", 512),
        ):
            self.assertEqual(parse_size(text), size, text)

    def test_what_they_should_not(self) -> None:
        for text in ("", "MiB", "-1", "1XiB", "1e3", "99999999TiB"):
            self.assertRaises(ValueError, parse_size, text)

    @given(st.integers(min_value=0, max_value=2**50))
    def test_what_is_shown_is_read_back(self, size: int) -> None:
        self.assertEqual(parse_size(format_size(size)), size)
