"""The command line itself: its help, its version, and how it fails."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from bridge.cli.main import COMMANDS
from bridge.config.options import RETENTION
from tests.cli.running import CommandCase

MAIN = "from bridge.cli.main import main; main()"
ROOT = Path(__file__).resolve().parents[2]


class ProcessCase(CommandCase):
    def python(self, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `code` in a process of its own, in an empty directory, without our settings."""
        return subprocess.run(
            [sys.executable, "-c", code, *arguments],
            check=False,
            capture_output=True,
            text=True,
            cwd=self.directory,
            env=environment(),
        )


class HelpTests(ProcessCase):
    def test_help_lists_every_command_without_importing_it(self) -> None:
        """It is there at once."""
        code = (
            "import sys; from bridge.cli.main import aibridge\n"
            "try: aibridge(['--help'])\n"
            "except SystemExit: pass\n"
            "print(sorted(m for m in sys.modules if m.startswith('bridge.store')))"
        )

        answer = self.python(code)

        for name in COMMANDS:
            self.assertRegex(answer.stdout, rf"(?m)^  {name} ")
        self.assertTrue(answer.stdout.endswith("[]\n"))

    def test_every_command_explains_itself(self) -> None:
        """Each can be loaded."""
        failed = [name for name in COMMANDS if self.call(name, "--help").exit_code != 0]

        self.assertEqual(failed, [])

    def test_an_unknown_command_is_refused(self) -> None:
        """As a usage error."""
        answer = self.call("usr")

        self.assertEqual(answer.exit_code, 2)
        self.assertIn("No such command 'usr'", answer.output)


class VersionTests(CommandCase):
    def test_the_version_names_the_commit(self) -> None:
        """As `aibridge 0.1.0 (commit abcdef1)`."""
        output = self.call("--version").output

        self.assertRegex(
            output,
            re.compile(
                r"\Aaibridge \d+\.\d+\.\d+\S* "
                r"\((commit [0-9a-f]{7,40}( with changes)?|unknown commit)\)\n\Z"
            ),
        )


class ConfigurationTests(ProcessCase):
    def test_all_problems_are_printed_one_a_line_and_the_exit_code_is_2(self) -> None:
        """A heading, the problems, no traceback."""
        path = self.write("lissen: 1\naibridge: {retention: x}\n")

        answer = self.call("--config", str(path), "user", "list")

        self.assertEqual(answer.exit_code, 2)
        lines = answer.stderr.splitlines()
        self.assertEqual(lines[0], f"The configuration ({path}) has 2 problems:")
        self.assertTrue(lines[1].startswith("  lissen: is not an option"))
        self.assertTrue(lines[2].startswith("  aibridge.retention: 'x' is not a duration"))
        self.assertEqual((len(lines), answer.stdout), (3, ""))

    def test_a_problem_cannot_repaint_the_terminal(self) -> None:
        """A file from somewhere else is shown as text."""
        path = self.write('listen: "\\e[2J"\n')

        answer = self.call("--config", str(path), "config", "check")

        self.assertIn(r"\x1b[2J", answer.stderr)
        self.assertNotIn("\x1b", answer.stderr)

    def test_the_file_can_be_named_by_a_variable(self) -> None:
        """As in a container."""
        path = self.write("aibridge: {retention: 7d}\n")

        answer = self.call("config", "show", environ={"AIBRIDGE_CONFIG": str(path)})

        self.assertRegex(answer.output, rf"{RETENTION.path} +7d +{path}:1")

    def test_a_file_that_is_missing_is_a_problem(self) -> None:
        """What is named has to be there."""
        answer = self.call("--config", "/nowhere/bridge.yaml", "config", "check")

        self.assertEqual(answer.exit_code, 2)
        self.assertIn("there is no such configuration file", answer.stderr)

    def test_without_a_file_there_are_defaults(self) -> None:
        """And etc/bridge.yaml is read only where it is."""
        answer = self.python(MAIN, "config", "check")

        self.assertEqual(answer.stdout, "The configuration (flags and environment) can be used.\n")

    def test_a_database_that_is_not_there_is_a_sentence(self) -> None:
        """Most likely it is the wrong directory."""
        answer = self.python(MAIN, "user", "list")

        self.assertEqual(answer.returncode, 1)
        self.assertTrue(answer.stderr.startswith("Error: There is no database in /"))
        self.assertNotIn("Traceback", answer.stderr)


def environment() -> dict[str, str]:
    """Return an environment without settings of the bridge."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if "AIBRIDGE" not in name and "AI_GATEWAY" not in name and name != "ANTHROPIC_API_KEY"
    }
    return {**kept, "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT)))}
