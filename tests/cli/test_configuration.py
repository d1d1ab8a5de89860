"""Which file a command reads, and when."""

from __future__ import annotations

import os
from pathlib import Path

from bridge.cli.configuration import DEFAULT_PATH, Configuration
from bridge.config import options
from bridge.config.settings import ConfigErrors
from tests.cli.running import CommandCase


class ConfigurationTests(CommandCase):
    def setUp(self) -> None:
        super().setUp()
        self.addCleanup(os.chdir, Path.cwd())
        os.chdir(self.directory)

    def test_the_usual_file_is_read_where_it_is(self) -> None:
        """In a checkout no option is needed."""
        DEFAULT_PATH.parent.mkdir()
        DEFAULT_PATH.write_text("aibridge: {retention: 7d}", "utf-8")

        configuration = Configuration(path=None, environ={})

        self.assertEqual(configuration.path, DEFAULT_PATH)
        self.assertEqual(configuration.settings[options.RETENTION], 7 * 86400)

    def test_without_the_usual_file_there_is_none(self) -> None:
        """Variables and defaults are enough."""
        configuration = Configuration(path=None, environ={"AIBRIDGE_RETENTION": "1d"})

        self.assertIsNone(configuration.path)
        self.assertEqual(configuration.settings[options.RETENTION], 86400)

    def test_a_broken_file_is_no_trouble_until_it_is_needed(self) -> None:
        """Help works all the same."""
        path = self.write("nonsense: 1")

        configuration = Configuration(path=path, environ={})

        self.assertRaises(ConfigErrors, lambda: configuration.settings)
        self.assertEqual(self.call("--config", str(path), "user", "--help").exit_code, 0)
