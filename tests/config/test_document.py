"""The file: its lines, its variables, and everything that is not YAML."""

from __future__ import annotations

from bridge.config import options
from bridge.config.document import expand, load_document
from bridge.domain.identity import Secret
from tests.config.support import ConfigCase
from tests.support.cases import BridgeTestCase


class FileTests(ConfigCase):
    def problems_of(self, content: bytes) -> list[str]:
        path = self.directory / "bridge.yaml"
        path.write_bytes(content)
        problems: list[str] = []
        load_document(path, {}, problems)
        return [problem.replace(f"{self.directory}/", "") for problem in problems]

    def test_an_empty_file_is_fine(self) -> None:
        """It sets nothing."""
        self.assertEqual(self.problems_of(b""), [])

    def test_a_file_of_comments_is_fine(self) -> None:
        """So does this."""
        self.assertEqual(self.problems_of(b"# nothing\n"), [])

    def test_a_byte_order_mark_is_fine(self) -> None:
        """Some editors write one."""
        self.assertEqual(self.problems_of(b"\xef\xbb\xbflisten: x\n"), [])

    def test_another_encoding_is_refused(self) -> None:
        """Latin-1 is not guessed at."""
        self.assertEqual(self.problems_of(b"a: \xe9"), ["bridge.yaml: is not UTF-8 text"])

    def test_a_list_is_refused(self) -> None:
        """The file is a group."""
        problems = self.problems_of(b"- a\n")

        self.assertEqual(
            problems, ["bridge.yaml: must be a group of options, one `name: value` a line"]
        )

    def test_broken_yaml_is_refused_with_its_line(self) -> None:
        """The line is where to look."""
        self.assert_problem("bridge.yaml:2: is not YAML", self.problems_of(b"a: 1\nb: ]\n"))

    def test_two_documents_are_refused(self) -> None:
        """One of them would be ignored."""
        self.assert_problem("bridge.yaml:2: is not YAML", self.problems_of(b"a: 1\n---\nb: 2\n"))

    def test_a_control_character_is_refused(self) -> None:
        """YAML has none."""
        self.assert_problem("bridge.yaml: is not YAML", self.problems_of(b"a: \x00\n"))

    def test_a_python_tag_is_refused(self) -> None:
        """A configuration file runs nothing."""
        problems = self.problems_of(b"listen: !!python/object/apply:os.system ['true']\n")

        self.assertEqual(len(problems), 0)
        self.assert_problem(
            "listen: must be", self.problems("listen: !!python/object/apply:os.system {a: b}")
        )

    def test_a_key_that_is_written_twice_is_refused(self) -> None:
        """YAML would silently take the last."""
        self.assert_problem(
            "aibridge.retention: is written twice (bridge.yaml:2)",
            self.problems_of(b"aibridge: {retention: 1d,\n  retention: 2d}\n"),
        )

    def test_a_key_that_is_no_text_is_refused(self) -> None:
        """Options have names."""
        self.assert_problem(
            "the file: has a key that is no text", self.problems_of(b"? [a]\n: 1\n")
        )

    def test_endless_nesting_is_refused(self) -> None:
        """A thousand brackets are no recursion."""
        problems = self.problems_of(b"a: " + b"[" * 200 + b"]" * 200)

        self.assertIn("is nested too deeply", problems[0])

    def test_an_alias_to_itself_is_refused(self) -> None:
        """It would never end."""
        problems = self.problems_of(b"a: &x [*x]\n")

        self.assertIn("is nested too deeply", problems[0])

    def test_aliases_that_multiply_are_refused(self) -> None:
        """Ten lines do not stand for a billion values."""
        lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
        lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]

        problems = self.problems_of("\n".join(lines).encode())

        self.assertEqual(problems, ["bridge.yaml: holds too many values"])

    def test_a_directory_is_refused(self) -> None:
        """It cannot be read as a file."""
        problems: list[str] = []
        load_document(self.directory, {}, problems)

        self.assertIn("cannot be read: Is a directory", problems[0])


class VariableTests(BridgeTestCase):
    def test_a_variable_is_replaced(self) -> None:
        """Also within a text."""
        self.assertEqual(expand("a-${NAME}-b", {"NAME": "x"}), "a-x-b")

    def test_a_variable_that_is_missing_is_refused(self) -> None:
        """A typo is not an empty key; the sentence says how to allow it."""
        error = self.assertRaises(ValueError, expand, "${NAME}", {})

        self.assertIn("write ${NAME:-} if it may be missing", str(error))

    def test_a_variable_that_may_be_missing_is_empty(self) -> None:
        """`${NAME:-}`"""
        self.assertEqual(expand("${NAME:-}", {}), "")

    def test_a_default_is_used_where_the_variable_is_empty(self) -> None:
        """As in a shell."""
        self.assertEqual(expand("${NAME:-d}", {"NAME": ""}), "d")

    def test_a_variable_that_is_empty_is_empty(self) -> None:
        """Set is set."""
        self.assertEqual(expand("${NAME}", {"NAME": ""}), "")

    def test_a_doubled_dollar_is_a_literal(self) -> None:
        """For passwords that look like a variable."""
        self.assertEqual(expand("$${NAME}", {}), "${NAME}")

    def test_an_unclosed_brace_is_refused(self) -> None:
        """It is not taken as it is."""
        self.assertRaises(ValueError, expand, "${NAME", {})

    def test_a_value_is_not_expanded_again(self) -> None:
        """A secret may hold anything."""
        self.assertEqual(expand("${NAME}", {"NAME": "${OTHER}"}), "${OTHER}")


class VariableInFileTests(ConfigCase):
    def test_a_variable_in_a_duration_is_read_as_one(self) -> None:
        """Whatever kind the option is."""
        settings = self.load("aibridge: {retention: '${KEEP}'}", environ={"KEEP": "2w"})

        self.assertEqual(settings[options.RETENTION], 14 * 86400)

    def test_a_file_holds_a_secret(self) -> None:
        """As systemd's credentials do."""
        path = self.directory / "key"
        path.write_text("sk-from-a-file\n", "utf-8")

        settings = self.load(f"aibridge: {{anthropic_key: 'file:{path}'}}")

        self.assertEqual(settings[options.ANTHROPIC_KEY], Secret("sk-from-a-file"))

    def test_a_file_that_is_missing_is_refused(self) -> None:
        """With its name."""
        problems = self.problems("aibridge: {anthropic_key: 'file:/nowhere/key'}")

        self.assert_problem(
            "aibridge.anthropic_key: cannot read the file /nowhere/key: No such file", problems
        )
