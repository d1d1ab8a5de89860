"""Options as flags of the bridge, and truth values given in every way."""

from __future__ import annotations

from bridge.config import options
from bridge.config.flags import flag_table, normalise_arguments, parse_flags
from bridge.config.settings import ConfigErrors
from tests.support.cases import BridgeTestCase


class TableTests(BridgeTestCase):
    def test_every_flag_of_every_option_is_in_the_table(self) -> None:
        """twistd knows them all."""
        names = {flag.name for flag in flag_table()}

        self.assertEqual(names, {name for option in options.ALL for name in option.flags})

    def test_help_shows_each_option_once(self) -> None:
        """Second spellings work and are not listed."""
        shown = [flag.name for flag in flag_table() if not flag.hidden]

        self.assertIn("aibridge-retention", shown)
        self.assertNotIn("ai-gateway-retention", shown)
        self.assertNotIn("aibridge-circuit-breaker-timeout", shown)

    def test_a_flag_says_kind_and_default(self) -> None:
        """A secret has none to show."""
        docs = {flag.name: flag.doc for flag in flag_table()}

        self.assertTrue(docs["aibridge-retention"].endswith("[duration, default 60d]"))
        self.assertTrue(docs["aibridge-anthropic-key"].endswith("[secret]"))


class NormaliseTests(BridgeTestCase):
    def assert_becomes(self, given: str, expected: str) -> None:
        self.assertEqual(normalise_arguments(given.split()), expected.split())

    def test_a_truth_value_alone_is_true(self) -> None:
        """As the established tool has it."""
        self.assert_becomes("--aibridge-enabled", "--aibridge-enabled=true")

    def test_a_truth_value_before_another_flag_is_true(self) -> None:
        """It does not take the next flag for its value."""
        self.assert_becomes(
            "--aibridge-structured-logging --config f",
            "--aibridge-structured-logging=true --config f",
        )

    def test_a_truth_value_behind_a_space(self) -> None:
        """`--aibridge-enabled false`"""
        self.assert_becomes("--aibridge-enabled FALSE", "--aibridge-enabled=FALSE")

    def test_a_truth_value_behind_an_equals_sign_stays(self) -> None:
        """The plain form."""
        self.assert_becomes("--ai-gateway-enabled=no", "--ai-gateway-enabled=no")

    def test_other_flags_stay(self) -> None:
        """In both forms."""
        self.assert_becomes(
            "--aibridge-retention 90d --listen=x", "--aibridge-retention 90d --listen=x"
        )

    def test_a_value_that_looks_like_a_flag_stays_a_value(self) -> None:
        """A file may be called so."""
        self.assert_becomes("--config --insecure --insecure", "--config --insecure --insecure=true")

    def test_nothing_behind_two_dashes_is_touched(self) -> None:
        """That is what they are for."""
        self.assert_becomes("-- --insecure", "-- --insecure")


class ParseTests(BridgeTestCase):
    def test_flags_in_every_form(self) -> None:
        """What `config show` takes."""
        found = parse_flags(
            ["--insecure", "--listen", "tcp:1", "--log-human=", "--aibridge-enabled=0"]
        )

        self.assertEqual(
            found,
            {"insecure": "true", "listen": "tcp:1", "log-human": "", "aibridge-enabled": "0"},
        )

    def test_strays_and_missing_values_are_refused_together(self) -> None:
        """All problems at once."""
        error = self.assertRaises(ConfigErrors, parse_flags, ["stray", "--listen"])

        self.assertEqual(error.problems, ("stray: is not a flag", "flag --listen: needs a value"))
