"""What the documentation promises has a test, which is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.support.cases import BridgeTestCase

ROOT = Path(__file__).resolve().parents[1]
_PAGE = ROOT / "docs" / "guarantees.rst"
_NAME = re.compile(r"``(tests(?:\.\w+)+)\.(\w+)\.(test_\w+)``")


def promises(text: str) -> list[str]:
    """Return the points of a page, up to what is not promised."""
    promised = text.partition("\nNot promised\n")[0]
    return re.split(r"^- ", promised, flags=re.MULTILINE)[1:]


class GuaranteesTests(BridgeTestCase):
    def test_every_promise_names_a_test(self) -> None:
        found = promises(_PAGE.read_text("utf-8"))

        self.assertGreater(len(found), 20)
        self.assertEqual([point for point in found if not _NAME.search(point)], [])

    def test_every_test_that_is_named_is_there(self) -> None:
        missing = [
            f"{module}.{case}.{name}"
            for module, case, name in _NAME.findall(_PAGE.read_text("utf-8"))
            if name not in self.named_in(module, case)
        ]

        self.assertEqual(missing, [])

    def test_nothing_else_looks_like_a_name(self) -> None:
        text = _PAGE.read_text("utf-8")

        self.assertEqual(text.count("``tests."), len(_NAME.findall(text)))

    def named_in(self, module: str, case: str) -> set[str]:
        path = ROOT.joinpath(*module.split(".")).with_suffix(".py")
        if not path.exists():
            return set()
        return {
            function.name
            for node in ast.parse(path.read_text("utf-8")).body
            if isinstance(node, ast.ClassDef) and node.name == case
            for function in node.body
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        }
