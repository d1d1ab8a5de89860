"""Values as people write them, and how they are shown."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bridge.config.kinds import (
    BASE_URL,
    BOOLEAN,
    DATABASE,
    SECRET,
    TEXTS,
    Kind,
    choice,
    duration,
    size,
    whole,
)
from bridge.domain.identity import Secret
from tests.support.cases import BridgeTestCase

RETENTION = duration(zero="for ever")


class ReadingTests(BridgeTestCase):
    def refusal(self, kind: Kind[Any], raw: object) -> str:
        return str(self.assertRaises(ValueError, kind.read, raw))

    def test_durations_in_every_unit(self) -> None:
        """90d, 2w, 12h30m."""
        self.assertEqual(
            [RETENTION.read(text) for text in ("90d", "2w", "12h30m", "45s", "250ms")],
            [7776000.0, 1209600.0, 45000.0, 45.0, 0.25],
        )

    def test_zero_is_read_as_text_and_as_number(self) -> None:
        """YAML's 0 and a variable's."""
        self.assertEqual((RETENTION.read(0), RETENTION.read("0")), (0.0, 0.0))

    def test_a_bare_number_is_no_duration(self) -> None:
        """30 of what?"""
        self.assertIn("write for example 60d", self.refusal(RETENTION, 30))

    def test_a_limit_of_zero_is_refused(self) -> None:
        """Every wait has a limit."""
        self.assertIn("longer than 0", self.refusal(duration(), 0))

    def test_a_negative_duration_is_refused(self) -> None:
        """Time goes one way."""
        self.assertIn("is not a duration", self.refusal(RETENTION, "-1d"))

    def test_sizes_in_both_kinds_of_units(self) -> None:
        """32MiB is not 32MB."""
        kind = size(1)

        self.assertEqual(
            [kind.read(text) for text in ("32MiB", "32MB", "65536", 65536)],
            [33554432, 32000000, 65536, 65536],
        )

    def test_a_duration_beyond_all_calendars_is_refused(self) -> None:
        """Dates end somewhere."""
        self.assertIn("a thousand years", self.refusal(RETENTION, "9" * 400 + "d"))

    def test_a_size_beyond_all_disks_is_refused(self) -> None:
        """Numbers end somewhere."""
        self.assertIn("larger than any disk", self.refusal(size(1), "9" * 400))

    def test_a_size_below_the_least_is_refused(self) -> None:
        """With the least."""
        self.assertEqual(self.refusal(size(1024), "10"), "must be at least 1KiB")

    def test_a_whole_number_below_the_least_is_refused(self) -> None:
        """With the least."""
        self.assertEqual(self.refusal(whole(1), -3), "must be at least 1")

    def test_a_fraction_is_no_whole_number(self) -> None:
        """YAML's 1.5 is no count."""
        self.assertEqual(self.refusal(whole(), 1.5), "must be a whole number, not a number")

    def test_truth_values_in_many_words(self) -> None:
        """As variables hold them."""
        self.assertEqual(
            [BOOLEAN.read(text) for text in ("true", "YES", "on", "1", "false", "No", "off", "0")],
            [True] * 4 + [False] * 4,
        )

    def test_yaml_s_bare_off_is_the_word(self) -> None:
        """`prompts: off` is false to YAML."""
        self.assertEqual(choice("full", "off").read(False), "off")

    def test_another_word_is_refused_with_all_words(self) -> None:
        """The choice is short."""
        self.assertEqual(self.refusal(choice("a", "b", "c"), "d"), "must be a, b or c, not 'd'")

    def test_a_list_of_texts_may_be_one_text(self) -> None:
        """Separated by commas."""
        self.assertEqual(TEXTS.read("a, b"), TEXTS.read(["a", "b"]))

    def test_a_secret_of_a_wrong_type_is_not_shown(self) -> None:
        """A key that YAML takes for a number is not repeated."""
        self.assertEqual(self.refusal(SECRET, 20240101), "must be a secret, not a number")

    def test_a_database_that_is_no_address_is_refused(self) -> None:
        """Without repeating it."""
        self.assertEqual(
            self.refusal(DATABASE, "mysql://u:hunter2@h/db"),
            "must be embedded or postgresql://user:password@host/database",
        )


class ShowingTests(BridgeTestCase):
    def test_a_secret_is_masked(self) -> None:
        """Four characters at each end of a long one."""
        self.assertEqual(SECRET.show(Secret("sk-ant-api03-abcdefgh")), "sk-a...efgh")

    def test_a_database_is_shown_without_its_password(self) -> None:
        """Who and where stay readable."""
        shown = DATABASE.show(Secret("postgresql://u:hunter2@h:5432/db?sslmode=require"))

        self.assertEqual(shown, "postgresql://u:***@h:5432/db?sslmode=require")

    def test_a_password_in_the_query_is_masked(self) -> None:
        """PostgreSQL takes it from there too."""
        self.assertNotIn(
            "hunter2", DATABASE.show(Secret("postgresql://h/db?password=hunter2&user=u"))
        )

    def test_a_base_url_is_shown_without_its_password(self) -> None:
        """Where one is allowed."""
        self.assertEqual(BASE_URL.show("https://u:hunter2@h/x"), "https://***@h/x")

    @given(st.integers(min_value=0, max_value=10**12))
    def test_a_duration_that_is_shown_is_read_back(self, milliseconds: int) -> None:
        """What `config show` prints can be written into the file."""
        seconds = milliseconds / 1000

        self.assertAlmostEqual(RETENTION.read(RETENTION.show(seconds)), seconds, places=3)

    @given(st.integers(min_value=1, max_value=2**50))
    def test_a_size_that_is_shown_is_read_back(self, count: int) -> None:
        """The same for sizes."""
        kind = size(1)

        self.assertEqual(kind.read(kind.show(count)), count)
