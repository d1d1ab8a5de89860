"""The configuration that a command works with, read when it is first needed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bridge.config.load import load
from bridge.config.settings import Settings

DEFAULT_PATH = Path("etc/bridge.yaml")
"""Read when no other is named and it is there."""


class Configuration:
    """What `--config` and the environment say; every command's `click.pass_obj`."""

    def __init__(self, *, path: Path | None, environ: Mapping[str, str]) -> None:
        """Keep where to look; None looks for the default file."""
        if path is None and DEFAULT_PATH.exists():
            path = DEFAULT_PATH
        self.path = path
        self.environ = environ
        self._settings: Settings | None = None

    @property
    def settings(self) -> Settings:
        """The settings in force.

        Raises:
            ConfigErrors: they cannot be used; `main` reports that.
        """
        if self._settings is None:
            self._settings = self.with_flags({})
        return self._settings

    def with_flags(self, flags: Mapping[str, str]) -> Settings:
        """Return the settings as they would be with these flags of the bridge.

        Raises:
            ConfigErrors: they cannot be used.
        """
        return load(self.path, flags, self.environ)
