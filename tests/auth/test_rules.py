"""Names and lifetimes that are allowed, and what is said of the others."""

from __future__ import annotations

from bridge.auth.rules import (
    checked_lifetime,
    checked_new_username,
    checked_token_name,
    checked_username,
)
from bridge.domain.errors import BadRequest
from tests.support.cases import BridgeTestCase

DAY = 86400.0


class UsernameTests(BridgeTestCase):
    def test_the_longest_name_is_allowed(self) -> None:
        """63 characters are fine."""
        self.assertEqual(checked_username("a" * 63), "a" * 63)

    def test_dots_dashes_and_underscores_are_allowed(self) -> None:
        """Names as mail systems make them are fine."""
        self.assertEqual(checked_username("0a.b-c_d"), "0a.b-c_d")

    def test_a_longer_name_is_refused(self) -> None:
        """64 are too many."""
        self.assertRaises(BadRequest, checked_username, "a" * 64)

    def test_an_empty_name_is_refused(self) -> None:
        """Everybody has a name."""
        self.assertRaises(BadRequest, checked_username, "")

    def test_capitals_are_refused(self) -> None:
        """Alice and alice cannot be two."""
        self.assertRaises(BadRequest, checked_username, "Alice")

    def test_a_leading_dot_is_refused(self) -> None:
        """A name never looks like a hidden file."""
        self.assertRaises(BadRequest, checked_username, ".alice")

    def test_a_trailing_newline_is_refused(self) -> None:
        """What a careless read leaves is not part of a name."""
        self.assertRaises(BadRequest, checked_username, "alice\n")

    def test_nobody_new_is_called_what_a_search_takes_for_another(self) -> None:
        """`initiator:me` is whoever asks, and an id the user who has it."""
        uuid = "01a218d7-dc85-7000-8000-00000000000a"
        for name in ("me", uuid, uuid.replace("-", "")):
            self.assertRaises(BadRequest, checked_new_username, name)
            self.assertEqual(checked_username(name), name)
        self.assertEqual(checked_new_username("mel"), "mel")
        self.assertRaises(BadRequest, checked_new_username, "Alice")


class TokenNameTests(BridgeTestCase):
    def test_no_name_is_allowed(self) -> None:
        """A token needs no name."""
        self.assertEqual(checked_token_name(""), "")

    def test_control_characters_are_refused(self) -> None:
        """A name cannot repaint the terminal that lists it."""
        self.assertRaises(BadRequest, checked_token_name, "ci\x1b[2J")

    def test_a_long_name_is_refused(self) -> None:
        """65 characters are too many."""
        self.assertRaises(BadRequest, checked_token_name, "a" * 65)


class LifetimeTests(BridgeTestCase):
    def test_nothing_wanted_takes_the_default(self) -> None:
        """90 days unless said otherwise."""
        self.assertEqual(checked_lifetime(None, default=90 * DAY, longest=365 * DAY), 90 * DAY)

    def test_the_default_is_cut_to_the_longest(self) -> None:
        """A short limit needs no second setting."""
        self.assertEqual(checked_lifetime(None, default=90 * DAY, longest=7 * DAY), 7 * DAY)

    def test_the_longest_is_allowed(self) -> None:
        """The limit itself is within the limit."""
        self.assertEqual(checked_lifetime(7 * DAY, default=DAY, longest=7 * DAY), 7 * DAY)

    def test_more_than_the_longest_is_refused(self) -> None:
        """The sentence names the limit and its setting."""
        error = self.assertRaises(
            BadRequest, checked_lifetime, 8 * DAY, default=DAY, longest=7 * DAY
        )

        self.assertIn("7d (tokens.max_lifetime)", error.message)

    def test_nothing_is_refused(self) -> None:
        """0 is not for ever."""
        self.assertRaises(BadRequest, checked_lifetime, 0.0, default=DAY, longest=DAY)
