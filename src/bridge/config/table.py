"""What an option is: its names in every source, kind, default and documentation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from bridge.config.kinds import Kind

T = TypeVar("T")

ESTABLISHED = "aibridge."
"""The YAML group whose options also go by the established gateway's names."""
ALIAS = "ai_gateway."
"""The newer established name of the same group."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Option(Generic[T]):
    """One declared option; `settings[option]` has the type T."""

    path: str
    """Its YAML path, e.g. `limits.connect`; every other name follows from it."""
    kind: Kind[T]
    default: T
    doc: str
    """One line: what it does, and what `0` or "" means."""
    more_paths: tuple[str, ...] = ()
    """Other YAML paths that mean the same; their names in other sources count as well."""
    more_environment: tuple[str, ...] = ()
    more_flags: tuple[str, ...] = ()
    fallback_environment: tuple[str, ...] = ()
    """Variables looked at last, which give way instead of contradicting the other names."""
    empty: bool = False
    """Whether "" is a value of its own; elsewhere an empty variable or YAML text is not set."""
    shown_default: str = ""
    """The default in words, where the value does not say it."""
    hidden: bool = False
    """Left out of `--help`; in the reference all the same."""
    reloadable: bool = False
    """Whether SIGHUP puts a changed value in force."""

    @property
    def yaml_paths(self) -> tuple[str, ...]:
        """The YAML paths it may be written at, the preferred one first."""
        paths: list[str] = []
        for path in (self.path, *self.more_paths):
            paths.append(path)
            if path.startswith(ESTABLISHED):
                paths.append(ALIAS + path.removeprefix(ESTABLISHED))
        return tuple(paths)

    @property
    def environment(self) -> tuple[str, ...]:
        """The variables that set it, the preferred one first; without the fallbacks."""
        names: list[str] = []
        for path in (self.path, *self.more_paths):
            name = path.removeprefix(ESTABLISHED).upper().replace(".", "_")
            if path.startswith(ESTABLISHED):
                names += [f"CODER_AIBRIDGE_{name}", f"CODER_AI_GATEWAY_{name}"]
            names.append(f"AIBRIDGE_{name}")
        return (*names, *self.more_environment)

    @property
    def flags(self) -> tuple[str, ...]:
        """The flags that set it, without their dashes, the preferred one first."""
        names: list[str] = []
        for path in (self.path, *self.more_paths):
            name = path.removeprefix(ESTABLISHED).replace(".", "-").replace("_", "-")
            if path.startswith(ESTABLISHED):
                names += [f"aibridge-{name}", f"ai-gateway-{name}"]
            else:
                names.append(name)
        return (*names, *self.more_flags)

    @property
    def default_text(self) -> str:
        """The default as the documentation and `--help` show it."""
        return self.shown_default or self.kind.show(self.default)
