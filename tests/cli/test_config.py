"""What is in force, shown to people and programs, without secrets."""

from __future__ import annotations

import json

from bridge.config.reference import reference
from tests.cli.running import CommandCase

FILE = """\
database: postgresql://bridge:hunter2@localhost/aibridge
aibridge:
  providers:
    - {name: anthropic, type: anthropic, key: sk-ant-api03-hunter2-hunter2}
"""


class ShowTests(CommandCase):
    def test_every_value_says_where_it_came_from(self) -> None:
        """Flag, variable, line of the file, default."""
        path = self.write("aibridge: {retention: 7d}\n")

        answer = self.call(
            "--config", str(path), "config", "show", "--listen", "unix:/x",
            environ={"CODER_AIBRIDGE_RATE_LIMIT": "5"},
        )  # fmt: skip

        self.assertRegex(answer.output, rf"aibridge\.retention +7d +{path}:1\n")
        self.assertRegex(answer.output, r"listen +unix:/x +flag --listen\n")
        self.assertRegex(
            answer.output, r"aibridge\.rate_limit +5 +environment CODER_AIBRIDGE_RATE_LIMIT\n"
        )
        self.assertRegex(answer.output, r"aibridge\.enabled +true +default\n")

    def test_no_secret_is_shown(self) -> None:
        """Neither to people nor to programs."""
        path = self.write(FILE)

        shown = self.call("--config", str(path), "config", "show").output
        as_json = self.call("--config", str(path), "config", "show", "--json").output

        self.assertNotIn("hunter2-hunter2", shown + as_json)
        self.assertNotIn(":hunter2@", shown + as_json)
        self.assertIn("postgresql://bridge:***@localhost/aibridge", shown)
        self.assertIn("sk-a...ter2", shown)

    def test_a_password_in_an_allowed_base_url_is_masked(self) -> None:
        """Insecure is no reason to print it."""
        shown = self.call(
            "config", "show", "--insecure", "--aibridge-anthropic-base-url=https://u:hunter2@x"
        ).output

        self.assertIn("https://***@x", shown)
        self.assertNotIn("hunter2", shown)

    def test_only_what_was_given(self) -> None:
        """The short form for a bug report."""
        path = self.write("aibridge: {retention: 7d}\n")

        shown = self.call("--config", str(path), "config", "show", "--given").output

        self.assertIn("aibridge.retention", shown)
        self.assertNotIn("aibridge.enabled", shown)

    def test_json_keeps_the_kinds(self) -> None:
        """Numbers are numbers, truth values are truth values."""
        path = self.write("aibridge: {rate_limit: 5}\n")

        found = json.loads(self.call("--config", str(path), "config", "show", "--json").stdout)

        self.assertEqual(found["file"], str(path))
        self.assertEqual(found["options"]["aibridge.rate_limit"]["value"], 5)
        self.assertEqual(found["options"]["aibridge.enabled"]["value"], True)
        self.assertEqual(found["options"]["aibridge.retention"]["value"], "60d")
        self.assertEqual(found["providers"][0]["name"], "anthropic")

    def test_warnings_go_to_standard_error(self) -> None:
        """What is piped on is only the table."""
        answer = self.call("config", "show", environ={"AIBRIDGE_RETENSHUN": "1d"})

        self.assertIn("warning: environment AIBRIDGE_RETENSHUN", answer.stderr)
        self.assertNotIn("warning", answer.stdout)


class CheckTests(CommandCase):
    def test_a_good_configuration_is_said_to_be_one(self) -> None:
        """Exit code 0."""
        answer = self.call("config", "check")

        self.assertEqual(answer.exit_code, 0)
        self.assertIn("can be used", answer.output)

    def test_flags_of_the_bridge_are_checked_too(self) -> None:
        """A command line of systemd can be tried."""
        answer = self.call("config", "check", "--aibridge-enabled", "--aibridge-retention=x")

        self.assertEqual(answer.exit_code, 2)
        self.assertIn("aibridge.retention: 'x' is not a duration", answer.stderr)

    def test_a_stray_argument_is_a_problem(self) -> None:
        """It is no flag."""
        answer = self.call("config", "check", "stray")

        self.assertEqual(answer.exit_code, 2)
        self.assertIn("stray: is not a flag", answer.stderr)


class ReferenceTests(CommandCase):
    def test_the_reference_is_printed(self) -> None:
        """As docs/configuration.rst has it."""
        self.assertEqual(self.call("config", "reference").stdout, reference())
