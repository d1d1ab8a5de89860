"""All sources together: precedence, and every problem at once."""

from __future__ import annotations

from pathlib import Path

from bridge.config import options
from bridge.config.load import load
from bridge.config.settings import ConfigErrors
from bridge.domain.identity import Secret
from tests.config.support import ConfigCase

SHIPPED = Path(__file__).resolve().parents[2] / "etc" / "bridge.yaml"


class PrecedenceTests(ConfigCase):
    YAML = "aibridge: {retention: 10d}"
    VARIABLE = {"CODER_AIBRIDGE_RETENTION": "20d"}  # noqa: RUF012
    FLAG = {"aibridge-retention": "30d"}  # noqa: RUF012

    def test_nothing_at_all_starts(self) -> None:
        """Without file, variables and flags every option has its default."""
        settings = self.load()

        self.assertEqual(settings[options.RETENTION], 60 * 86400)
        self.assertEqual(settings.origin(options.RETENTION), "default")
        self.assertEqual([each.name for each in settings.providers], ["anthropic"])
        self.assertEqual(settings.warnings, ())

    def test_a_flag_counts_before_a_variable_and_the_file(self) -> None:
        """Flag, environment, YAML, default."""
        settings = self.load(self.YAML, flags=self.FLAG, environ=self.VARIABLE)

        self.assertEqual(settings[options.RETENTION], 30 * 86400)
        self.assertEqual(settings.origin(options.RETENTION), "flag --aibridge-retention")

    def test_a_variable_counts_before_the_file(self) -> None:
        """Environment, YAML, default."""
        settings = self.load(self.YAML, environ=self.VARIABLE)

        self.assertEqual(settings[options.RETENTION], 20 * 86400)
        self.assertEqual(settings.origin(options.RETENTION), "environment CODER_AIBRIDGE_RETENTION")

    def test_the_file_counts_before_the_default(self) -> None:
        """And its line is remembered."""
        settings = self.load(self.YAML)

        self.assertEqual(settings[options.RETENTION], 10 * 86400)
        self.assertTrue(settings.origin(options.RETENTION).endswith("bridge.yaml:1"))

    def test_zero_keeps_for_ever(self) -> None:
        """Retention 0 is a value, not nothing."""
        self.assertEqual(self.load("aibridge: {retention: 0}")[options.RETENTION], 0)


class ProblemTests(ConfigCase):
    def test_all_problems_are_reported_at_once(self) -> None:
        """Whoever mends a file does not go round once per mistake."""
        problems = self.problems(
            """\
            listen: tcp:4001
            lissen: 1
            aibridge:
              enabled: perhaps
              retention: 3 moons
              providers:
                - name: API
                  type: anthropic
                  base_url: http://broker.example
                  key: ${MISSING}
            limits:
              first_byte: 0
            """,
            flags={"nonsense": "1"},
            environ={"AIBRIDGE_RATE_LIMIT": "many"},
        )

        self.assert_problem("aibridge.providers[0].key: ${MISSING} is not set", problems)
        self.assert_problem("lissen: is not an option; did you mean listen?", problems)
        self.assert_problem("aibridge.enabled: must be true or false, not 'perhaps'", problems)
        self.assert_problem("aibridge.retention: '3 moons' is not a duration", problems)
        self.assert_problem("aibridge.providers[0].name: must be lower-case", problems)
        self.assert_problem("limits.first_byte: must be longer than 0", problems)
        self.assert_problem("flag --nonsense: is not an option", problems)
        self.assert_problem("aibridge.rate_limit: 'many' is not a whole number", problems)
        self.assert_problem("listen: tcp:4001 can be reached", problems)
        self.assertEqual(len(problems), 9)

    def test_a_problem_names_file_and_line(self) -> None:
        """An editor can jump there."""
        self.assertTrue(self.problems("aibridge:\n  enabled: 3\n")[0].endswith("(bridge.yaml:2)"))

    def test_a_missing_file_is_a_problem(self) -> None:
        """A file that was named has to be there."""
        path = self.directory / "nowhere.yaml"

        error = self.assertRaises(ConfigErrors, load, path, {}, {})

        self.assertEqual(error.problems, (f"{path}: there is no such configuration file",))

    def test_no_secret_is_in_a_problem(self) -> None:
        """Problems end up in logs."""
        problems = self.problems(
            """\
            database: postgresql://bridge:hunter2%zz@db.example/aibridge
            aibridge:
              anthropic_key: "sk-ant hunter2"
              providers:
                - {name: a, type: openai, base_url: "https://u:hunter2@host/", key: hunter2}
            """
        )

        self.assertEqual(len(problems), 3)
        self.assertNotIn("hunter2", "\n".join(problems))


class ShippedFileTests(ConfigCase):
    def test_the_shipped_file_is_safe_and_complete(self) -> None:
        """`make run` works without any key."""
        settings = load(SHIPPED, {}, {})

        self.assertEqual(
            [(each.name, each.type, each.own_keys_only) for each in settings.providers],
            [
                ("anthropic", "anthropic", True),
                ("openai", "openai", True),
                ("demo", "demo", False),
            ],
        )
        self.assertEqual(settings.warnings, ())

    def test_the_shipped_file_says_the_defaults(self) -> None:
        """What it sets it explains; nothing else changes by using it."""
        settings = load(SHIPPED, {}, {})

        changed = [option.path for option in options.ALL if settings[option] != option.default]
        self.assertEqual(changed, [])

    def test_the_shipped_file_takes_the_key_from_the_environment(self) -> None:
        """With ANTHROPIC_API_KEY set, /anthropic/ goes to Anthropic."""
        settings = load(SHIPPED, {}, {"ANTHROPIC_API_KEY": "sk-ant-1"})

        self.assertEqual(settings.providers[0].keys, (Secret("sk-ant-1"),))

    def test_the_demo_is_marked(self) -> None:
        """Nobody leaves it in by not knowing."""
        self.assertIn("Remove in production", SHIPPED.read_text("utf-8"))


class WarningTests(ConfigCase):
    def test_a_secret_in_a_flag_is_a_warning(self) -> None:
        """The process list shows it."""
        warning = self.warnings(flags={"aibridge-anthropic-key": "sk-1"})

        self.assertIn("aibridge.anthropic_key: every user of this machine can see", warning)

    def test_a_file_named_in_a_flag_is_fine(self) -> None:
        """A path is no secret."""
        path = self.directory / "key"
        path.write_text("sk-1\n", "utf-8")

        self.assertEqual(self.warnings(flags={"aibridge-anthropic-key": f"file:{path}"}), "")

    def test_a_database_without_a_password_in_a_flag_is_fine(self) -> None:
        """An address alone is no secret."""
        self.assertEqual(self.warnings(flags={"database": "postgresql://bridge@localhost/x"}), "")

    def test_a_variable_that_looks_like_ours_is_a_warning(self) -> None:
        """A variable of another program of the family must not stop the start."""
        warning = self.warnings(environ={"CODER_AIBRIDGE_RETENSION": "1d"})

        self.assertIn("did you mean CODER_AIBRIDGE_RETENTION?", warning)

    def test_structured_logs_that_go_nowhere_are_a_warning(self) -> None:
        """Who switches them on wants to see them."""
        warning = self.warnings(
            """\
            log_human: ""
            aibridge: {structured_logging: true}
            """
        )

        self.assertIn("aibridge.structured_logging: has no effect", warning)

    def test_open_operations_are_a_warning(self) -> None:
        """They ask for no token."""
        warning = self.warnings("operations_listen: tcp:4002")

        self.assertIn("operations_listen: tcp:4002 shows details", warning)

    def test_a_user_for_no_database_is_a_warning(self) -> None:
        """run_as is about the embedded one."""
        warning = self.warnings("{run_as: bridge, database: 'postgresql://localhost/x'}")

        self.assertIn("run_as: has no effect", warning)
