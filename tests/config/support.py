"""A configuration file in a directory of its own, and what loading it says."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path

from bridge.config.load import load
from bridge.config.settings import ConfigErrors, Settings
from tests.support.cases import BridgeTestCase


class ConfigCase(BridgeTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.directory = self.temporary_directory()

    def write(self, text: str) -> Path:
        path = self.directory / "bridge.yaml"
        path.write_text(textwrap.dedent(text), "utf-8")
        return path

    def load(
        self,
        text: str | None = None,
        *,
        flags: Mapping[str, str] | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> Settings:
        path = self.write(text) if text is not None else None
        return load(path, flags or {}, environ or {})

    def problems(
        self,
        text: str | None = None,
        *,
        flags: Mapping[str, str] | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> list[str]:
        """Return the problems, with the directory left out of the file's name."""
        error = self.assertRaises(ConfigErrors, self.load, text, flags=flags, environ=environ)
        return [problem.replace(f"{self.directory}/", "") for problem in error.problems]

    def assert_problem(self, expected: str, problems: list[str]) -> None:
        """Exactly one problem begins with `expected`."""
        found = [problem for problem in problems if problem.startswith(expected)]
        self.assertEqual(len(found), 1, f"{expected!r} in {problems}")

    def warnings(
        self,
        text: str | None = None,
        *,
        flags: Mapping[str, str] | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> str:
        return "\n".join(self.load(text, flags=flags, environ=environ).warnings)
