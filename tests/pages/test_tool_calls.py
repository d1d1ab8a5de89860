"""Tool calls as people read them."""

from __future__ import annotations

import json

from bridge.pages.excerpts import Excerpt, Excerpts
from bridge.pages.tool_calls import ShownCall, difference, shown_call
from tests.support.cases import BridgeTestCase

PATCH = "*** Begin Patch\n*** Update File: a.py\n@@\n-old\n+new\n same\n*** End Patch"


def shown(arguments: object, *, cut: bool = False) -> ShownCall:
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return shown_call(Excerpt(text=text, cut=cut))


def marked(call: ShownCall) -> list[str]:
    marks = {"add": "+", "del": "-", "same": " ", "hunk": ""}
    return [marks[line.kind] + line.text for line in call.lines]


class EditTests(BridgeTestCase):
    def test_an_edit_is_a_difference(self) -> None:
        for old, new in (
            ("old_string", "new_string"),
            ("oldString", "newString"),
            ("old_str", "new_str"),
        ):
            call = shown({"file_path": "/a.py", old: "x = 1\ny = 2", new: "x = 1\ny = 3"})

            self.assertEqual(call.target, "/a.py")
            self.assertEqual(marked(call), ["@@ -1,2 +1,2 @@", " x = 1", "-y = 2", "+y = 3"])
            self.assertEqual((call.rest, list(call.also)), ("", []))

    def test_several_edits_follow_each_other(self) -> None:
        edits = [{"old_string": "a", "new_string": "b"}, {"old_string": "c", "new_string": "d"}]

        call = shown({"file_path": "/a.py", "edits": edits})

        self.assertEqual(
            [line for line in marked(call) if not line.startswith("@@")],
            ["Edit 1 of 2", "-a", "+b", "Edit 2 of 2", "-c", "+d"],
        )

    def test_a_new_file_is_all_new(self) -> None:
        self.assertEqual(marked(shown({"file_path": "/a", "content": "x\ny"})), ["+x", "+y"])

    def test_a_patch_however_it_comes(self) -> None:
        expected = [
            "*** Begin Patch", "*** Update File: a.py", "@@", "-old", "+new", " same",
            "*** End Patch",
        ]  # fmt: skip
        heredoc = f"apply_patch <<'EOF'\n{PATCH}"
        for arguments in (
            {"input": PATCH},
            {"patchText": PATCH},
            {"command": ["apply_patch", PATCH]},
            {"command": ["bash", "-lc", heredoc]},
            PATCH,
            json.dumps(PATCH),
        ):
            self.assertEqual(marked(shown(arguments)), expected, arguments)

    def test_long_texts_are_not_compared(self) -> None:
        lines = difference("\n".join(map(str, range(700))), "\n".join(map(str, range(701))))

        self.assertEqual(len(lines), 1401)

    def test_equal_texts_differ_in_nothing(self) -> None:
        self.assertEqual(difference("same", "same"), [])


class CommandTests(BridgeTestCase):
    def test_a_command_is_what_is_typed(self) -> None:
        for arguments in (
            {"command": "ls -l | wc"},
            {"cmd": "ls -l | wc"},
            {"command": ["bash", "-lc", "ls -l | wc"]},
        ):
            self.assertEqual(shown(arguments).command, "ls -l | wc")
        self.assertEqual(shown({"command": ["git", "status"]}).command, "git status")

    def test_short_arguments_stand_beside_it(self) -> None:
        call = shown({"command": "make", "timeout": 60, "description": "Build"})

        self.assertEqual(call.also, [("timeout", "60"), ("description", "Build")])

    def test_long_ones_are_json(self) -> None:
        call = shown({"command": "make", "env": {"A": "1"}})

        self.assertEqual((call.also, json.loads(call.rest)), ((), {"env": {"A": "1"}}))


class OtherTests(BridgeTestCase):
    def test_what_is_not_known_is_json_with_every_letter_as_it_is(self) -> None:
        self.assertEqual(shown({"zone": "Zürich"}).rest, '{\n  "zone": "Zürich"\n}')

    def test_nothing_is_lost_of_what_is_no_json(self) -> None:
        for text in ("", "{", "plain words", "[1, 2", '"text"', "[" * 100_000):
            call = shown(text)

            self.assertEqual(call.rest, text)

    def test_what_was_cut_is_shown_as_it_is(self) -> None:
        call = shown('{"command": "very lo', cut=True)

        self.assertEqual((call.rest, call.cut), ('{"command": "very lo', True))

    def test_no_argument_disappears(self) -> None:
        for arguments in (
            {"old_string": "a"},
            {"new_string": "b", "file_path": "/x"},
            {"edits": []},
            {"edits": [1]},
            {"command": []},
            {"command": 5},
            {"content": "without a path"},
            {"path": "/x", "content": ""},
        ):
            call = shown(arguments)
            told = " ".join([call.target, call.command, call.rest, *map(str, call.also)])
            for name, value in arguments.items():
                if value not in ("", "/x"):
                    self.assertIn(name, told, arguments)


class ExcerptTests(BridgeTestCase):
    def test_a_page_has_room_for_so_much(self) -> None:
        excerpts = Excerpts(longest=1000, together=2500, most=3)

        lengths = [len(excerpts.of("x" * 5000).text) for _ in range(5)]

        self.assertEqual(lengths, [1000, 1000, 500, 400, 400])

    def test_what_fits_is_whole(self) -> None:
        self.assertEqual(Excerpts().of("x" * 20_000), Excerpt(text="x" * 20_000, cut=False))
        self.assertTrue(Excerpts().of("x" * 20_001).cut)

    def test_what_is_left_out_is_counted(self) -> None:
        excerpts = Excerpts(most=2)

        self.assertEqual((excerpts.some("abcde"), excerpts.left_out), ("ab", 3))
