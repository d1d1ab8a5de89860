"""What the bridge says it is."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import bridge.version
from bridge.version import version_text
from tests.support.cases import BridgeTestCase

SOURCE = Path(bridge.version.__file__)


class VersionTests(BridgeTestCase):
    def said_by(self, root: Path, commit: str = "") -> str:
        """Return what a copy of the module says that is installed in `root`."""
        package = root / "bridge"
        package.mkdir(parents=True)
        shutil.copy(SOURCE, package)
        (package / "__init__.py").touch()
        if commit:
            (package / "commit.txt").write_text(commit, "utf-8")
        return subprocess.run(
            [sys.executable, "-c", "from bridge.version import version_text as t; print(t())"],
            check=True,
            capture_output=True,
            text=True,
            cwd=root,
            env={"PYTHONPATH": str(root)},
        ).stdout

    def test_it_is_a_version_and_a_commit(self) -> None:
        """`0.1.0 (commit abcdef1)`, or that nobody knows."""
        self.assertRegex(
            version_text(),
            re.compile(
                r"\A\d+\.\d+\.\d+\S* "
                r"\((commit [0-9a-f]{7,40}( with changes)?|unknown commit)\)\Z"
            ),
        )

    def test_what_was_noted_when_it_was_built_is_said(self) -> None:
        """An installed bridge has no repository."""
        said = self.said_by(self.temporary_directory(), commit="abcdef1\n")

        self.assertTrue(said.endswith("(commit abcdef1)\n"), said)

    def test_somebody_else_s_repository_is_not_asked(self) -> None:
        """A virtual environment may lie in one."""
        root = self.temporary_directory()
        subprocess.run(["git", "init", "-q", str(root)], check=True)

        self.assertTrue(self.said_by(root / "venv" / "site").endswith("(unknown commit)\n"))
